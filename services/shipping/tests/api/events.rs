//! The effect of events: one shipment for each order that was placed, stopped if it was cancelled, however often the
//! events come (I5).

use feed_core::{Batch, Effect, Received};
use harness::producer::{LINES, PLACED, Producer, order};
use shipping::effect::Shipping;

use crate::app::{Testable, following, open};

harness::on_both_databases! {
    a_cancelled_order_is_stopped
    the_same_events_again_change_nothing
    a_batch_succeeds_at_once
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
    // All claims and cursors are lost; only the service's own keys are left.
    for table in [
        "feed_claim",
        "feed_instance",
        "feed_partition",
        "feed_subscription",
    ] {
        S::run(app.database(), &format!("DELETE FROM {table}")).await;
    }
    let again = following::<S>(url, &producer).await;
    assert_eq!(again.status("parked").await, 0);
    assert_eq!(again.json("/").await, before);
}

/// The events are not applied one by one, as they are when a batch fails.
async fn a_batch_succeeds_at_once<S: Testable>(url: &str) {
    let app = open::<S>(url, "http://127.0.0.1:9/feed").await;
    let event = |event_type: &str, id| Received {
        id: format!("{event_type} {id}"),
        event_type: Some(event_type.to_owned()),
        subject: format!("order/{id}"),
        sequence: None,
        time: PLACED.parse().unwrap(),
        data: order(id, "placed", LINES),
        traceparent: None,
    };
    let events = [
        event("order.placed", 1),
        event("order.cancelled", 4),
        event("order.placed", 2),
        event("order.cancelled", 2),
        event("order.applauded", 1),
        event("order.placed", 1),
        event("order.cancelled", 2),
        event("order.placed", 3),
    ];
    let mut tx = app.database().begin().await.unwrap();
    for _ in 0..2 {
        let batch = Batch::new(&events);
        Shipping.apply(&mut tx, &batch).await.unwrap();
        let passed_over = batch.passed_over();
        let passed_over: Vec<&Received> = passed_over.iter().map(|(event, _)| *event).collect();
        assert_eq!(passed_over, [&events[1], &events[4]]);
    }
    Shipping.apply(&mut tx, &Batch::new(&[])).await.unwrap();
    tx.commit().await.unwrap();
    let expected = [(3, "pending"), (2, "stopped"), (1, "pending")];
    let expected = expected.map(|(id, status)| (id, status.to_owned()));
    assert_eq!(app.listed("status").await, expected);
}
