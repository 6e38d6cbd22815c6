//! A replay forgets what it repeats in portions, however much that is, and no instance takes an event meanwhile.

use feed_core::consumer::{DecideError, Decision, Handle, NoUndo, Polled};
use feed_core::{Consumer, Database};
use harness::{FreshDatabase, on_both_databases, tables};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Postgres, Row, Sqlite};

use crate::support::{
    Fail, Publisher, Recorder, Testable, consumer, consumer_database, effects, serve, until,
};

on_both_databases! {
    a_replay_forgets_in_portions_what_it_repeats
    nothing_is_taken_while_a_decision_is_open
    a_replay_keeps_a_parked_event_that_the_feed_no_longer_has
}

struct Scene<B: Testable> {
    publisher: Publisher<Sqlite>,
    _source: FreshDatabase,
    database: Database<B>,
    effect: Recorder,
    consumer: Consumer<B, Recorder>,
    handle: Handle<B>,
}

impl<B: Testable> Scene<B> {
    async fn new(url: &str) -> Self {
        let source = FreshDatabase::sqlite();
        let publisher = Publisher::<Sqlite>::open(source.url()).await;
        let feed = format!("{}/feed", serve(publisher.feed.router()).await);
        let database = consumer_database::<B>(url).await;
        let effect = Recorder::default();
        let consumer = consumer(&database, &feed, effect.clone()).await;
        Self {
            publisher,
            _source: source,
            database,
            effect,
            handle: consumer.handle(),
            consumer,
        }
    }

    async fn drain(&mut self) {
        let newest = self.publisher.feed.cursor().sequence;
        let (consumer, handle) = (&mut self.consumer, &self.handle);
        until("all is taken", async || {
            let polled = consumer.poll_once().await.unwrap();
            let status = handle.status().await.unwrap();
            let executed = status.decision.is_none() && polled != Polled::Interrupted;
            executed && status.sequence == newest
        })
        .await;
    }

    async fn number(&self, sql: &str) -> i64 {
        B::numbers(&self.database, sql).await[0]
    }

    /// Inserts events without an effect, from a sequence on.
    async fn insert_skips(&self, name: &str, from: i64, count: i64, by: &str) {
        let rows = (from..from + count)
            .map(|n| format!("('order', '{name} {n}', 'order/{n}', {n}, 'a reason', {by})"));
        let rows = rows.collect::<Vec<_>>().join(", ");
        let sql = format!(
            "INSERT INTO feed_skip (subscription, event_id, subject, sequence, reason, skipped_by) VALUES {rows}"
        );
        B::run(&self.database, &sql).await;
    }
}

/// As PostgreSQL plans a statement that it has often executed, without statistics: also where most events are not among those
/// that come again.
#[tokio::test]
async fn no_plan_of_a_replay_reads_the_events_before_it() {
    let fresh = FreshDatabase::postgres().await;
    let mut scene = Scene::<Postgres>::new(fresh.url()).await;
    scene.publisher.publish(3).await;
    scene.drain().await;
    scene.insert_skips("skipped", 100, 10_000, "'eve'").await;
    fresh
        .execute(
            "INSERT INTO feed_claim (subscription, event_id, sequence, subject)
             SELECT subscription, 'claimed ' || sequence, sequence, subject FROM feed_skip;
             CREATE EXTENSION IF NOT EXISTS pg_stat_statements",
        )
        .await;
    scene
        .handle
        .decide(Decision::Replay(3), "eve")
        .await
        .unwrap();
    scene.drain().await;
    let url = format!(
        "{}&options=-cenable_seqscan=off -cjit=off -cplan_cache_mode=force_generic_plan",
        fresh.url()
    );
    for (statement, index) in [
        ("claim::decided", "feed_skip_by_sequence"),
        ("replay::repeated", "feed_claim_by_sequence"),
    ] {
        let text = format!(
            "SELECT query FROM pg_stat_statements
             JOIN pg_database ON pg_database.oid = dbid AND datname = current_database()
             WHERE query LIKE 'SELECT -- {statement}%'"
        );
        let text = tables::texts(fresh.url(), &text).await.concat();
        let mut session = PgConnection::connect(&url).await.unwrap();
        let prepared = format!("PREPARE kept AS {text}");
        session.execute(AssertSqlSafe(prepared)).await.unwrap();
        // The module may have put further parameters in place of constants.
        let constants = (5..10).filter(|n| text.contains(&format!("${n}")));
        let parameters = ", 1".repeat(constants.count());
        let explain = format!("EXPLAIN EXECUTE kept ('order', 9990, '', 1000{parameters})");
        let plan = session.fetch_all(AssertSqlSafe(explain)).await.unwrap();
        let plan: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
        let plan = plan.join("\n");
        let (_, scan) = plan.split_once(index).expect(&plan);
        let condition = scan.lines().find(|line| line.contains("Cond: "));
        assert!(condition.unwrap().contains("sequence >= $2"), "{plan}");
    }
}

/// Also one of the last events, and when a portion fails: those before it are done, and the replay cannot be taken back.
async fn a_replay_forgets_in_portions_what_it_repeats<B: Testable>(url: &str) {
    let mut scene = Scene::<B>::new(url).await;
    scene.publisher.publish(9).await;
    let parked = scene.publisher.commit("order/parked").await.urn();
    let skipped = scene.publisher.commit("order/skipped").await.urn();
    scene.publisher.publish(1).await;
    let fails = ["order/parked", "order/skipped"];
    *scene.effect.fails.lock().unwrap() = fails.map(|one| (one.to_owned(), Fail::Park)).into();
    scene.drain().await;
    scene
        .handle
        .skip(&skipped, "a mistake", "eve")
        .await
        .unwrap();
    scene.effect.repair();
    scene.insert_skips("passed over", 1, 2_500, "NULL").await;
    scene.insert_skips("skipped", 5, 1_500, "'eve'").await;
    // The parked one is forgotten in the last portion.
    for sql in [
        "DELETE FROM feed_claim WHERE sequence IN (10, 11)",
        "UPDATE feed_parked SET sequence = 2600",
    ] {
        B::run(&scene.database, sql).await;
    }
    let before = effects(&scene.database).await;
    assert_eq!(before.len(), 10);

    let replay = scene
        .handle
        .decide(Decision::Replay(10), "eve")
        .await
        .unwrap();
    let fails = [
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''no''; END';
         CREATE TRIGGER fail BEFORE DELETE ON feed_skip FOR EACH ROW
         WHEN (OLD.event_id = 'passed over 2499') EXECUTE FUNCTION fail()",
        "CREATE TRIGGER fail BEFORE DELETE ON feed_skip WHEN OLD.event_id = 'passed over 2499'
         BEGIN SELECT RAISE(ABORT, 'no'); END",
    ];
    B::run(&scene.database, fails[B::DIALECT]).await;
    assert!(scene.consumer.poll_once().await.is_err());
    let passed_over = "SELECT count(*) FROM feed_skip WHERE skipped_by IS NULL";
    let left = scene.number(passed_over).await;
    assert!((9 + 1..=1_500).contains(&left), "{left}");
    let decided = &scene.handle.decisions(1).await.unwrap()[0];
    assert!(decided.outcome.is_none() && !decided.can_be_undone);
    let undone = scene.handle.undo(replay, "eve").await;
    let refused = matches!(undone, Err(DecideError::CannotUndo(_, NoUndo::UnderWay)));
    assert!(refused, "{undone:?}");
    // Its row is still there, and the replay will forget it.
    let skipped = scene.handle.skip(&parked, "a mistake", "eve").await;
    assert!(matches!(skipped, Err(DecideError::UnderWay)), "{skipped:?}");
    assert_eq!(scene.handle.status().await.unwrap().sequence, 9);

    let repaired = ["DROP TRIGGER fail ON feed_skip", "DROP TRIGGER fail"];
    B::run(&scene.database, repaired[B::DIALECT]).await;
    B::run(&scene.database, "DELETE FROM effect").await;
    // The feed is not needed to end it: another instance does so while it does not answer.
    let elsewhere = "http://127.0.0.1:1/feed";
    let mut other = consumer(&scene.database, elsewhere, scene.effect.clone()).await;
    assert_eq!(other.poll_once().await.unwrap(), Polled::Interrupted);
    assert_eq!(scene.handle.status().await.unwrap().decision, None);
    other.leave().await.unwrap();
    scene.drain().await;
    let after = effects(&scene.database).await;
    assert_eq!(after, [parked, before[9].clone()], "10 and 12, and not 11");
    assert_eq!(scene.handle.status().await.unwrap().parked, 0);
    // What came before is as it was, and so is what an operator has skipped.
    assert_eq!(scene.number(passed_over).await, 9);
    let by_eve = "SELECT count(*) FROM feed_skip WHERE skipped_by = 'eve'";
    assert_eq!(scene.number(by_eve).await, 1_501);
    let claims = "SELECT count(*) FROM feed_claim WHERE event_id LIKE 'skipped %'";
    assert_eq!(scene.number(claims).await, 1_495, "from 10 on");

    let all = scene
        .handle
        .decide(Decision::Replay(1), "eve")
        .await
        .unwrap();
    B::run(&scene.database, "DELETE FROM effect").await;
    scene.drain().await;
    assert_eq!(effects(&scene.database).await.len(), 11);
    assert_eq!(scene.number(passed_over).await, 0);
    assert_eq!(scene.number(claims).await, 1_500);
    let decided = &scene.handle.decisions(1).await.unwrap()[0];
    assert_eq!(decided.position, all);
    assert!(decided.done_at.is_some());
}

/// Also by an instance that does not know of it yet: the claims that a replay drops would let it apply events between others.
async fn nothing_is_taken_while_a_decision_is_open<B: Testable>(url: &str) {
    let mut scene = Scene::<B>::new(url).await;
    scene.publisher.publish(3).await;
    scene.drain().await;
    B::run(&scene.database, "DELETE FROM effect").await;
    scene.publisher.publish(3).await;
    let open = "INSERT INTO feed_decision (subscription, decision, decided_by) VALUES ('order', 'replay 1', 'eve')";
    B::run(&scene.database, open).await;
    let polled = scene.consumer.poll_once().await.unwrap();
    assert!(!matches!(polled, Polled::Applied(_)), "{polled:?}");
    assert_eq!(effects(&scene.database).await.len(), 0);
    let consumer = &mut scene.consumer;
    let database = &scene.database;
    until("the replay is executed, and all is taken", async || {
        consumer.poll_once().await.unwrap();
        effects(database).await.len() == 6
    })
    .await;
}

/// The feed was restored since, and here is the only copy. It waits for the operator, and holds its subject.
async fn a_replay_keeps_a_parked_event_that_the_feed_no_longer_has<B: Testable>(url: &str) {
    let mut scene = Scene::<B>::new(url).await;
    scene.publisher.publish(3).await;
    let parked = scene.publisher.commit("order/parked").await.urn();
    scene.publisher.publish(1).await;
    scene.effect.fail("order/parked", Fail::Park);
    scene.drain().await;
    scene.effect.repair();
    let gone = "urn:uuid:0199a1b2-0000-7000-8000-000000000001";
    for sql in [
        format!(
            "INSERT INTO feed_parked (subscription, event_id, partition, subject, sequence, event)
             SELECT subscription, '{gone}', partition, subject, 2, replace(event, '{parked}', '{gone}')
             FROM feed_parked"
        ),
        format!(
            "INSERT INTO feed_claim (subscription, event_id, sequence) VALUES ('order', '{gone}', 2)"
        ),
    ] {
        B::run(&scene.database, &sql).await;
    }
    B::run(&scene.database, "DELETE FROM effect").await;
    let replay = Decision::Replay(1);
    scene.handle.decide(replay, "eve").await.unwrap();
    scene.drain().await;
    let others = effects(&scene.database).await;
    assert_eq!(others.len(), 4, "{others:?}");
    let failed = scene.handle.parked(10).await.unwrap();
    let failed: Vec<_> = failed
        .iter()
        .filter_map(|event| Some((event.id.as_str(), event.reason.as_deref()?)))
        .collect();
    assert!(
        matches!(failed[..], [(id, why)] if id == gone && why.contains("no longer has")),
        "{failed:?}"
    );
    scene.handle.retry(gone, "eve").await.unwrap();
    let (consumer, database) = (&mut scene.consumer, &scene.database);
    until("both are applied", async || {
        consumer.poll_once().await.unwrap();
        effects(database).await.len() == 6
    })
    .await;
    assert_eq!(effects(&scene.database).await[4..], [gone, &parked]);
}
