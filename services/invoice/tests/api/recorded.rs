//! Each event has an effect, or a record that says why not (I5).

use harness::producer::{LINES, PLACED, Producer, order};

use crate::app::{App, Testable, following, handle, recorded};

harness::on_both_databases! {
    an_unknown_type_is_recorded
    a_cancellation_of_an_order_that_is_not_here_is_recorded
    an_order_that_is_told_by_two_events_is_parked
    the_numbers_of_another_feed_are_parked
    a_replay_does_not_double
    a_replay_completes_what_is_missing
    what_an_older_version_made_is_left_alone
}

async fn an_unknown_type_is_recorded<S: Testable>(url: &str) {
    let producer = Producer::new().await;
    producer.placed(1, LINES).await;
    producer
        .tell("order.applauded", 1, PLACED, "[1, 2, 3]")
        .await;
    producer.placed(2, LINES).await;
    let app = following::<S>(url, &producer).await;
    let reason = "an event of type order.applauded, which is unknown here";
    let expected = (2, "order.applauded".to_owned(), reason.to_owned());
    assert_eq!(recorded(&app, &producer).await, [expected]);
    assert_eq!(app.status("skipped").await, 1);
    assert_eq!(app.status("parked").await, 0);
    assert_eq!(app.json("/").await["count"], 2);
}

async fn a_cancellation_of_an_order_that_is_not_here_is_recorded<S: Testable>(url: &str) {
    let producer = Producer::new().await;
    producer.cancelled(1, LINES).await;
    let bad = producer.tell("order.placed", 2, PLACED, "{}").await;
    producer.placed(3, LINES).await;
    let mut app = following::<S>(url, &producer).await;
    let reason = |id: i64| format!("order {id} was cancelled and has no invoice here");
    let first = (1, "order.cancelled".to_owned(), reason(1));
    assert_eq!(recorded(&app, &producer).await, [first]);
    // A person skips the order, and then it is cancelled.
    let person = handle(&app, &producer).await;
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

async fn an_order_that_is_told_by_two_events_is_parked<S: Testable>(url: &str) {
    let producer = Producer::new().await;
    let data = order(1, "placed", LINES);
    let first = producer.tell("order.placed", 1, PLACED, &data).await;
    // In the same batch, and in a later one.
    producer.placed(1, LINES).await;
    let mut app = following::<S>(url, &producer).await;
    producer.placed(1, LINES).await;
    app.catch_up(&producer).await;
    assert_eq!(recorded(&app, &producer).await, []);
    let parked = handle(&app, &producer).await.parked(9).await.unwrap();
    let reasons: Vec<_> = parked.iter().map(|event| event.reason.as_deref()).collect();
    let reason = format!("order 1 has an invoice already, of event {first}");
    assert_eq!(reasons, [Some(reason.as_str()), None]);
    assert_eq!(app.json("/").await["count"], 1);
}

/// The order service got a new database, and begins with order 1 again.
async fn the_numbers_of_another_feed_are_parked<S: Testable>(url: &str) {
    let producer = Producer::new().await;
    producer.placed(1, LINES).await;
    producer.placed(2, LINES).await;
    let before = following::<S>(url, &producer).await;
    let kept = before.listed("number").await;
    let other = Producer::new().await;
    other.placed(1, LINES).await;
    other.placed(3, LINES).await;
    // It is not the order that was invoiced here.
    other.cancelled(1, LINES).await;
    start_again(&before).await;
    let app = following::<S>(url, &other).await;
    let parked = handle(&app, &other).await.parked(9).await.unwrap();
    let [event, _cancelled] = parked.as_slice() else {
        panic!("{parked:?}");
    };
    assert_eq!(event.sequence, Some(1));
    let reason = event.reason.as_deref().unwrap_or_default();
    assert!(reason.starts_with("order 1 has an invoice already, of event urn:uuid:"));
    let listed = app.listed("number").await;
    assert_eq!((listed.len(), &listed[1..]), (3, &kept[..]));
}

async fn a_replay_does_not_double<S: Testable>(url: &str) {
    let producer = Producer::new().await;
    for id in 1..=130 {
        producer.placed(id, LINES).await;
    }
    producer.cancelled(2, LINES).await;
    let app = following::<S>(url, &producer).await;
    let before = everything(&app).await;
    assert_eq!(before.len(), 130);
    start_again(&app).await;
    let mut again = following::<S>(url, &producer).await;
    assert_eq!(everything(&again).await, before);
    // Each has had its effect before: that is no reason to record it.
    assert_eq!(recorded(&again, &producer).await, []);
    assert_eq!(again.status("parked").await, 0);
    let claims = "SELECT count(*) FROM feed_claim";
    assert_eq!(S::number(again.database(), claims).await, 131);
    producer.placed(131, LINES).await;
    again.catch_up(&producer).await;
    assert_eq!(everything(&again).await.len(), 131);
}

async fn a_replay_completes_what_is_missing<S: Testable>(url: &str) {
    let producer = Producer::new().await;
    for id in 1..=4 {
        producer.placed(id, LINES).await;
    }
    producer.cancelled(2, LINES).await;
    let app = following::<S>(url, &producer).await;
    for table in ["invoice_line", "invoice"] {
        let lost = format!("DELETE FROM {table} WHERE order_id IN (2, 3)");
        S::run(app.database(), &lost).await;
    }
    start_again(&app).await;
    let again = following::<S>(url, &producer).await;
    let expected = [(4, "issued"), (3, "issued"), (2, "credited"), (1, "issued")];
    let expected = expected.map(|(id, status)| (id, status.to_owned()));
    assert_eq!(again.listed("status").await, expected);
}

async fn what_an_older_version_made_is_left_alone<S: Testable>(url: &str) {
    let producer = Producer::new().await;
    producer.placed(1, LINES).await;
    let app = following::<S>(url, &producer).await;
    S::run(app.database(), "UPDATE invoice SET cause = NULL").await;
    start_again(&app).await;
    let again = following::<S>(url, &producer).await;
    assert_eq!(again.json("/").await["count"], 1);
    assert_eq!(recorded(&again, &producer).await, []);
}

/// All that feed-core knows of events and places is lost.
async fn start_again<S: Testable>(app: &App<S>) {
    for sql in [
        "DELETE FROM feed_claim",
        "UPDATE feed_partition SET epoch = NULL, sequence = 0, anchor = NULL, etag = NULL,
             last_modified = NULL, lease_owner = NULL, lease_epoch = lease_epoch + 1",
        "DELETE FROM feed_instance",
    ] {
        S::run(app.database(), sql).await;
    }
}

/// What is stored of all invoices, but for their lines.
async fn everything<S: Testable>(app: &App<S>) -> Vec<String> {
    let columns = [
        "order_id",
        "year",
        "serial",
        "total_cents",
        "cause",
        "status",
    ];
    let columns = columns.map(|column| format!("CAST({column} AS TEXT)"));
    let columns = columns.join(" || ' ' || ");
    let sql = format!("SELECT {columns} FROM invoice ORDER BY order_id");
    S::texts(app.database(), &sql).await
}
