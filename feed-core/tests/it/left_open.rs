//! Connections that come back to the pool of a host in the middle of a transaction: of a `begin` that was dropped half-way on
//! PostgreSQL, and of one that SQLite has ended by itself. Nothing of ours stays uncommitted there, and nothing stops.

use std::time::Duration;

use feed_core::{Database, DatabaseOptions, NewEvent};
use futures_util::future::join_all;
use harness::{FreshDatabase, tables};
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, Executor, PgPool, Pool, Postgres, Sqlite, SqlitePool};

use crate::faulty_effect::{FaultyEffect, Mistake, Scene};
use crate::host::Host;
use crate::mistakes::FAILS_FOR_ALL;
use crate::support::{
    BASE, Publisher, Recorder, create_effect_table, effects, serve, urns, waiting_consumer,
};

harness::on_both_databases! {
    a_feed_and_a_consumer_work_on
    an_effect_that_ends_its_transaction_stops_no_other
}

/// How a connection of a host comes back.
trait LeftOpen: Host {
    const HOW: &'static [&'static str];

    /// Has all connections of the pool come back in the middle of a transaction in which `sql` was executed.
    async fn leave_open(pool: &Pool<Self>, sql: &str);
}

impl LeftOpen for Postgres {
    const HOW: &'static [&'static str] = &["BEGIN", "BEGIN; SELECT 1", "BEGIN; SELECT 1 / 0"];

    async fn leave_open(pool: &PgPool, sql: &str) {
        // sqlx does not know of the transaction either if `begin` is dropped.
        let all = (0..pool.options().get_max_connections()).map(|_| pool.acquire());
        for connection in join_all(all).await {
            let _ = connection.unwrap().execute(AssertSqlSafe(sql)).await;
        }
        until_idle(pool).await;
    }
}

impl LeftOpen for Sqlite {
    const HOW: &'static [&'static str] = &["ROLLBACK"];

    async fn leave_open(pool: &SqlitePool, sql: &str) {
        let mut tx = pool.begin().await.unwrap();
        tx.execute(AssertSqlSafe(sql)).await.unwrap();
        drop(tx);
        until_idle(pool).await;
    }
}

async fn until_idle<B: sqlx::Database>(pool: &Pool<B>) {
    crate::support::until("all connections are back", async || {
        pool.num_idle() == pool.size() as usize
    })
    .await;
}

/// As small as it may be, so that all of its connections can be reached.
async fn postgres_pool(url: &str) -> PgPool {
    let pool = PgPoolOptions::new().max_connections(4);
    pool.connect(url).await.unwrap()
}

/// On connections of the host, whatever they were left in.
async fn a_feed_and_a_consumer_work_on<B: LeftOpen>(url: &str) {
    let pool = B::pool(url).await;
    let database = Database::with_pool(pool.clone(), DatabaseOptions::default());
    let database = database.await.unwrap();
    create_effect_table(&database).await;
    let publisher = Publisher::on(database.clone(), BASE).await;
    let feed = serve(publisher.feed.router()).await + "/feed";
    let waiting = waiting_consumer(&database, &feed, Recorder::default(), Duration::ZERO);
    let mut consumer = waiting.await;
    let mut ids = Vec::new();
    for how in B::HOW {
        B::leave_open(&pool, how).await;
        ids.extend(publisher.publish(3).await);
        B::leave_open(&pool, how).await;
        ids.extend(publisher.publish(3).await);
        for _ in 0..3 {
            consumer.poll_once().await.unwrap();
        }
        assert_eq!(effects(&database).await, urns(&ids), "{how}");
        B::leave_open(&pool, how).await;
        consumer.handle().pause("me", "to see").await.unwrap();
        B::leave_open(&pool, how).await;
        consumer.handle().unpause("me").await.unwrap();
        consumer.poll_once().await.unwrap();
    }
    database.ready().await.unwrap();
}

async fn an_effect_that_ends_its_transaction_stops_no_other<B: LeftOpen>(url: &str) {
    for mistake in [Mistake::Run(FAILS_FOR_ALL), Mistake::Ignore(FAILS_FOR_ALL)] {
        let database = Database::with_pool(B::pool(url).await, DatabaseOptions::default());
        let subjects: Vec<String> = (0..30).map(|n| format!("order/{}", n % 10)).collect();
        let subjects: Vec<&str> = subjects.iter().map(String::as_str).collect();
        let effect = FaultyEffect::making(mistake);
        let mut scene = Scene::<B>::on(database.await.unwrap(), effect, &subjects).await;
        scene.drain().await;
        scene.only_its_event_is_parked().await;
        scene.applied_after_a_retry().await;
    }
}

/// What a reader is shown would get other numbers after a rollback (I2, I3).
#[tokio::test]
async fn a_number_is_announced_when_it_is_committed() {
    for how in Postgres::HOW {
        let fresh = FreshDatabase::postgres().await;
        let other = Publisher::<Postgres>::open(fresh.url()).await;
        let pool = postgres_pool(fresh.url()).await;
        let database = Database::with_pool(pool.clone(), DatabaseOptions::default());
        let publisher = Publisher::on(database.await.unwrap(), BASE).await;
        for numbered in 1..=3 {
            other
                .commit_unnumbered(&NewEvent::new("order.placed", "order/1", "{}"))
                .await;
            Postgres::leave_open(&pool, how).await;
            publisher.feed.publish().await.unwrap();
            assert_eq!(publisher.feed.cursor().sequence, numbered, "{how}");
            let committed = tables::number(fresh.url(), "SELECT sequence FROM feed_head").await;
            assert_eq!(committed, numbered, "{how}");
        }
    }
}

/// The host has begun it by a statement of its own, or got none from a `begin` that it has dropped.
#[tokio::test]
async fn what_was_executed_in_a_transaction_that_nobody_has_is_committed() {
    let fresh = FreshDatabase::postgres().await;
    let pool = postgres_pool(fresh.url()).await;
    let database = Database::with_pool(pool.clone(), DatabaseOptions::default());
    let database = database.await.unwrap();
    Postgres::execute_raw(&pool, "CREATE TABLE own (id BIGINT)").await;
    Postgres::leave_open(&pool, "BEGIN; INSERT INTO own VALUES (1)").await;
    for tx in join_all((0..4).map(|_| database.begin())).await {
        tx.unwrap().commit().await.unwrap();
    }
    let committed = "SELECT count(*) FROM own";
    assert_eq!(tables::number(fresh.url(), committed).await, 4);

    Postgres::leave_open(&pool, "BEGIN; SELECT 1 / 0").await;
    database.begin().await.unwrap().commit().await.unwrap();
    // Those that could not be healed are closed.
    for tx in join_all((0..4).map(|_| pool.begin())).await {
        tx.unwrap().commit().await.unwrap();
    }
}

/// The pool has been in that state when feed-core gets it.
#[tokio::test]
async fn a_pool_with_open_transactions_is_taken() {
    let fresh = FreshDatabase::postgres().await;
    let pool = postgres_pool(fresh.url()).await;
    for how in Postgres::HOW {
        Postgres::leave_open(&pool, how).await;
        let database = Database::with_pool(pool.clone(), DatabaseOptions::default());
        let publisher = Publisher::on(database.await.unwrap(), BASE).await;
        publisher.publish(1).await;
    }
    let head = "SELECT sequence FROM feed_head";
    assert_eq!(tables::number(fresh.url(), head).await, 3);
}
