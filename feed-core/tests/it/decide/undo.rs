//! What is taken back, and what cannot be.

use std::sync::atomic::Ordering;

use feed_core::NewEvent;
use feed_core::consumer::{DecideError, Decision, NoUndo, Outcome};

use super::Scene;
use crate::support::{Fail, Testable, effects, event, until, until_waiting};

harness::on_both_databases! {
    a_skip_is_taken_back_as_it_was
    a_skip_stays_once_a_later_event_has_its_effect
    what_fails_after_a_skip_waits_again_behind_it
    a_later_event_that_is_being_applied_comes_first
    a_later_event_that_comes_during_the_undo_waits
    an_erasure_reaches_what_was_skipped
    a_replay_and_a_week_end_the_undo
    a_decision_that_nobody_has_executed_is_withdrawn
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
    scene.handle.skip(&ids[1], "two", "eve").await.unwrap();
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
    // This one alone: who waits for it gets it in turn.
    let partition =
        "SELECT 1 FROM feed_partition WHERE partition = (SELECT partition FROM feed_undo)";
    let lock = [format!("{partition} FOR UPDATE"), partition.to_owned()];
    B::execute(&mut tx, &lock[B::DIALECT]).await.unwrap();
    let handle = scene.handle.clone();
    let undoing = tokio::spawn(async move { handle.undo(skip, "ada").await });
    until_waiting(&scene.database, 1).await;
    let database = scene.database.clone();
    let releasing = async {
        until_waiting(&database, 2).await;
        tx.rollback().await.unwrap();
    };
    let (later, ()) = tokio::join!(scene.about_order_1(1), releasing);
    ids.extend(later);
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
