//! Decisions about parked events, one or thousands, and how they are taken back: exactly one effect or one recorded skip
//! (I5), in sequence within a subject (I6), also beside an instance that works at the same moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use feed_core::consumer::{DecideError, Decision, Handle, NoUndo, Outcome, Selection, TextError};
use feed_core::{
    Batch, CancellationToken, Consumer, Database, Effect, EffectError, NewEvent, Received,
};
use harness::FreshDatabase;
use sqlx::{Sqlite, Transaction};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::support::{
    Fail, Publisher, Recorder, Testable, consumer_database, effects, event, serve, until,
    waiting_consumer,
};

harness::on_both_databases! {
    a_skip_is_taken_back_as_it_was
    a_skip_stays_once_a_later_event_has_its_effect
    what_fails_after_a_skip_waits_again_behind_it
    a_later_event_that_is_being_applied_comes_first
    a_later_event_that_comes_during_the_undo_waits
    an_erasure_reaches_what_was_skipped
    a_replay_and_a_week_end_the_undo
    a_decision_that_nobody_has_executed_is_withdrawn
    many_are_selected_by_what_they_have_in_common
    what_failed_after_a_preview_is_not_touched
    the_second_of_two_operators_gets_the_name_of_the_first
    what_cannot_be_recorded_is_refused
}

/// What [`Recorder`] does; one event of `order/1` waits until it may be applied.
#[derive(Debug, Clone, Default)]
struct Gate {
    recorder: Recorder,
    closed: Arc<AtomicBool>,
    tried: Arc<Notify>,
    go: Arc<Notify>,
}

impl<B: Testable> Effect<B> for Gate {
    async fn apply(
        &self,
        tx: &mut Transaction<'_, B>,
        events: &Batch<'_>,
    ) -> Result<(), EffectError> {
        let held = events.iter().any(|event| event.subject == "order/1");
        if held && self.closed.swap(false, Ordering::Relaxed) {
            self.tried.notify_one();
            self.go.notified().await;
        }
        self.recorder.apply(tx, events).await
    }

    fn erases(&self, event: &Received) -> bool {
        <Recorder as Effect<B>>::erases(&self.recorder, event)
    }
}

struct Scene<B: Testable> {
    publisher: Publisher<Sqlite>,
    _source: FreshDatabase,
    database: Database<B>,
    effect: Gate,
    handle: Handle<B>,
    consumer: Consumer<B, Gate>,
}

impl<B: Testable> Scene<B> {
    /// The events of `order/1` fail.
    async fn new(url: &str) -> Self {
        let source = FreshDatabase::sqlite();
        let publisher = Publisher::<Sqlite>::open(source.url()).await;
        let feed = format!("{}/feed", serve(publisher.feed.router()).await);
        let database = consumer_database::<B>(url).await;
        let effect = Gate::default();
        effect.recorder.fail("order/1", Fail::Park);
        let consumer = waiting_consumer(&database, &feed, effect.clone(), Duration::ZERO).await;
        Self {
            publisher,
            _source: source,
            database,
            effect,
            handle: consumer.handle(),
            consumer,
        }
    }

    /// Publishes events, and takes them; returns their ids.
    async fn take(&mut self, events: &[NewEvent]) -> Vec<String> {
        let mut ids = Vec::new();
        for event in events {
            let mut tx = self.publisher.database.begin().await.unwrap();
            let id = feed_core::outbox::append(&mut tx, event).await.unwrap();
            tx.commit().await.unwrap();
            ids.push(id.urn());
        }
        let newest = self.publisher.feed.publish().await.unwrap().sequence;
        let (consumer, handle) = (&mut self.consumer, &self.handle);
        until("all is taken", async || {
            consumer.poll_once().await.unwrap();
            handle.status().await.unwrap().sequence == newest
        })
        .await;
        ids
    }

    async fn about_order_1(&mut self, count: usize) -> Vec<String> {
        let events: Vec<_> = (0..count).map(|_| event("order/1")).collect();
        self.take(&events).await
    }

    /// Lets the consumer work until so many are parked, and so many wait.
    async fn settle(&mut self, parked: i64, waiting: i64) {
        let (consumer, handle) = (&mut self.consumer, &self.handle);
        until("it has settled", async || {
            consumer.poll_once().await.unwrap();
            let status = handle.status().await.unwrap();
            (status.parked, status.waiting) == (parked, waiting)
        })
        .await;
    }

    /// Retries what is parked until all is applied.
    async fn apply_all(&mut self) {
        self.effect.recorder.repair();
        let all = Selection::default();
        let (consumer, handle) = (&mut self.consumer, &self.handle);
        until("all is applied", async || {
            handle.retry_selected(&all, "eve").await.unwrap();
            consumer.poll_once().await.unwrap();
            let status = handle.status().await.unwrap();
            (status.parked, status.waiting) == (0, 0)
        })
        .await;
    }

    async fn newest(&self) -> i64 {
        self.handle.decisions(1).await.unwrap()[0].position
    }

    async fn kept(&self) -> i64 {
        B::numbers(&self.database, "SELECT count(*) FROM feed_undo").await[0]
    }

    async fn refused(&self, position: i64) -> NoUndo {
        match self.handle.undo(position, "ada").await {
            Err(DecideError::CannotUndo(of, why)) if of == position => why,
            other => panic!("{other:?}"),
        }
    }

    fn run(self) -> (Running<B>, JoinHandle<()>) {
        let shutdown = self.consumer.shutdown();
        let running = tokio::spawn(self.consumer.run());
        let rest = Running {
            _publisher: self.publisher,
            _source: self._source,
            database: self.database,
            effect: self.effect,
            handle: self.handle,
            shutdown,
        };
        (rest, running)
    }
}

/// A scene whose consumer runs.
struct Running<B: Testable> {
    _publisher: Publisher<Sqlite>,
    _source: FreshDatabase,
    database: Database<B>,
    effect: Gate,
    handle: Handle<B>,
    shutdown: CancellationToken,
}

async fn a_skip_is_taken_back_as_it_was<B: Testable>(url: &str) {
    let mut scene = Scene::<B>::new(url).await;
    let ids = scene.about_order_1(3).await;
    let row = "SELECT position || ' ' || partition || ' ' || sequence || event || reason || attempts || parked_at
                      || COALESCE(CAST(retry_at AS TEXT), '-') || event_type FROM feed_parked
               WHERE reason IS NOT NULL";
    let before = B::texts(&scene.database, row).await;
    scene
        .handle
        .skip("order/1", "a mistake", "eve")
        .await
        .unwrap();
    assert_eq!(B::texts(&scene.database, row).await.len(), 0);
    let skip = scene.newest().await;
    assert!(scene.handle.decisions(1).await.unwrap()[0].can_be_undone);

    // An instance of an older version would not notice it.
    let version = |value| format!("UPDATE feed_instance SET version = {value}");
    B::run(&scene.database, &version("NULL")).await;
    assert!(matches!(scene.refused(skip).await, NoUndo::Older(_)));
    B::run(&scene.database, &version("'0.1.0'")).await;

    let undone = scene.handle.undo(skip, "ada").await.unwrap();
    assert_eq!(undone.outcome, "1 parked again");
    assert_eq!(B::texts(&scene.database, row).await, before);
    assert_eq!(scene.kept().await, 0);
    assert_eq!(scene.handle.status().await.unwrap().skipped, 0);
    // Both are recorded, with the event.
    let events = scene.handle.events(Some(&ids[0]), 10).await.unwrap();
    assert_eq!(events[0].outcome, Outcome::Parked);
    let decided = scene.handle.decisions_about(&events).await.unwrap();
    let [undo, skipped] = decided.as_slice() else {
        panic!("{decided:?}")
    };
    assert_eq!(
        (undo.decision.as_str(), undo.position),
        (format!("undo {skip}").as_str(), undone.position)
    );
    assert_eq!(
        (
            skipped.undone_by.as_deref(),
            skipped.undone_at,
            skipped.can_be_undone
        ),
        (Some("ada"), Some(undo.decided_at), false)
    );
    let why = scene.refused(skip).await;
    assert!(
        matches!(&why, NoUndo::Undone { by, .. } if by == "ada"),
        "{why}"
    );
    assert_eq!(scene.refused(undone.position).await, NoUndo::Undo);

    scene.apply_all().await;
    assert_eq!(effects(&scene.database).await, ids);
    let retry = scene.newest().await;
    assert_eq!(scene.refused(retry).await, NoUndo::Retry);
    let none = scene.handle.undo(4711, "ada").await;
    assert!(
        matches!(none, Err(DecideError::NoSuchDecision(4711))),
        "{none:?}"
    );
}

async fn a_skip_stays_once_a_later_event_has_its_effect<B: Testable>(url: &str) {
    let mut scene = Scene::<B>::new(url).await;
    // One that waits is applied.
    let ids = scene.about_order_1(2).await;
    scene.effect.recorder.repair();
    scene.handle.skip("order/1", "a test", "eve").await.unwrap();
    let skip = scene.newest().await;
    scene.settle(0, 0).await;
    assert_eq!(scene.refused(skip).await, NoUndo::TooLate);
    assert_eq!(effects(&scene.database).await, ids[1..]);
    assert_eq!(scene.kept().await, 0);
    assert!(!scene.handle.decisions(1).await.unwrap()[0].can_be_undone);

    // One that is new is applied; those of other subjects are no reason.
    scene.effect.recorder.fail("order/1", Fail::Park);
    let id = scene.about_order_1(1).await;
    scene.handle.skip("order/1", "a test", "eve").await.unwrap();
    let skip = scene.newest().await;
    let others: Vec<_> = (2..100).map(|n| event(&format!("order/{n}"))).collect();
    scene.take(&others).await;
    assert_eq!(scene.kept().await, 1);
    scene.effect.recorder.repair();
    scene.about_order_1(1).await;
    assert_eq!(scene.refused(skip).await, NoUndo::TooLate);
    let of = scene.handle.events(Some(&id[0]), 1).await.unwrap();
    assert_eq!(of[0].outcome, Outcome::Skipped);
}

async fn what_fails_after_a_skip_waits_again_behind_it<B: Testable>(url: &str) {
    let mut scene = Scene::<B>::new(url).await;
    let mut ids = scene.about_order_1(2).await;
    scene.handle.skip("order/1", "one", "eve").await.unwrap();
    let first = scene.newest().await;
    // The next one fails too, and is skipped; then a new one.
    scene.settle(1, 0).await;
    scene.handle.skip("order/1", "two", "eve").await.unwrap();
    let second = scene.newest().await;
    ids.extend(scene.about_order_1(1).await);
    scene.settle(1, 0).await;
    assert_eq!(scene.kept().await, 2);
    scene.handle.undo(second, "eve").await.unwrap();
    scene.handle.undo(first, "eve").await.unwrap();
    scene.apply_all().await;
    assert_eq!(effects(&scene.database).await, ids);
}

/// The instance has the lock of the partition, and the undo comes after it.
async fn a_later_event_that_is_being_applied_comes_first<B: Testable>(url: &str) {
    let mut scene = Scene::<B>::new(url).await;
    let ids = scene.about_order_1(2).await;
    scene.effect.recorder.repair();
    scene.effect.closed.store(true, Ordering::Relaxed);
    scene.handle.skip("order/1", "a test", "eve").await.unwrap();
    let skip = scene.newest().await;
    let (scene, running) = scene.run();
    scene.effect.tried.notified().await;
    let handle = scene.handle.clone();
    let undoing = tokio::spawn(async move { handle.undo(skip, "ada").await });
    // So that it waits by then; if it does not yet, it comes a little later.
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    scene.effect.go.notify_one();
    let undone = undoing.await.unwrap();
    assert!(
        matches!(undone, Err(DecideError::CannotUndo(_, NoUndo::TooLate))),
        "{undone:?}"
    );
    assert_eq!(effects(&scene.database).await, ids[1..]);
    assert_eq!(scene.handle.status().await.unwrap().skipped, 1);
    // Nothing is recorded of the attempt.
    assert_eq!(scene.handle.decisions(10).await.unwrap().len(), 1);
    scene.shutdown.cancel();
    running.await.unwrap();
}

/// The undo gets the lock of the partition, for which the instance waits with a later event. On SQLite either may be first.
async fn a_later_event_that_comes_during_the_undo_waits<B: Testable>(url: &str) {
    let mut scene = Scene::<B>::new(url).await;
    let mut ids = scene.about_order_1(1).await;
    scene.handle.skip("order/1", "a test", "eve").await.unwrap();
    let skip = scene.newest().await;
    scene.effect.recorder.repair();
    // It looks at the decision now, and renews no lease while the partition is locked.
    scene.settle(0, 0).await;
    let mut tx = scene.database.begin().await.unwrap();
    let lock = ["SELECT 1 FROM feed_partition FOR UPDATE", "SELECT 1"];
    B::execute(&mut tx, lock[B::DIALECT]).await.unwrap();
    let handle = scene.handle.clone();
    let undoing = tokio::spawn(async move { handle.undo(skip, "ada").await });
    let waits = std::time::Duration::from_millis(300);
    tokio::time::sleep(waits).await;
    let releasing = tokio::spawn(async move {
        tokio::time::sleep(waits).await;
        tx.rollback().await
    });
    ids.extend(scene.about_order_1(1).await);
    releasing.await.unwrap().unwrap();
    match undoing.await.unwrap() {
        Ok(_) => {
            let status = scene.handle.status().await.unwrap();
            assert_eq!((status.parked, status.waiting, status.skipped), (1, 1, 0));
            assert_eq!(effects(&scene.database).await.len(), 0);
            scene.apply_all().await;
            assert_eq!(effects(&scene.database).await, ids);
        }
        Err(DecideError::CannotUndo(_, NoUndo::TooLate)) if B::DIALECT == 1 => {
            assert_eq!(effects(&scene.database).await, ids[1..]);
        }
        other => panic!("{other:?}"),
    }
}

async fn an_erasure_reaches_what_was_skipped<B: Testable>(url: &str) {
    let mut scene = Scene::<B>::new(url).await;
    let erased = || NewEvent {
        event_type: "order.erased".to_owned(),
        ..event("order/1")
    };
    // It waits for another one that has failed.
    scene.about_order_1(2).await;
    scene.handle.skip("order/1", "a test", "eve").await.unwrap();
    let skip = scene.newest().await;
    scene.settle(1, 0).await;
    assert_eq!(scene.kept().await, 1);
    scene.take(&[erased()]).await;
    assert_eq!(scene.kept().await, 0);
    assert_eq!(scene.refused(skip).await, NoUndo::TooLate);
    scene.apply_all().await;
    // It is applied.
    scene.effect.recorder.fail("order/1", Fail::Park);
    scene.about_order_1(1).await;
    scene.handle.skip("order/1", "a test", "eve").await.unwrap();
    assert_eq!(scene.kept().await, 1);
    scene.effect.recorder.repair();
    scene.take(&[erased()]).await;
    assert_eq!(scene.kept().await, 0);
}

async fn a_replay_and_a_week_end_the_undo<B: Testable>(url: &str) {
    let mut scene = Scene::<B>::new(url).await;
    scene.effect.recorder.repair();
    scene.about_order_1(1).await;
    scene.effect.recorder.fail("order/1", Fail::Park);
    scene.about_order_1(1).await;
    scene.handle.skip("order/1", "a test", "eve").await.unwrap();
    let skip = scene.newest().await;
    B::run(&scene.database, "DELETE FROM effect").await;
    scene
        .handle
        .decide(Decision::Replay(1), "eve")
        .await
        .unwrap();
    let (consumer, database) = (&mut scene.consumer, &scene.database);
    until("it is replayed", async || {
        consumer.poll_once().await.unwrap();
        B::numbers(database, "SELECT count(*) FROM feed_undo").await == [0]
    })
    .await;
    assert_eq!(scene.refused(skip).await, NoUndo::TooLate);
    scene.settle(1, 0).await;
    let replay = scene.newest().await;
    let why = scene.refused(replay).await;
    assert!(matches!(why, NoUndo::Executed(_)), "{why}");

    scene.handle.skip("order/1", "a test", "eve").await.unwrap();
    let skip = scene.newest().await;
    let long_ago = "UPDATE feed_undo SET skipped_at = '2026-01-01T00:00:00.000Z'";
    B::run(&scene.database, long_ago).await;
    let (scene, running) = scene.run();
    until("it is swept", async || {
        B::numbers(&scene.database, "SELECT count(*) FROM feed_undo").await == [0]
    })
    .await;
    let late = scene.handle.undo(skip, "ada").await;
    assert!(
        matches!(late, Err(DecideError::CannotUndo(_, NoUndo::TooLate))),
        "{late:?}"
    );
    scene.shutdown.cancel();
    running.await.unwrap();
}

async fn a_decision_that_nobody_has_executed_is_withdrawn<B: Testable>(url: &str) {
    let mut scene = Scene::<B>::new(url).await;
    scene.effect.recorder.repair();
    let ids = scene.about_order_1(2).await;
    let replay = scene
        .handle
        .decide(Decision::Replay(1), "eve")
        .await
        .unwrap();
    assert!(scene.handle.decisions(1).await.unwrap()[0].can_be_undone);
    // Two operators at once.
    let (one, other) = (scene.handle.clone(), scene.handle.clone());
    let (one, other) = tokio::join!(one.undo(replay, "ada"), other.undo(replay, "bob"));
    let (undone, by, second) = match (one, other) {
        (Ok(undone), Err(error)) => (undone, "ada", error),
        (Err(error), Ok(undone)) => (undone, "bob", error),
        both => panic!("{both:?}"),
    };
    assert_eq!(undone.outcome, "taken back before it was carried out");
    assert!(second.to_string().contains(by), "{second}");
    let decisions = scene.handle.decisions(10).await.unwrap();
    let [undo, withdrawn] = decisions.as_slice() else {
        panic!("{decisions:?}")
    };
    assert_eq!(undo.decided_by, by);
    assert_eq!(withdrawn.undone_by.as_deref(), Some(by));
    let outcome = withdrawn.outcome.as_deref().unwrap();
    assert_eq!(outcome, format!("not carried out: taken back by {by}"));
    assert_eq!(scene.handle.status().await.unwrap().decision, None);
    B::run(&scene.database, "DELETE FROM effect").await;
    let new = scene.about_order_1(1).await;
    assert_eq!(effects(&scene.database).await, new);
    drop(ids);
}

/// Parks `count` events without a consumer: of `event_type`, with `cause`, at an instant.
async fn park<B: Testable>(
    database: &Database<B>,
    name: &str,
    count: usize,
    event_type: Option<&str>,
    cause: &str,
    at: &str,
) {
    let event_type = event_type.map_or("NULL".to_owned(), |text| format!("'{text}'"));
    let sql = format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
         INSERT INTO feed_parked (subscription, event_id, partition, subject, sequence, event, reason, attempts,
                                  event_type, parked_at)
         SELECT 'order', '{name}/' || i, i % 16, '{name}/' || i, i, '{{}}', '{cause}', 1, {event_type}, '{at}'
         FROM n"
    );
    B::run(database, &sql).await;
}

async fn many_are_selected_by_what_they_have_in_common<B: Testable>(url: &str) {
    let scene = Scene::<B>::new(url).await;
    let (handle, database) = (&scene.handle, &scene.database);
    let (placed, cancelled) = (Some("order.placed"), Some("order.cancelled"));
    let (january, february) = ("2026-01-15T00:00:00.000Z", "2026-02-15T00:00:00.000Z");
    park(database, "a", 3000, placed, "no customer", january).await;
    park(database, "b", 300, cancelled, "no customer", january).await;
    park(database, "c", 20, placed, "no customer ", february).await;
    park(database, "d", 7, None, "no customer", february).await;
    let at = |text: &str| Some(text.parse().unwrap());
    let of_type = Selection {
        event_type: placed.map(str::to_owned),
        ..Selection::default()
    };
    let late = Selection {
        from: at("2026-02-01T00:00:00Z"),
        ..Selection::of_cause("no customer")
    };
    let early = Selection {
        until: at(january),
        ..Selection::default()
    };
    let of_january = Selection {
        from: at(january),
        until: at(february),
        ..of_type.clone()
    };
    for (selection, expected) in [
        (&Selection::default(), 3327),
        (&of_type, 3020),
        (&Selection::of_cause("no customer"), 3307),
        (&Selection::of_cause("customer"), 0),
        (&late, 7),
        (&early, 0),
        (&of_january, 3000),
    ] {
        let preview = handle.preview(selection, 5).await.unwrap();
        assert_eq!(preview.events, expected, "{selection}");
        assert_eq!(preview.first.len(), expected.min(5) as usize);
    }
    let preview = handle.preview(&of_type, 3).await.unwrap();
    let causes = preview.causes.iter().map(|of| (&*of.cause, of.events));
    let causes: Vec<_> = causes.collect();
    assert_eq!(causes, [("no customer", 3000), ("no customer ", 20)]);
    let types = handle
        .preview(&Selection::default(), 1)
        .await
        .unwrap()
        .types;
    let types: Vec<_> = types
        .iter()
        .map(|of| (of.event_type.as_deref(), of.events))
        .collect();
    assert_eq!(types, [(placed, 3020), (cancelled, 300), (None, 7)]);

    // Nothing else is touched, and one decision says what was.
    assert_eq!(handle.retry_selected(&late, "eve").await.unwrap(), 7);
    let due = "SELECT count(*) FROM feed_parked WHERE retry_at IS NOT NULL";
    assert_eq!(B::numbers(database, due).await, [7]);
    let skipped = handle.skip_selected(&of_january, "a test", "eve").await;
    assert_eq!(skipped.unwrap(), 3000);
    let status = handle.status().await.unwrap();
    assert_eq!((status.parked, status.skipped), (327, 3000));
    let decisions = handle.decisions(10).await.unwrap();
    let [skip, retry] = decisions.as_slice() else {
        panic!("{decisions:?}")
    };
    assert_eq!(skip.decision, format!("skip {of_january}"));
    assert_eq!(skip.outcome.as_deref(), Some("3000 skipped"));
    assert_eq!(retry.decision, format!("retry {late}"));
    assert_eq!(
        (retry.outcome.as_deref(), retry.still_parked),
        (Some("7 to be tried again"), 7)
    );
    // It is found at each event that it has touched.
    for (about, expected) in [("a/2999", &skip.decision), ("d/3", &retry.decision)] {
        let events = handle.events(Some(about), 10).await.unwrap();
        let about = handle.decisions_about(&events).await.unwrap();
        assert_eq!(about.len(), 1);
        assert_eq!(&about[0].decision, expected);
    }
    // All of it is taken back, but for what is too late.
    B::run(
        database,
        "DELETE FROM feed_undo WHERE subject IN ('a/1', 'a/2')",
    )
    .await;
    let undone = handle.undo(skip.position, "ada").await.unwrap();
    let expected = "2998 parked again; 2 stay skipped, for which it is too late";
    assert_eq!(undone.outcome, expected);
    let status = handle.status().await.unwrap();
    assert_eq!((status.parked, status.skipped), (3325, 2));
    let of = handle.preview(&of_january, 1).await.unwrap();
    assert_eq!(of.events, 2998);

    // A selection of nothing is a mistake.
    let none = handle.retry_selected(&early, "eve").await;
    assert!(
        matches!(none, Err(DecideError::NoneSelected(_))),
        "{none:?}"
    );
    let bounded = Selection {
        as_of: at(february),
        ..Selection::default()
    };
    for everything in [&Selection::default(), &bounded] {
        let all = handle.skip_selected(everything, "a test", "eve").await;
        assert!(matches!(all, Err(DecideError::Everything)), "{all:?}");
    }
    assert_eq!(handle.decisions(10).await.unwrap().len(), 3);
}

async fn what_failed_after_a_preview_is_not_touched<B: Testable>(url: &str) {
    let mut scene = Scene::<B>::new(url).await;
    scene.about_order_1(1).await;
    scene.effect.recorder.fail("order/2", Fail::Retry);
    scene.take(&[event("order/2")]).await;
    let cause = Selection::of_cause("no such customer");
    let preview = scene.handle.preview(&cause, 10).await.unwrap();
    assert_eq!(preview.events, 1);
    // One more is parked for that cause, and one that had failed for another one fails for it.
    scene.effect.recorder.fail("order/3", Fail::Park);
    scene.take(&[event("order/3")]).await;
    scene.effect.recorder.fail("order/2", Fail::Park);
    scene.handle.retry("order/2", "eve").await.unwrap();
    let (consumer, handle) = (&mut scene.consumer, &scene.handle);
    until("it has failed for the same cause", async || {
        consumer.poll_once().await.unwrap();
        handle.preview(&cause, 10).await.unwrap().events == 3
    })
    .await;
    let seen = Selection {
        as_of: Some(preview.as_of),
        ..cause.clone()
    };
    let again = scene.handle.preview(&seen, 10).await.unwrap();
    assert_eq!((again.events, again.as_of), (1, preview.as_of));
    let skipped = scene.handle.skip_selected(&seen, "a test", "eve").await;
    assert_eq!(skipped.unwrap(), 1);
    let skipped = scene.handle.skipped(10).await.unwrap();
    assert_eq!(skipped[0].subject, "order/1");
    assert_eq!(skipped[0].event_type.as_deref(), Some("order.placed"));
}

async fn the_second_of_two_operators_gets_the_name_of_the_first<B: Testable>(url: &str) {
    let mut scene = Scene::<B>::new(url).await;
    scene.about_order_1(1).await;
    let (one, other) = (scene.handle.clone(), scene.handle.clone());
    let (one, other) = tokio::join!(
        one.skip("order/1", "a test", "ada"),
        other.skip("order/1", "a mistake", "bob")
    );
    let (first, second) = match (one, other) {
        (Ok(()), Err(error)) => ("ada", error),
        (Err(error), Ok(())) => ("bob", error),
        both => panic!("{both:?}"),
    };
    let told = |error: DecideError, first: &str| match error {
        DecideError::AlreadyDecided { by, at, .. } => {
            assert_eq!(by, first);
            assert!(chrono::Utc::now() - at < chrono::TimeDelta::minutes(10));
        }
        other => panic!("{other:?}"),
    };
    told(second, first);
    told(
        scene.handle.retry("order/1", "cy").await.unwrap_err(),
        first,
    );
    assert_eq!(scene.handle.decisions(10).await.unwrap().len(), 1);

    // Of many each is skipped once.
    let cause = "no customer";
    let at = "2026-01-15T00:00:00.000Z";
    park(&scene.database, "a", 2500, None, cause, at).await;
    let selection = Selection::of_cause(cause);
    let (one, other) = (scene.handle.clone(), scene.handle.clone());
    let (one, other) = tokio::join!(
        one.skip_selected(&selection, "a test", "ada"),
        other.skip_selected(&selection, "a mistake", "bob")
    );
    let events = |skipped: &Result<u64, DecideError>| match skipped {
        Ok(events) => *events,
        Err(DecideError::AlreadyDecided { .. }) => 0,
        Err(other) => panic!("{other:?}"),
    };
    assert_eq!(events(&one) + events(&other), 2500);
    let late = scene.handle.skip_selected(&selection, "so", "cy").await;
    let text = late.unwrap_err().to_string();
    assert!(text.contains("ada") || text.contains("bob"), "{text}");
}

async fn what_cannot_be_recorded_is_refused<B: Testable>(url: &str) {
    let mut scene = Scene::<B>::new(url).await;
    scene.about_order_1(1).await;
    let handle = &scene.handle;
    let name = handle.retry("order/1", "eve\u{1b}[2J").await;
    assert!(
        matches!(name, Err(DecideError::Name(TextError::Control))),
        "{name:?}"
    );
    let long = "x".repeat(1001);
    for (reason, expected) in [
        ("a\nb", TextError::Control),
        (long.as_str(), TextError::TooLong(1000)),
        (" ", TextError::Missing),
    ] {
        let skip = handle.skip("order/1", reason, "eve").await;
        assert!(
            matches!(&skip, Err(DecideError::Reason(found)) if *found == expected),
            "{skip:?}"
        );
        let of_cause = Selection::of_cause("no such customer");
        let skip = handle.skip_selected(&of_cause, reason, "eve").await;
        assert!(matches!(&skip, Err(DecideError::Reason(_))), "{skip:?}");
    }
    let decide = handle.decide(Decision::Replay(1), &"x".repeat(201)).await;
    assert!(
        matches!(decide, Err(DecideError::Name(TextError::TooLong(200)))),
        "{decide:?}"
    );
    let undo = handle.undo(1, "").await;
    assert!(
        matches!(undo, Err(DecideError::Name(TextError::Missing))),
        "{undo:?}"
    );
    assert_eq!(handle.decisions(10).await.unwrap().len(), 0);
}
