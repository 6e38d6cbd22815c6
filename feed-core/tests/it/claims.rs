//! The table of claims stays small, and a feed that hides its end is found out.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse;
use feed_core::consumer::{Decision, Polled, ResumeFrom};
use feed_core::{Consumer, Database};
use harness::{FreshDatabase, on_both_databases};
use sqlx::Sqlite;

use crate::support::{
    Fail, Publisher, Recorder, Scene, Testable, consumer, consumer_database, effects, serve, until,
};

on_both_databases! {
    old_claims_go_and_young_ones_stay
    a_claim_that_is_gone_lets_nothing_happen_twice
    events_whose_claims_were_swept_are_not_repeated
    a_feed_with_another_event_is_read_from_its_first_one
    events_of_two_feeds_are_read_from_the_first_one
    what_was_decided_stays_so_without_its_claim
    a_decision_claims_what_is_decided
    nothing_is_swept_while_a_decision_is_open
}

/// A consumer that has claimed twenty events; fifteen of the claims are as old as if many more events had come since.
async fn with_old_claims<B: Testable>(scene: &Scene<B>) -> Consumer<B, Recorder> {
    scene.publisher.publish(20).await;
    let mut consumer = consumer(&scene.database, &scene.feed, Recorder::default()).await;
    assert_eq!(consumer.poll_once().await.unwrap(), Polled::Applied(20));
    let old = "UPDATE feed_claim SET sequence = sequence - 20000 WHERE sequence <= 15";
    B::run(&scene.database, old).await;
    consumer
}

async fn old_claims_go_and_young_ones_stay<B: Testable>(url: &str) {
    let scene = Scene::<B>::new(url).await;
    let first = with_old_claims(&scene).await;
    let database = &scene.database;
    let running = tokio::spawn(first.run());
    until("the old claims are gone", async || {
        B::numbers(database, "SELECT count(*) FROM feed_claim").await == [5]
    })
    .await;
    running.abort();
}

/// The cursor says what is new: claims guard what is in flight.
async fn a_claim_that_is_gone_lets_nothing_happen_twice<B: Testable>(url: &str) {
    let source = FreshDatabase::sqlite();
    let publisher = Publisher::<Sqlite>::open(source.url()).await;
    publisher.publish(5).await;
    let feed = format!("{}/feed", serve(publisher.feed.router()).await);
    let database = consumer_database::<B>(url).await;
    let mut consumer = consumer(&database, &feed, Recorder::default()).await;
    consumer.poll_once().await.unwrap();
    B::run(&database, "DELETE FROM feed_claim").await;
    publisher.publish(1).await;
    consumer.poll_once().await.unwrap();
    assert_eq!(effects(&database).await.len(), 6);
}

/// Resumes at the first event, as after a halt, and takes all up to this sequence.
async fn from_start<B: Testable>(
    database: &Database<B>,
    consumer: &mut Consumer<B, Recorder>,
    newest: i64,
) {
    B::run(database, "UPDATE feed_subscription SET halted = 'a reason'").await;
    let start = Decision::Resume(ResumeFrom::Start);
    consumer.handle().decide(start, "eve").await.unwrap();
    poll_until_taken(database, consumer, newest).await;
}

/// Executes the open decision, and takes all events up to this sequence.
async fn poll_until_taken<B: Testable>(
    database: &Database<B>,
    consumer: &mut Consumer<B, Recorder>,
    newest: i64,
) {
    until("all are taken", async || {
        consumer.poll_once().await.unwrap();
        let lowest = B::numbers(database, "SELECT min(sequence) FROM feed_partition").await;
        let decision = &consumer.handle().decisions(1).await.unwrap()[0];
        decision.outcome.is_some() && lowest == [newest]
    })
    .await;
}

/// The test's effect fails for an event that has had one.
const REPEATED: &str = "SELECT count(*) FROM feed_parked";

/// They would come after newer ones of their subjects, whose claims are kept (I6).
async fn events_whose_claims_were_swept_are_not_repeated<B: Testable>(url: &str) {
    let scene = Scene::<B>::new(url).await;
    let mut consumer = with_swept_claims(&scene).await;
    let taken = effects(&scene.database).await;
    from_start(&scene.database, &mut consumer, 20).await;
    assert_eq!(effects(&scene.database).await, taken);
    assert_eq!(B::numbers(&scene.database, REPEATED).await, [0]);
    let outcome = &consumer.handle().decisions(1).await.unwrap()[0].outcome;
    let said = "goes on after event 16";
    assert!(outcome.as_deref().unwrap().contains(said), "{outcome:?}");
    scene.publisher.publish(1).await;
    assert_eq!(consumer.poll_once().await.unwrap(), Polled::Applied(1));
}

/// As after a restore that lost more events than there are claims: what is before may be another event, too.
async fn a_feed_with_another_event_is_read_from_its_first_one<B: Testable>(url: &str) {
    let scene = Scene::<B>::new(url).await;
    let mut consumer = with_swept_claims(&scene).await;
    let other = "UPDATE feed_claim SET event_id = 'urn:uuid:00000000-0000-7000-8000-000000000001' WHERE sequence = 16";
    B::run(&scene.database, other).await;
    from_start(&scene.database, &mut consumer, 20).await;
    assert_eq!(B::numbers(&scene.database, REPEATED).await, [16]);
}

/// As of an instance that was cut off while the feed was restored: its partitions have taken nothing of the new one.
async fn events_of_two_feeds_are_read_from_the_first_one<B: Testable>(url: &str) {
    let scene = Scene::<B>::new(url).await;
    let mut consumer = with_swept_claims(&scene).await;
    B::run(
        &scene.database,
        "UPDATE feed_partition SET epoch = 'another' WHERE partition = 3",
    )
    .await;
    from_start(&scene.database, &mut consumer, 20).await;
    assert_eq!(B::numbers(&scene.database, REPEATED).await, [15]);
}

/// A consumer that has taken twenty events; the claims of fifteen were swept.
async fn with_swept_claims<B: Testable>(scene: &Scene<B>) -> Consumer<B, Recorder> {
    scene.publisher.publish(20).await;
    let mut consumer = consumer(&scene.database, &scene.feed, Recorder::default()).await;
    assert_eq!(consumer.poll_once().await.unwrap(), Polled::Applied(20));
    B::run(
        &scene.database,
        "DELETE FROM feed_claim WHERE sequence <= 15",
    )
    .await;
    consumer
}

/// The claims of parked and skipped events may have been swept, when these come again.
async fn what_was_decided_stays_so_without_its_claim<B: Testable>(url: &str) {
    let source = FreshDatabase::sqlite();
    let publisher = Publisher::<Sqlite>::open(source.url()).await;
    let skipped = publisher.commit("order/skipped").await.urn();
    let parked = publisher.commit("order/parked").await.urn();
    publisher.publish(1).await;
    let feed = format!("{}/feed", serve(publisher.feed.router()).await);
    let database = consumer_database::<B>(url).await;
    let effect = Recorder::default();
    let fails = ["order/skipped", "order/parked"];
    *effect.fails.lock().unwrap() = fails.map(|one| (one.to_owned(), Fail::Park)).into();
    let mut consumer = consumer(&database, &feed, effect.clone()).await;
    consumer.poll_once().await.unwrap();
    let handle = consumer.handle();
    handle.skip(&skipped, "a mistake", "eve").await.unwrap();
    B::run(&database, "DELETE FROM feed_claim").await;
    B::run(&database, "DELETE FROM effect").await;
    effect.repair();
    from_start(&database, &mut consumer, 3).await;
    let effects = effects(&database).await;
    assert!(
        !effects.contains(&skipped) && !effects.contains(&parked),
        "{effects:?}"
    );
    let parked_now = handle.parked(10).await.unwrap();
    assert_eq!(parked_now.len(), 1, "{parked_now:?}");
}

/// There may be millions: they are claimed in portions, before the decision.
async fn a_decision_claims_what_is_decided<B: Testable>(url: &str) {
    let source = FreshDatabase::sqlite();
    let publisher = Publisher::<Sqlite>::open(source.url()).await;
    publisher.publish(3).await;
    let feed = format!("{}/feed", serve(publisher.feed.router()).await);
    let database = consumer_database::<B>(url).await;
    let mut consumer = consumer(&database, &feed, Recorder::default()).await;
    consumer.poll_once().await.unwrap();
    let rows =
        (0..2_000).map(|n| format!("('order', 'skip {n}', 'order/{n}', {n}, 'a reason', 'eve')"));
    let rows = rows.collect::<Vec<_>>().join(", ");
    let skips = format!(
        "INSERT INTO feed_skip (subscription, event_id, subject, sequence, reason, skipped_by) VALUES {rows}"
    );
    B::run(&database, &skips).await;
    from_start(&database, &mut consumer, 3).await;
    let claims = B::numbers(&database, "SELECT count(*) FROM feed_claim").await;
    assert_eq!(claims, [2_003]);
    assert_eq!(effects(&database).await.len(), 3);
    // A replay drops the claims of what has had its effect, and not those of what an operator has skipped.
    let handle = consumer.handle();
    handle.decide(Decision::Replay(1), "Ann").await.unwrap();
    poll_until_taken(&database, &mut consumer, 3).await;
    let claims = B::numbers(&database, "SELECT count(*) FROM feed_claim").await;
    assert_eq!(claims, [2_003]);
}

/// A decision repeats events: it needs the claims of those that it must not repeat. They are swept after it.
async fn nothing_is_swept_while_a_decision_is_open<B: Testable>(url: &str) {
    let scene = Scene::<B>::new(url).await;
    let mut first = with_old_claims(&scene).await;
    let database = &scene.database;
    first.leave().await.unwrap();
    B::run(
        database,
        "INSERT INTO feed_instance (subscription, instance, alive_until) VALUES ('order', 'gone', '2026-01-01T00:00:00.000Z')",
    )
    .await;
    let handle = first.handle();
    let replay = handle.decide(Decision::Replay(1), "eve").await.unwrap();
    // It cannot execute the decision.
    let nowhere = consumer(database, "http://127.0.0.1:9/feed", Recorder::default()).await;
    let running = tokio::spawn(nowhere.run());
    until("it has swept", async || {
        let gone = "SELECT count(*) FROM feed_instance WHERE instance = 'gone'";
        B::numbers(database, gone).await == [0]
    })
    .await;
    let claims = "SELECT count(*) FROM feed_claim";
    assert_eq!(B::numbers(database, claims).await, [20]);
    handle.undo(replay, "eve").await.unwrap();
    until("the old claims are gone", async || {
        B::numbers(database, claims).await == [5]
    })
    .await;
    running.abort();
}

/// A cache that says "nothing new" for ever is asked around after a while, and when a person asks.
#[tokio::test]
async fn a_person_who_asks_is_not_answered_by_a_cache() {
    let (source, target) = (FreshDatabase::sqlite(), FreshDatabase::sqlite());
    let publisher = Publisher::<Sqlite>::open(source.url()).await;
    publisher.publish(3).await;
    let hidden = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&hidden);
    let forgetful: Router =
        publisher
            .feed
            .router()
            .layer(from_fn(move |request: Request, next: Next| {
                let counted = Arc::clone(&counted);
                async move {
                    if request.headers().contains_key("if-none-match") {
                        counted.fetch_add(1, Ordering::Relaxed);
                        return StatusCode::NOT_MODIFIED.into_response();
                    }
                    next.run(request).await
                }
            }));
    let feed = format!("{}/feed", serve(forgetful).await);
    let database = consumer_database::<Sqlite>(target.url()).await;
    let mut consumer = consumer(&database, &feed, Recorder::default()).await;
    assert_eq!(consumer.poll_once().await.unwrap(), Polled::Applied(3));
    publisher.publish(1).await;
    let nothing_new = Polled::UpToDate { waited: false };
    assert_eq!(consumer.poll_once().await.unwrap(), nothing_new);
    assert_eq!(hidden.load(Ordering::Relaxed), 1, "the cache has hidden it");

    consumer.handle().poll_now();
    assert_eq!(consumer.poll_once().await.unwrap(), Polled::Applied(1));
}
