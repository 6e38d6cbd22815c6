//! What we ask of a database. All SQL of feed-core lies below this folder: one module for each
//! side and backend, and the same tests for both backends.

mod connect;
mod connect_postgres;
pub(crate) mod consume;
mod consume_postgres;
mod consume_sqlite;
mod error;
pub(crate) mod listen;
pub(crate) mod measure;
pub(crate) mod operate;
mod operate_postgres;
mod operate_sqlite;
pub(crate) mod publish;
mod publish_postgres;
mod publish_sqlite;
mod session;
mod text;
pub(crate) mod transfer;

use std::future::Future;
use std::os::unix::fs::MetadataExt;

use sqlx::migrate::Migrator;
use sqlx::{Pool, Postgres, SqlStr, Sqlite};

use crate::database::DatabaseOptions;
pub(crate) use connect::{begin, begin_with};
pub use error::DatabaseError;

/// A database that can hold a feed and its consumers: [`sqlx::Postgres`] or [`sqlx::Sqlite`].
///
/// There is nothing here to call: hand the type to [`Database::open`](crate::Database::open),
/// choosing by the URL's scheme ([`Kind`](crate::Kind)).
#[expect(private_bounds, reason = "the operations are ours to change")]
pub trait Backend: Operations {}

impl Backend for Postgres {}
impl Backend for Sqlite {}

/// The operations behind [`Backend`], which no caller can name.
pub(crate) trait Operations:
    publish::Publish
    + consume::Consume
    + operate::Operate
    + measure::Measure
    + listen::Listen
    + transfer::Transfer
{
    /// The statement that begins a writing transaction.
    const BEGIN: &'static str;

    /// feed-core's own migrations: number, name, SQL.
    const MIGRATIONS: &'static [(i64, &'static str, &'static str)];

    /// True if only one transaction at a time can write: then whatever writes takes its turn there.
    const ONE_WRITER: bool;

    /// Opens the pools.
    fn connect(
        options: &DatabaseOptions,
    ) -> impl Future<Output = Result<Pools<Self>, DatabaseError>> + Send;

    /// Runs `migrator` while no other instance does.
    fn run_migrations(
        pool: &Pool<Self>,
        migrator: &Migrator,
    ) -> impl Future<Output = Result<(), DatabaseError>> + Send;

    /// The migrations that `table` lists.
    fn migrations(
        pool: &Pool<Self>,
        table: &'static str,
    ) -> impl Future<Output = sqlx::Result<Vec<Made>>> + Send;

    /// The tables that list migrations, by our way to name them.
    fn migration_tables(
        pool: &Pool<Self>,
    ) -> impl Future<Output = sqlx::Result<Vec<String>>> + Send;

    /// Fails if the database does not answer.
    fn ping(pool: &Pool<Self>) -> impl Future<Output = sqlx::Result<()>> + Send;

    /// What tells a file from another one in its place; a server tells by itself that it is gone.
    fn file(pool: &Pool<Self>) -> Option<(u64, u64)>;
}

/// The connections to one database.
pub(crate) struct Pools<B: sqlx::Database> {
    /// For what is read.
    pub(crate) reader: Pool<B>,
    /// For single statements that write.
    pub(crate) writer: Pool<B>,
    /// For transactions.
    pub(crate) transactions: Pool<B>,
    /// The message that begins one there.
    pub(crate) begin: SqlStr,
}

/// A migration that has been made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Made {
    pub(crate) version: i64,
    pub(crate) description: String,
}

impl From<(i64, String)> for Made {
    fn from((version, description): (i64, String)) -> Self {
        Self {
            version,
            description,
        }
    }
}

impl Made {
    /// True if programs that do not know of it can work on: it adds something, and takes nothing away. Its
    /// name says so: `0004_expand_archive.sql`.
    pub(crate) fn is_expansion(&self) -> bool {
        self.description.starts_with("expand ")
    }
}

impl Operations for Postgres {
    const BEGIN: &'static str = session::BEGIN;
    const ONE_WRITER: bool = false;
    const MIGRATIONS: &'static [(i64, &'static str, &'static str)] = &[
        (
            1,
            "feed",
            include_str!("../../migrations/postgres/0001_feed.sql"),
        ),
        (
            2,
            "decisions",
            include_str!("../../migrations/postgres/0002_decisions.sql"),
        ),
        (
            3,
            "outbox",
            include_str!("../../migrations/postgres/0003_outbox.sql"),
        ),
        (
            4,
            "expand archive",
            include_str!("../../migrations/postgres/0004_expand_archive.sql"),
        ),
        (
            5,
            "expand quarantine",
            include_str!("../../migrations/postgres/0005_expand_quarantine.sql"),
        ),
        (
            6,
            "expand served",
            include_str!("../../migrations/postgres/0006_expand_served.sql"),
        ),
        (
            7,
            "expand source",
            include_str!("../../migrations/postgres/0007_expand_source.sql"),
        ),
        (
            8,
            "expand effect",
            include_str!("../../migrations/postgres/0008_expand_effect.sql"),
        ),
        (
            9,
            "expand ids",
            include_str!("../../migrations/postgres/0009_expand_ids.sql"),
        ),
    ];

    async fn connect(options: &DatabaseOptions) -> Result<Pools<Self>, DatabaseError> {
        connect_postgres::connect(options).await
    }

    async fn run_migrations(pool: &Pool<Self>, migrator: &Migrator) -> Result<(), DatabaseError> {
        connect_postgres::migrate(pool, migrator).await
    }

    async fn migrations(pool: &Pool<Self>, table: &'static str) -> sqlx::Result<Vec<Made>> {
        let made: Vec<(i64, String)> = sqlx::query_as(connect::migrations_in(table))
            .fetch_all(pool)
            .await?;
        Ok(made.into_iter().map(Made::from).collect())
    }

    async fn migration_tables(pool: &Pool<Self>) -> sqlx::Result<Vec<String>> {
        sqlx::query_scalar(
            "-- database::migration_tables
             SELECT tablename::text FROM pg_tables
             WHERE schemaname = current_schema() AND tablename LIKE '\\_%\\_migrations'",
        )
        .fetch_all(pool)
        .await
    }

    async fn ping(pool: &Pool<Self>) -> sqlx::Result<()> {
        sqlx::query(connect::PING).execute(pool).await.map(drop)
    }

    fn file(_: &Pool<Self>) -> Option<(u64, u64)> {
        None
    }
}

impl Operations for Sqlite {
    const BEGIN: &'static str = "BEGIN IMMEDIATE";
    const ONE_WRITER: bool = true;
    const MIGRATIONS: &'static [(i64, &'static str, &'static str)] = &[
        (
            1,
            "feed",
            include_str!("../../migrations/sqlite/0001_feed.sql"),
        ),
        (
            2,
            "decisions",
            include_str!("../../migrations/sqlite/0002_decisions.sql"),
        ),
        (
            3,
            "expand archive",
            include_str!("../../migrations/sqlite/0003_expand_archive.sql"),
        ),
        (
            4,
            "expand quarantine",
            include_str!("../../migrations/sqlite/0004_expand_quarantine.sql"),
        ),
        (
            5,
            "expand source",
            include_str!("../../migrations/sqlite/0005_expand_source.sql"),
        ),
        (
            6,
            "expand ids",
            include_str!("../../migrations/sqlite/0006_expand_ids.sql"),
        ),
    ];

    async fn connect(options: &DatabaseOptions) -> Result<Pools<Self>, DatabaseError> {
        match options.direct_url {
            Some(_) => Err(DatabaseError::DirectFile),
            None => connect::connect_sqlite(&options.url).await,
        }
    }

    async fn run_migrations(pool: &Pool<Self>, migrator: &Migrator) -> Result<(), DatabaseError> {
        connect::migrate_sqlite(pool, migrator).await
    }

    async fn migrations(pool: &Pool<Self>, table: &'static str) -> sqlx::Result<Vec<Made>> {
        let made: Vec<(i64, String)> = sqlx::query_as(connect::migrations_in(table))
            .fetch_all(pool)
            .await?;
        Ok(made.into_iter().map(Made::from).collect())
    }

    async fn migration_tables(pool: &Pool<Self>) -> sqlx::Result<Vec<String>> {
        sqlx::query_scalar(
            "-- database::migration_tables
             SELECT name FROM sqlite_master
             WHERE type = 'table' AND name LIKE '\\_%\\_migrations' ESCAPE '\\'",
        )
        .fetch_all(pool)
        .await
    }

    async fn ping(pool: &Pool<Self>) -> sqlx::Result<()> {
        sqlx::query(connect::PING).execute(pool).await.map(drop)
    }

    fn file(pool: &Pool<Self>) -> Option<(u64, u64)> {
        let file = pool.connect_options().get_filename().metadata().ok()?;
        Some((file.dev(), file.ino()))
    }
}
