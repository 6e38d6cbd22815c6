//! The comparison with the feed finds each difference, and no false one.

use feed_console::service::{self, Opened, Service};
use feed_core::consumer::{Bound, Handle, Period, Reconcile, Reconciliation, reconcile};
use feed_core::{CancellationToken, Received, Subscription};
use harness::Sql;
use harness::producer::{LINES, PLACED, Producer, order};

use crate::{Expected, Subject, compared, config, following, handle};

/// The differences, each as `id: what`.
pub fn found(result: &Reconciliation) -> Vec<String> {
    let all = result.differences.iter();
    let mut all: Vec<_> = all
        .map(|difference| format!("{}: {}", difference.id, difference.what))
        .collect();
    all.sort_unstable();
    assert_eq!(result.found, all.len() as u64);
    all
}

const NONE: [&str; 0] = [];

pub async fn normal_traffic_makes_no_difference<T: Subject<S>, S: Sql>(url: &str) {
    let producer = Producer::new().await;
    let mut app = following::<T, S>(url, &producer).await;
    assert_eq!(found(&compared::<T, S>(&app, &producer).await), NONE);
    // The last one is the highest number there is.
    for id in (1..=119).chain([i64::MAX]) {
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
    // Events without an effect: of an order that is not here, of an unknown type, of an order that was placed before;
    // a parked one, and one that waits for it.
    producer.cancelled(900, LINES).await;
    producer.tell("order.applauded", 3, PLACED, "null").await;
    producer.placed(4, &[(9, "Something else", "9.99")]).await;
    producer.tell("order.placed", 125, PLACED, "{}").await;
    producer.cancelled(125, LINES).await;
    app.catch_up(&producer).await;
    let result = compared::<T, S>(&app, &producer).await;
    assert_eq!(found(&result), NONE);
    assert_eq!((result.from, result.to), (1, 133));
    assert_eq!((result.events, result.left_out), (128, 5));
}

pub async fn traffic_during_the_comparison_makes_no_difference<T: Subject<S>, S: Sql>(url: &str) {
    let producer = Producer::new().await;
    let mut running = Vec::new();
    let mut opened = None;
    for _ in 0..2 {
        let config = config::<T, S>(url, &producer.feed_url);
        let service = service::open::<T::Service, S>(&config, CancellationToken::new()).await;
        let Opened {
            consumer, database, ..
        } = service.unwrap();
        running.push((consumer.shutdown(), tokio::spawn(consumer.run())));
        opened = Some(database);
    }
    let feed = producer.feed_url.parse().unwrap();
    let subscription = Subscription::new(T::Service::SUBSCRIPTION, feed);
    let handle = Handle::open(opened.unwrap(), subscription).await.unwrap();
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
        let result = reconcile::<S, Expected<T, S>>(&handle, Period::default(), |_, _| ()).await;
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

pub async fn an_event_without_effect_hides_no_difference<T: Subject<S>, S: Sql>(url: &str) {
    let producer = Producer::new().await;
    for id in 1..=3 {
        producer.placed(id, LINES).await;
    }
    producer.tell("order.placed", 4, PLACED, "{}").await;
    producer.cancelled(4, LINES).await;
    producer.tell("order.applauded", 2, PLACED, "null").await;
    let app = following::<T, S>(url, &producer).await;
    S::run(app.database(), T::SPOILED).await;
    let result = compared::<T, S>(&app, &producer).await;
    assert_eq!(found(&result).len(), 3);
    assert_eq!((result.events, result.left_out), (3, 3));
}

pub async fn only_a_whole_comparison_finds_unexplained_records<T: Subject<S>, S: Sql>(url: &str) {
    let producer = Producer::new().await;
    for id in 1..=3 {
        producer.placed(id, LINES).await;
    }
    producer.cancelled(1, LINES).await;
    let app = following::<T, S>(url, &producer).await;
    let handle = handle::<T, S>(&app, &producer).await;
    let later = reconcile::<S, Expected<T, S>>(&handle, Period::since(3), |_, _| ()).await;
    assert_eq!(found(&later.unwrap()), NONE);
    let undone = format!("UPDATE {} SET {} = NULL", T::TABLE, T::CANCELLED_AT);
    S::run(app.database(), &undone).await;
    let later = reconcile::<S, Expected<T, S>>(&handle, Period::since(3), |_, _| ()).await;
    assert_eq!(found(&later.unwrap()).len(), 1, "the cancellation");
}

/// As an older version has done, which did not look.
pub async fn a_record_that_another_order_has_ended_is_found<T: Subject<S>, S: Sql>(url: &str) {
    let producer = Producer::new().await;
    producer.placed(1, LINES).await;
    producer.cancelled(1, LINES).await;
    let app = following::<T, S>(url, &producer).await;
    let other = format!("UPDATE {} SET customer_id = 2", T::TABLE);
    S::run(app.database(), &other).await;
    let handle = handle::<T, S>(&app, &producer).await;
    // The event that placed the other order was not read.
    let later = reconcile::<S, Expected<T, S>>(&handle, Period::since(2), |_, _| ()).await;
    let found = found(&later.unwrap());
    assert!(
        found.len() == 1 && found[0].contains("another order"),
        "{found:?}"
    );
}

/// The orders of a month, with what has become of them later.
pub async fn a_month_is_proved_with_totals<T: Subject<S>, S: Sql>(url: &str) {
    let producer = Producer::new().await;
    for (id, time) in [
        (1, "2026-10-31T23:59:59.999Z"),
        (2, "2026-11-01T00:00:00Z"),
        (3, "2026-11-15T12:00:00Z"),
        (4, "2026-11-30T23:59:59.999Z"),
        (5, "2026-12-01T00:00:00Z"),
    ] {
        let data = order(id, "placed", LINES);
        producer.tell("order.placed", id, time, &data).await;
    }
    let data = order(3, "cancelled", LINES);
    let later = "2026-12-24T12:00:00Z";
    producer.tell("order.cancelled", 3, later, &data).await;
    let app = following::<T, S>(url, &producer).await;
    let handle = handle::<T, S>(&app, &producer).await;
    let bound = |time: &str| Some(Bound::Time(time.parse().unwrap()));
    let november = Period {
        from: bound("2026-11-01T00:00:00Z"),
        until: bound("2026-12-01T00:00:00Z"),
    };
    let compare = async || {
        let result = reconcile::<S, Expected<T, S>>(&handle, november, |_, _| ()).await;
        result.unwrap()
    };
    let result = compare().await;
    assert_eq!(found(&result), NONE);
    assert_eq!((result.from, result.to, result.events), (2, 4, 3));
    let totals = &result.totals;
    assert_eq!((totals.equal, totals.different, totals.missing), (3, 0, 0));
    for sum in totals.sums.values() {
        assert_eq!((&*sum.events, &*sum.stored), ("315.00", "315.00"));
    }
    let table = T::TABLE;
    let undo = format!("UPDATE {table} SET {} = NULL", T::CANCELLED_AT);
    S::run(app.database(), &undo).await;
    let delete = [format!("{table}_line"), table.to_owned()];
    for table in delete {
        let delete = format!("DELETE FROM {table} WHERE order_id IN (1, 4, 5)");
        S::run(app.database(), &delete).await;
    }
    let result = compare().await;
    let totals = &result.totals;
    assert_eq!((totals.equal, totals.different, totals.missing), (1, 1, 1));
    assert_eq!(result.found, 2, "{:?}", result.differences);
    for sum in totals.sums.values() {
        assert_eq!((&*sum.events, &*sum.stored), ("315.00", "210.00"));
    }
}

pub async fn an_erased_customer_is_no_difference<T: Subject<S>, S: Sql>(_: &str) {
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
        let mut expected = Expected::<T, S>::default();
        Reconcile::<S>::expect(&mut expected, event, settled)
    };
    assert_eq!(expect(&event("order.placed", erased), true), Ok(()));
    assert_eq!(expect(&event("order.cancelled", erased), true), Ok(()));
    // An applied event that is unreadable now is a difference; a parked one is none.
    assert!(expect(&event("order.placed", "{}"), true).is_err());
    assert!(expect(&event("order.cancelled", "{}"), true).is_err());
    assert_eq!(expect(&event("order.placed", "{}"), false), Ok(()));
    assert_eq!(expect(&event("order.erased", "{}"), true), Ok(()));
}

/// A cancellation is parked when it is read and applied when the records are compared, and likewise an order.
pub async fn an_event_may_be_applied_during_the_comparison<T: Subject<S>, S: Sql>(url: &str) {
    let producer = Producer::new().await;
    for id in 1..=3 {
        producer.placed(id, LINES).await;
    }
    let app = following::<T, S>(url, &producer).await;
    let told = |event_type: &str, id: i64, data: &str| Received {
        id: format!("tag:x,{event_type},{id}"),
        event_type: Some(event_type.to_owned()),
        subject: format!("order/{id}"),
        sequence: Some(id),
        time: PLACED.parse().unwrap(),
        data: data.to_owned(),
        traceparent: None,
    };
    let (table, cancelled, placed) = (T::TABLE, T::CANCELLED_AT, T::PLACED_AT);
    let older = format!("UPDATE {table} SET cause = NULL, {cancelled} = {placed}");
    S::run(app.database(), &older).await;
    // Found by the data, or by the subject where the data is unreadable.
    for cancelled in [order(1, "cancelled", LINES), "{}".to_owned()] {
        let mut expected = Expected::<T, S>::default();
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
        let compared = expected.compare(app.database()).await.unwrap();
        assert_eq!(compared.differences, []);
    }
}
