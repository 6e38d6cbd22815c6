//! A customer is erased: the invoice keeps only what a law requires.

use conformance::erased::erase;
use harness::producer::{LINES, Producer};
use serde_json::json;

use crate::app::{Testable, compared, following};

harness::on_both_databases! {
    the_e_mail_address_is_erased_and_the_invoice_stays
}

async fn the_e_mail_address_is_erased_and_the_invoice_stays<S: Testable>(url: &str) {
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
    expected["customer"]
        .as_object_mut()
        .unwrap()
        .remove("email");
    expected["status"] = json!("credited");
    expected["creditDate"] = json!("2026-09-10T11:12:13.014Z");
    let note = json!({"href": "https://shop.example/invoice/1/credit-note"});
    expected["_links"]["creditNote"] = note;
    assert_eq!(app.json("/1").await.to_string(), expected.to_string());
    assert_eq!(app.json("/3").await["customer"], expected["customer"]);
    assert_eq!(app.json("/2").await["customer"]["email"], "ob@example.com");
    let page = app.page("/1").await;
    assert!(page.contains("Krischerstr. 100") && !page.contains("ob@example.com"));
    let kept = "SELECT customer_email FROM invoice ORDER BY order_id";
    assert_eq!(
        S::texts(app.database(), kept).await,
        ["", "ob@example.com", ""]
    );
    assert_eq!(compared(&app, &producer).await.differences, []);
}
