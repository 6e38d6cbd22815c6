//! Connections to PostgreSQL that fall silent: nothing waits for them for long, and no transaction outlives its caller.

use std::time::Duration;

use feed_core::consumer::{
    Compared, DecideError, Handle, Period, Reconcile, ReconcileError, reconcile,
};
use feed_core::transfer::{Import, TransferError, export, import};
use feed_core::{Database, DatabaseOptions, Received, Subscription};
use futures_util::future::join_all;
use harness::wire::{Lost, Wire};
use harness::{FreshDatabase, tables};
use sqlx::migrate::Migrate;
use sqlx::postgres::PgPoolOptions;
use sqlx::{Executor, PgPool, Pool, Postgres};

use crate::support::{BASE, Publisher, Recorder, consumer, consumer_database, serve, until};

/// Shorter than any limit of ours.
const IMPATIENT: Duration = Duration::from_millis(200);

async fn wire_before(fresh: &FreshDatabase) -> Wire {
    Wire::before(fresh.url(), Lost::Request).await
}

/// A pool of a host, as small as it may be.
async fn pool(url: &str) -> PgPool {
    let pool = PgPoolOptions::new().max_connections(4);
    pool.connect(url).await.unwrap()
}

async fn until_idle(pool: &Pool<Postgres>) {
    until("all connections are back", async || {
        pool.num_idle() == pool.size() as usize
    })
    .await;
}

/// The server is there again at once, for new connections.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_that_have_gone_leave_no_silent_connection_in_the_pool() {
    let fresh = FreshDatabase::postgres().await;
    let wire = wire_before(&fresh).await;
    let database = Database::<Postgres>::open(&wire.url).await.unwrap();
    let pool = database.reader();
    let all = 0..pool.options().get_max_connections();
    let held = join_all(all.clone().map(|_| pool.acquire())).await;
    drop(held);
    until_idle(pool).await;
    wire.silence_all();
    let asked = all.map(|_| tokio::time::timeout(IMPATIENT, pool.execute("SELECT 1")));
    for asked in join_all(asked).await {
        assert!(asked.is_err(), "{asked:?}");
    }
    // Within the time that a request waits for a connection.
    pool.execute("SELECT 1").await.unwrap();
}

/// PostgreSQL answers `BEGIN` later than we wait for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_begins_too_late_is_not_open_in_the_pool_of_a_host() {
    let fresh = FreshDatabase::postgres().await;
    let wire = wire_before(&fresh).await;
    let pool = pool(&wire.url).await;
    let database = Database::with_pool(pool.clone(), DatabaseOptions::default());
    let database = database.await.unwrap();
    wire.silence("BEGIN ISOLATION");
    let late = database.begin().await;
    assert!(matches!(late, Err(sqlx::Error::Io(_))), "{late:?}");
    wire.resume();
    until_idle(&pool).await;
    let open = "SELECT count(*) FROM pg_stat_activity
                WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
    assert_eq!(tables::number(fresh.url(), open).await, 0);
}

/// The host stops waiting for the start, while migrations wait for those of another instance.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_that_is_given_up_leaves_no_lock_in_the_pool_of_a_host() {
    let fresh = FreshDatabase::postgres().await;
    let mut other = tables::postgres(fresh.url()).await;
    other.lock().await.unwrap();
    let pool = pool(fresh.url()).await;
    let start = Database::with_pool(pool.clone(), DatabaseOptions::default());
    let start = tokio::spawn(start);
    let locks = async |count| {
        let locks = "SELECT count(*) FROM pg_locks JOIN pg_database ON database = pg_database.oid
                     WHERE locktype = 'advisory' AND datname = current_database()";
        until("locks are held or awaited", async || {
            tables::number(fresh.url(), locks).await == count
        })
        .await;
    };
    locks(2).await;
    start.abort();
    other.unlock().await.unwrap();
    locks(0).await;
}

/// What a migrating session sends once it holds the lock that all starts wait for.
const AFTER_THE_LOCK: &str = "SET lock_timeout = '2s'";

/// Well below the limits of the system, and of migrations.
async fn soon<T>(work: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(Duration::from_secs(60), work).await;
    done.expect("it ends")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn migrations_are_tried_again_when_their_connection_falls_silent() {
    let silenced = [
        "pg_advisory_lock",
        AFTER_THE_LOCK,
        "_feed_migrations ORDER BY version",
        "CREATE TABLE feed_outbox",
    ];
    let starts = silenced.map(async |text| {
        let fresh = FreshDatabase::postgres().await;
        let wire = wire_before(&fresh).await;
        wire.silence(text);
        soon(Database::<Postgres>::open(&wire.url)).await.unwrap();
        assert!(wire.is_silent(), "{text}");
    });
    join_all(starts).await;
}

/// The machine of the start has lost its power: it sends nothing more, and the server does not know.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_that_has_disappeared_keeps_no_other_waiting() {
    let fresh = FreshDatabase::postgres().await;
    let wire = wire_before(&fresh).await;
    wire.silence(AFTER_THE_LOCK);
    let url = wire.url.clone();
    let start = tokio::spawn(async move { Database::<Postgres>::open(&url).await });
    until("it is silent", async || wire.is_silent()).await;
    start.abort();
    soon(Database::<Postgres>::open(fresh.url())).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_without_migrations_to_run_waits_for_none() {
    let fresh = FreshDatabase::postgres().await;
    Database::<Postgres>::open(fresh.url()).await.unwrap();
    let mut other = tables::postgres(fresh.url()).await;
    other.lock().await.unwrap();
    soon(Database::<Postgres>::open(fresh.url())).await.unwrap();
    other.unlock().await.unwrap();
}

/// Waits until a connection is silent; `all` are then.
async fn silent(wire: &Wire, all: bool) {
    until("it is silent", async || wire.is_silent()).await;
    if all {
        wire.silence_all();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transfer_ends_when_its_connection_falls_silent() {
    let (source, target) = (
        FreshDatabase::postgres().await,
        FreshDatabase::postgres().await,
    );
    let publisher = Publisher::<Postgres>::open(source.url()).await;
    publisher.publish(3).await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("export");
    export(&publisher.database, &[], &file).await.unwrap();
    // The server ends the transaction, and says so unless all is silent.
    let exporting = [true, false];
    let exporting = exporting.map(async |all| {
        let wire = wire_before(&source).await;
        let database = Database::<Postgres>::open(&wire.url).await.unwrap();
        wire.silence("transfer::rows");
        let unfinished = directory.path().join(all.to_string());
        let exporting = soon(export(&database, &[], &unfinished));
        let (failed, ()) = tokio::join!(exporting, silent(&wire, all));
        match failed.unwrap_err() {
            TransferError::Database(sqlx::Error::Io(_)) if all => {}
            TransferError::Database(sqlx::Error::Database(_)) if !all => {}
            error => panic!("{error:?}"),
        }
        assert!(!unfinished.exists());
    });
    let importing = async {
        let wire = wire_before(&target).await;
        let database = Database::<Postgres>::open(&wire.url).await.unwrap();
        wire.silence("transfer::insert");
        let importing = soon(import(&database, &[], &file, Import::ForGood));
        let (failed, ()) = tokio::join!(importing, silent(&wire, true));
        assert!(
            matches!(failed, Err(TransferError::Database(sqlx::Error::Io(_)))),
            "{failed:?}"
        );
        until("nothing of it is left", async || {
            let target = Database::<Postgres>::open(target.url()).await.unwrap();
            import(&target, &[], &file, Import::OnTrial).await.is_ok()
        })
        .await;
    };
    tokio::join!(join_all(exporting), importing);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_that_falls_silent_with_all_others_is_replaced() {
    let fresh = FreshDatabase::postgres().await;
    a_silent_listener_is_replaced(&fresh, Wire::silence_all).await;
}

/// A firewall forgets the connection first that is idle for longest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_that_falls_silent_alone_is_replaced() {
    let confirms = |wire: &Wire| wire.silence("listener::confirm");
    let fresh = FreshDatabase::postgres().await;
    let database = a_silent_listener_is_replaced(&fresh, confirms).await;
    // Its place in the pool is free again. Where others are silent too, sqlx 0.9.0 may wait for one that it has just
    // taken back.
    let pool = database.reader();
    let all = 1..pool.options().get_max_connections();
    for one in join_all(all.map(|_| pool.acquire())).await {
        one.unwrap();
    }
}

/// Listening is only waiting: nothing else says that the connection is dead.
async fn a_silent_listener_is_replaced(
    fresh: &FreshDatabase,
    silence: impl FnOnce(&Wire),
) -> Database<Postgres> {
    let wire = wire_before(fresh).await;
    let database = Database::<Postgres>::open(&wire.url).await.unwrap();
    let publisher = Publisher::on(database.clone(), BASE).await;
    tokio::spawn(publisher.feed.clone().run());
    let listening = "SELECT count(*) FROM pg_stat_activity
                     WHERE datname = current_database() AND query LIKE 'LISTEN%'";
    let listen = async |count| {
        until("it listens", async || {
            tables::number(fresh.url(), listening).await >= count
        })
        .await;
    };
    listen(1).await;
    silence(&wire);
    // Beside that of before, whose server knows nothing.
    listen(2).await;
    database
}

/// Compares nothing.
#[derive(Default)]
struct Nothing;

impl Reconcile<Postgres> for Nothing {
    fn expect(&mut self, _: &Received, _: bool) -> Result<(), String> {
        Ok(())
    }

    async fn compare(self, _: &Database<Postgres>) -> sqlx::Result<Compared> {
        Ok(Compared::default())
    }
}

/// No request waits for these, which would end them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn comparisons_decisions_and_sweeps_end_when_their_connections_fall_silent() {
    let fresh = FreshDatabase::postgres().await;
    let publisher = Publisher::<Postgres>::open(fresh.url()).await;
    let feed = serve(publisher.feed.router()).await + "/feed";
    let wire = wire_before(&fresh).await;
    let database = consumer_database::<Postgres>(&wire.url).await;
    let consumer = consumer(&database, &feed, Recorder::default()).await;
    let handle = consumer.handle();
    wire.silence("subscription::set_reconciled");
    let comparing = tokio::spawn(async move {
        reconcile::<_, Nothing>(&handle, Period::default(), |_, _| ()).await
    });
    silent(&wire, false).await;
    wire.silence("undo::sweep");
    let running = tokio::spawn(consumer.run());
    silent(&wire, false).await;
    let other = wire_before(&fresh).await;
    let database = Database::<Postgres>::open(&other.url).await.unwrap();
    let subscription = Subscription::new("order", feed.parse().unwrap());
    let operator = Handle::open(database, subscription).await.unwrap();
    other.silence("subscription::pause");
    let pausing = tokio::spawn(async move { operator.pause("a check", "eve").await });
    // The server would end the transaction, and say so.
    silent(&other, true).await;
    // What is swept next.
    wire.silence("claim::sweep");
    silent(&wire, false).await;
    running.abort();

    let compared = comparing.await.unwrap();
    assert!(
        matches!(compared, Err(ReconcileError::Database(sqlx::Error::Io(_)))),
        "{compared:?}"
    );
    let paused = pausing.await.unwrap();
    assert!(
        matches!(paused, Err(DecideError::Database(sqlx::Error::Io(_)))),
        "{paused:?}"
    );
}
