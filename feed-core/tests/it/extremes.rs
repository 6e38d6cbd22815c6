//! The greatest and the least values of durations, numbers and instants mean "for ever", "all" or "none": they end no
//! task.

use std::time::Duration;

use chrono::{DateTime, Utc};
use feed_core::consumer::Selection;
use feed_core::{
    Batch, CancellationToken, Consumer, Database, DatabaseError, DatabaseOptions, Effect,
    EffectError, Subscription,
};
use harness::FreshDatabase;
use sqlx::{Postgres, Transaction};

use crate::consumer::served;
use crate::support::{
    Fail, Publisher, Recorder, Testable, consumer, consumer_database, effects, until, urns,
};

harness::on_both_databases! {
    a_consumer_that_never_polls_again_by_itself_runs
    a_name_that_no_subscription_can_have_is_refused
    an_effect_may_ask_for_the_longest_pause
    a_selection_by_any_instant_selects
    subjects_after_any_sequence_are_listed
}

async fn opened<B: Testable, E: Effect<B>>(
    database: &Database<B>,
    feed: &str,
    effect: E,
) -> Consumer<B, E> {
    let subscription = Subscription {
        wait: Duration::ZERO,
        poll_interval: Duration::MAX,
        ..Subscription::new("order", feed.parse().unwrap())
    };
    let shutdown = CancellationToken::new();
    let consumer = Consumer::open(database.clone(), subscription, effect, shutdown).await;
    consumer.unwrap()
}

async fn a_name_that_no_subscription_can_have_is_refused<B: Testable>(url: &str) {
    let database = consumer_database::<B>(url).await;
    for name in ["", " ", "a\0b"] {
        let subscription = Subscription::new(name, "http://127.0.0.1:1/feed".parse().unwrap());
        let (effect, stop) = (Recorder::default(), CancellationToken::new());
        let opened = Consumer::open(database.clone(), subscription, effect, stop).await;
        let refused = opened.map(drop);
        assert!(
            matches!(refused, Err(DatabaseError::SubscriptionName)),
            "{refused:?}"
        );
    }
    let subscriptions = "SELECT count(*) FROM feed_subscription";
    assert_eq!(B::numbers(&database, subscriptions).await, [0]);
}

async fn a_consumer_that_never_polls_again_by_itself_runs<B: Testable>(url: &str) {
    let (_source, publisher, feed) = served().await;
    let database = consumer_database::<B>(url).await;
    let consumer = opened(&database, &feed, Recorder::default()).await;
    let (handle, shutdown) = (consumer.handle(), consumer.shutdown());
    let running = tokio::spawn(consumer.run());
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.extend(publisher.publish(1).await);
        until("the event is taken", async || {
            assert!(!running.is_finished());
            handle.poll_now();
            effects(&database).await == urns(&ids)
        })
        .await;
    }
    shutdown.cancel();
    running.await.unwrap();
}

/// Everything that it needs is out of reach, for ever.
struct Later;

impl<B: Testable> Effect<B> for Later {
    async fn apply(&self, _: &mut Transaction<'_, B>, _: &Batch<'_>) -> Result<(), EffectError> {
        Err(EffectError::Later {
            reason: "the server is out of reach".to_owned(),
            after: Some(Duration::MAX),
        })
    }
}

async fn an_effect_may_ask_for_the_longest_pause<B: Testable>(url: &str) {
    let (_source, publisher, feed) = served().await;
    publisher.publish(1).await;
    let database = consumer_database::<B>(url).await;
    let consumer = opened(&database, &feed, Later).await;
    let (handle, shutdown) = (consumer.handle(), consumer.shutdown());
    let running = tokio::spawn(consumer.run());
    // It is parked in the end, and retried after the pause.
    until("the event is parked", async || {
        assert!(!running.is_finished());
        handle.poll_now();
        let parked = handle.parked(1).await.unwrap();
        parked.iter().any(|event| event.retry_at > Some(Utc::now()))
    })
    .await;
    shutdown.cancel();
    running.await.unwrap();
}

async fn a_selection_by_any_instant_selects<B: Testable>(url: &str) {
    let (_source, publisher, feed) = served().await;
    let database = consumer_database::<B>(url).await;
    let effect = Recorder::failing("order/0", Fail::Park);
    let mut consumer = consumer(&database, &feed, effect).await;
    publisher.publish(1).await;
    consumer.poll_once().await.unwrap();
    let handle = consumer.handle();
    let (first, last) = (DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC);
    for (from, until, as_of, selected) in [
        (Some(first), Some(last), Some(last), 1),
        (Some(first), None, None, 1),
        (Some(last), None, None, 0),
        (None, Some(last), None, 1),
        (None, Some(first), None, 0),
        (None, None, Some(first), 0),
    ] {
        let selection = Selection {
            from,
            until,
            as_of,
            ..Selection::default()
        };
        let preview = handle.preview(&selection, u32::MAX).await.unwrap();
        assert_eq!(preview.events, selected, "{selection}");
        assert!(serde_json::to_string(&preview).is_ok());
    }
}

async fn subjects_after_any_sequence_are_listed<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    publisher.publish(2).await;
    for (after, listed) in [(i64::MIN, 0), (-1, 2), (0, 2), (1, 1), (i64::MAX, 0)] {
        let subjects = publisher.feed.subjects(after, u16::MAX).await.unwrap();
        assert_eq!(subjects.len(), listed, "{after}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_opens_with_all_the_patience_and_connections() {
    let fresh = FreshDatabase::postgres().await;
    let options = DatabaseOptions::new(fresh.url())
        .patience(Duration::MAX)
        .connections(u32::MAX);
    let database = Database::<Postgres>::open(options).await.unwrap();
    database.close().await;
}
