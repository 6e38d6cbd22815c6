//! An erasure meets parked events of its subject: their effect may need the data that is gone, and must not hold up the
//! erasure (I6).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use feed_core::consumer::{Decision, Handle, Selection};
use feed_core::http::NAMESPACE;
use feed_core::{Batch, Consumer, Database, Effect, EffectError, NewEvent, Received, outbox};
use harness::FreshDatabase;
use harness::fake::{Atom, Entry, Fake, Reply};
use serde_json::{Value, json};
use sqlx::{Postgres, Sqlite, Transaction};

use crate::support::{
    Publisher, Testable, consumer_database, event, serve, until, waiting_consumer,
};

harness::on_both_databases! {
    an_event_that_needs_what_was_erased_is_passed_over
    a_failure_that_may_pass_passes_over_nothing
    a_failure_of_the_erasure_as_well_passes_over_nothing
    an_erasure_whose_data_cannot_be_read_erases_copies_at_once
    a_decision_about_a_cause_keeps_no_personal_data
}

const PERSON: &str = "Skłodowska";

#[derive(Debug, Clone, Copy)]
enum Refusal {
    Park,
    Retry,
    Later,
}

/// Records the person of each event, and deletes what an erasure is about.
#[derive(Debug, Clone, Default)]
struct Persons {
    /// Why no event has an effect now, but for erasures.
    refusal: Arc<Mutex<Option<Refusal>>>,
    /// Fails erasures, too, as without a table.
    refuses_erasures: Arc<AtomicBool>,
    /// Attempts wait while it is locked.
    gate: Arc<tokio::sync::Mutex<()>>,
    /// The data of the events that were tried.
    tried: Arc<Mutex<Vec<String>>>,
}

impl Persons {
    fn refuse(&self, refusal: impl Into<Option<Refusal>>) {
        *self.refusal.lock().unwrap() = refusal.into();
    }

    fn tried(&self) -> usize {
        self.tried.lock().unwrap().len()
    }
}

impl<B: Testable> Effect<B> for Persons {
    async fn apply(
        &self,
        tx: &mut Transaction<'_, B>,
        events: &Batch<'_>,
    ) -> Result<(), EffectError> {
        for event in events {
            if <Self as Effect<B>>::erases(self, event) {
                event.json::<Value>()?;
                if self.refuses_erasures.load(Ordering::Relaxed) {
                    return Err(EffectError::Park("refused the erasure".to_owned()));
                }
                let deleted = format!("DELETE FROM effect WHERE subject = '{}'", event.subject);
                B::execute(tx, &deleted).await?;
                continue;
            }
            self.tried.lock().unwrap().push(event.data.clone());
            let _open = self.gate.lock().await;
            let refusal = *self.refusal.lock().unwrap();
            let reason = format!("refused {}", event.data);
            match refusal {
                Some(Refusal::Park) => return Err(EffectError::Park(reason)),
                Some(Refusal::Retry) => return Err(EffectError::Retry(reason)),
                Some(Refusal::Later) => {
                    return Err(EffectError::Later {
                        reason,
                        after: None,
                    });
                }
                None => {}
            }
            if !event.json::<Value>()?["name"].is_string() {
                return Err(EffectError::Park("there is no name".to_owned()));
            }
            B::insert_effect(tx, event).await?;
        }
        Ok(())
    }

    fn erases(&self, event: &Received) -> bool {
        event.event_type.as_deref() == Some("order.erased")
    }
}

/// A consumer of persons.
struct Follower<B: Testable> {
    database: Database<B>,
    effect: Persons,
    handle: Handle<B>,
    consumer: Consumer<B, Persons>,
}

impl<B: Testable> Follower<B> {
    async fn new(url: &str, feed: &str) -> Self {
        let database = consumer_database::<B>(url).await;
        let effect = Persons::default();
        let consumer = waiting_consumer(&database, feed, effect.clone(), Duration::ZERO).await;
        Self {
            database,
            effect,
            handle: consumer.handle(),
            consumer,
        }
    }

    /// Lets the consumer work until so many events are parked, and so many wait.
    async fn settle(&mut self, parked: i64, waiting: i64) {
        self.settle_at(0, parked, waiting).await;
    }

    /// The same, when it has also taken the events up to that one.
    async fn settle_at(&mut self, newest: i64, parked: i64, waiting: i64) {
        let (consumer, handle) = (&mut self.consumer, &self.handle);
        until("it has settled", async || {
            consumer.poll_once().await.unwrap();
            let status = handle.status().await.unwrap();
            let is_taken = status.decision.is_none() && status.sequence >= newest;
            is_taken && (status.parked, status.waiting) == (parked, waiting)
        })
        .await;
    }

    /// Lets the consumer work until the first parked event was tried so often.
    async fn attempts(&mut self, attempts: i64) {
        let (consumer, handle) = (&mut self.consumer, &self.handle);
        until("it was tried", async || {
            consumer.poll_once().await.unwrap();
            handle.parked(1).await.unwrap()[0].attempts >= attempts
        })
        .await;
    }

    /// All that is kept of events.
    async fn kept(&self) -> String {
        let kept = "SELECT event || coalesce(reason, '') FROM feed_parked UNION ALL SELECT data FROM effect
                    UNION ALL SELECT reason FROM feed_skip UNION ALL SELECT reason FROM feed_attempt
                    UNION ALL SELECT decision FROM feed_decision";
        B::texts(&self.database, kept).await.join("\n")
    }
}

/// A feed with the orders of persons, and its consumer.
struct Scene<B: Testable> {
    publisher: Publisher<Sqlite>,
    _source: FreshDatabase,
    follower: Follower<B>,
}

impl<B: Testable> Scene<B> {
    async fn new(url: &str) -> Self {
        let source = FreshDatabase::sqlite();
        let publisher = Publisher::<Sqlite>::open(source.url()).await;
        let feed = format!("{}/feed", serve(publisher.feed.router()).await);
        Self {
            publisher,
            _source: source,
            follower: Follower::new(url, &feed).await,
        }
    }

    async fn place(&self, subject: &str) {
        let placed = NewEvent {
            data: json!({"id": 7, "name": PERSON}).to_string(),
            ..event(subject)
        };
        let mut tx = self.publisher.database.begin().await.unwrap();
        outbox::append(&mut tx, &placed).await.unwrap();
        tx.commit().await.unwrap();
        self.publisher.feed.publish().await.unwrap();
    }

    /// As `feed serve erase` does.
    async fn erase(&self, subject: &str) {
        let erased = NewEvent::new("order.erased", subject, r#"{"id":7}"#);
        let mut tx = self.publisher.database.begin().await.unwrap();
        let rewritten = outbox::rewrite(&mut tx, &erased, |_, _| Ok("null".to_owned())).await;
        rewritten.unwrap();
        tx.commit().await.unwrap();
        self.publisher.feed.publish().await.unwrap();
    }
}

/// A consumer that is behind takes the events without data. The person must not stay until an operator skips them.
async fn an_event_that_needs_what_was_erased_is_passed_over<B: Testable>(url: &str) {
    let mut scene = Scene::<B>::new(url).await;
    scene.place("order/1").await;
    scene.follower.settle(0, 0).await;
    assert!(scene.follower.kept().await.contains(PERSON));
    for _ in 0..2 {
        scene.place("order/1").await;
    }
    scene.erase("order/1").await;
    let follower = &mut scene.follower;
    follower.settle_at(4, 0, 0).await;
    assert!(!follower.kept().await.contains(PERSON));
    let erasure = B::texts(
        &follower.database,
        "SELECT event_id FROM feed_claim WHERE sequence = 4",
    );
    let expected = format!(
        "its data was erased by event {}, and without that its effect fails: there is no name",
        erasure.await[0]
    );
    for replayed in [false, true] {
        let skipped = follower.handle.skipped(10).await.unwrap();
        let mut sequences: Vec<_> = skipped.iter().map(|event| event.sequence).collect();
        sequences.sort();
        assert_eq!(sequences, [Some(2), Some(3)], "{replayed}");
        for event in skipped {
            assert_eq!((event.reason, event.skipped_by), (expected.clone(), None));
            assert_eq!(event.event_type.as_deref(), Some("order.placed"));
        }
        if !replayed {
            // It takes them again, as any other.
            let tried = follower.effect.tried();
            let replay = Decision::Replay(2);
            follower.handle.decide(replay, "eve").await.unwrap();
            follower.settle_at(4, 0, 0).await;
            assert!(follower.effect.tried() > tried + 1);
        }
    }
}

/// An event that has failed often has its attempts anew, since they were about its data.
async fn a_failure_that_may_pass_passes_over_nothing<B: Testable>(url: &str) {
    let mut scene = Scene::<B>::new(url).await;
    scene.follower.effect.refuse(Refusal::Retry);
    scene.place("order/1").await;
    scene.follower.settle(1, 0).await;
    let often = "UPDATE feed_parked SET attempts = 20, retry_at = NULL";
    B::run(&scene.follower.database, often).await;
    scene.erase("order/1").await;
    let follower = &mut scene.follower;
    for (refusal, attempts) in [(Refusal::Retry, 21), (Refusal::Later, 22)] {
        follower.effect.refuse(refusal);
        follower.attempts(attempts).await;
        follower.settle(1, 1).await;
        let parked = follower.handle.parked(1).await.unwrap().remove(0);
        assert!(parked.retry_at.is_some(), "{refusal:?}: {parked:?}");
        assert!(!follower.kept().await.contains(PERSON));
        follower.handle.retry("order/1", "eve").await.unwrap();
    }
    follower.effect.refuse(None);
    follower.settle(0, 0).await;
    let skipped = follower.handle.skipped(10).await.unwrap();
    assert_eq!((skipped.len(), skipped[0].sequence), (1, Some(1)));
}

/// As where a table is missing, or a webhook is not there: the data is not the cause.
async fn a_failure_of_the_erasure_as_well_passes_over_nothing<B: Testable>(url: &str) {
    let mut scene = Scene::<B>::new(url).await;
    for _ in 0..2 {
        scene.place("order/1").await;
    }
    scene.erase("order/1").await;
    let refuses = Arc::clone(&scene.follower.effect.refuses_erasures);
    refuses.store(true, Ordering::Relaxed);
    let follower = &mut scene.follower;
    follower.settle_at(3, 1, 2).await;
    for attempts in [2, 3] {
        follower.attempts(attempts).await;
        let parked = follower.handle.parked(1).await.unwrap().remove(0);
        assert_eq!((parked.sequence, parked.retry_at), (Some(1), None));
        assert!(parked.reason.unwrap().contains("there is no name"));
        assert!(follower.handle.skipped(10).await.unwrap().is_empty());
        follower.handle.retry("order/1", "eve").await.unwrap();
    }
    refuses.store(false, Ordering::Relaxed);
    follower.settle(0, 0).await;
    let skipped = follower.handle.skipped(10).await.unwrap();
    assert_eq!(skipped.len(), 2);
}

/// The operator has removed the cause, which the attempt in progress does not know. Their statement waits for that attempt, and
/// comes before what follows from its failure. (On SQLite either may come first.)
#[tokio::test]
async fn what_an_operator_decides_during_the_attempt_holds() {
    let database = FreshDatabase::postgres().await;
    let mut scene = Scene::<Postgres>::new(database.url()).await;
    scene.follower.effect.refuse(Refusal::Park);
    scene.place("order/1").await;
    scene.follower.settle(1, 0).await;
    scene.follower.effect.refuse(None);
    let gate = Arc::clone(&scene.follower.effect.gate);
    let closed = gate.lock().await;
    let before = scene.follower.effect.tried();
    scene.erase("order/1").await;
    let Follower {
        consumer,
        handle,
        effect,
        database,
    } = scene.follower;
    let running = tokio::spawn(consumer.run());
    until("an attempt is under way", async || effect.tried() > before).await;
    let operator = handle.clone();
    let decided = tokio::spawn(async move { operator.retry("order/1", "eve").await });
    until("the operator waits for it", async || {
        let waits = "SELECT count(*) FROM pg_stat_activity
                     WHERE datname = current_database() AND wait_event_type = 'Lock'";
        Postgres::numbers(&database, waits).await == [1]
    })
    .await;
    drop(closed);
    decided.await.unwrap().unwrap();
    until("it has settled", async || {
        handle.status().await.unwrap().parked == 0
    })
    .await;
    assert!(effect.tried() > before + 1, "it was not tried again");
    running.abort();
}

/// The feed answers `404` for a while.
async fn an_erasure_whose_data_cannot_be_read_erases_copies_at_once<B: Testable>(url: &str) {
    let entry = |number, data: Option<String>, event_type: &str| {
        let bare = Entry {
            markup: String::new(),
            ..Entry::foreign(number)
        };
        let entry = match data {
            Some(data) => bare.text(&data),
            None => bare.src(&format!("/{number}")),
        };
        entry.with(&format!(
            "<category scheme=\"{NAMESPACE}\" term=\"{event_type}\"/><event:subject>order/1</event:subject>"
        ))
    };
    let document = |entries: &[Entry]| {
        let entries = entries.iter().rev().cloned();
        Reply::feed(
            Atom::foreign(entries)
                .attribute("xmlns:event", NAMESPACE)
                .xml(),
        )
    };
    let placed = entry(
        1,
        Some(json!({"id": 7, "name": PERSON}).to_string()),
        "order.placed",
    );
    let erased = entry(2, None, "order.erased");
    let fake = Fake::start().await;
    fake.at("/feed", document(std::slice::from_ref(&placed)));
    let mut follower = Follower::<B>::new(url, &fake.url("/feed")).await;
    follower.effect.refuse(Refusal::Park);
    follower.settle(1, 0).await;
    assert!(follower.kept().await.contains(PERSON));

    fake.at("/2", Reply::status(404));
    fake.at("/feed", document(&[placed, erased]));
    follower.effect.refuse(None);
    follower.settle(1, 1).await;
    assert!(!follower.kept().await.contains(PERSON));
    let tried = follower.effect.tried();
    follower.attempts(2).await;
    assert_eq!(
        follower.effect.tried(),
        tried,
        "it has no data to be tried with"
    );
    follower.settle(1, 1).await;

    fake.at("/2", Reply::ok("application/json", r#"{"id":7}"#));
    follower.settle(0, 0).await;
    let tried = follower.effect.tried.lock().unwrap().pop();
    assert_eq!(tried.as_deref(), Some(r#"{"id":7}"#));
    let skipped = follower.handle.skipped(10).await.unwrap();
    assert_eq!(
        (skipped.len(), skipped[0].id.as_str()),
        (1, "tag:example.com,2026:1")
    );
}

/// The words are the effect's own: nothing shows which of them are personal.
async fn a_decision_about_a_cause_keeps_no_personal_data<B: Testable>(url: &str) {
    let mut scene = Scene::<B>::new(url).await;
    scene.follower.effect.refuse(Refusal::Park);
    scene.place("order/1").await;
    let follower = &mut scene.follower;
    follower.settle(1, 0).await;
    let cause = follower.handle.parked(1).await.unwrap().remove(0).reason;
    let selection = Selection::of_cause(cause.unwrap());
    let retried = follower.handle.retry_selected(&selection, "eve").await;
    assert_eq!(retried.unwrap(), 1);
    follower.attempts(2).await;
    scene.erase("order/1").await;
    scene.follower.settle(0, 0).await;
    let kept = scene.follower.kept().await;
    assert!(kept.contains("retry all that failed for cause "), "{kept}");
    assert!(!kept.contains(PERSON), "{kept}");
    // The second operator still gets the name of the first.
    let again = scene
        .follower
        .handle
        .retry_selected(&selection, "bob")
        .await;
    assert!(again.unwrap_err().to_string().contains("eve decided at"));
}
