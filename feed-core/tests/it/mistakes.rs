//! What an effect can do wrong. Its event is parked and holds its subject, and all others are applied (I7);
//! nothing is lost or applied twice (I5). What the server or the connection causes stops the round
//! instead, and parks nothing.

use std::time::Duration;

use feed_core::consumer::ParkedEvent;
use feed_core::{Database, EffectError};
use sqlx::Postgres;

use crate::faulty_effect::Mistake::{self, Block, Fail, Ignore, Read, Run, Sleep};
use crate::faulty_effect::{FaultyEffect, LIMIT, SUBJECT, Scene};
use crate::support::{Testable, consumer_database, effects, until, urns};

harness::on_both_databases! {
    a_wrong_statement_parks_its_event
    an_effect_that_panics_beside_its_call_stops_no_other
    an_error_that_is_not_of_our_connection_parks_its_event
    an_effect_that_hides_a_failed_statement_parks_its_event
    an_effect_that_ends_its_transaction_parks_its_event
    an_effect_that_commits_loses_no_event
    an_event_passed_over_outside_the_transaction_is_no_skip
    savepoints_are_no_end_of_the_transaction
    a_constraint_that_is_checked_at_commit_parks_its_event
    an_effect_out_of_time_parks_its_event
    events_that_are_slow_together_are_applied_one_by_one
    a_parked_event_that_fails_otherwise_stays_parked
    an_error_of_the_server_stops_the_round
    an_event_at_which_the_server_fails_each_time_is_parked
    an_event_for_which_something_is_always_out_of_reach_stops_no_other
    an_event_for_whose_effect_there_is_no_room_needs_no_operator
}

/// Statements without an end.
const ENDLESS: [&str; 2] = [
    "SELECT pg_sleep(600)",
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
];

/// Statements after which the transaction cannot be committed.
pub(crate) const FAILS_FOR_ALL: [&str; 2] = [
    "SELECT 1 / 0",
    "INSERT OR ROLLBACK INTO effect (event_id) SELECT event_id FROM effect LIMIT 1",
];

/// The mistake parks its event with a reason in which `says` is found, and a retry after the
/// correction applies it.
async fn parks<B: Testable>(url: &str, effect: FaultyEffect, says: [&str; 2]) -> ParkedEvent {
    let what = effect.mistake.lock().unwrap().unwrap();
    let mut scene = Scene::<B>::of(url, effect).await;
    scene.drain().await;
    let parked = scene.only_its_event_is_parked().await;
    let reason = parked.reason.clone().unwrap();
    assert!(reason.contains(says[B::DIALECT]), "{what:?}: {reason}");
    scene.applied_after_a_retry().await;
    parked
}

async fn a_wrong_statement_parks_its_event<B: Testable>(url: &str) {
    let both = |sql| [sql, sql];
    // A statement, what the reason says, and whether it is tried again without a person.
    for (mistake, says, again) in [
        (Read(both("SELECT 1 WHERE 1 = 0")), both("no rows"), true),
        (Read(both("SELECT 'seven'")), both("decod"), false),
        (
            Read(both("SELECT colour FROM effect")),
            both("colour"),
            false,
        ),
        (Read(both("SELECT 1 FROM nowhere")), both("nowhere"), false),
        (Read(both("SELEKT 1")), both("syntax error"), false),
        (
            Read(["SELECT 1 / 0", "SELECT abs(-9223372036854775807 - 1)"]),
            ["zero", "overflow"],
            false,
        ),
        // SQLite takes a missing parameter for NULL.
        (
            Read(["SELECT $1 + $2", "SELECT $2 IS NULL, 1 / 0 FROM nowhere"]),
            ["bind", "nowhere"],
            B::DIALECT == 0,
        ),
        (
            Run(both(
                "INSERT INTO effect (event_id) SELECT event_id FROM effect LIMIT 1",
            )),
            ["unique", "UNIQUE"],
            false,
        ),
    ] {
        let parked = parks::<B>(url, FaultyEffect::making(mistake), says).await;
        assert_eq!(parked.retry_at.is_some(), again, "{mistake:?}");
    }
}

async fn an_effect_that_panics_beside_its_call_stops_no_other<B: Testable>(url: &str) {
    let effect = FaultyEffect {
        panics: true,
        ..FaultyEffect::making(Read(["SELECT 1 FROM nowhere"; 2]))
    };
    parks::<B>(url, effect, ["nowhere"; 2]).await;
}

/// An effect may use other pools and connections than the one of its transaction. That one still
/// answers, so our database is not the cause.
async fn an_error_that_is_not_of_our_connection_parks_its_event<B: Testable>(url: &str) {
    let errors: [fn() -> sqlx::Error; 4] = [
        || sqlx::Error::PoolTimedOut,
        || sqlx::Error::PoolClosed,
        || sqlx::Error::Io(std::io::ErrorKind::ConnectionRefused.into()),
        || sqlx::Error::Protocol("too many arguments for query: 70000".to_owned()),
    ];
    for error in errors {
        let parked = parks::<B>(url, FaultyEffect::making(Fail(error)), ["", ""]).await;
        assert!(parked.retry_at.is_some(), "{}", error());
    }
}

/// After that SQLite has ended the transaction, and would commit each statement that follows by itself.
async fn an_effect_that_hides_a_failed_statement_parks_its_event<B: Testable>(url: &str) {
    let effect = FaultyEffect::making(Ignore(FAILS_FOR_ALL));
    let mut scene = Scene::<B>::of(url, effect).await;
    scene.drain().await;
    let parked = scene.only_its_event_is_parked().await;
    assert!(parked.reason.unwrap().contains("transaction"));
    scene.applied_after_a_retry().await;
}

/// The event is alone, so that no other statement meets what the effect has done: PostgreSQL answers
/// `COMMIT` with `ROLLBACK` where a statement has failed, or with a warning where there is no transaction.
async fn an_effect_that_ends_its_transaction_parks_its_event<B: Testable>(url: &str) {
    for mistake in [
        Ignore(FAILS_FOR_ALL),
        Run(["ROLLBACK"; 2]),
        Run(["ROLLBACK; BEGIN"; 2]),
        Run(["COMMIT"; 2]),
        Ignore(["COMMIT"; 2]),
        Ignore(["COMMIT; BEGIN"; 2]),
    ] {
        let effect = FaultyEffect::making(mistake);
        let mut scene = Scene::<B>::with(url, effect, &[SUBJECT]).await;
        scene.drain().await;
        assert_eq!(effects(&scene.database).await.len(), 0, "{mistake:?}");
        let parked = scene.parked().await;
        let reason = parked[0].reason.as_deref().unwrap();
        assert!(reason.contains("transaction"), "{mistake:?}: {reason}");
        scene.effect.repair();
        let handle = scene.consumer.handle();
        handle.skip(&parked[0].id, "mended", "me").await.unwrap();
        assert_eq!(scene.parked().await.len(), 0);
    }
}

/// A `COMMIT` in the effect would commit the claims of events that it has not applied yet.
async fn an_effect_that_commits_loses_no_event<B: Testable>(url: &str) {
    let mistake = Run(["COMMIT"; 2]);
    parks::<B>(
        url,
        FaultyEffect::making(mistake),
        ["ended the transaction"; 2],
    )
    .await;
}

/// What records the event is our own statement, and the first one after the effect.
async fn an_event_passed_over_outside_the_transaction_is_no_skip<B: Testable>(url: &str) {
    for mistake in [
        Ignore(FAILS_FOR_ALL),
        Run(["ROLLBACK"; 2]),
        Run(["ROLLBACK; BEGIN"; 2]),
        Ignore(["COMMIT"; 2]),
    ] {
        let effect = FaultyEffect {
            passes_over: true,
            ..FaultyEffect::making(mistake)
        };
        let mut scene = Scene::<B>::with(url, effect, &[SUBJECT]).await;
        B::run(&scene.database, "DELETE FROM feed_skip").await;
        scene.drain().await;
        let skips = "SELECT count(*) FROM feed_skip";
        assert_eq!(B::numbers(&scene.database, skips).await, [0], "{mistake:?}");
        let parked = scene.parked().await;
        let reason = parked[0].reason.as_deref().unwrap();
        assert!(reason.contains("transaction"), "{mistake:?}: {reason}");
    }
}

async fn savepoints_are_no_end_of_the_transaction<B: Testable>(url: &str) {
    let sql = "SAVEPOINT a; DELETE FROM effect; ROLLBACK TO a; SAVEPOINT b; DELETE FROM feed_skip; RELEASE a";
    let mut scene = Scene::<B>::of(url, FaultyEffect::making(Run([sql; 2]))).await;
    scene.drain().await;
    assert_eq!(effects(&scene.database).await, urns(&scene.ids));
    assert_eq!(scene.parked().await.len(), 0);
}

async fn a_constraint_that_is_checked_at_commit_parks_its_event<B: Testable>(url: &str) {
    let database = consumer_database::<B>(url).await;
    let tables = "CREATE TABLE customer (id BIGINT PRIMARY KEY);
                  CREATE TABLE sale (customer BIGINT
                      REFERENCES customer (id) DEFERRABLE INITIALLY DEFERRED)";
    for table in tables.split(';') {
        B::run(&database, table).await;
    }
    let mistake = Run(["INSERT INTO sale VALUES (7)"; 2]);
    let says = ["sale_customer_fkey", "FOREIGN KEY"];
    let parked = parks::<B>(url, FaultyEffect::making(mistake), says).await;
    assert!(
        parked.retry_at.is_some(),
        "the customer may come with another event"
    );
}

/// In its own code, also where that blocks the thread while the server ends the session; and with a
/// statement, which is then cancelled.
async fn an_effect_out_of_time_parks_its_event<B: Testable>(url: &str) {
    for mistake in [
        Sleep(Duration::from_secs(600)),
        Block(
            LIMIT,
            [
                "SELECT pg_terminate_backend(pg_backend_pid())",
                "SELECT 1 FROM nowhere",
            ],
        ),
        Run(ENDLESS),
    ] {
        let effect = FaultyEffect {
            limit: LIMIT,
            ..FaultyEffect::making(mistake)
        };
        let parked = parks::<B>(url, effect, ["took longer than 2s"; 2]).await;
        assert!(parked.retry_at.is_some(), "{mistake:?}");
    }
}

/// A batch that takes longer than one event may is no reason to park any of its events.
async fn events_that_are_slow_together_are_applied_one_by_one<B: Testable>(url: &str) {
    let effect = FaultyEffect {
        limit: LIMIT,
        pace: Duration::from_millis(100),
        ..FaultyEffect::making(Sleep(Duration::ZERO))
    };
    let mut scene = Scene::<B>::of(url, effect).await;
    scene.drain().await;
    assert_eq!(effects(&scene.database).await, urns(&scene.ids));
}

/// A parked event that is tried again meets another mistake.
async fn a_parked_event_that_fails_otherwise_stays_parked<B: Testable>(url: &str) {
    let effect = FaultyEffect {
        limit: LIMIT,
        ..FaultyEffect::making(Read(["SELECT 1 FROM nowhere"; 2]))
    };
    let mut scene = Scene::<B>::of(url, effect).await;
    scene.drain().await;
    scene.only_its_event_is_parked().await;
    for (attempts, mistake) in [
        (2, Read(["SELECT 1 WHERE 1 = 0"; 2])),
        (3, Ignore(FAILS_FOR_ALL)),
        (4, Run(["COMMIT"; 2])),
        (5, Fail(|| sqlx::Error::PoolTimedOut)),
        (6, Run(ENDLESS)),
    ] {
        *scene.effect.mistake.lock().unwrap() = Some(mistake);
        scene
            .consumer
            .handle()
            .retry_selected(&feed_core::consumer::Selection::default(), "me")
            .await
            .unwrap();
        scene.publisher.publish(1).await;
        scene.drain().await;
        let parked = scene.parked().await;
        assert_eq!(parked[0].attempts, attempts, "{mistake:?}");
        assert_eq!(parked.len(), 3);
        assert_eq!(
            effects(&scene.database).await.len(),
            27 + attempts as usize - 1
        );
    }
    scene.effect.repair();
    scene
        .consumer
        .handle()
        .retry_selected(&feed_core::consumer::Selection::default(), "me")
        .await
        .unwrap();
    scene.publisher.publish(1).await;
    scene.drain().await;
    assert_eq!(effects(&scene.database).await.len(), 36);
}

/// Errors that say that the server is the cause, by its own words.
fn of_the_server<B: Testable>() -> Vec<Mistake> {
    match B::DIALECT {
        0 => vec![
            Run(["DO $$ BEGIN RAISE 'serialization' USING ERRCODE = '40001'; END $$"; 2]),
            Run(["DO $$ BEGIN RAISE 'deadlock' USING ERRCODE = '40P01'; END $$"; 2]),
            Run(["DO $$ BEGIN RAISE 'disk full' USING ERRCODE = '53100'; END $$"; 2]),
            Run(["SET TRANSACTION READ ONLY; DELETE FROM effect"; 2]),
            Run(["SELECT pg_terminate_backend(pg_backend_pid())"; 2]),
            Ignore(["SELECT pg_terminate_backend(pg_backend_pid())"; 2]),
        ],
        _ => vec![Run(["ATTACH '/nowhere/at/all' AS away"; 2])],
    }
}

async fn an_error_of_the_server_stops_the_round<B: Testable>(url: &str) {
    for mistake in of_the_server::<B>() {
        let mut scene = Scene::<B>::of(url, FaultyEffect::making(mistake).times(2)).await;
        for _ in 0..2 {
            let round = scene.consumer.poll_once().await;
            assert!(round.is_err(), "{mistake:?}: {round:?}");
            assert_eq!(effects(&scene.database).await.len(), 0, "{mistake:?}");
        }
        scene.drain().await;
        assert_eq!(
            effects(&scene.database).await,
            urns(&scene.ids),
            "{mistake:?}"
        );
        assert_eq!(scene.parked().await.len(), 0, "{mistake:?}");
    }
}

/// A server that the effect calls may be out of reach for one event alone, since that ends it. A parked one is retried
/// until it succeeds, and stops the others no more.
async fn an_event_for_which_something_is_always_out_of_reach_stops_no_other<B: Testable>(
    url: &str,
) {
    let mut scene = Scene::<B>::of(url, FaultyEffect::making(Mistake::Later)).await;
    for _ in 0..EffectError::MOST_ROUNDS {
        assert!(scene.consumer.poll_once().await.is_err());
        assert_eq!(scene.parked().await.len(), 0, "a restart takes as long");
    }
    scene.drain().await;
    let parked = scene.only_its_event_is_parked().await;
    let reason = parked.reason.as_deref();
    assert!(
        reason.is_some_and(|reason| reason.contains("nobody answers")),
        "{parked:?}"
    );
    needs_no_operator(&mut scene).await;
    scene.applied_after_a_retry().await;
}

/// However often the parked event has failed, it is retried again.
async fn needs_no_operator<B: Testable>(scene: &mut Scene<B>) {
    B::run(
        &scene.database,
        "UPDATE feed_parked SET attempts = 99 WHERE attempts > 0",
    )
    .await;
    let all = feed_core::consumer::Selection::default();
    let handle = scene.consumer.handle();
    handle.retry_selected(&all, "me").await.unwrap();
    until("it is retried", async || {
        scene.consumer.poll_once().await.unwrap();
        let first = scene.parked().await.remove(0);
        first.attempts > 99 && first.retry_at.is_some()
    })
    .await;
}

/// The tables of the effect may be on another disk than ours.
async fn an_event_for_whose_effect_there_is_no_room_needs_no_operator<B: Testable>(url: &str) {
    let effect = FaultyEffect::making(Run([
        "DO $$ BEGIN RAISE 'disk full' USING ERRCODE = '53100'; END $$",
        "PRAGMA max_page_count = 1; CREATE TABLE large AS SELECT zeroblob(4000000)",
    ]));
    let mut scene = Scene::<B>::of(url, effect).await;
    while scene.consumer.poll_once().await.is_err() {}
    scene.drain().await;
    scene.only_its_event_is_parked().await;
    needs_no_operator(&mut scene).await;
    scene.applied_after_a_retry().await;
}

/// An event whose effect ends the server's process, or comes to a deadlock with itself, looks like a
/// fault of the server each time.
async fn an_event_at_which_the_server_fails_each_time_is_parked<B: Testable>(url: &str) {
    for mistake in of_the_server::<B>() {
        let mut scene = Scene::<B>::of(url, FaultyEffect::making(mistake)).await;
        let mut rounds = 0;
        while scene.consumer.poll_once().await.is_err() {
            rounds += 1;
            assert!(rounds < 100, "{mistake:?}");
        }
        assert!(rounds >= 5, "{mistake:?}: {rounds}");
        scene.drain().await;
        scene.only_its_event_is_parked().await;
        scene.applied_after_a_retry().await;
    }
}

/// Two connections, each of which waits for what the other one has locked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadlock_with_another_transaction_parks_nothing() {
    use sqlx::Connection;
    let fresh = harness::FreshDatabase::postgres().await;
    let database = consumer_database::<Postgres>(fresh.url()).await;
    for sql in [
        "CREATE TABLE stock (item BIGINT PRIMARY KEY, left_over BIGINT)",
        "INSERT INTO stock VALUES (1, 0), (2, 0)",
    ] {
        Postgres::run(&database, sql).await;
    }
    let steps = "SET LOCAL deadlock_timeout = '3s'; SET LOCAL lock_timeout = 0;
                 UPDATE stock SET left_over = 1 WHERE item = 1;
                 UPDATE stock SET left_over = 1 WHERE item = 2";
    let effect = FaultyEffect::making(Run([steps; 2])).times(1);
    let mut scene = Scene::<Postgres>::of(fresh.url(), effect).await;
    let mut other = sqlx::PgConnection::connect(fresh.url()).await.unwrap();
    let mut tx = other.begin().await.unwrap();
    for sql in [
        "SET LOCAL deadlock_timeout = '60s'",
        "UPDATE stock SET left_over = 2 WHERE item = 2",
    ] {
        sqlx::query(sql).execute(&mut *tx).await.unwrap();
    }
    let waiting = async {
        crate::support::until_waiting(&database, 1).await;
        let crossing = "UPDATE stock SET left_over = 2 WHERE item = 1";
        sqlx::query(crossing).execute(&mut *tx).await.unwrap();
    };
    let (round, ()) = tokio::join!(scene.consumer.poll_once(), waiting);
    tx.commit().await.unwrap();
    assert!(round.is_err(), "{round:?}");
    scene.drain().await;
    assert_eq!(effects(&scene.database).await, urns(&scene.ids));
    assert_eq!(scene.parked().await.len(), 0);
}

/// The connection stops answering amid an effect; the server answers on others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_connection_parks_nothing() {
    let fresh = harness::FreshDatabase::postgres().await;
    let wire = harness::wire::Wire::before(fresh.url(), harness::wire::Lost::Request).await;
    let effect = FaultyEffect {
        limit: LIMIT,
        ..FaultyEffect::making(Run(["SELECT 'the last word'"; 2])).times(1)
    };
    let mut scene = Scene::<Postgres>::with(&wire.url, effect, &[SUBJECT]).await;
    wire.silence("the last word");
    let round = scene.consumer.poll_once().await;
    assert!(round.is_err(), "{round:?}");
    assert!(wire.is_silent());
    assert_eq!(scene.parked().await.len(), 0);
    // As the server does by itself, later.
    let admin = Database::<Postgres>::open(fresh.url()).await.unwrap();
    let silent = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                  WHERE datname = current_database() AND state = 'idle in transaction'";
    Postgres::run(&admin, silent).await;
    scene.drain().await;
    assert_eq!(effects(&scene.database).await, urns(&scene.ids));
    assert_eq!(scene.parked().await.len(), 0);
}
