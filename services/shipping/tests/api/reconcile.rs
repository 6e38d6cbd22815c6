//! The comparison of the shipments with the feed: it finds each kind of difference, and none where
//! all is well.

use feed_core::Received;
use feed_core::consumer::{Reconcile, Reconciliation, reconcile};
use harness::producer::{LINES, PLACED, Producer, order};
use shipping::Service;
use shipping::reconcile::Expected;
use tokio_util::sync::CancellationToken;

use crate::app::{Testable, compared, config, following, handle};

harness::on_both_databases! {
    all_is_well_after_normal_traffic
    all_is_well_while_traffic_goes_on
    each_kind_of_difference_is_found
    what_is_left_out_hides_nothing_else
    only_a_whole_comparison_knows_what_is_unexplained
    an_erased_person_is_no_difference
    what_is_not_settled_may_come_meanwhile
}

/// What differs, as `id: what`.
fn found(result: &Reconciliation) -> Vec<String> {
    let all = result.differences.iter();
    let mut all: Vec<_> = all
        .map(|difference| format!("{}: {}", difference.id, difference.what))
        .collect();
    all.sort_unstable();
    assert_eq!(result.found, all.len() as u64);
    all
}

const NONE: [&str; 0] = [];

async fn all_is_well_after_normal_traffic<S: Testable>(url: &str) {
    let producer = Producer::new().await;
    let mut app = following::<S>(url, &producer).await;
    assert_eq!(found(&compared(&app, &producer).await), NONE);
    for id in 1..=120 {
        producer.placed(id, LINES).await;
    }
    producer
        .placed(121, &[(3, "a", "33333333333333.33"), (1, "b", "0")])
        .await;
    producer.placed(122, &[]).await;
    let late = order(123, "placed", LINES);
    producer
        .tell("order.placed", 123, "2025-12-31T23:59:59.999Z", &late)
        .await;
    producer.cancelled(1, LINES).await;
    app.catch_up(&producer).await;
    producer.cancelled(2, LINES).await;
    producer.cancelled(2, LINES).await;
    producer.placed(124, LINES).await;
    producer.cancelled(124, LINES).await;
    // Without an effect: of no order, of no known type, of an order that was told before; parked,
    // and waiting for that.
    producer.cancelled(900, LINES).await;
    producer.tell("order.applauded", 3, PLACED, "null").await;
    producer.placed(4, &[(9, "Something else", "9.99")]).await;
    producer.tell("order.placed", 125, PLACED, "{}").await;
    producer.cancelled(125, LINES).await;
    app.catch_up(&producer).await;
    let result = compared(&app, &producer).await;
    assert_eq!(found(&result), NONE);
    assert_eq!((result.from, result.to), (1, 133));
    assert_eq!((result.events, result.left_out), (128, 5));
}

async fn all_is_well_while_traffic_goes_on<S: Testable>(url: &str) {
    let producer = Producer::new().await;
    let mut running = Vec::new();
    let mut opened = None;
    for _ in 0..2 {
        let config = config(url, &producer.feed_url);
        let service = shipping::open::<S>(&config, CancellationToken::new()).await;
        let Service {
            consumer, database, ..
        } = service.unwrap();
        running.push((consumer.shutdown(), tokio::spawn(consumer.run())));
        opened = Some(database);
    }
    let feed = producer.feed_url.parse().unwrap();
    let handle = feed_core::consumer::Handle::open(opened.unwrap(), "order", feed)
        .await
        .unwrap();
    let publishing = tokio::spawn(async move {
        for id in 1..=100 {
            producer.placed(id, LINES).await;
            match id % 5 {
                0 => producer.cancelled(id, LINES).await,
                1 if id > 20 => producer.cancelled(id - 20, LINES).await,
                2 => _ = producer.tell("order.placed", 1000 + id, PLACED, "{}").await,
                _ => {}
            }
            producer.publish().await;
        }
        producer
    });
    loop {
        let done = publishing.is_finished();
        let result = reconcile::<S, Expected>(&handle, None, |_, _| ()).await;
        let result = result.unwrap();
        assert_eq!(found(&result), NONE);
        if done && result.to == 156 {
            assert_eq!((result.events, result.left_out), (136, 20));
            break;
        }
    }
    for (stop, task) in running {
        stop.cancel();
        task.await.unwrap();
    }
}

async fn each_kind_of_difference_is_found<S: Testable>(url: &str) {
    let producer = Producer::new().await;
    let mut events = vec![String::new()];
    for id in 1..=12 {
        let data = order(id, "placed", LINES);
        events.push(producer.tell("order.placed", id, PLACED, &data).await);
    }
    let mut app = following::<S>(url, &producer).await;
    for id in [1, 8, 9] {
        app.send("POST", &format!("/{id}/dispatch"), "*/*").await;
    }
    for id in [7, 8] {
        let data = order(id, "cancelled", LINES);
        events.push(producer.tell("order.cancelled", id, PLACED, &data).await);
    }
    app.catch_up(&producer).await;
    assert_eq!(found(&compared(&app, &producer).await), NONE);
    for sql in [
        "DELETE FROM shipment_line WHERE order_id = 2",
        "DELETE FROM shipment WHERE order_id = 2",
        "UPDATE shipment_line SET count = 3 WHERE order_id = 4 AND line = 1",
        "DELETE FROM shipment_line WHERE order_id = 5 AND line = 2",
        "UPDATE shipment_line SET item_name = 'iPad' WHERE order_id = 6 AND line = 1",
        "UPDATE shipment SET cancelled_at = NULL WHERE order_id IN (7, 8)",
        "UPDATE shipment SET cancelled_at = placed_at WHERE order_id IN (9, 10)",
        "UPDATE shipment SET cause = 'tag:x,1' WHERE order_id = 11",
        // Of an older version: nothing wrong with it.
        "UPDATE shipment SET cause = NULL WHERE order_id = 12",
        "INSERT INTO shipment
             (order_id, placed_at, customer_id, customer_name, customer_firstname,
              shipping_street, shipping_zip, shipping_city, cause)
         SELECT 99, placed_at, customer_id, customer_name, customer_firstname,
                shipping_street, shipping_zip, shipping_city, 'tag:x,2'
         FROM shipment WHERE order_id = 1",
    ] {
        S::run(app.database(), sql).await;
    }
    let result = compared(&app, &producer).await;
    let event = |n: usize| format!("event {n} ({})", events[n]);
    let mut expected = vec![
        format!("order/2: the order has no shipment: {}", event(2)),
        "order/99: the shipment is of event tag:x,2, which the feed does not have".to_owned(),
        format!(
            "order/11: the shipment is of event tag:x,1, not of {}",
            event(11)
        ),
    ];
    for id in [4, 5, 6] {
        let event = event(id);
        expected.push(format!(
            "order/{id}: the shipment has other lines than the order: {event}"
        ));
    }
    for (id, status, n) in [(7, "pending", 13), (8, "dispatched", 14)] {
        let event = event(n);
        expected.push(format!(
            "order/{id}: the shipment is {status} although the order was cancelled: {event}"
        ));
    }
    for (id, status) in [(9, "recalled"), (10, "stopped")] {
        let event = event(id);
        expected.push(format!(
            "order/{id}: the shipment is {status}, and nothing cancels the order of {event}"
        ));
    }
    expected.sort_unstable();
    assert_eq!(found(&result), expected);
}

async fn what_is_left_out_hides_nothing_else<S: Testable>(url: &str) {
    let producer = Producer::new().await;
    for id in 1..=3 {
        producer.placed(id, LINES).await;
    }
    producer.tell("order.placed", 4, PLACED, "{}").await;
    producer.cancelled(4, LINES).await;
    producer.tell("order.applauded", 2, PLACED, "null").await;
    let app = following::<S>(url, &producer).await;
    S::run(app.database(), "UPDATE shipment_line SET count = 9").await;
    let result = compared(&app, &producer).await;
    assert_eq!(found(&result).len(), 3);
    assert_eq!((result.events, result.left_out), (3, 3));
}

async fn only_a_whole_comparison_knows_what_is_unexplained<S: Testable>(url: &str) {
    let producer = Producer::new().await;
    for id in 1..=3 {
        producer.placed(id, LINES).await;
    }
    producer.cancelled(1, LINES).await;
    let app = following::<S>(url, &producer).await;
    let handle = handle(&app, &producer).await;
    let later = reconcile::<S, Expected>(&handle, Some(3), |_, _| ()).await;
    assert_eq!(found(&later.unwrap()), NONE);
    S::run(app.database(), "UPDATE shipment SET cancelled_at = NULL").await;
    let later = reconcile::<S, Expected>(&handle, Some(3), |_, _| ()).await;
    assert_eq!(found(&later.unwrap()).len(), 1, "the cancellation");
}

async fn an_erased_person_is_no_difference<S: Testable>(_: &str) {
    let erased = r#"{"id":7,"orderLine":[{"count":1,"item":{"itemId":1,"name":"a","price":1}}]}"#;
    let event = |event_type: &str, data: &str| Received {
        id: "urn:uuid:1".to_owned(),
        event_type: Some(event_type.to_owned()),
        subject: "order/7".to_owned(),
        sequence: Some(1),
        time: PLACED.parse().unwrap(),
        data: data.to_owned(),
        traceparent: None,
    };
    let expect = |event: &Received, settled| {
        let mut expected = Expected::default();
        Reconcile::<S>::expect(&mut expected, event, settled)
    };
    assert_eq!(expect(&event("order.placed", erased), true), Ok(()));
    assert_eq!(expect(&event("order.cancelled", erased), true), Ok(()));
    // What could be read before and cannot any more is a difference; what is parked is none.
    assert!(expect(&event("order.placed", "{}"), true).is_err());
    assert!(expect(&event("order.cancelled", "{}"), true).is_err());
    assert_eq!(expect(&event("order.placed", "{}"), false), Ok(()));
    assert_eq!(expect(&event("order.erased", "{}"), true), Ok(()));
}

/// A cancellation that is parked when it is read, and applied when we look at the shipment; an
/// order likewise.
async fn what_is_not_settled_may_come_meanwhile<S: Testable>(url: &str) {
    let producer = Producer::new().await;
    for id in 1..=3 {
        producer.placed(id, LINES).await;
    }
    let app = following::<S>(url, &producer).await;
    let told = |event_type: &str, id: i64, data: &str| Received {
        id: format!("tag:x,{event_type},{id}"),
        event_type: Some(event_type.to_owned()),
        subject: format!("order/{id}"),
        sequence: Some(id),
        time: PLACED.parse().unwrap(),
        data: data.to_owned(),
        traceparent: None,
    };
    S::run(
        app.database(),
        "UPDATE shipment SET cause = NULL, cancelled_at = placed_at",
    )
    .await;
    // By its data, and by its subject where the data is what is wrong with it.
    for cancelled in [order(1, "cancelled", LINES), "{}".to_owned()] {
        let mut expected = Expected::default();
        let mut expect = |event: Received, settled| {
            Reconcile::<S>::expect(&mut expected, &event, settled).unwrap();
        };
        for id in 1..=4 {
            expect(
                told("order.placed", id, &order(id, "placed", LINES)),
                id != 3,
            );
        }
        expect(told("order.cancelled", 1, &cancelled), false);
        expect(
            told("order.cancelled", 2, &order(2, "cancelled", LINES)),
            true,
        );
        expect(told("order.cancelled", 4, "[]"), false);
        let differences = expected.compare(app.database().reader()).await.unwrap();
        assert_eq!(differences, []);
    }
}
