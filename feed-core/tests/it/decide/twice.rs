//! Decisions of two operators about the same: the second one loses nothing, and neither is left without an answer.

use feed_core::consumer::{DecideError, Decision, ResumeFrom, Selection};

use super::Scene;
use crate::support::{Fail, Testable, effects, until, until_waiting, urns};

harness::on_both_databases! {
    the_second_resume_is_not_carried_out
    a_new_subscription_begins_at_the_newest_event_once
    a_retry_during_an_attempt_stays_due
    a_skip_is_not_taken_back_while_a_replay_is_open
    a_replay_is_decided_after_an_undo
    a_skip_of_many_is_taken_back_while_it_is_executed
    a_second_skip_by_the_subject_skips_no_other_event
    the_second_operator_gets_the_name_also_if_later_events_were_applied
    a_skip_during_a_long_attempt_says_so
}

const NOW: Decision = Decision::Resume(ResumeFrom::Now);

/// The outcomes of the newest decisions, oldest first.
async fn outcomes<B: Testable>(scene: &Scene<B>, count: u32) -> Vec<String> {
    let decisions = scene.handle.decisions(count).await.unwrap();
    let outcomes = decisions.into_iter().rev();
    outcomes.filter_map(|decided| decided.outcome).collect()
}

/// Otherwise the events would be left out that were published before the second one.
async fn the_second_resume_is_not_carried_out<B: Testable>(url: &str) {
    let mut scene = Scene::<B>::new(url).await;
    let halt = "UPDATE feed_subscription SET halted = 'for a test'";
    B::run(&scene.database, halt).await;
    let start = Decision::Resume(ResumeFrom::Start);
    scene.handle.decide(start, "ann").await.unwrap();
    scene.handle.decide(NOW, "bob").await.unwrap();
    let all = urns(&scene.publisher.publish(3).await);
    scene.effect.recorder.repair();
    scene.settled(3).await;
    assert_eq!(effects(&scene.database).await, all);
    let expected = [
        "goes on from the first event of the feed",
        "not carried out: it is not halted any more",
    ];
    assert_eq!(outcomes(&scene, 2).await, expected);
}

async fn a_new_subscription_begins_at_the_newest_event_once<B: Testable>(url: &str) {
    let mut scene = Scene::<B>::new(url).await;
    scene.effect.recorder.repair();
    scene.publisher.publish(2).await;
    assert!(scene.handle.is_new().await.unwrap());
    for by in ["ann", "bob"] {
        scene.handle.decide(NOW, by).await.unwrap();
        let (consumer, handle) = (&mut scene.consumer, &scene.handle);
        until("it is executed", async || {
            consumer.poll_once().await.unwrap();
            handle.status().await.unwrap().decision.is_none()
        })
        .await;
    }
    let [first, second] = outcomes(&scene, 2).await.try_into().unwrap();
    assert!(first.contains("after event 2"), "{first}");
    assert_eq!(second, "not carried out: it is not halted any more");
    assert!(!scene.handle.is_new().await.unwrap());
}

/// The attempt that has begun before it fails, and must not cancel it.
async fn a_retry_during_an_attempt_stays_due<B: Testable>(url: &str) {
    let mut scene = Scene::<B>::new(url).await;
    let ids = scene.about_order_1(1).await;
    let recorder = scene.effect.recorder.clone();
    recorder.fail("order/1", Fail::Once);
    scene.handle.retry("order/1", "ann").await.unwrap();
    let (scene, running) = scene.run();
    recorder.tried.notified().await;
    let handle = scene.handle.clone();
    let second = tokio::spawn(async move { handle.retry("order/1", "bob").await });
    until_waiting(&scene.database, 1).await;
    recorder.go.notify_one();
    second.await.unwrap().unwrap();
    until("it is applied", async || {
        effects(&scene.database).await == ids
    })
    .await;
    scene.shutdown.cancel();
    running.await.unwrap();
}

/// A scene with a skipped event, and the decision.
async fn with_a_skip<B: Testable>(url: &str) -> (Scene<B>, i64) {
    let mut scene = Scene::<B>::new(url).await;
    scene.about_order_1(1).await;
    let skipped = scene.handle.skip("order/1", "a mistake", "ann").await;
    skipped.unwrap();
    let skip = scene.newest().await;
    (scene, skip)
}

/// The replay knows early which parked events the feed no longer has.
async fn a_skip_is_not_taken_back_while_a_replay_is_open<B: Testable>(url: &str) {
    let (mut scene, skip) = with_a_skip::<B>(url).await;
    let replay = Decision::Replay(1);
    let replay = scene.handle.decide(replay, "ann").await.unwrap();
    let undone = scene.handle.undo(skip, "bob").await;
    assert!(matches!(undone, Err(DecideError::UnderWay)), "{undone:?}");
    assert_eq!(scene.kept().await, 1);
    scene.handle.undo(replay, "ann").await.unwrap();
    scene.handle.undo(skip, "bob").await.unwrap();
    scene.settle(1, 0).await;
}

async fn a_replay_is_decided_after_an_undo<B: Testable>(url: &str) {
    let (scene, skip) = with_a_skip::<B>(url).await;
    let mut tx = scene.database.begin().await.unwrap();
    let partitions = "SELECT 1 FROM feed_partition";
    let lock = [format!("{partitions} FOR UPDATE"), partitions.to_owned()];
    B::execute(&mut tx, &lock[B::DIALECT]).await.unwrap();
    let (one, other) = (scene.handle.clone(), scene.handle.clone());
    let undo = tokio::spawn(async move { one.undo(skip, "bob").await });
    until_waiting(&scene.database, 1).await;
    let replay = tokio::spawn(async move { other.decide(Decision::Replay(1), "ann").await });
    until_waiting(&scene.database, 2).await;
    tx.rollback().await.unwrap();
    let undone = undo.await.unwrap();
    replay.await.unwrap().unwrap();
    match undone {
        Ok(undone) => assert_eq!(undone.outcome, "1 parked again"),
        Err(DecideError::UnderWay) if B::DIALECT == 1 => {}
        other => panic!("{other:?}"),
    }
}

/// Both change the decision and the events of a partition, in the same order.
async fn a_skip_of_many_is_taken_back_while_it_is_executed<B: Testable>(url: &str) {
    const EVENTS: u64 = 4000;
    let scene = Scene::<B>::new(url).await;
    let parked = format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {EVENTS})
         INSERT INTO feed_parked (subscription, event_id, partition, subject, sequence, event, reason, attempts, parked_at)
         SELECT 'order', 'a/' || i, 3, 'a/' || i, i, '{{}}', 'no customer', 1, '2026-01-15T00:00:00.000Z' FROM n"
    );
    B::run(&scene.database, &parked).await;
    let handle = scene.handle.clone();
    let skipping = tokio::spawn(async move {
        let selection = Selection::of_cause("no customer");
        handle.skip_selected(&selection, "a mistake", "ann").await
    });
    let mut skip = None;
    until("it has begun", async || {
        let decisions = scene.handle.decisions(1).await.unwrap();
        skip = decisions.first().map(|decided| decided.position);
        skip.is_some()
    })
    .await;
    let undone = scene.handle.undo(skip.unwrap(), "bob").await.unwrap();
    assert!(undone.outcome.ends_with("parked again"), "{undone:?}");
    match skipping.await.unwrap() {
        Ok(skipped) => assert_eq!(skipped, EVENTS),
        Err(DecideError::TakenBack(skipped)) => assert!(skipped < EVENTS),
        // A slow machine: it has waited too long for a portion of the undo.
        Err(DecideError::BeingTried | DecideError::Partly { .. }) => {}
        other => panic!("{other:?}"),
    }
    let status = scene.handle.status().await.unwrap();
    assert_eq!((status.parked, status.skipped), (EVENTS as i64, 0));
}

/// A repeated command must not skip an event that no operator has seen.
async fn a_second_skip_by_the_subject_skips_no_other_event<B: Testable>(url: &str) {
    let mut scene = Scene::<B>::new(url).await;
    let ids = scene.about_order_1(3).await;
    let skipped = scene.handle.skip("order/1", "one", "ann").await.unwrap();
    assert_eq!(
        skipped.name(),
        format!("event 1 of order/1, {}", skipped.id)
    );
    assert_eq!(skipped.id, ids[0]);
    // At once, and when the next one has failed.
    for settled in [false, true] {
        if settled {
            scene.settle(1, 1).await;
        }
        let again = scene.handle.skip("order/1", "one", "bob").await;
        let Err(DecideError::SkippedBefore { event, by, .. }) = again else {
            panic!("{again:?}")
        };
        assert_eq!((event, by.as_str()), (skipped.name(), "ann"));
    }
    scene.handle.retry("order/1", "bob").await.unwrap();
    scene.handle.skip(&ids[1], "two", "bob").await.unwrap();
    scene.apply_all().await;
    assert_eq!(effects(&scene.database).await, ids[2..]);
}

async fn the_second_operator_gets_the_name_also_if_later_events_were_applied<B: Testable>(
    url: &str,
) {
    let mut scene = Scene::<B>::new(url).await;
    scene.about_order_1(2).await;
    scene.handle.skip("order/1", "one", "ann").await.unwrap();
    scene.apply_all().await;
    let late = scene.handle.skip("order/1", "one", "bob").await;
    assert!(
        matches!(&late, Err(DecideError::AlreadyDecided { by, .. }) if by == "ann"),
        "{late:?}"
    );
}

/// PostgreSQL gives up after three seconds. SQLite has one writer, whatever it does.
async fn a_skip_during_a_long_attempt_says_so<B: Testable>(url: &str) {
    let mut scene = Scene::<B>::new(url).await;
    scene.about_order_1(1).await;
    if B::DIALECT == 1 {
        return;
    }
    let mut tx = scene.database.begin().await.unwrap();
    let lock = "SELECT FROM feed_partition FOR UPDATE";
    B::execute(&mut tx, lock).await.unwrap();
    let skip = scene.handle.skip("order/1", "one", "bob").await;
    assert!(matches!(skip, Err(DecideError::BeingTried)), "{skip:?}");
}
