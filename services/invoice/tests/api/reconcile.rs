//! The comparison of the invoices with the feed: it finds each kind of difference, and none where
//! all is well.

use feed_core::Received;
use feed_core::consumer::{Reconcile, Reconciliation, reconcile};
use harness::producer::{LINES, PLACED, Producer, order};
use invoice::Service;
use invoice::reconcile::Expected;
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
        let service = invoice::open::<S>(&config, CancellationToken::new()).await;
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
    for id in 1..=14 {
        let data = order(id, "placed", LINES);
        events.push(producer.tell("order.placed", id, PLACED, &data).await);
    }
    producer.cancelled(8, LINES).await;
    let app = following::<S>(url, &producer).await;
    for sql in [
        "DELETE FROM invoice_line WHERE order_id IN (2, 13, 14)",
        "DELETE FROM invoice WHERE order_id IN (2, 13, 14)",
        "UPDATE invoice SET total_cents = 10501 WHERE order_id = 3",
        "UPDATE invoice SET currency = 'USD' WHERE order_id = 4",
        "UPDATE invoice_line SET count = 3 WHERE order_id = 5 AND line = 1",
        "DELETE FROM invoice_line WHERE order_id = 6 AND line = 2",
        "UPDATE invoice_line SET item_name = 'iPad' WHERE order_id = 7 AND line = 1",
        "UPDATE invoice SET credited_at = NULL WHERE order_id = 8",
        "UPDATE invoice SET credited_at = issued_at WHERE order_id = 9",
        "UPDATE invoice SET cause = 'tag:x,1' WHERE order_id = 10",
        // Of an older version: nothing wrong with it.
        "UPDATE invoice SET cause = NULL WHERE order_id = 11",
        "UPDATE invoice_line SET price_cents = 4201 WHERE order_id = 12 AND line = 1",
        "INSERT INTO invoice
             (order_id, year, serial, issued_at, customer_id, customer_name, customer_firstname,
              customer_email, billing_street, billing_zip, billing_city, currency, total_cents)
         SELECT 99, 2027, 2, issued_at, customer_id, customer_name, customer_firstname,
                customer_email, billing_street, billing_zip, billing_city, currency, total_cents
         FROM invoice WHERE order_id = 1",
    ] {
        S::run(app.database(), sql).await;
    }
    let result = compared(&app, &producer).await;
    let event = |id: usize| format!("event {id} ({})", events[id]);
    let number = |id: usize| format!("order/{id}: invoice 2026-{id:06}");
    let mut expected = vec![
        format!("order/2: the order has no invoice: {}", event(2)),
        format!("order/13: the order has no invoice: {}", event(13)),
        format!("order/14: the order has no invoice: {}", event(14)),
        format!(
            "{} is over 105.01 EUR, the order over 105.00 EUR: {}",
            number(3),
            event(3)
        ),
        format!(
            "{} is over 105.00 USD, the order over 105.00 EUR: {}",
            number(4),
            event(4)
        ),
        format!(
            "{} is credited, and nothing cancels the order of {}",
            number(9),
            event(9)
        ),
        format!("{} is of event tag:x,1, not of {}", number(10), event(10)),
        "order/99: no event of the feed explains invoice 2027-000002".to_owned(),
        "invoice/2026-000002: no invoice has the number 2026-000002".to_owned(),
        "invoice/2026-000013: no invoice has a number from 2026-000013 to 2026-000014".to_owned(),
        "invoice/2027-000001: no invoice has the number 2027-000001".to_owned(),
    ];
    for id in [5, 6, 7, 12] {
        let (number, event) = (number(id), event(id));
        expected.push(format!("{number} has other lines than the order: {event}"));
    }
    let cancelled = S::texts(
        app.database(),
        "SELECT event_id FROM feed_claim WHERE sequence = 15",
    );
    expected.push(format!(
        "{} is not credited although the order was cancelled: event 15 ({})",
        number(8),
        cancelled.await[0]
    ));
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
    S::run(app.database(), "UPDATE invoice SET total_cents = 1").await;
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
    S::run(app.database(), "UPDATE invoice SET credited_at = NULL").await;
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

/// A cancellation that is parked when it is read, and applied when we look at the invoice; an
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
        "UPDATE invoice SET cause = NULL, credited_at = issued_at",
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
