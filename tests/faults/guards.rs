//! Situations in which one guard decides. Each test passes as long as that guard exists; the
//! patches in `controls/` remove the guards one by one, and then the test must fail.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use harness::tap::{Held, Tap};
use harness::{Backend, PARTITIONS, tables, until};
use sqlx::{AssertSqlSafe, Connection, Executor, SqliteConnection};
use tokio_util::sync::CancellationToken;

use crate::checker::assert_no_violations;
use crate::life::Life;
use crate::locks::another_session;
use crate::plan::{Fault, Plan, Whose};

/// The data of a batch reaches an instance only after another one has taken its partitions over and
/// has moved their cursors further: the late one is fenced.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_frozen_past_its_lease_writes_nothing() {
    let plan = Plan::quiet(Backend::Postgres, [1, 0, 1]);
    let mut life = Life::start(&plan, "frozen").await;
    let tap = Tap::before(&life.fleet.front.url).await;
    tap.link_to_data();
    let group = life.fleet.group(Whose::Invoice);
    group.settings.push(("FEED_URL", tap.url("feed")));
    group.wanted = 1;
    group.launch();
    group.settings.pop();
    group.cluster.spread(&["invoice1"]).await;
    tap.hold(Held::Answer, "/batch/");
    tap.waiting().await;
    let group = life.fleet.group(Whose::Invoice);
    group.running[0].process.signal("STOP");
    group.wanted = 2;
    // The late batch ends here at the latest.
    let newest = "SELECT sequence FROM feed_head";
    let newest = tables::number(life.fleet.url(Whose::Order), newest).await;
    life.until("the other one is further", async |fleet| {
        let cluster = &fleet.groups[Whose::Invoice as usize].cluster;
        cluster.held("invoice2").await == PARTITIONS && cluster.lowest().await > newest
    })
    .await;
    let asked = tap.asked().len();
    tap.open();
    life.fleet.group(Whose::Invoice).running[0]
        .process
        .signal("CONT");
    life.until("the late one asks again", async |_| {
        tap.asked().len() > asked
    })
    .await;
    assert_no_violations(&life.end().await);
}

/// Orders come in bursts, each at another moment of its second, and a reader by date requests within that; then for a while no
/// event follows that would reveal what it has missed. What it relies on in the next burst is the date of a second that is closed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_that_is_not_closed_hides_no_event() {
    let plan = Plan::quiet(Backend::Sqlite, [1, 1, 1]);
    let mut life = Life::start(&plan, "bursts").await;
    for burst in 0..5 {
        life.quiet(false);
        life.last(Duration::from_millis(400)).await;
        life.quiet(true);
        life.last(Duration::from_millis(2_600 + 170 * burst)).await;
        life.until_dated().await;
    }
    assert_no_violations(&life.end().await);
}

/// One of two instances dies before it has applied everything, and no new event follows: the other
/// one, whose own partitions are at the head, takes the partitions over and must not conclude that
/// nothing is new.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_that_are_behind_are_taken_over() {
    let plan = Plan::quiet(Backend::Postgres, [1, 2, 1]);
    let mut life = Life::start(&plan, "taken-over").await;
    let url = life.fleet.url(Whose::Invoice).to_owned();
    let cluster = &life.fleet.groups[Whose::Invoice as usize].cluster;
    cluster.spread(&["invoice1", "invoice2"]).await;
    let group = life.fleet.group(Whose::Invoice);
    group.wanted = 1;
    group.kill(1);
    life.last(Duration::from_millis(700)).await;
    life.quiet(true);
    until("the other one is at the head", async || {
        let stored = "SELECT count(*) FROM feed_partition WHERE etag IS NOT NULL
                      AND sequence = (SELECT max(sequence) FROM feed_partition)";
        (tables::number(&url, stored).await >= 8).then_some(())
    })
    .await;
    assert_no_violations(&life.end().await);
}

/// Another program writes to the file all the time, a little: no request fails because of that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_writer_makes_no_request_fail() {
    let plan = Plan::quiet(Backend::Sqlite, [1, 1, 1]);
    let mut life = Life::start(&plan, "other-writer").await;
    let url = life.fleet.url(Whose::Order).to_owned();
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let times = Arc::new(AtomicUsize::new(0));
    let written = Arc::clone(&times);
    let writing = tokio::spawn(async move {
        let mut connection = SqliteConnection::connect(&url).await.unwrap();
        let quick = "PRAGMA synchronous = OFF; PRAGMA busy_timeout = 10000;
                     CREATE TABLE test_writer AS SELECT 1 AS n";
        connection.execute(quick).await.unwrap();
        while !stopped.is_cancelled() {
            let little = "UPDATE test_writer SET n = n + 1";
            connection.execute(little).await.unwrap();
            written.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    life.last(Duration::from_secs(4)).await;
    life.until("the other writer writes", async |_| {
        times.load(Ordering::Relaxed) > 20
    })
    .await;
    stop.cancel();
    writing.await.unwrap();
    let directory = life.end().await;
    let history = std::fs::read_to_string(directory.join("history.jsonl")).unwrap();
    let failed = history.lines().find(|line| line.contains("\"status\":5"));
    assert_eq!(failed, None, "a request failed");
    assert_no_violations(&directory);
}

/// What an application inserts into the outbox by SQL: an event of an order that cannot be applied.
fn event_of(order: i64, kind: &str) -> String {
    format!(
        "INSERT INTO feed_outbox (event_type, subject, data)
         VALUES ('{kind}', 'order/{order}', '{{\"id\": {order}, \"poison\": true}}')"
    )
}

/// Waits until the next event would be numbered inside its own COMMIT, since it is alone.
async fn is_alone(life: &mut Life) {
    let url = life.fleet.url(Whose::Order).to_owned();
    life.until("an order is placed", async |_| {
        tables::number(&url, "SELECT sequence FROM feed_head").await > 0
    })
    .await;
    life.quiet(true);
    let alone = "SELECT count(*) FROM feed_head WHERE updated < clock_timestamp() - INTERVAL '300 milliseconds'
                 AND NOT EXISTS (SELECT FROM feed_outbox)";
    life.until("nothing is numbered", async |_| {
        tables::number(&url, alone).await == 1
    })
    .await;
}

/// An application has a snapshot from before an order was placed, and cancels that order: its COMMIT must not number the event
/// that it sees before the one that it does not see.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_with_an_older_snapshot_numbers_nothing() {
    let life = quiet_life("older-snapshot").await;
    assert_no_violations(&with_an_older_snapshot(life).await);
}

/// One instance of each service.
pub(crate) async fn quiet_life(name: &str) -> Life {
    Life::start(&Plan::quiet(Backend::Postgres, [1, 1, 1]), name).await
}

pub(crate) async fn with_an_older_snapshot(mut life: Life) -> PathBuf {
    is_alone(&mut life).await;
    let url = life.fleet.url(Whose::Order).to_owned();
    // The sequencer would be too quick.
    let process = |life: &mut Life, signal| {
        life.fleet.group(Whose::Order).running[0]
            .process
            .signal(signal);
    };
    process(&mut life, "STOP");
    let snapshot =
        "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM feed_outbox";
    let mut cancelling = another_session(&url, snapshot).await;
    let order = 1_900_000;
    tables::run(&url, &event_of(order, "order.placed")).await;
    for statement in [event_of(order, "order.cancelled"), "COMMIT".to_owned()] {
        cancelling.execute(AssertSqlSafe(statement)).await.unwrap();
    }
    process(&mut life, "CONT");
    life.quiet(false);
    life.end().await
}

/// An application has inserted an event, and does nothing until its COMMIT: it must not hold the head until then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_that_stalls_before_its_commit_delays_no_other() {
    let life = quiet_life("stalled").await;
    assert_no_violations(&with_a_stalled_application(life).await);
}

pub(crate) async fn with_a_stalled_application(mut life: Life) -> PathBuf {
    is_alone(&mut life).await;
    let url = life.fleet.url(Whose::Order).to_owned();
    let stalled = another_session(&url, &event_of(1_900_000, "order.placed")).await;
    life.quiet(false);
    life.fleet.history.mark("stall");
    life.last(Duration::from_secs(4)).await;
    life.fleet.history.mark("stalled");
    stalled.close().await.unwrap();
    life.end().await
}

/// A webhook fails in each way, before it has acted and after: it gets each event, in sequence, and hardly more often than
/// needed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_that_fails_in_each_way_gets_each_event() {
    let mut plan = Plan::quiet(Backend::Sqlite, [1, 1, 1]).with_webhook();
    // Each event has a transaction of its own: no more than a loaded machine sends.
    plan.pauses = vec![300; 2];
    let mut life = Life::start(&plan, "webhook").await;
    life.until("it has failed in each way", async |fleet| {
        let file = fleet.directory.join("webhook.jsonl");
        let received = std::fs::read_to_string(file).unwrap();
        let ways = [
            "ActsTwice",
            "ActsAndDies",
            "ActsAndBreaks",
            "ActsAndHangs",
            "Declines(4",
            "Declines(50",
            "\"Dies",
            "\"Hangs",
        ];
        ways.iter().all(|way| received.contains(way))
    })
    .await;
    assert_no_violations(&life.end().await);
}

/// A backlog is taken in larger and larger batches, from documents with the data of their events.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backlog_is_taken_in_grown_batches() {
    let plan = Plan::quiet(Backend::Postgres, [1, 1, 1]);
    let mut life = Life::start(&plan, "grown").await;
    is_alone(&mut life).await;
    let tap = Tap::before(&life.fleet.front.url).await;
    let feed = tap.url("feed");
    let invoices = life.fleet.group(Whose::Invoice);
    invoices.settings.push(("FEED_URL", feed));
    life.fleet.inject(Fault::Burst(3_000)).await;
    life.quiet(false);
    let url = life.fleet.url(Whose::Invoice).to_owned();
    let largest = "SELECT COALESCE(max(count), 0)
                   FROM (SELECT count(*) FROM test_audit WHERE what = 'claim' GROUP BY tx) AS batch";
    life.until("a batch has grown", async |_| {
        tables::number(&url, largest).await > 100
    })
    .await;
    let asked = tap.asked();
    assert!(
        !asked.iter().any(|target| target.contains("/batch/")),
        "{asked:?}"
    );
    assert_no_violations(&life.end().await);
}

/// One of two order services is frozen, and gets a request before it wakes up: it must not answer
/// from its older state.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_service_that_was_frozen_hides_no_event() {
    let plan = Plan::quiet(Backend::Postgres, [2, 1, 1]);
    let mut life = Life::start(&plan, "slept").await;
    life.last(Duration::from_secs(1)).await;
    life.quiet(true);
    life.last(Duration::from_secs(1)).await;
    let client = life.fleet.group(Whose::Order).running[0].client.clone();
    for _ in 0..3 {
        let tag = client.get("feed", &[]).await.header("etag").to_owned();
        life.fleet.group(Whose::Order).running[0]
            .process
            .signal("STOP");
        let there = life.fleet.group(Whose::Order).running[1].client.clone();
        harness::load::place(&there, 2_000_000).await.unwrap();
        life.last(Duration::from_secs(2)).await;
        let asking = (0..20).map(|_| {
            let (client, tag) = (client.clone(), tag.clone());
            tokio::spawn(async move { client.get("feed", &[("if-none-match", &tag)]).await })
        });
        let asking: Vec<_> = asking.collect();
        life.last(Duration::from_millis(300)).await;
        life.fleet.group(Whose::Order).running[0]
            .process
            .signal("CONT");
        for answer in asking {
            assert_eq!(answer.await.unwrap().status, 200, "an event is hidden");
        }
    }
}

/// An order service without its database does not know what others publish: it answers that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_service_without_its_database_hides_no_event() {
    let plan = Plan::quiet(Backend::Postgres, [1, 1, 1]);
    let mut life = Life::start(&plan, "blind").await;
    life.last(Duration::from_secs(1)).await;
    life.quiet(true);
    life.last(Duration::from_secs(1)).await;
    let client = life.fleet.group(Whose::Order).running[0].client.clone();
    let tag = client.get("feed", &[]).await.header("etag").to_owned();
    life.fleet.history.fault("the database is away");
    let server = life.fleet.server.as_ref().unwrap();
    server.stop("immediate").await;
    until("it says so", async || {
        let answer = client.get("feed", &[("if-none-match", &tag)]).await;
        (answer.status == 503).then_some(())
    })
    .await;
    server.launch().await;
    until("it knows again", async || {
        // An order may have been in flight.
        let tag = client.get("feed", &[]).await.header("etag").to_owned();
        let answer = client.get("feed", &[("if-none-match", &tag)]).await;
        (answer.status == 304).then_some(())
    })
    .await;
    life.quiet(false);
    assert_no_violations(&life.end().await);
}
