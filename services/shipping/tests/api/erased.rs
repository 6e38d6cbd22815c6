//! A customer is erased: the shipment keeps no personal data.

use conformance::erased::erase;
use harness::producer::{LINES, Producer};
use serde_json::json;

use crate::app::{Testable, compared, following};

harness::on_both_databases! {
    the_personal_data_is_erased_and_the_shipment_stays
}

async fn the_personal_data_is_erased_and_the_shipment_stays<S: Testable>(url: &str) {
    let producer = Producer::new().await;
    producer.placed(1, LINES).await;
    producer.placed(2, LINES).await;
    let mut app = following::<S>(url, &producer).await;
    let before = app.json("/1").await;
    erase(&producer, 1).await;
    // In one batch with the event of the order.
    producer.placed(3, LINES).await;
    erase(&producer, 3).await;
    producer.cancelled(1, LINES).await;
    app.catch_up(&producer).await;
    let mut expected = before.clone();
    expected["customer"] = json!({"customerId": 1});
    expected.as_object_mut().unwrap().remove("shippingAddress");
    expected["status"] = json!("stopped");
    expected["cancelled"] = json!("2026-09-10T11:12:13.014Z");
    assert_eq!(app.json("/1").await, expected);
    assert_eq!(app.json("/3").await["customer"], expected["customer"]);
    assert_eq!(app.json("/2").await["shippingAddress"]["street"], "Dock 9");
    for path in ["/", "/1", "/3"] {
        let page = app.page(path).await;
        assert!(page.contains(">erased<"), "{path}: {page}");
        assert_eq!(page.contains("Brien"), path == "/");
    }
    let kept = "SELECT customer_name || customer_firstname || shipping_street || shipping_zip
                || shipping_city FROM shipment WHERE order_id <> 2";
    assert_eq!(S::texts(app.database(), kept).await, ["", ""]);
    assert_eq!(compared(&app, &producer).await.differences, []);
}
