//! A person is erased: the invoice keeps what a law has it keep, and nothing else.

use harness::producer::{LINES, PLACED, Producer, order};
use serde_json::{Value, json};

use crate::app::{Testable, compared, following};

harness::on_both_databases! {
    the_e_mail_address_goes_and_the_invoice_stays
    a_late_consumer_writes_an_invoice_for_nobody
    an_order_that_is_parked_keeps_what_is_left
    an_erased_order_that_is_not_here_is_recorded
}

/// What is left of an order.
fn erased(id: i64, status: &str) -> String {
    let mut order: Value = serde_json::from_str(&order(id, status, LINES)).unwrap();
    order["customer"] = json!({"customerId": 1});
    for address in ["shippingAddress", "billingAddress"] {
        order.as_object_mut().unwrap().remove(address);
    }
    order.to_string()
}

async fn erase(producer: &Producer, id: i64) {
    let data = erased(id, "placed");
    producer.tell("order.erased", id, PLACED, &data).await;
}

async fn the_e_mail_address_goes_and_the_invoice_stays<S: Testable>(url: &str) {
    let producer = Producer::new().await;
    producer.placed(1, LINES).await;
    producer.placed(2, LINES).await;
    let mut app = following::<S>(url, &producer).await;
    let before = app.json("/1").await;
    erase(&producer, 1).await;
    // In one batch with what it erases.
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

async fn a_late_consumer_writes_an_invoice_for_nobody<S: Testable>(url: &str) {
    let producer = Producer::new().await;
    producer
        .tell("order.placed", 1, PLACED, &erased(1, "placed"))
        .await;
    producer
        .tell("order.cancelled", 1, PLACED, &erased(1, "cancelled"))
        .await;
    erase(&producer, 1).await;
    producer.placed(2, LINES).await;
    let app = following::<S>(url, &producer).await;
    assert_eq!(app.status("parked").await, 0);
    let invoice = app.json("/1").await;
    assert_eq!(invoice["customer"], json!({"customerId": 1}));
    assert_eq!(invoice.get("billingAddress"), None);
    assert_eq!(invoice["total"].to_string(), "105.00");
    assert_eq!(invoice["status"], "credited");
    for path in ["/", "/1", "/1/credit-note"] {
        assert!(app.page(path).await.contains(">erased<"), "{path}");
    }
    assert_eq!(compared(&app, &producer).await.differences, []);
}

async fn an_order_that_is_parked_keeps_what_is_left<S: Testable>(url: &str) {
    let producer = Producer::new().await;
    // A name that cannot be stored.
    let data = order(1, "placed", LINES).replace("O'Brien", "O\\u0000Brien");
    producer.tell("order.placed", 1, PLACED, &data).await;
    let mut app = following::<S>(url, &producer).await;
    assert_eq!(app.status("parked").await, 1);
    erase(&producer, 1).await;
    app.catch_up(&producer).await;
    let kept = "SELECT event FROM feed_parked";
    let kept = S::texts(app.database(), kept).await.concat();
    assert!(
        !kept.contains("Brien") && !kept.contains("Krischer"),
        "{kept}"
    );
    // It is due (that it is tried again is feed-core's).
    let due = "SELECT count(*) FROM feed_parked WHERE retry_at IS NOT NULL";
    assert_eq!(S::number(app.database(), due).await, 1);
}

async fn an_erased_order_that_is_not_here_is_recorded<S: Testable>(url: &str) {
    let producer = Producer::new().await;
    erase(&producer, 1).await;
    producer.placed(2, LINES).await;
    let app = following::<S>(url, &producer).await;
    let reason = "order 1 was erased and has no invoice here".to_owned();
    let recorded = crate::app::recorded(&app, &producer).await;
    assert_eq!(recorded, [(1, "order.erased".to_owned(), reason)]);
    assert_eq!(compared(&app, &producer).await.differences, []);
}
