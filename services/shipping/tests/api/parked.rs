//! Wrong fields of an order that are no reason to park it.

use harness::producer::{PLACED, Producer, order};

use crate::app::{Testable, following};

harness::on_both_databases! {
    prices_are_not_read
}

async fn prices_are_not_read<S: Testable>(url: &str) {
    let producer = Producer::new().await;
    let data = order(1, "placed", &[(1, "iPod", "-0.001")]).replace("\"email\"", "\"mail\"");
    producer.tell("order.placed", 1, PLACED, &data).await;
    let app = following::<S>(url, &producer).await;
    assert_eq!(app.json("/1").await["status"], "pending");
    assert_eq!(app.status("parked").await, 0);
}
