//! One bad event holds its order and no other (I7).

use feed_console::service;
use feed_core::consumer::Selection;
use feed_core::{CancellationToken, Database};
use harness::producer::{LINES, PLACED, Producer, order};
use harness::{Sql, until};

use crate::{App, Subject, compared, config, documents, following, handle, open, statuses};

/// Publishes orders 1 to 5; the third has `data` and is then cancelled.
async fn tell_with_third(producer: &Producer, data: &str) {
    for id in 1..=5 {
        match id {
            3 => _ = producer.tell("order.placed", id, PLACED, data).await,
            _ => producer.placed(id, LINES).await,
        }
    }
    producer.cancelled(3, LINES).await;
    producer.cancelled(4, LINES).await;
}

async fn check<T: Subject<S>, S: Sql>(app: &App<T, S>, reason: &str) {
    let expected = [
        (5, T::PLACED),
        (4, T::CANCELLED),
        (2, T::PLACED),
        (1, T::PLACED),
    ];
    let expected = expected.map(|(id, status)| (id, status.to_owned()));
    assert_eq!(statuses::<T, S>(app).await, expected);
    T::check(&documents::<T, S>(app).await, 2026);
    assert_eq!(app.status("parked").await, 1);
    // The cancellation waits for it.
    assert_eq!(app.status("waiting").await, 1);
    let page = app.page("/status").await;
    assert!(page.contains(reason), "{reason}: {page}");
    assert_eq!(app.send("GET", "/3", "*/*").await.status, 404);
}

pub async fn an_invalid_order_is_parked<T: Subject<S>, S: Sql>(url: &str) {
    let producer = Producer::new().await;
    let (named, otherwise, reason) = T::NO_ORDER;
    let data = order(3, "placed", LINES).replace(named, otherwise);
    tell_with_third(&producer, &data).await;
    let app = following::<T, S>(url, &producer).await;
    check::<T, S>(&app, reason).await;
}

pub async fn an_invalid_line_is_parked<T: Subject<S>, S: Sql>(url: &str) {
    let producer = Producer::new().await;
    let (line, reason) = T::NO_LINE;
    let data = order(3, "placed", &[(1, "iPod", "42.00"), line]);
    tell_with_third(&producer, &data).await;
    let app = following::<T, S>(url, &producer).await;
    check::<T, S>(&app, reason).await;
}

pub async fn a_cancellation_without_a_number_is_parked<T: Subject<S>, S: Sql>(url: &str) {
    let producer = Producer::new().await;
    producer.placed(1, LINES).await;
    producer
        .tell("order.cancelled", 1, PLACED, r#"{"customer": 1}"#)
        .await;
    producer.placed(2, LINES).await;
    let app = following::<T, S>(url, &producer).await;
    let expected = [(2, T::PLACED.to_owned()), (1, T::PLACED.to_owned())];
    assert_eq!(statuses::<T, S>(&app).await, expected);
    assert_eq!(app.status("parked").await, 1);
    assert!(app.page("/status").await.contains("missing field `id`"));
}

/// Makes the database refuse a second order of this customer.
const TRAP: &str = "Trap";

async fn set_trap<T: Subject<S>, S: Sql>(database: &Database<S>) {
    let trap = format!(
        "CREATE UNIQUE INDEX trap ON {} (customer_name) WHERE customer_name = '{TRAP}'",
        T::TABLE
    );
    S::run(database, &trap).await;
}

fn trapped(id: i64) -> String {
    order(id, "placed", LINES).replace("<b>O'Brien", TRAP)
}

pub async fn an_event_that_fails_in_the_database_is_parked<T: Subject<S>, S: Sql>(url: &str) {
    let producer = Producer::new().await;
    let mut app = open::<T, S>(url, &producer.feed_url).await;
    set_trap::<T, S>(app.database()).await;
    producer.tell("order.placed", 9, PLACED, &trapped(9)).await;
    tell_with_third(&producer, &trapped(3)).await;
    app.catch_up(&producer).await;
    let listed = statuses::<T, S>(&app).await;
    let ids: Vec<i64> = listed.into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids, [9, 5, 4, 2, 1]);
    assert_eq!(app.status("parked").await, 1);
    assert_eq!(app.status("waiting").await, 1);
    assert!(
        app.page("/status")
            .await
            .contains("the database refused the effect")
    );
}

/// The cause of one is fixed, and the other one is skipped.
pub async fn a_parked_event_is_retried_and_skipped_by_an_operator<T: Subject<S>, S: Sql>(
    url: &str,
) {
    let producer = Producer::new().await;
    let mut app = open::<T, S>(url, &producer.feed_url).await;
    set_trap::<T, S>(app.database()).await;
    producer.tell("order.placed", 1, PLACED, &trapped(1)).await;
    let refused = producer.tell("order.placed", 2, PLACED, &trapped(2)).await;
    producer.cancelled(2, LINES).await;
    let none = producer.tell("order.placed", 3, PLACED, "{}").await;
    producer.cancelled(3, LINES).await;
    app.catch_up(&producer).await;
    assert_eq!(app.status("parked").await, 2);
    assert_eq!(app.status("waiting").await, 2);
    S::run(app.database(), "DROP INDEX trap").await;
    let person = handle::<T, S>(&app, &producer).await;
    person.retry(&refused, "Ann").await.unwrap();
    person.skip(&none, "a test", "Ann").await.unwrap();
    // A running instance executes it.
    runs_until_nothing_is_parked::<T, S>(&app, url, &producer).await;
    let expected = [(2, T::CANCELLED), (1, T::PLACED)];
    let expected = expected.map(|(id, status)| (id, status.to_owned()));
    assert_eq!(statuses::<T, S>(&app).await, expected);
}

/// A skip by mistake is taken back, and the order is as if it had not been.
pub async fn what_was_skipped_by_mistake_is_undone<T: Subject<S>, S: Sql>(url: &str) {
    let producer = Producer::new().await;
    let mut app = open::<T, S>(url, &producer.feed_url).await;
    set_trap::<T, S>(app.database()).await;
    producer.tell("order.placed", 1, PLACED, &trapped(1)).await;
    producer.tell("order.placed", 2, PLACED, &trapped(2)).await;
    producer.tell("order.placed", 3, PLACED, &trapped(3)).await;
    producer.cancelled(2, LINES).await;
    app.catch_up(&producer).await;
    assert_eq!(app.status("parked").await, 2);
    let person = handle::<T, S>(&app, &producer).await;
    let selection = Selection {
        event_type: Some("order.placed".to_owned()),
        ..Selection::default()
    };
    let skipped = person.skip_selected(&selection, "a mistake", "Ann").await;
    assert_eq!(skipped.unwrap(), 2);
    let decision = person.decisions(1).await.unwrap()[0].position;
    let undone = person.undo(decision, "Ann").await.unwrap();
    assert_eq!(undone.outcome, "2 parked again");
    S::run(app.database(), "DROP INDEX trap").await;
    person.retry_selected(&selection, "Ann").await.unwrap();
    runs_until_nothing_is_parked::<T, S>(&app, url, &producer).await;
    let expected = [(3, T::PLACED), (2, T::CANCELLED), (1, T::PLACED)];
    let expected = expected.map(|(id, status)| (id, status.to_owned()));
    assert_eq!(statuses::<T, S>(&app).await, expected);
    assert_eq!(compared::<T, S>(&app, &producer).await.differences, []);
}

/// Lets a running instance execute what was decided.
async fn runs_until_nothing_is_parked<T: Subject<S>, S: Sql>(
    app: &App<T, S>,
    url: &str,
    producer: &Producer,
) {
    let config = config::<T, S>(url, &producer.feed_url);
    let running = service::open::<T::Service, S>(&config, CancellationToken::new()).await;
    let consumer = running.unwrap().consumer;
    let (stop, task) = (consumer.shutdown(), tokio::spawn(consumer.run()));
    until("nothing is parked, and nothing waits", async || {
        let left = (app.status("parked").await, app.status("waiting").await);
        (left == (0.into(), 0.into())).then_some(())
    })
    .await;
    stop.cancel();
    task.await.unwrap();
}
