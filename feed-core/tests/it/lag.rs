//! What is said of the lag: how old the oldest event is that is not taken, also after a quiet time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use chrono::{TimeDelta, Utc};
use feed_core::consumer::{Decision, Handle, ResumeFrom, Status};
use feed_core::http::metrics::{Measured as _, Value};
use feed_core::{Batch, Consumer, Effect, EffectError};
use harness::{FreshDatabase, on_both_databases};
use sqlx::{Sqlite, Transaction};
use tower::ServiceExt;

use crate::support::{
    Publisher, Recorder, Scene, Testable, consumer, consumer_database, serve, until,
};

on_both_databases! {
    the_lag_is_the_age_of_the_oldest_event_that_is_not_taken
    an_event_that_is_dated_ahead_has_an_age
    a_paused_subscription_says_how_old_its_news_is
    a_paused_instance_forgets_the_head_of_a_feed_that_was_replaced
    an_effect_that_asks_for_a_pause_is_no_silence_of_the_feed
    a_clock_that_was_ahead_hides_no_silence
    events_of_partitions_that_no_instance_takes_have_an_age
    a_parked_event_is_counted_beside_many_that_wait
}

/// Takes no event while it is set.
#[derive(Debug)]
struct Busy(Arc<AtomicBool>);

impl<B: Testable> Effect<B> for Busy {
    async fn apply(&self, _: &mut Transaction<'_, B>, _: &Batch<'_>) -> Result<(), EffectError> {
        match self.0.load(Ordering::Relaxed) {
            true => Err(EffectError::Later {
                reason: "it is busy".to_owned(),
                after: None,
            }),
            false => Ok(()),
        }
    }
}

/// More than a test takes, and less than the quiet time before.
const YOUNG: i64 = 60;

impl<B: Testable> Scene<B> {
    /// A consumer that has taken three events, long ago.
    async fn after_a_quiet_time<E: Effect<B>>(&self, effect: E) -> Consumer<B, E> {
        let mut consumer = consumer(&self.database, &self.feed, effect).await;
        self.publisher.publish(3).await;
        consumer.poll_once().await.unwrap();
        let long_ago = "UPDATE feed_partition SET updated = '2026-01-01T00:00:00.000Z'";
        B::run(&self.database, long_ago).await;
        consumer
    }

    async fn status(&self) -> Status {
        self.operator.status().await.unwrap()
    }
}

async fn gauge<B: Testable>(handle: &Handle<B>, name: &str) -> f64 {
    let measured = handle.measure().await;
    let found = measured.iter().find(|it| it.name == name);
    match found.map(|it| &it.value) {
        Some(Value::Gauge(value)) => value.to_owned(),
        other => panic!("{name}: {other:?}"),
    }
}

async fn the_lag_is_the_age_of_the_oldest_event_that_is_not_taken<B: Testable>(url: &str) {
    let scene = Scene::<B>::new(url).await;
    let busy = Arc::new(AtomicBool::new(false));
    let consumer = scene.after_a_quiet_time(Busy(Arc::clone(&busy))).await;
    let handle = consumer.handle();
    busy.store(true, Ordering::Relaxed);
    let running = tokio::spawn(consumer.run());
    scene.publisher.publish(2).await;
    let of = async |handle: &Handle<B>| handle.status().await.unwrap().lag;
    until("the news is stored", async || {
        of(&scene.operator).await.events == 2
    })
    .await;
    for handle in [&scene.operator, &handle] {
        let lag = of(handle).await;
        assert!(lag.seconds.is_some_and(|age| age < YOUNG), "{lag:?}");
    }
    until("it grows", async || {
        of(&scene.operator).await.seconds > Some(2)
    })
    .await;
    // Nothing has read the metrics before.
    let lag = gauge(&handle, "subscription_lag_seconds").await;
    assert!((1.0..YOUNG as f64).contains(&lag), "{lag}");
    busy.store(false, Ordering::Relaxed);
    until("all is taken", async || {
        of(&scene.operator).await.events == 0
    })
    .await;
    assert_eq!(of(&handle).await.seconds, Some(0));
    running.abort();
}

async fn an_event_that_is_dated_ahead_has_an_age<B: Testable>(url: &str) {
    let scene = Scene::<B>::new(url).await;
    let ahead = format!("UPDATE feed_head SET updated = {}", Sqlite::IN_AN_HOUR);
    Sqlite::run(&scene.publisher.database, &ahead).await;
    let busy = Busy(Arc::new(AtomicBool::new(true)));
    let mut consumer = consumer(&scene.database, &scene.feed, busy).await;
    scene.publisher.publish(1).await;
    let _ = consumer.poll_once().await.unwrap_err();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let _ = consumer.poll_once().await.unwrap_err();
    let lag = consumer.handle().status().await.unwrap().lag;
    assert!(lag.seconds >= Some(2), "{lag:?}");
}

async fn a_paused_subscription_says_how_old_its_news_is<B: Testable>(url: &str) {
    let scene = Scene::<B>::new(url).await;
    let consumer = scene.after_a_quiet_time(Recorder::default()).await;
    let handle = consumer.handle();
    let running = tokio::spawn(consumer.run());
    until("it has reported", async || {
        scene.status().await.last_contact.is_some()
    })
    .await;
    scene.operator.pause("a test", "eve").await.unwrap();
    scene.publisher.publish(2).await;
    until("the news is seen", async || {
        handle.poll_now();
        scene.status().await.lag.events == 2
    })
    .await;
    let lag = scene.status().await.lag;
    assert!(lag.seconds.is_some_and(|age| age < YOUNG), "{lag:?}");
    running.abort();
}

/// By the instance that has not executed the decision about it.
async fn a_paused_instance_forgets_the_head_of_a_feed_that_was_replaced<B: Testable>(url: &str) {
    let (long, short) = (FreshDatabase::sqlite(), FreshDatabase::sqlite());
    let before = Publisher::<Sqlite>::open(long.url()).await;
    before.publish(30).await;
    let after = Publisher::<Sqlite>::open(short.url()).await;
    after.publish(5).await;
    let served = Arc::new(Mutex::new(before.feed.router()));
    let now = Arc::clone(&served);
    let router = Router::new().fallback(async move |request: axum::extract::Request| {
        let router = now.lock().unwrap().clone();
        router.oneshot(request).await
    });
    let feed = format!("{}/feed", serve(router).await);
    let database = consumer_database::<B>(url).await;
    let mut both = Vec::new();
    for _ in 0..2 {
        let mut one = consumer(&database, &feed, Recorder::default()).await;
        let _ = one.poll_once().await.unwrap();
        both.push(one);
    }
    let [mut one, mut other] = <[_; 2]>::try_from(both).unwrap();
    until("the other knows the feed", async || {
        let _ = other.poll_once().await.unwrap();
        other.handle().status().await.unwrap().head == 30
    })
    .await;
    B::run(
        &database,
        "UPDATE feed_subscription SET halted = 'for a test'",
    )
    .await;
    *served.lock().unwrap() = after.feed.router();
    let start = Decision::Resume(ResumeFrom::Start);
    one.handle().decide(start, "eve").await.unwrap();
    until("it is executed", async || {
        let _ = one.poll_once().await.unwrap();
        one.handle().status().await.unwrap().decision.is_none()
    })
    .await;
    other.handle().pause("a test", "eve").await.unwrap();
    let _ = other.poll_once().await.unwrap();
    assert_eq!(other.handle().status().await.unwrap().head, 5);
}

/// Asks for a pause, as a webhook does.
#[derive(Debug)]
struct Pausing;

impl<B: Testable> Effect<B> for Pausing {
    async fn apply(&self, _: &mut Transaction<'_, B>, _: &Batch<'_>) -> Result<(), EffectError> {
        Err(EffectError::Later {
            reason: "it is busy".to_owned(),
            after: Some(Duration::from_secs(60)),
        })
    }
}

async fn an_effect_that_asks_for_a_pause_is_no_silence_of_the_feed<B: Testable>(url: &str) {
    let scene = Scene::<B>::new(url).await;
    scene.publisher.publish(1).await;
    let consumer = consumer(&scene.database, &scene.feed, Pausing).await;
    let handle = consumer.handle();
    let running = tokio::spawn(consumer.run());
    until("the effect has asked for a pause", async || {
        handle.status().await.unwrap().last_error.is_some()
    })
    .await;
    let contact = async || handle.status().await.unwrap().last_contact;
    let before = contact().await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(contact().await > before);
    running.abort();
}

async fn a_clock_that_was_ahead_hides_no_silence<B: Testable>(url: &str) {
    let scene = Scene::<B>::new(url).await;
    scene.publisher.publish(1).await;
    let mut consumer = consumer(&scene.database, &scene.feed, Recorder::default()).await;
    consumer.poll_once().await.unwrap();
    let ahead = format!(
        "UPDATE feed_instance SET last_contact = {0}, taken_until = {0}",
        B::IN_AN_HOUR
    );
    B::run(&scene.database, &ahead).await;
    let soon = Utc::now() + TimeDelta::minutes(1);
    // It corrects this itself, with its next report.
    assert!(scene.status().await.last_contact.unwrap() < soon);
    // One that has ended does not.
    let ended = "UPDATE feed_instance SET alive_until = started_at";
    B::run(&scene.database, ended).await;
    assert_eq!(scene.status().await.last_contact, None);
}

/// Another session may lock their rows, so that no live instance acquires them; one that has had no contact takes none, either.
async fn events_of_partitions_that_no_instance_takes_have_an_age<B: Testable>(url: &str) {
    let scene = Scene::<B>::new(url).await;
    let consumer = scene.after_a_quiet_time(Recorder::default()).await;
    let handle = consumer.handle();
    let news = "UPDATE feed_instance SET head_sequence = 4";
    B::run(&scene.database, news).await;
    // Metrics may be a moment old.
    let lag = async |is_long: bool| {
        let shown = scene.status().await.lag.seconds;
        assert!(
            shown.is_some_and(|age| (age > YOUNG) == is_long),
            "{shown:?}"
        );
        until("metrics say so, too", async || {
            let measured = gauge(&handle, "subscription_lag_seconds").await;
            (measured > YOUNG as f64) == is_long
        })
        .await;
    };
    lag(false).await;
    for unowned in [
        "UPDATE feed_partition SET lease_owner = 'ended', lease_until = '2026-01-01T00:00:00.000Z' WHERE partition = 3",
        "UPDATE feed_partition SET lease_owner = NULL, lease_until = NULL WHERE partition = 3",
    ] {
        B::run(&scene.database, unowned).await;
        lag(true).await;
    }
    let all = "UPDATE feed_partition SET (lease_owner, lease_until) =
               (SELECT lease_owner, lease_until FROM feed_partition WHERE partition = 4)";
    B::run(&scene.database, all).await;
    lag(false).await;
    let without_contact =
        "UPDATE feed_instance SET taken_until = NULL, started_at = '2026-01-01T00:00:00.000Z'";
    B::run(&scene.database, without_contact).await;
    assert!(scene.status().await.lag.seconds > Some(YOUNG));
}

/// No more of either are counted than that.
async fn a_parked_event_is_counted_beside_many_that_wait<B: Testable>(url: &str) {
    let scene = Scene::<B>::new(url).await;
    let consumer = scene.after_a_quiet_time(Recorder::default()).await;
    let rows = |kind: &str, reason: &str, number: usize| {
        format!(
            "INSERT INTO feed_parked (subscription, event_id, partition, subject, sequence, event, reason)
             WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {number})
             SELECT 'order', '{kind} ' || n, 3, 'order/1', n, '{{}}', {reason} FROM n"
        )
    };
    B::run(&scene.database, &rows("waits", "NULL", 10_100)).await;
    B::run(&scene.database, &rows("failed", "'a reason'", 2)).await;
    let handle = consumer.handle();
    let counted = [
        gauge(&handle, "subscription_parked_events").await,
        gauge(&handle, "subscription_waiting_events").await,
    ];
    assert_eq!(counted, [2.0, 10_000.0]);
}
