//! The effect of events: one record for each order that was placed, cancelled if the order was, however often the
//! events come (I5).

use feed_console::service::{Service, ServiceOn};
use feed_core::{Batch, Effect, Received};
use harness::Sql;
use harness::producer::{LINES, PLACED, Producer, order};
use serde_json::Value;

use crate::{NOBODY, Subject, config, documents, following, forget, open, statuses, without};

fn parse(json: &str) -> Value {
    serde_json::from_str(json).unwrap()
}

/// What the documents of all orders with [`LINES`] have in common.
fn common<T: Subject<S>, S: Sql>() -> Value {
    without(&parse(T::DOCUMENT), T::OF_ONE)
}

pub async fn a_placed_order_has_its_document<T: Subject<S>, S: Sql>(url: &str) {
    let producer = Producer::new().await;
    producer.placed(17, LINES).await;
    let app = following::<T, S>(url, &producer).await;
    // Compared as text, since equal numbers have several spellings.
    let document = app.json("/17").await;
    let known = without(&document, T::OF_EVENT);
    assert_eq!(known.to_string(), parse(T::DOCUMENT).to_string());
    let list = app.json("/").await;
    let many = T::MANY;
    let expected = format!(r#"{{"{many}":[{document}],"count":1,"_links":{{}}}}"#);
    assert_eq!(list.to_string(), parse(&expected).to_string());
}

pub async fn an_order_placed_and_cancelled_in_one_batch_is_cancelled<T: Subject<S>, S: Sql>(
    url: &str,
) {
    let producer = Producer::new().await;
    producer.placed(1, LINES).await;
    producer.cancelled(1, LINES).await;
    producer.placed(2, LINES).await;
    let app = following::<T, S>(url, &producer).await;
    let expected = [(2, T::PLACED.to_owned()), (1, T::CANCELLED.to_owned())];
    assert_eq!(statuses::<T, S>(&app).await, expected);
}

pub async fn the_first_cancellation_counts<T: Subject<S>, S: Sql>(url: &str) {
    let producer = Producer::new().await;
    let later = "2026-12-24T12:00:00Z";
    let data = order(1, "cancelled", LINES);
    producer.placed(1, LINES).await;
    producer.cancelled(1, LINES).await;
    // In the same batch, and in a later one.
    producer.tell("order.cancelled", 1, later, &data).await;
    let mut app = following::<T, S>(url, &producer).await;
    producer.tell("order.cancelled", 1, later, &data).await;
    app.catch_up(&producer).await;
    let at = format!("SELECT CAST({} AS TEXT) FROM {}", T::CANCELLED_AT, T::TABLE);
    let at = S::texts(app.database(), &at).await;
    assert!(at[0].starts_with("2026-09-10"), "{at:?}");
}

pub async fn a_cancellation_needs_an_earlier_order<T: Subject<S>, S: Sql>(url: &str) {
    let producer = Producer::new().await;
    producer.cancelled(1, LINES).await;
    producer.placed(1, LINES).await;
    producer.cancelled(2, LINES).await;
    let app = following::<T, S>(url, &producer).await;
    let expected = [(1, T::PLACED.to_owned())];
    assert_eq!(statuses::<T, S>(&app).await, expected);
    assert_eq!(app.status("parked").await, 0);
}

pub async fn the_same_events_again_change_nothing<T: Subject<S>, S: Sql>(url: &str) {
    let producer = Producer::new().await;
    for id in 1..=3 {
        producer.placed(id, LINES).await;
    }
    producer.cancelled(2, LINES).await;
    let app = following::<T, S>(url, &producer).await;
    let before = app.json("/").await;
    forget::<T, S>(&app).await;
    let mut again = following::<T, S>(url, &producer).await;
    assert_eq!(again.status("parked").await, 0);
    assert_eq!(again.json("/").await, before);
    // It continues at its cursor.
    producer.placed(4, LINES).await;
    again.catch_up(&producer).await;
    let all = documents::<T, S>(&again).await;
    assert_eq!(all.len(), 4);
    T::check(&all, 2026);
}

pub async fn an_order_that_is_placed_twice_has_one_document<T: Subject<S>, S: Sql>(url: &str) {
    let producer = Producer::new().await;
    producer.placed(1, LINES).await;
    producer.placed(1, &[(9, "Something else", "9.99")]).await;
    producer.placed(2, LINES).await;
    let mut app = following::<T, S>(url, &producer).await;
    producer.placed(1, &[(9, "Something else", "9.99")]).await;
    app.catch_up(&producer).await;
    let all = documents::<T, S>(&app).await;
    assert_eq!(app.json("/").await["count"], 2);
    for document in &all {
        assert_eq!(without(document, T::OF_ONE), common::<T, S>());
    }
    T::check(&all, 2026);
    assert_eq!(app.status("parked").await, 1);
}

pub async fn other_events_are_passed_over<T: Subject<S>, S: Sql>(url: &str) {
    let producer = Producer::new().await;
    producer
        .tell("order.applauded", 1, PLACED, "[1, 2, 3]")
        .await;
    producer.placed(1, LINES).await;
    producer.tell("order.applauded", 1, PLACED, "null").await;
    let app = following::<T, S>(url, &producer).await;
    let expected = [(1, T::PLACED.to_owned())];
    assert_eq!(statuses::<T, S>(&app).await, expected);
    assert_eq!(app.status("parked").await, 0);
    assert_eq!(app.status("sequence").await, 3);
}

pub async fn hundreds_of_orders_are_applied<T: Subject<S>, S: Sql>(url: &str) {
    let producer = Producer::new().await;
    for id in 1..=230 {
        producer.placed(id, LINES).await;
    }
    let app = following::<T, S>(url, &producer).await;
    assert_eq!(app.json("/").await["count"], 230);
    let base = format!("https://shop.example/{}", T::Service::NAME);
    let mut path = "/".to_owned();
    let mut seen = Vec::new();
    loop {
        let page = app.json(&path).await;
        let documents = page[T::MANY].as_array().unwrap();
        assert!(documents.len() <= 50);
        for document in documents {
            assert_eq!(without(document, T::OF_ONE), common::<T, S>());
        }
        seen.extend(documents.iter().cloned());
        let Some(next) = page["_links"]["next"]["href"].as_str() else {
            break;
        };
        path = next.strip_prefix(&base).unwrap().to_owned();
    }
    seen.reverse();
    T::check(&seen, 2026);
    let ids = seen.iter().map(|document| document["id"].as_i64().unwrap());
    assert_eq!(ids.collect::<Vec<_>>(), (1..=230).collect::<Vec<_>>());
}

/// The events are not applied one by one, as they are when a batch fails.
pub async fn a_batch_succeeds_at_once<T: Subject<S>, S: Sql>(url: &str) {
    let app = open::<T, S>(url, NOBODY).await;
    let effect = <T::Service as ServiceOn<S>>::effect(&config::<T, S>(url, NOBODY));
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
        effect.apply(&mut tx, &batch).await.unwrap();
        let passed_over = batch.passed_over();
        let passed_over: Vec<&Received> = passed_over.iter().map(|(event, _)| *event).collect();
        assert_eq!(passed_over, [&events[1], &events[4]]);
    }
    effect.apply(&mut tx, &Batch::new(&[])).await.unwrap();
    tx.commit().await.unwrap();
    let expected = [(3, T::PLACED), (2, T::CANCELLED), (1, T::PLACED)];
    let expected = expected.map(|(id, status)| (id, status.to_owned()));
    assert_eq!(statuses::<T, S>(&app).await, expected);
    T::check(&documents::<T, S>(&app).await, 2026);
}
