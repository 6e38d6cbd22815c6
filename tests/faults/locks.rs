//! Another session holds what others need: a row of an order, the head, a partition, a transaction
//! that stays open. Requests that do not need it are as fast as before (V10).

use std::time::Duration;

use futures_util::future::join_all;
use harness::{Backend, PARTITIONS, load, patiently, tables};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::checker::assert_no_violations;
use crate::fleet::Fleet;
use crate::life::Life;
use crate::plan::{Plan, Whose};

/// How long locks are held: longer than a client waits for a connection. `HELD=60` for longer.
fn held() -> Duration {
    let seconds = std::env::var("HELD").map_or(6, |seconds| seconds.parse().unwrap());
    Duration::from_secs(seconds)
}

/// Another session, with an open transaction.
pub(crate) async fn another_session(url: &str, sql: &str) -> PgConnection {
    let mut connection = PgConnection::connect(url).await.unwrap();
    connection
        .execute(AssertSqlSafe(format!("BEGIN; {sql}")))
        .await
        .unwrap();
    connection
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_order_delays_no_other() {
    let plan = Plan::quiet(Backend::Postgres, [1, 1, 1]);
    an_order_is_locked(&plan, "locked-order").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_order_delays_no_other_without_rust() {
    if let Some(plan) = Plan::quiet(Backend::Postgres, [1, 1, 1]).without_rust() {
        an_order_is_locked(&plan, "locked-order-without-rust").await;
    }
}

/// More clients than there are connections cancel an order that is locked, by a prepared
/// transaction without a session. Others stay open: one that reads, and one that writes to another
/// database.
async fn an_order_is_locked(plan: &Plan, name: &str) {
    let mut life = Life::start(plan, name).await;
    let url = life.fleet.url(Whose::Order).to_owned();
    let client = harness::Client::new(&life.fleet.front.url);
    // One that our clients do not know.
    let id = load::place(&client, 3_000_000).await.unwrap();
    let lock = format!("SELECT FROM orders WHERE id = {id} FOR UPDATE; PREPARE TRANSACTION 'lock'");
    another_session(&url, &lock).await.close().await.unwrap();
    let reader = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM orders";
    let reader = another_session(&url, reader).await;
    let writer = "SELECT pg_current_xact_id()";
    let writer = another_session(life.fleet.url(Whose::Invoice), writer).await;
    let cancelling = tokio::spawn(async move {
        let path = format!("order/{id}");
        let cancels = (0..24).map(|_| client.try_send("DELETE", &path, &[], ""));
        join_all(cancels).await
    });
    patiently("they wait", async || {
        let waiting = "SELECT count(*) FROM pg_stat_activity
                       WHERE datname = current_database() AND wait_event_type = 'Lock'";
        (tables::number(&url, waiting).await >= 1).then_some(())
    })
    .await;
    life.fleet.history.mark("stall");
    life.last(held()).await;
    life.fleet.history.mark("stalled");
    tables::run(&url, "ROLLBACK PREPARED 'lock'").await;
    for open in [reader, writer] {
        open.close().await.unwrap();
    }
    cancelling.await.unwrap();
    assert_no_violations(&life.end().await);
}

/// Nothing is numbered while another session holds the head; orders are placed all the same, and
/// are in the feed as soon as it is released.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_head_stops_no_order() {
    let plan = Plan::quiet(Backend::Postgres, [2, 1, 1]);
    let mut life = Life::start(&plan, "locked-head").await;
    let url = life.fleet.url(Whose::Order).to_owned();
    life.last(Duration::from_secs(1)).await;
    let lock = another_session(&url, "SELECT FROM feed_head FOR UPDATE").await;
    let orders = "SELECT count(*) FROM orders";
    let before = tables::number(&url, orders).await;
    life.last(held()).await;
    life.until("orders are placed", async |_| {
        tables::number(&url, orders).await - before > 20
    })
    .await;
    lock.close().await.unwrap();
    assert_no_violations(&life.end().await);
}

/// Deferred triggers run before PREPARE TRANSACTION, and its locks stay until an operator decides: an
/// event in such a transaction is not numbered there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prepared_event_does_not_hold_the_head() {
    let plan = Plan::quiet(Backend::Postgres, [1, 1, 1]);
    let mut life = Life::start(&plan, "prepared-event").await;
    let url = life.fleet.url(Whose::Order).to_owned();
    let event = "INSERT INTO feed_outbox (event_type, subject, title, summary, link, data)
                 VALUES ('order.placed', 'order/0', '', '', '', '{}');
                 PREPARE TRANSACTION 'event'";
    another_session(&url, event).await.close().await.unwrap();
    let newest = "SELECT sequence FROM feed_head";
    let before = tables::number(&url, newest).await;
    life.until("other events are numbered", async |_| {
        tables::number(&url, newest).await - before > 20
    })
    .await;
    tables::run(&url, "ROLLBACK PREPARED 'event'").await;
    assert_no_violations(&life.end().await);
}

/// A commit that waits for a synchronous standby keeps the lock of the head, whether the event is
/// numbered there or by the sequencer. Nothing is acknowledged meanwhile, and nothing is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_that_does_not_answer_loses_no_event() {
    let plan = Plan::quiet(Backend::Postgres, [2, 1, 1]);
    let mut life = Life::start(&plan, "standby").await;
    let url = life.fleet.url(Whose::Order).to_owned();
    life.last(Duration::from_secs(1)).await;
    let waits_for = async |standbys: &str| {
        let set = format!("ALTER SYSTEM SET synchronous_standby_names = '{standbys}'");
        tables::run(&url, &set).await;
        tables::run(&url, "SELECT pg_reload_conf()").await;
    };
    waits_for("missing").await;
    let stalled = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    life.until("a commit waits", async |_| {
        tables::number(&url, stalled).await > 0
    })
    .await;
    life.last(held()).await;
    waits_for("").await;
    assert_no_violations(&life.end().await);
}

/// An instance that waits for a partition delays its own partitions, and not those of another
/// instance.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_partition_delays_one_instance() {
    let plan = Plan::quiet(Backend::Postgres, [1, 2, 1]);
    let mut life = Life::start(&plan, "locked-partition").await;
    let url = life.fleet.url(Whose::Invoice).to_owned();
    let cluster = &life.fleet.groups[Whose::Invoice as usize].cluster;
    cluster.spread(&["invoice1", "invoice2"]).await;
    let lock = "SELECT FROM feed_partition WHERE partition =
                (SELECT min(partition) FROM feed_partition WHERE lease_owner LIKE 'invoice1-%')
                FOR UPDATE";
    let lock = another_session(&url, lock).await;
    let ahead = "SELECT count(*) FROM feed_partition
                 WHERE sequence > (SELECT min(sequence) FROM feed_partition)";
    life.until("the partitions of the other one continue", async |_| {
        tables::number(&url, ahead).await >= PARTITIONS / 2
    })
    .await;
    life.last(held()).await;
    lock.close().await.unwrap();
    assert_no_violations(&life.end().await);
}

/// A database that is slow for everything, and slowest for one order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "not quick: tests/long faults"]
async fn a_slow_database_loses_nothing() {
    let plan = Plan::quiet(Backend::Postgres, [1, 2, 1]);
    let mut life = Life::start(&plan, "slow").await;
    for (whose, table) in [
        (Whose::Order, "orders"),
        (Whose::Invoice, "feed_claim"),
        (Whose::Shipping, "shipment"),
    ] {
        let slow = format!(
            "CREATE FUNCTION test_slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 PERFORM pg_sleep(0.02 + 2 * (random() < 0.02)::int); RETURN NULL;
             END $$;
             CREATE TRIGGER test_slow AFTER INSERT ON {table}
                 FOR EACH STATEMENT EXECUTE FUNCTION test_slow()"
        );
        tables::run(life.fleet.url(whose), &slow).await;
    }
    life.last(held()).await;
    assert_no_violations(&life.end().await);
}

/// The server has fewer connections than the instances want.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "not quick: tests/long faults"]
async fn too_few_connections_lose_nothing() {
    let plan = Plan::quiet(Backend::Postgres, [2, 4, 2]);
    let mut fleet = Fleet::prepare(&plan, "few-connections").await;
    // Three are reserved for superusers, as we are and they are not.
    let few = "CREATE ROLE service LOGIN; ALTER SYSTEM SET max_connections = 26";
    for sql in few.split(';') {
        tables::run(fleet.url(Whose::Order), sql).await;
    }
    for group in &mut fleet.groups {
        let url = group.cluster.database.url();
        let grants = "GRANT ALL ON SCHEMA public TO service;
                      GRANT ALL ON ALL TABLES IN SCHEMA public TO service;
                      GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO service";
        tables::run(url, grants).await;
        group.cluster.database_url = url.replace("//postgres@", "//service@");
    }
    let server = fleet.server.as_ref().unwrap();
    server.stop("fast").await;
    server.launch().await;
    fleet.supervise();
    let mut life = Life::of(fleet, &plan);
    life.last(held()).await;
    let mut instances = life.fleet.groups.iter().flat_map(|group| &group.running);
    let refused = instances.any(|instance| instance.process.log().contains("pool timed out"));
    assert!(refused, "there were enough");
    // As an operator would who is woken up by that.
    let history = life.fleet.history.clone();
    for group in &mut life.fleet.groups {
        group.scale(1, &history).await;
    }
    assert_no_violations(&life.end().await);
}
