//! Connections: what a caller who goes away must not break, and several instances that start at
//! once.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use feed_core::http::with_causes;
use feed_core::{Database, DatabaseOptions, outbox};
use futures_util::future::join_all;
use harness::FreshDatabase;
use sqlx::{Executor, Postgres, Sqlite};

use crate::support::{
    Publisher, Recorder, Testable, consumer, consumer_database, effects, event, serve, until,
};

harness::on_both_databases! {
    instances_that_start_together_migrate_once
    a_new_file_is_opened_by_many_at_once
    a_dropped_begin_leaves_no_transaction_behind
    a_dropped_transaction_is_rolled_back
    only_its_own_schema_is_ready
}

async fn instances_that_start_together_migrate_once<B: Testable>(url: &str) {
    let opened = join_all((0..5).map(|_| Database::<B>::open(url))).await;
    for database in opened {
        database.unwrap().close().await;
    }
    let publishers = join_all((0..3).map(|_| Publisher::<B>::open(url))).await;
    let epochs: Vec<_> = publishers.iter().map(|p| p.feed.cursor().epoch).collect();
    assert!(epochs.iter().all(|epoch| *epoch == epochs[0]), "{epochs:?}");
}

/// Whether an attempt fails because the file is locked is a matter of chance, so many try, many times.
async fn a_new_file_is_opened_by_many_at_once<B: Testable>(url: &str) {
    if !url.starts_with("sqlite") {
        return;
    }
    for round in 0..20 {
        let url = url.replace("/test.db", &format!("/{round}/test.db"));
        let open = |url: String| tokio::spawn(async move { Database::<B>::open(&url).await });
        for opened in join_all((0..8).map(|_| open(url.clone()))).await {
            opened.unwrap().unwrap();
        }
    }
}

/// The trap of sqlx 0.9.0: if `begin()` were not in a task of its own, writes that follow a dropped
/// `begin()` vanish although they reported success.
async fn a_dropped_begin_leaves_no_transaction_behind<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    for round in 0..200 {
        let database = publisher.database.clone();
        let begin = tokio::spawn(async move { database.begin().await.map(drop) });
        for _ in 0..round % 7 {
            tokio::task::yield_now().await;
        }
        begin.abort();
        let _ = begin.await;
    }
    let ids = publisher.publish(5).await;
    publisher.database.close().await;

    // Another process sees what was reported as committed.
    let other = Publisher::<B>::open(url).await;
    let stored = B::numbers(&other.database, "SELECT count(*) FROM feed_event").await;
    assert_eq!(stored, [ids.len() as i64]);
}

async fn a_dropped_transaction_is_rolled_back<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    for _ in 0..20 {
        let mut tx = publisher.database.begin().await.unwrap();
        outbox::append(&mut tx, &event("order/1")).await.unwrap();
        drop(tx);
    }
    publisher.publish(1).await;
    assert_eq!(publisher.feed.cursor().sequence, 1);
}

async fn only_its_own_schema_is_ready<B: Testable>(url: &str) {
    let database = Database::<B>::open(url).await.unwrap();
    database.ready().await.unwrap();
    let own = [(1, "own", "CREATE TABLE own (id BIGINT)")];
    database.migrate("_own_migrations", &own).await.unwrap();
    database.ready().await.unwrap();
    let told = async || database.ready().await.unwrap_err().detail().to_owned();
    B::run(&database, "UPDATE _own_migrations SET version = 2").await;
    assert!(
        told()
            .await
            .contains("newer than this program: migration 2 in _own_migrations")
    );
    B::run(&database, "DELETE FROM _own_migrations").await;
    assert!(
        told()
            .await
            .contains("older than this program: migration 1 in _own_migrations")
    );
    B::run(&database, "DROP TABLE _own_migrations").await;
    assert_eq!(database.ready().await.unwrap_err().status(), 503);
    database.close().await;
    assert_eq!(database.ready().await.unwrap_err().status(), 503);
}

/// Migrations give up a lock by themselves (docs/upgrade.md); who holds it has to be found.
/// sqlx would take each of them for the name of a SQLite file, with the password in it.
#[tokio::test]
async fn a_url_of_another_kind_is_refused_and_makes_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let at = |text: &str| text.replace("DIR", directory.path().to_str().unwrap());
    for url in [
        "postgres://eve:secret@db.example/orders",
        "postgresql:DIR/orders",
        "mysql:DIR/orders",
        "DIR/orders.db",
        "orders.db",
        "",
        "sqlite:",
        "sqlite://",
        "sqlite://?mode=rwc",
        "sqlite::memory:",
        "sqlite:orders?mode=memory",
    ] {
        let refused = Database::<Sqlite>::open(&at(url)).await.unwrap_err();
        let text = with_causes(&refused);
        assert!(
            text.contains("sqlite:") && !text.contains("secret"),
            "{url}: {text}"
        );
        assert!(!refused.may_pass(), "{url}");
    }
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    for name in ["postgres:", "mysql:", "orders.db"] {
        assert!(!Path::new(name).exists(), "{name}");
    }
    for url in ["sqlite:orders.db", "orders.db", ""] {
        let refused = Database::<Postgres>::open(url).await.unwrap_err();
        let text = with_causes(&refused);
        assert!(text.contains("postgres:"), "{url}: {text}");
        assert!(!text.contains("direct_url"), "{url}: {text}");
    }
}

/// SQLite would remove the log, and begin with an empty database: the numbers of its events are taken.
#[tokio::test]
async fn a_log_without_its_database_is_no_new_database() {
    let fresh = FreshDatabase::sqlite();
    let file = fresh.url().trim_start_matches("sqlite:").to_owned();
    let log = format!("{file}-wal");
    std::fs::write(&log, "what a process that was killed has left").unwrap();
    let refused = Database::<Sqlite>::open(fresh.url()).await.unwrap_err();
    let text = with_causes(&refused);
    for expected in ["is missing", &log, "restore the database"] {
        assert!(text.contains(expected), "{text}");
    }
    assert!(!refused.may_pass());
    assert!(!Path::new(&file).exists() && Path::new(&log).exists());
    std::fs::remove_file(&log).unwrap();
    let database = Database::<Sqlite>::open(fresh.url()).await.unwrap();
    // Both are there now, as after a crash.
    assert!(Path::new(&log).exists());
    Database::<Sqlite>::open(fresh.url()).await.unwrap();
    database.ready().await.unwrap();
}

/// A service that was started again without its file would give the numbers of its events to others.
#[tokio::test]
async fn a_file_that_was_removed_or_replaced_has_to_be_restored_before_a_start() {
    for replaced in [false, true] {
        let fresh = FreshDatabase::sqlite();
        let file = fresh.url().trim_start_matches("sqlite:").to_owned();
        let database = Database::<Sqlite>::open(fresh.url()).await.unwrap();
        database.ready().await.unwrap();
        match replaced {
            true => {
                std::fs::copy(&file, format!("{file}.copy")).unwrap();
                std::fs::rename(format!("{file}.copy"), &file).unwrap();
            }
            false => std::fs::remove_file(&file).unwrap(),
        }
        let problem = database.ready().await.unwrap_err();
        assert_eq!(problem.status(), 503);
        for expected in [
            "Stop the service, restore the file, and start the service only then",
            "new, empty database",
        ] {
            assert!(problem.detail().contains(expected), "{problem}");
        }
    }
}

/// There is personal data in it.
#[tokio::test]
async fn a_new_file_and_its_log_are_its_owners_alone() {
    let fresh = FreshDatabase::sqlite();
    let database = Database::<Sqlite>::open(fresh.url()).await.unwrap();
    let publisher = Publisher::on(database, "http://localhost/").await;
    publisher.publish(1).await;
    for suffix in ["", "-wal", "-shm"] {
        let file = fresh.url().trim_start_matches("sqlite:").to_owned() + suffix;
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}

#[tokio::test]
async fn a_lock_that_migrations_need_is_named_as_the_cause() {
    let fresh = FreshDatabase::postgres().await;
    let database = Database::<Postgres>::open(fresh.url()).await.unwrap();
    let mut holder = database.begin().await.unwrap();
    holder.execute("LOCK TABLE feed_head").await.unwrap();
    let change = "SET LOCAL lock_timeout = '1ms'; ALTER TABLE feed_head ADD COLUMN more TEXT";
    let own = [(1, "own", change)];
    let refused = database.migrate("_own_migrations", &own).await;
    let refused = refused.unwrap_err().to_string();
    assert!(
        refused.contains("another session holds a lock that migrations need"),
        "{refused}"
    );
    // The connections have their own settings again.
    let waits: String = sqlx::query_scalar("SHOW lock_timeout")
        .fetch_one(database.writer())
        .await
        .unwrap();
    assert_eq!(waits, "3s");
}

/// PostgreSQL looks at a connection while a statement runs from version 14 on.
#[tokio::test]
async fn a_statement_that_is_given_up_ends_with_its_connection() {
    let fresh = FreshDatabase::postgres().await;
    let database = Database::<Postgres>::open(fresh.url()).await.unwrap();
    let version = "SELECT current_setting('server_version_num')::bigint";
    if Postgres::numbers(&database, version).await[0] < 140_000 {
        return;
    }
    let mut session = database.writer().acquire().await.unwrap().detach();
    let long = session.execute("SELECT pg_sleep(600)");
    let given_up = tokio::time::timeout(Duration::from_secs(1), long).await;
    assert!(given_up.is_err());
    drop(session);
    let running = "SELECT count(*) FROM pg_stat_activity
                   WHERE datname = current_database() AND query LIKE 'SELECT pg_sleep%'";
    until("it has ended", async || {
        Postgres::numbers(&database, running).await == [0]
    })
    .await;
}

/// A host may have several databases in one process: what one of them does to its connections is no news of another.
#[tokio::test]
async fn a_suspicion_closes_the_connections_of_one_database_only() {
    let fresh = [
        FreshDatabase::postgres().await,
        FreshDatabase::postgres().await,
    ];
    let [suspect, trusted] = [
        Database::<Postgres>::open(fresh[0].url()).await.unwrap(),
        Database::<Postgres>::open(fresh[1].url()).await.unwrap(),
    ];
    let session = async |database: &Database<Postgres>| -> i32 {
        let mut connection = database.reader().acquire().await.unwrap();
        sqlx::query_scalar("SELECT pg_backend_pid()")
            .fetch_one(&mut *connection)
            .await
            .unwrap()
    };
    let in_use = (session(&suspect).await, session(&trusted).await);
    suspect.suspect_connections();
    let is_there = async |session: i32| -> bool {
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1)")
            .bind(session)
            .fetch_one(trusted.reader())
            .await
            .unwrap()
    };
    until("the suspect one closes what comes back", async || {
        suspect.reader().fetch_one("SELECT 1").await.unwrap();
        !is_there(in_use.0).await
    })
    .await;
    assert!(is_there(in_use.1).await, "the other keeps its connections");
}

/// The publisher and one consumer would keep both connections that are for reading.
#[tokio::test]
async fn listeners_leave_connections_to_read_with() {
    let source = FreshDatabase::postgres().await;
    let options = DatabaseOptions::new(source.url());
    let options = options.connections(DatabaseOptions::MIN_CONNECTIONS);
    let database = Database::<Postgres>::open(options).await.unwrap();
    let publisher = Publisher::on(database.clone(), "http://localhost/").await;
    let address = serve(publisher.feed.router()).await;
    let publishing = tokio::spawn(publisher.feed.clone().run());
    let consumer = consumer(&database, &format!("{address}/feed"), Recorder::default()).await;
    let (handle, shutdown) = (consumer.handle(), consumer.shutdown());
    let consuming = tokio::spawn(consumer.run());
    for count in 1..=3 {
        publisher.commit("order/1").await;
        publisher.feed.committed();
        until("it is taken", async || {
            handle.status().await.unwrap().sequence == count
        })
        .await;
    }
    let listening = "SELECT count(*) FROM pg_stat_activity
                     WHERE datname = current_database() AND query LIKE 'LISTEN%'";
    assert_eq!(Postgres::numbers(&database, listening).await, [1]);
    shutdown.cancel();
    publisher.shutdown.cancel();
    publishing.await.unwrap();
    consuming.await.unwrap();
}

/// What it took meanwhile would be taken again after the file is restored.
#[tokio::test]
async fn a_consumer_takes_nothing_while_its_file_is_away() {
    let (source, fresh) = (FreshDatabase::sqlite(), FreshDatabase::sqlite());
    let publisher = Publisher::<Sqlite>::open(source.url()).await;
    let feed = format!("{}/feed", serve(publisher.feed.router()).await);
    let database = consumer_database::<Sqlite>(fresh.url()).await;
    let mut consumer = consumer(&database, &feed, Recorder::default()).await;
    let file = fresh.url().trim_start_matches("sqlite:");
    let away = format!("{file}.away");
    std::fs::rename(file, &away).unwrap();
    publisher.publish(1).await;
    let error = consumer.poll_once().await.unwrap_err();
    let error = with_causes(&error);
    assert!(error.contains("file was removed"), "{error}");
    assert!(effects(&database).await.is_empty());
    std::fs::rename(&away, file).unwrap();
    consumer.poll_once().await.unwrap();
    assert_eq!(effects(&database).await.len(), 1);
}
