//! A database of PostgreSQL that was restored or replicated, and is not whole.

use feed_core::{Consumer, Database, DatabaseOptions, EventId, Feed, FeedSettings, Subscription};
use harness::FreshDatabase;
use sqlx::Postgres;
use tokio_util::sync::CancellationToken;

use crate::support::{
    Fail, Publisher, Recorder, Scene, Testable, consumer, consumer_database, effects, urns,
};

const POSITIONS: &str =
    "SELECT setval(pg_get_serial_sequence('feed_parked', 'position'), 1, false)";

/// A logical replication copies the rows of tables, and no sequences: the position of a parked event is its place within
/// its subject (I6).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sequence_that_is_behind_its_rows_is_raised() {
    let fresh = FreshDatabase::postgres().await;
    let scene = Scene::<Postgres>::new(fresh.url()).await;
    let effect = Recorder::failing("order/0", Fail::Park);
    let mut before = consumer(&scene.database, &scene.feed, effect.clone()).await;
    let mut ids = scene.publisher.publish(1).await;
    ids.extend(scene.publisher.publish(1).await);
    before.poll_once().await.unwrap();
    before.leave().await.unwrap();
    Postgres::run(&scene.database, POSITIONS).await;

    let database = consumer_database::<Postgres>(fresh.url()).await;
    let mut after = consumer(&database, &scene.feed, effect.clone()).await;
    ids.extend(scene.publisher.publish(1).await);
    after.poll_once().await.unwrap();
    let parked = "SELECT event_id FROM feed_parked ORDER BY position";
    assert_eq!(Postgres::texts(&database, parked).await, urns(&ids));
    effect.repair();
    after.handle().retry(&ids[0].urn(), "eve").await.unwrap();
    after.poll_once().await.unwrap();
    assert_eq!(effects(&database).await, urns(&ids));
    // Never back: what was given out may be known elsewhere.
    let last = "SELECT last_value FROM feed_parked_position_seq";
    let known = Postgres::numbers(&database, last).await;
    Database::<Postgres>::open(fresh.url()).await.unwrap();
    assert_eq!(Postgres::numbers(&database, last).await, known);
}

/// The role of a host may have no right on sequences: an `INSERT` needs none.
#[tokio::test]
async fn a_role_that_may_not_raise_a_sequence_starts() {
    let fresh = FreshDatabase::postgres().await;
    let owner = Database::<Postgres>::open(fresh.url()).await.unwrap();
    let role = format!("guest_{}", EventId::new().urn().replace(['-', ':'], "_"));
    let grants = format!(
        "CREATE ROLE {role} LOGIN;
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}"
    );
    let execute = async |sql: &str| {
        let sql = sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned()));
        sql.execute(owner.writer()).await.unwrap();
    };
    execute(&grants).await;
    let url = fresh
        .url()
        .replace("postgres://postgres@", &format!("postgres://{role}@"));
    let url = url.replace("user=postgres", &format!("user={role}"));
    assert!(url.contains(&role), "{url}");
    let options = DatabaseOptions::new(url).without_migrations();
    let database = Database::<Postgres>::open(options).await.unwrap();
    database.close().await;
    execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}

/// A restore that has ended before its indexes.
#[tokio::test]
async fn a_feed_without_its_key_gets_no_second_head() {
    let fresh = FreshDatabase::postgres().await;
    let publisher = Publisher::<Postgres>::open(fresh.url()).await;
    publisher.publish(3).await;
    let database = publisher.database;
    let drop = "ALTER TABLE feed_head DROP CONSTRAINT feed_head_pkey";
    Postgres::run(&database, drop).await;
    let settings = FeedSettings::new("https://shop.example/".parse().unwrap(), "Orders");
    let opened = Feed::open(database.clone(), settings, CancellationToken::new()).await;
    assert!(opened.is_err(), "{opened:?}");
    let heads = "SELECT sequence FROM feed_head";
    assert_eq!(Postgres::numbers(&database, heads).await, [3]);
}

/// Each claim would be new.
#[tokio::test]
async fn a_consumer_without_its_keys_does_not_start() {
    let fresh = FreshDatabase::postgres().await;
    let database = consumer_database::<Postgres>(fresh.url()).await;
    let drop = "ALTER TABLE feed_subscription DROP CONSTRAINT feed_subscription_pkey CASCADE";
    Postgres::run(&database, drop).await;
    let subscription = Subscription::new("order", "http://127.0.0.1:1/feed".parse().unwrap());
    let stop = CancellationToken::new();
    let opened = Consumer::open(database, subscription, Recorder::default(), stop).await;
    assert!(opened.is_err());
}
