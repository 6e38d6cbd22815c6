//! Two schemas of one PostgreSQL: which of them the tables are in (I8).

use feed_core::{Database, DatabaseError, DatabaseOptions};
use harness::{FreshDatabase, tables};
use sqlx::migrate::Migrate;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool, Postgres};

use crate::support::{BASE, Publisher, Testable, until};

const IN_FRONT: &str = "SELECT count(*) FROM pg_tables WHERE schemaname IN (current_user, 'feed')";

/// The address with this `search_path`.
fn with_path(fresh: &FreshDatabase, path: &str) -> String {
    format!("{}&options=-csearch_path={path}", fresh.url())
}

async fn pool(fresh: &FreshDatabase, path: &str) -> PgPool {
    let options: PgConnectOptions = fresh.url().parse().unwrap();
    let options = options.options([("search_path", path)]);
    PgPool::connect_with(options).await.unwrap()
}

async fn open(url: &str) -> Database<Postgres> {
    Database::open(url).await.unwrap()
}

/// The newest sequence of the feed, in the schema of the tables.
async fn newest(database: &Database<Postgres>) -> Vec<i64> {
    Postgres::numbers(database, "SELECT sequence FROM feed_head").await
}

#[tokio::test]
async fn tables_behind_another_schema_do_not_begin_anew() {
    let fresh = FreshDatabase::postgres().await;
    let database = open(fresh.url()).await;
    let own = [(1, "own", "CREATE TABLE own (id BIGINT)")];
    database.migrate("_own_migrations", &own).await.unwrap();
    let publisher = Publisher::on(database.clone(), BASE).await;
    publisher.publish(2).await;
    // The path of a role that sets none is "$user", public.
    let in_front = "CREATE SCHEMA AUTHORIZATION CURRENT_USER; CREATE SCHEMA feed";
    fresh.execute(in_front).await;

    let of_role = DatabaseOptions::new(fresh.url());
    let named = of_role.clone().schema("feed");
    let adopted = async |schema: DatabaseOptions| {
        let pool = pool(&fresh, "feed, public").await;
        Database::with_pool(pool, schema).await
    };
    for refused in [
        Database::open(of_role.clone()).await,
        Database::open(of_role.without_migrations()).await,
        Database::open(named.clone()).await,
        Database::open(named.clone().direct(fresh.url())).await,
        Database::open(named.clone().without_migrations()).await,
        Database::open(named.read_only()).await,
        adopted(DatabaseOptions::default()).await,
        adopted(DatabaseOptions::default().schema("feed")).await,
    ] {
        let refused = refused.unwrap_err();
        let DatabaseError::Elsewhere(found, place) = &refused else {
            panic!("{refused:?}");
        };
        assert_eq!(found, "public");
        assert!(!refused.may_pass());
        let said = format!(
            "its tables are in the schema public, and {place} comes before it in the search_path: a second set of \
             tables there would begin with the first event again"
        );
        assert!(refused.to_string().starts_with(&said), "{refused}");
    }
    assert_eq!(Postgres::numbers(&database, IN_FRONT).await, [0]);

    // What the error says to do.
    let public = DatabaseOptions::new(fresh.url()).schema("public");
    for database in [
        open(&with_path(&fresh, "public")).await,
        Database::open(public).await.unwrap(),
        adopted(DatabaseOptions::default().schema("public"))
            .await
            .unwrap(),
    ] {
        database.migrate("_own_migrations", &own).await.unwrap();
        assert_eq!(newest(&database).await, [2]);
    }
    let alone = DatabaseOptions::new(with_path(&fresh, "feed")).schema("feed");
    let second = Database::<Postgres>::open(alone).await.unwrap();
    Publisher::on(second, BASE).await.publish(1).await;
    // Once it is there, the path may have both, and a list of migrations of the host counts as well.
    let both = DatabaseOptions::new(fresh.url()).schema("feed");
    let both = Database::<Postgres>::open(both).await.unwrap();
    assert_eq!(newest(&both).await, [1]);
    let refused = both.migrate("_own_migrations", &own).await;
    assert!(
        matches!(refused, Err(DatabaseError::Elsewhere(..))),
        "{refused:?}"
    );
}

/// Two instances start on an empty database, and their paths differ.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_that_another_instance_makes_meanwhile_are_not_made_again() {
    let fresh = FreshDatabase::postgres().await;
    fresh.execute("CREATE SCHEMA feed").await;
    let mut other = PgConnection::connect(fresh.url()).await.unwrap();
    other.lock().await.unwrap();
    let url = with_path(&fresh, "feed,public");
    let opening = tokio::spawn(async move { Database::<Postgres>::open(&url).await });
    let waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
                 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    until("it waits for its turn", async || {
        tables::number(fresh.url(), waits).await > 0
    })
    .await;
    for migration in Database::<Postgres>::migrations() {
        let sql = sqlx::raw_sql(AssertSqlSafe(migration.sql));
        sql.execute(&mut other).await.unwrap();
    }
    other.unlock().await.unwrap();
    let refused = opening.await.unwrap();
    assert!(
        matches!(refused, Err(DatabaseError::Elsewhere(..))),
        "{refused:?}"
    );
}

/// Statements outside transactions go by the path of the host, and so does what the host appends.
#[tokio::test]
async fn a_pool_that_finds_the_tables_of_another_feed_first_is_refused() {
    let fresh = FreshDatabase::postgres().await;
    for schema in ["orders", "billing"] {
        let options = DatabaseOptions::new(fresh.url()).schema(schema);
        Database::<Postgres>::open(options).await.unwrap();
    }
    let pool = pool(&fresh, "orders, billing").await;
    let adopt = async |options| Database::with_pool(pool.clone(), options).await;
    let options = |schema| DatabaseOptions::default().schema(schema);
    adopt(options("orders")).await.unwrap();
    for refused in [
        adopt(options("billing")).await,
        adopt(options("billing").without_migrations()).await,
    ] {
        assert_eq!(
            refused.unwrap_err().to_string(),
            "the pool cannot be used as it is: its sessions find the tables of the schema orders before those of \
             billing; put billing first in their search_path (PgConnectOptions::options)"
        );
    }
}

/// After a logical replication, which copies no sequences, in a schema that is not the first one.
#[tokio::test]
async fn a_sequence_is_raised_in_the_schema_that_was_named() {
    let fresh = FreshDatabase::postgres().await;
    let schema = "One \"of\" them's";
    let options = DatabaseOptions::new(fresh.url()).schema(schema);
    let open = async || Database::<Postgres>::open(options.clone()).await.unwrap();
    let last = "SELECT last_value FROM feed_quarantine_position_seq";
    let database = open().await;
    let behind = async |position: u8| {
        let insert = "INSERT INTO feed_quarantine (position, reason, id) OVERRIDING SYSTEM VALUE";
        let insert = format!("{insert} VALUES ({position}, 'a test', '')");
        Postgres::run(&database, &insert).await;
    };
    behind(7).await;
    open().await;
    assert_eq!(Postgres::numbers(&database, last).await, [7]);
    behind(9).await;
    let path = format!("public, \"{}\"", schema.replace('"', "\"\""));
    let pool = pool(&fresh, &path).await;
    let options = DatabaseOptions::default().schema(schema);
    Database::with_pool(pool, options).await.unwrap();
    assert_eq!(Postgres::numbers(&database, last).await, [9]);
}
