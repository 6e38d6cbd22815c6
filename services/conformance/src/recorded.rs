//! Each event has an effect, or a record with the reason why not (I5).

use harness::Sql;
use harness::producer::{LINES, PLACED, Producer, order};

use crate::app::one;
use crate::{App, Subject, documents, following, handle, recorded, start_again, statuses};

pub async fn an_unknown_type_is_recorded<T: Subject<S>, S: Sql>(url: &str) {
    let producer = Producer::new().await;
    producer.placed(1, LINES).await;
    producer
        .tell("order.applauded", 1, PLACED, "[1, 2, 3]")
        .await;
    producer.placed(2, LINES).await;
    let app = following::<T, S>(url, &producer).await;
    let reason = "an event of type order.applauded, which is unknown here";
    let expected = (2, "order.applauded".to_owned(), reason.to_owned());
    assert_eq!(recorded::<T, S>(&app, &producer).await, [expected]);
    assert_eq!(app.status("skipped").await, 1);
    assert_eq!(app.status("parked").await, 0);
    assert_eq!(app.json("/").await["count"], 2);
}

pub async fn a_cancellation_of_an_order_that_is_not_here_is_recorded<T: Subject<S>, S: Sql>(
    url: &str,
) {
    let producer = Producer::new().await;
    producer.cancelled(1, LINES).await;
    let bad = producer.tell("order.placed", 2, PLACED, "{}").await;
    producer.placed(3, LINES).await;
    let mut app = following::<T, S>(url, &producer).await;
    let one = one::<T, S>();
    let reason = |id: i64| format!("order {id} was cancelled and has no {one} here");
    let first = (1, "order.cancelled".to_owned(), reason(1));
    assert_eq!(recorded::<T, S>(&app, &producer).await, [first]);
    // An operator skips the order, and then it is cancelled.
    let person = handle::<T, S>(&app, &producer).await;
    person.skip(&bad, "a test", "Ann").await.unwrap();
    producer.cancelled(2, LINES).await;
    app.catch_up(&producer).await;
    assert_eq!(app.status("parked").await, 0);
    let skipped = person.skipped(100).await.unwrap();
    let by: Vec<_> = skipped
        .iter()
        .map(|event| (event.sequence.unwrap(), event.skipped_by.as_deref()))
        .collect();
    assert_eq!(by, [(4, None), (2, Some("Ann")), (1, None)]);
    assert_eq!(skipped[0].reason, reason(2));
    assert_eq!(app.json("/").await["count"], 1);
}

pub async fn an_order_of_two_events_is_parked<T: Subject<S>, S: Sql>(url: &str) {
    let producer = Producer::new().await;
    let data = order(1, "placed", LINES);
    let first = producer.tell("order.placed", 1, PLACED, &data).await;
    // In the same batch, and in a later one.
    producer.placed(1, LINES).await;
    let mut app = following::<T, S>(url, &producer).await;
    producer.placed(1, LINES).await;
    app.catch_up(&producer).await;
    assert_eq!(recorded::<T, S>(&app, &producer).await, []);
    let parked = handle::<T, S>(&app, &producer)
        .await
        .parked(9)
        .await
        .unwrap();
    let reasons: Vec<_> = parked.iter().map(|event| event.reason.as_deref()).collect();
    let reason = format!("order 1 has {} already, of event {first}", T::ONE);
    assert_eq!(reasons, [Some(reason.as_str()), None]);
    assert_eq!(app.json("/").await["count"], 1);
}

/// The order service has a new database, and starts with order 1 again.
pub async fn the_numbers_of_another_feed_are_parked<T: Subject<S>, S: Sql>(url: &str) {
    let producer = Producer::new().await;
    producer.placed(1, LINES).await;
    producer.placed(2, LINES).await;
    let before = following::<T, S>(url, &producer).await;
    let kept = documents::<T, S>(&before).await;
    let other = Producer::new().await;
    other.placed(1, LINES).await;
    other.placed(3, LINES).await;
    // It is another order than the one here.
    other.cancelled(1, LINES).await;
    start_again::<T, S>(&before).await;
    let app = following::<T, S>(url, &other).await;
    let parked = handle::<T, S>(&app, &other).await.parked(9).await.unwrap();
    let [event, _cancelled] = parked.as_slice() else {
        panic!("{parked:?}");
    };
    assert_eq!(event.sequence, Some(1));
    let reason = event.reason.as_deref().unwrap_or_default();
    let expected = format!("order 1 has {} already, of event urn:uuid:", T::ONE);
    assert!(reason.starts_with(&expected), "{reason}");
    let all = documents::<T, S>(&app).await;
    assert_eq!((all.len(), &all[..2]), (3, &kept[..]));
    T::check(&all, 2026);
}

/// A new history has begun with order 1 again, and this consumer has not taken the event that placed it.
pub async fn the_end_of_another_order_is_parked<T: Subject<S>, S: Sql>(url: &str) {
    let producer = Producer::new().await;
    for id in 1..=4 {
        producer.placed(id, LINES).await;
    }
    let mut app = following::<T, S>(url, &producer).await;
    let kept = everything::<T, S>(&app).await;
    let customer = ("\"customerId\": 1", "\"customerId\": 2");
    let updated = "\"updated\": ";
    let placed = (
        updated,
        "\"placed\": \"2026-03-04T05:06:07.088Z\", \"updated\": ",
    );
    // An order that was not cancelled was last changed when it was placed.
    let unchanged = ("06:07.089Z", "06:07.090Z");
    for (id, event_type, status, (from, to)) in [
        (1, "order.cancelled", "cancelled", customer),
        (2, "order.erased", "cancelled", customer),
        (3, "order.cancelled", "cancelled", placed),
        (4, "order.erased", "placed", unchanged),
    ] {
        let data = order(id, status, LINES);
        let other = data.replace(from, to);
        assert_ne!(data, other);
        let later = "2026-09-10T11:12:13.014Z";
        producer.tell(event_type, id, later, &other).await;
    }
    app.catch_up(&producer).await;
    assert_eq!(everything::<T, S>(&app).await, kept);
    let person = handle::<T, S>(&app, &producer).await;
    let parked = person.parked(9).await.unwrap();
    let about: Vec<_> = parked.iter().map(|event| event.subject.as_str()).collect();
    assert_eq!(about, ["order/1", "order/2", "order/3", "order/4"]);
    for event in &parked {
        let reason = event.reason.as_deref().unwrap_or_default();
        let id = event.subject.trim_start_matches("order/");
        let about = format!(
            "this event is about another order {id} than the {}",
            one::<T, S>()
        );
        assert!(reason.starts_with(&about), "{reason}");
        let other = match id {
            "1" => "customer 2 placed at a time that it does not name",
            "3" => "customer 1 placed at 2026-03-04 05:06:07.088 UTC",
            "4" => "customer 1 placed at 2026-03-04 05:06:07.090 UTC",
            _ => "customer 2 placed at ",
        };
        let here = "that is of an order which customer 1 placed at 2026-03-04 05:06:07.089 UTC";
        for named in [other, here] {
            assert!(reason.contains(named), "{reason}");
        }
    }
    // The same, about the order that is here.
    for event in parked {
        person.skip(&event.id, "a test", "Ann").await.unwrap();
    }
    let data = order(3, "cancelled", LINES);
    let itself = format!("\"placed\": \"{PLACED}\", {updated}");
    let data = data.replace(updated, &itself);
    producer.tell("order.cancelled", 3, PLACED, &data).await;
    app.catch_up(&producer).await;
    let cancelled = (3, T::CANCELLED.to_owned());
    assert!(statuses::<T, S>(&app).await.contains(&cancelled));
}

/// A publisher writes microseconds into data, and milliseconds into the time of an event, or the other way round.
pub async fn a_time_with_more_digits_is_the_same<T: Subject<S>, S: Sql>(url: &str) {
    let producer = Producer::new().await;
    let digits = [
        ("089", "089123"),
        ("089", "089999999"),
        ("089123", "089123"),
        ("089999", "089"),
        ("089", "0889"),
    ];
    let ids = [1, 2, 3, 4, 5];
    for (id, (event, data)) in ids.into_iter().zip(digits) {
        let at = |fraction: &str| format!("2026-03-04T05:06:07.{fraction}Z");
        let updated = format!("\"updated\": \"{PLACED}\"");
        let placed = order(id, "placed", LINES);
        let placed = placed.replace(&updated, &format!("\"updated\": \"{}\"", at(data)));
        producer.tell("order.placed", id, &at(event), &placed).await;
        // An order that was not cancelled was last changed when it was placed.
        producer.tell("order.erased", id, PLACED, &placed).await;
        let times = format!("\"placed\": \"{}\", \"updated\": \"{PLACED}\"", at(data));
        let cancelled = order(id, "cancelled", LINES).replace(&updated, &times);
        producer
            .tell("order.cancelled", id, PLACED, &cancelled)
            .await;
    }
    let app = following::<T, S>(url, &producer).await;
    assert_eq!(app.status("parked").await, 0);
    let cancelled: Vec<_> = ids
        .map(|id| (id, T::CANCELLED.to_owned()))
        .into_iter()
        .rev()
        .collect();
    assert_eq!(statuses::<T, S>(&app).await, cancelled);
}

pub async fn a_replay_does_not_double<T: Subject<S>, S: Sql>(url: &str) {
    let producer = Producer::new().await;
    for id in 1..=130 {
        producer.placed(id, LINES).await;
    }
    producer.cancelled(2, LINES).await;
    let app = following::<T, S>(url, &producer).await;
    let before = everything::<T, S>(&app).await;
    assert_eq!(before.len(), 130);
    start_again::<T, S>(&app).await;
    let mut again = following::<T, S>(url, &producer).await;
    assert_eq!(everything::<T, S>(&again).await, before);
    // Each had its effect before, so none is recorded.
    assert_eq!(recorded::<T, S>(&again, &producer).await, []);
    assert_eq!(again.status("parked").await, 0);
    let claims = "SELECT count(*) FROM feed_claim";
    assert_eq!(S::number(again.database(), claims).await, 131);
    producer.placed(131, LINES).await;
    again.catch_up(&producer).await;
    assert_eq!(everything::<T, S>(&again).await.len(), 131);
}

pub async fn a_replay_completes_what_is_missing<T: Subject<S>, S: Sql>(url: &str) {
    let producer = Producer::new().await;
    for id in 1..=4 {
        producer.placed(id, LINES).await;
    }
    producer.cancelled(2, LINES).await;
    let app = following::<T, S>(url, &producer).await;
    for table in [T::LINES_TABLE, T::TABLE] {
        let lost = format!("DELETE FROM {table} WHERE order_id IN (2, 3)");
        S::run(app.database(), &lost).await;
    }
    start_again::<T, S>(&app).await;
    let again = following::<T, S>(url, &producer).await;
    let expected = [
        (4, T::PLACED),
        (3, T::PLACED),
        (2, T::CANCELLED),
        (1, T::PLACED),
    ];
    let expected = expected.map(|(id, status)| (id, status.to_owned()));
    assert_eq!(statuses::<T, S>(&again).await, expected);
}

pub async fn a_record_of_an_older_version_is_not_changed<T: Subject<S>, S: Sql>(url: &str) {
    let producer = Producer::new().await;
    producer.placed(1, LINES).await;
    let app = following::<T, S>(url, &producer).await;
    let older = format!("UPDATE {} SET cause = NULL", T::TABLE);
    S::run(app.database(), &older).await;
    start_again::<T, S>(&app).await;
    let again = following::<T, S>(url, &producer).await;
    assert_eq!(again.json("/").await["count"], 1);
    assert_eq!(recorded::<T, S>(&again, &producer).await, []);
}

/// All stored records, without their lines.
async fn everything<T: Subject<S>, S: Sql>(app: &App<T, S>) -> Vec<String> {
    let columns = T::COLUMNS.iter();
    let columns: Vec<_> = columns
        .map(|column| format!("CAST({column} AS TEXT)"))
        .collect();
    let columns = columns.join(" || ' ' || ");
    let sql = format!("SELECT {columns} FROM {} ORDER BY order_id", T::TABLE);
    S::texts(app.database(), &sql).await
}
