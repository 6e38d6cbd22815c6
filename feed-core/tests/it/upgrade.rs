//! A database of each older version, with rows in it, becomes one of today: nothing in it is lost, and the
//! feed and the consumer continue where they were.

use std::path::Path;

use feed_core::{Database, EventId};
use sqlx::migrate::Migrator;
use sqlx::{Connection, Executor, PgConnection, Postgres, Sqlite, SqliteConnection};

use crate::support::{
    BASE, Publisher, Recorder, Testable, consumer, consumer_database, effects, serve, until,
};

/// A feed of three events, as it was published before the outbox was a table of its own; and a consumer
/// of it that has taken two, one of which has waited for an event that was skipped.
const ROWS: &str = "
    INSERT INTO feed_head (only_row, feed_id, epoch, page_size, created, sequence, anchor, updated)
    VALUES (@TRUE@, '00000000-0000-7000-8000-0000000000fe', 'oldepoch', 10,
            '2026-01-01T00:00:00.000Z', 3, '00000000-0000-7000-8000-000000000003',
            '2026-01-01T00:00:03.000Z');
    INSERT INTO feed_event (id, sequence, event_type, subject, time, updated, title, summary, link, data)
    VALUES ('00000000-0000-7000-8000-000000000001', 1, 'order.placed', 'order/1', '2026-01-01T00:00:01.000Z',
            '2026-01-01T00:00:01.000Z', 'One', 'First', 'order/1', '{\"n\": 1}'),
           ('00000000-0000-7000-8000-000000000002', 2, 'order.placed', 'order/2', '2026-01-01T00:00:02.000Z',
            '2026-01-01T00:00:02.000Z', 'Two', 'Second', 'order/2', '{\"n\": 2}'),
           ('00000000-0000-7000-8000-000000000003', 3, 'order.cancelled', 'order/1', '2026-01-01T00:00:03.000Z',
            '2026-01-01T00:00:03.000Z', 'Three', 'Third', 'order/1', '{\"n\": 3}');
    INSERT INTO feed_subscription (name) VALUES ('order');
    INSERT INTO feed_claim (subscription, event_id, sequence)
    VALUES ('order', 'urn:uuid:00000000-0000-7000-8000-000000000001', 1),
           ('order', 'urn:uuid:00000000-0000-7000-8000-000000000002', 2),
           ('order', '\n\t urn:indented \n', NULL);
    INSERT INTO feed_parked (subscription, event_id, partition, subject, sequence, event)
    VALUES ('order', 'urn:uuid:00000000-0000-7000-8000-000000000002', 0, 'order/2', 2,
            '{\"id\":\"urn:uuid:00000000-0000-7000-8000-000000000002\",\"event_type\":null,\"subject\":\"order/2\",\"sequence\":2,
              \"time\":\"2026-01-01T00:00:02Z\",\"data\":\"{}\",\"traceparent\":null}');
";

/// The cursor of one partition of that consumer.
fn cursor(partition: i64) -> String {
    format!(
        "INSERT INTO feed_partition (subscription, partition, epoch, sequence, anchor)
         VALUES ('order', {partition}, 'oldepoch', 2, 'urn:uuid:00000000-0000-7000-8000-000000000002');"
    )
}

/// One more event, which has no number yet.
const UNNUMBERED: &str = "
    INSERT INTO @TABLE@ (id, event_type, subject, time, title, summary, link, data)
    VALUES ('00000000-0000-7000-8000-000000000004', 'order.placed', 'order/4', '2026-01-01T00:00:04.000Z',
            'Four', 'Fourth', 'order/4', '{\"n\": 4}');
";

/// The migrations as files, so that an older version can be made.
pub(crate) async fn migrations(database: &str) -> Migrator {
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let mut migrator = Migrator::new(files.join(database)).await.unwrap();
    migrator.dangerous_set_table_name("_feed_migrations");
    migrator
}

/// The versions before the newest one, and whether each stored ids with white space.
fn older(migrator: &Migrator) -> Vec<(i64, bool)> {
    let trims = migrator
        .iter()
        .find(|made| made.description == "expand ids");
    let trims = trims.unwrap().version;
    let versions = migrator
        .iter()
        .map(|made| (made.version, made.version < trims));
    let mut versions: Vec<_> = versions.collect();
    versions.pop();
    versions
}

fn rows(is_true: &str) -> String {
    let cursors: String = (0..16).map(cursor).collect();
    ROWS.replace("@TRUE@", is_true) + &cursors
}

async fn assert_continues<B: Testable>(url: &str, newest: i64, indents: bool) {
    let publisher = Publisher::<B>::open(url).await;
    let source = "SELECT source FROM feed_head";
    assert_eq!(B::texts(&publisher.database, source).await, [BASE]);
    let known = publisher.feed.publish().await.unwrap();
    assert_eq!((known.epoch.as_str(), known.sequence), ("oldepoch", newest));
    // All that was there is there, with its id, its date and its data.
    for n in 1..=newest {
        let id = format!("00000000-0000-7000-8000-00000000000{n}");
        let event = publisher.get(&format!("/events/{id}"), &[]).await;
        assert_eq!(event.status, 200);
        assert_eq!(event.body, format!("{{\"n\": {n}}}"));
        assert_eq!(
            event.header("ce-time"),
            format!("2026-01-01T00:00:0{n}.000Z")
        );
    }
    let head = publisher.get("/feed", &[]).await;
    assert_eq!(head.sequences(), (1..=newest).rev().collect::<Vec<_>>());
    assert!(
        head.body
            .contains("<updated>2026-01-01T00:00:03.000Z</updated>"),
        "{}",
        head.body
    );

    let feed = format!("{}/feed", serve(publisher.feed.router()).await);
    let database: Database<B> = consumer_database(url).await;
    let claimed = "SELECT event_id FROM feed_claim WHERE event_id LIKE 'urn:i%'";
    let trimmed: &[&str] = if indents { &["urn:indented"] } else { &[] };
    assert_eq!(B::texts(&database, claimed).await, trimmed);
    let consumer = consumer(&database, &feed, Recorder::default()).await;
    let (handle, shutdown) = (consumer.handle(), consumer.shutdown());
    let running = tokio::spawn(consumer.run());
    let new: Vec<EventId> = publisher.publish(2).await;
    let mut expected: Vec<String> = (2..=newest)
        .map(|n| format!("urn:uuid:00000000-0000-7000-8000-00000000000{n}"))
        .collect();
    expected.extend(new.iter().map(|id| id.urn()));
    until("it has taken what is new to it", async || {
        effects(&database).await.len() == expected.len()
    })
    .await;
    let status = handle.status().await.unwrap();
    assert_eq!((status.sequence, status.halted), (newest + 2, None));
    let mut taken = effects(&database).await;
    taken.sort();
    expected.sort();
    assert_eq!(taken, expected);
    shutdown.cancel();
    running.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_of_each_older_version_is_upgraded() {
    let migrator = migrations("sqlite").await;
    for (version, indents) in older(&migrator) {
        let database = harness::FreshDatabase::sqlite();
        let url = format!("{}?mode=rwc", database.url());
        let mut connection = SqliteConnection::connect(&url).await.unwrap();
        migrator.run_to(version, &mut connection).await.unwrap();
        connection
            .execute(sqlx::AssertSqlSafe(rows("1")))
            .await
            .unwrap();
        connection.close().await.unwrap();
        assert_continues::<Sqlite>(database.url(), 3, indents).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_of_each_older_version_is_upgraded() {
    let migrator = migrations("postgres").await;
    for (version, indents) in older(&migrator) {
        let database = harness::FreshDatabase::postgres().await;
        let mut connection = PgConnection::connect(database.url()).await.unwrap();
        migrator.run_to(version, &mut connection).await.unwrap();
        let table = if version < 3 {
            "feed_event"
        } else {
            "feed_outbox"
        };
        let rows = rows("TRUE") + &UNNUMBERED.replace("@TABLE@", table);
        connection.execute(sqlx::AssertSqlSafe(rows)).await.unwrap();
        connection.close().await.unwrap();
        assert_continues::<Postgres>(database.url(), 4, indents).await;
    }
}

/// `pg_dump` reads for minutes, and holds a lock on each table for as long. A migration that waits for it keeps all
/// other instances out of the table: it waits for a short time, again and again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_that_waits_for_a_reader_lets_others_work() {
    let migrator = migrations("postgres").await;
    let before = migrator
        .iter()
        .find(|made| made.description == "expand console");
    let fresh = harness::FreshDatabase::postgres().await;
    let mut other = PgConnection::connect(fresh.url()).await.unwrap();
    let version = before.unwrap().version - 1;
    migrator.run_to(version, &mut other).await.unwrap();
    let mut dump = PgConnection::connect(fresh.url()).await.unwrap();
    let read = "BEGIN; LOCK TABLE feed_instance IN ACCESS SHARE MODE";
    dump.execute(read).await.unwrap();

    let url = fresh.url().to_owned();
    // As a service does.
    let opening = tokio::spawn(async move {
        loop {
            match Database::<Postgres>::open(&url).await {
                Err(error) if error.may_pass() => {}
                done => return done,
            }
        }
    });
    let waiting = "SELECT count(*) FROM pg_locks
                   WHERE relation = 'feed_instance'::regclass AND NOT granted";
    // The second time shows that it tries again.
    for _ in 0..2 {
        until("the migration waits", async || {
            harness::tables::number(fresh.url(), waiting).await == 1
        })
        .await;
        // As a session of a service waits.
        other.execute("SET lock_timeout = '3s'").await.unwrap();
        let beat = "UPDATE feed_instance SET instance = instance";
        other.execute(beat).await.unwrap();
        // Nor does it keep an instance of the previous version from starting.
        migrator.run_to(version, &mut other).await.unwrap();
        assert!(!opening.is_finished());
    }
    dump.execute("ROLLBACK").await.unwrap();
    opening.await.unwrap().unwrap().ready().await.unwrap();
}
