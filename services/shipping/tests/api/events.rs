//! The effect of events: one shipment for each order that was placed, stopped if it was cancelled, however often the
//! events come (I5).

use conformance::forget;
use harness::producer::{LINES, Producer};

use crate::app::{Shipments, Testable, following};

harness::on_both_databases! {
    a_cancelled_order_is_stopped
    the_same_events_again_change_nothing
}

async fn a_cancelled_order_is_stopped<S: Testable>(url: &str) {
    let producer = Producer::new().await;
    producer.placed(17, LINES).await;
    producer.placed(18, LINES).await;
    let mut app = following::<S>(url, &producer).await;
    producer.cancelled(17, LINES).await;
    app.catch_up(&producer).await;
    let expected = [(18, "pending".to_owned()), (17, "stopped".to_owned())];
    assert_eq!(app.listed("status").await, expected);
    let page = app.page("/17").await;
    for text in ["Do not dispatch", "2026-09-10 11:12 UTC"] {
        assert!(page.contains(text), "{text}");
    }
    assert!(!page.contains("Mark as dispatched"));
}

async fn the_same_events_again_change_nothing<S: Testable>(url: &str) {
    let producer = Producer::new().await;
    for id in 1..=3 {
        producer.placed(id, LINES).await;
    }
    let mut app = following::<S>(url, &producer).await;
    for id in [1, 2] {
        app.send("POST", &format!("/{id}/dispatch"), "*/*").await;
    }
    for id in [2, 3] {
        producer.cancelled(id, LINES).await;
    }
    app.catch_up(&producer).await;
    let before = app.json("/").await;
    let expected = [(3, "stopped"), (2, "recalled"), (1, "dispatched")];
    let expected = expected.map(|(id, status)| (id, status.to_owned()));
    assert_eq!(app.listed("status").await, expected);
    forget::<Shipments, S>(&app).await;
    let again = following::<S>(url, &producer).await;
    assert_eq!(again.status("parked").await, 0);
    assert_eq!(again.json("/").await, before);
}
