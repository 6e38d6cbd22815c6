//! What a host brings along: a pool of its own, a schema, a tool for migrations.

use std::time::Duration;

use feed_core::http::with_causes;
use feed_core::{Database, DatabaseError, DatabaseOptions, outbox};
use futures_util::future::join_all;
use harness::FreshDatabase;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions};
use sqlx::{AssertSqlSafe, PgPool, Pool, Postgres, Sqlite, SqlitePool};

use crate::support::{
    BASE, Publisher, Recorder, Testable, consumer, create_effect_table, effects, event, serve, urns,
};

harness::on_both_databases! {
    a_host_runs_the_migrations_by_itself
    a_feed_and_a_consumer_work_on_pools_of_the_host
}

/// What a host does in its own way.
pub(crate) trait Host: Testable {
    async fn pool(url: &str) -> Pool<Self>;
    async fn execute_raw(pool: &Pool<Self>, sql: &str);
}

impl Host for Postgres {
    async fn pool(url: &str) -> PgPool {
        PgPool::connect(url).await.unwrap()
    }

    async fn execute_raw(pool: &PgPool, sql: &str) {
        let sql = sqlx::raw_sql(AssertSqlSafe(sql));
        sql.execute(pool).await.unwrap();
    }
}

fn writer(url: &str) -> SqliteConnectOptions {
    let options: SqliteConnectOptions = url.parse().unwrap();
    options
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .pragma("secure_delete", "ON")
}

impl Host for Sqlite {
    async fn pool(url: &str) -> SqlitePool {
        let pool = SqlitePoolOptions::new().max_connections(1);
        pool.connect_with(writer(url)).await.unwrap()
    }

    async fn execute_raw(pool: &SqlitePool, sql: &str) {
        let sql = sqlx::raw_sql(AssertSqlSafe(sql));
        sql.execute(pool).await.unwrap();
    }
}

async fn a_host_runs_the_migrations_by_itself<B: Host>(url: &str) {
    let pool = B::pool(url).await;
    let options = DatabaseOptions::new(url).without_migrations();
    let refused = Database::<B>::open(options.clone()).await.unwrap_err();
    assert!(matches!(refused, DatabaseError::Pending(_)), "{refused:?}");
    let refused = refused.to_string();
    assert!(
        refused.starts_with("these migrations of feed-core are missing: 1 (feed), 2 (decisions), "),
        "{refused}"
    );
    let migrations = Database::<B>::migrations();
    let (last, others) = migrations.split_last().unwrap();
    for migration in others {
        B::execute_raw(&pool, &migration.sql).await;
    }
    let refused = Database::<B>::open(options.clone()).await.unwrap_err();
    let missing = format!(": {} ({}); run them", last.version, last.name);
    assert!(refused.to_string().contains(&missing), "{refused}");
    B::execute_raw(&pool, &last.sql).await;

    let database = Database::<B>::open(options).await.unwrap();
    database.ready().await.unwrap();
    Publisher::on(database, BASE).await.publish(3).await;
    // What was run is what we would have run.
    let database = Database::<B>::open(url).await.unwrap();
    database.ready().await.unwrap();
}

async fn a_feed_and_a_consumer_work_on_pools_of_the_host<B: Host>(url: &str) {
    let pool = B::pool(url).await;
    let options = DatabaseOptions::default();
    let database = Database::with_pool(pool.clone(), options).await.unwrap();
    assert!(!database.to_string().is_empty());
    create_effect_table(&database).await;
    let publisher = Publisher::on(database.clone(), BASE).await;
    // In a transaction of the host.
    let mut tx = pool.begin().await.unwrap();
    let id = outbox::append(&mut tx, &event("order/1")).await.unwrap();
    tx.commit().await.unwrap();
    publisher.feed.publish().await.unwrap();
    let mut ids = vec![id];
    ids.extend(publisher.publish(20).await);
    let feed = serve(publisher.feed.router()).await + "/feed";
    let mut consumer = consumer(&database, &feed, Recorder::default()).await;
    for _ in 0..3 {
        consumer.poll_once().await.unwrap();
    }
    assert_eq!(effects(&database).await, urns(&ids));
    database.ready().await.unwrap();
    database.close().await;
    assert!(!pool.is_closed(), "it is the host's");
}

#[tokio::test]
async fn a_pool_that_cannot_be_used_is_refused_with_what_to_set() {
    let refused =
        |refused: Result<Database<Postgres>, DatabaseError>| refused.unwrap_err().to_string();
    let postgres = FreshDatabase::postgres().await;
    let pool = PgPoolOptions::new().max_connections(3);
    let pool = pool.connect(postgres.url()).await.unwrap();
    let told = refused(Database::with_pool(pool, DatabaseOptions::default()).await);
    assert_eq!(
        told,
        "the pool cannot be used as it is: set max_connections(4) or more"
    );
    let options: PgConnectOptions = postgres.url().parse().unwrap();
    let options = options.options([
        ("default_transaction_isolation", "serializable"),
        ("synchronous_commit", "off"),
    ]);
    let pool = PgPool::connect_with(options).await.unwrap();
    let told = refused(Database::with_pool(pool, DatabaseOptions::default().schema("feed")).await);
    assert_eq!(
        told,
        "the pool cannot be used as it is: its sessions need default_transaction_isolation = read committed, \
         synchronous_commit = on, search_path with feed (PgConnectOptions::options)"
    );

    let sqlite = FreshDatabase::sqlite();
    let pool = SqlitePool::connect_with(writer(sqlite.url()).foreign_keys(false)).await;
    let told = Database::<Sqlite>::with_pool(pool.unwrap(), DatabaseOptions::default()).await;
    assert_eq!(
        told.unwrap_err().to_string(),
        "the pool cannot be used as it is: set foreign_keys(true), max_connections(1), with another pool for \
         what only reads"
    );
    let memory: SqliteConnectOptions = "sqlite::memory:".parse().unwrap();
    let pool = SqlitePool::connect_with(memory).await.unwrap();
    let told = Database::<Sqlite>::with_pool(pool, DatabaseOptions::default()).await;
    assert!(matches!(told, Err(DatabaseError::NoFile)), "{told:?}");
    let told = Database::<Sqlite>::open(DatabaseOptions::new(sqlite.url()).schema("feed")).await;
    assert!(matches!(told, Err(DatabaseError::SchemaFile)), "{told:?}");
}

/// The server answers meanwhile.
#[tokio::test]
async fn a_host_that_uses_all_of_its_connections_learns_that() {
    let fresh = FreshDatabase::postgres().await;
    let pool = PgPoolOptions::new().max_connections(4);
    let pool = pool.connect(fresh.url()).await.unwrap();
    let database = Database::with_pool(pool.clone(), DatabaseOptions::default());
    let database = database.await.unwrap();
    let _used = join_all((0..3).map(|_| pool.acquire())).await;
    let refused = Database::with_pool(pool.clone(), DatabaseOptions::default()).await;
    assert_eq!(
        refused.unwrap_err().to_string(),
        "the pool cannot be used as it is: two of its connections must be free, and all are in use"
    );
    let _last = pool.acquire().await.unwrap();
    let waited = async { pool.acquire().await.map(drop) };
    let waited = database.within(Duration::from_millis(100), waited).await;
    let why = "no connection of the pool is free";
    assert_eq!(with_causes(&waited.unwrap_err()).matches(why).count(), 1);
    let not_ready = format!("{:?}", database.ready().await.unwrap_err());
    assert!(not_ready.contains(why), "{not_ready}");
}

/// Several feeds in one database, beside the tables of a host.
#[tokio::test]
async fn a_database_in_another_encoding_is_refused_before_anything_is_made() {
    let other = FreshDatabase::postgres().await;
    let server = PgPool::connect(other.url()).await.unwrap();
    for encoding in ["SQL_ASCII", "LATIN1", "WIN1252", "EUC_JP", "KOI8R"] {
        let name = format!("test_{}", uuid::Uuid::now_v7().simple());
        let create =
            format!("CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0");
        Postgres::execute_raw(&server, &create).await;
        let url: PgConnectOptions = other.url().parse().unwrap();
        let pool = PgPool::connect_with(url.database(&name)).await.unwrap();
        let (start, options) = other.url().split_once('?').unwrap();
        let (start, _) = start.rsplit_once('/').unwrap();
        let url = format!("{start}/{name}?{options}");
        let said = format!("has the encoding {encoding}, in which not each text can be stored");
        let schema = DatabaseOptions::default().schema("feed");
        let adopted = Database::<Postgres>::with_pool(pool.clone(), schema.clone()).await;
        for refused in [
            Database::<Postgres>::open(DatabaseOptions::new(&url).schema("feed")).await,
            Database::<Postgres>::open(DatabaseOptions::new(&url).read_only()).await,
            adopted,
        ] {
            let refused = refused.unwrap_err().to_string();
            assert!(refused.contains(&said), "{refused}");
            assert!(refused.contains("ENCODING 'UTF8' TEMPLATE template0"));
        }
        let made = "SELECT count(*) FROM pg_namespace WHERE nspname = 'feed'";
        let made: i64 = sqlx::query_scalar(made).fetch_one(&pool).await.unwrap();
        assert_eq!(made, 0);
    }

    let sqlite = FreshDatabase::sqlite();
    let utf_16 = writer(sqlite.url()).pragma("encoding", "'UTF-16'");
    let pool = SqlitePoolOptions::new().max_connections(1);
    let pool = pool.connect_with(utf_16).await.unwrap();
    Sqlite::execute_raw(&pool, "CREATE TABLE theirs (text TEXT)").await;
    let url = sqlite.url();
    for refused in [
        Database::<Sqlite>::open(url).await,
        Database::<Sqlite>::open(DatabaseOptions::new(url).read_only()).await,
        Database::<Sqlite>::with_pool(pool.clone(), DatabaseOptions::default()).await,
    ] {
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("has the encoding UTF-16le"), "{refused}");
    }
    let made = "SELECT count(*) FROM sqlite_master WHERE name <> 'theirs'";
    let made: i64 = sqlx::query_scalar(made).fetch_one(&pool).await.unwrap();
    assert_eq!(made, 0);
}

#[tokio::test]
async fn tables_are_in_the_schema_that_was_named() {
    let fresh = FreshDatabase::postgres().await;
    fresh.execute("CREATE TABLE own (id BIGINT)").await;
    let options = |schema| DatabaseOptions::new(fresh.url()).schema(schema);
    let missing = Database::<Postgres>::open(options("one").without_migrations()).await;
    assert!(
        matches!(missing, Err(DatabaseError::NoSchema(..))),
        "{missing:?}"
    );
    let one = Database::<Postgres>::open(options("one")).await.unwrap();
    let two = options("Two \"of\" them's").direct(fresh.url());
    let two = Database::<Postgres>::open(two).await.unwrap();
    let pool: PgConnectOptions = fresh.url().parse().unwrap();
    let pool = PgPool::connect_with(pool.options([("search_path", "public,one")])).await;
    let three = DatabaseOptions::default()
        .schema("one")
        .without_migrations();
    let three = Database::with_pool(pool.unwrap(), three).await.unwrap();

    for (database, events) in [(&one, 1), (&two, 2), (&three, 1)] {
        database.ready().await.unwrap();
        let publisher = Publisher::on(database.clone(), BASE).await;
        publisher.publish(events).await;
        // The tables of the host are there as before.
        let mut tx = database.begin().await.unwrap();
        Postgres::execute(&mut tx, "INSERT INTO own VALUES (1)")
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }
    for (database, events) in [(&one, 2), (&two, 2), (&three, 2)] {
        let found = Postgres::numbers(database, "SELECT sequence FROM feed_head").await;
        assert_eq!(found, [events], "{database}");
    }
    let in_public =
        "SELECT count(*) FROM pg_tables WHERE schemaname = 'public' AND tablename LIKE '%feed%'";
    assert_eq!(Postgres::numbers(&one, in_public).await, [0]);
    assert_eq!(
        Postgres::numbers(&one, "SELECT count(*) FROM own").await,
        [3]
    );
}

/// The role of a host's program may write to tables, and make none.
#[tokio::test]
async fn a_role_that_may_make_nothing_opens_what_is_there() {
    let fresh = FreshDatabase::postgres().await;
    let owner = Database::<Postgres>::open(DatabaseOptions::new(fresh.url()).schema("feed")).await;
    let owner = owner.unwrap();
    let role = format!(
        "host_{}",
        feed_core::EventId::new().urn().replace(['-', ':'], "_")
    );
    let grants = format!(
        "CREATE ROLE {role} LOGIN;
         GRANT USAGE ON SCHEMA feed TO {role};
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA feed TO {role};
         GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA feed TO {role}"
    );
    Postgres::execute_raw(owner.writer(), &grants).await;
    let url = fresh
        .url()
        .replace("postgres://postgres@", &format!("postgres://{role}@"));
    let options = DatabaseOptions::new(url).schema("feed").connections(4);
    let options = options.without_migrations();
    let database = Database::<Postgres>::open(options).await.unwrap();
    let publisher = Publisher::on(database.clone(), BASE).await;
    publisher.publish(3).await;
    assert_eq!(publisher.feed.cursor().sequence, 3);
    database.close().await;
    let gone = format!("DROP OWNED BY {role}; DROP ROLE {role}");
    Postgres::execute_raw(owner.writer(), &gone).await;
}
