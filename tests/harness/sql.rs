//! Queries of a service's tables.

use std::future::Future;

use feed_core::{Backend, Database};
use sqlx::{AssertSqlSafe, Executor, Postgres, Sqlite};

/// A database whose tables a test may read, by SQL that is the same on both. A failure ends the
/// test.
pub trait Sql: Backend {
    /// The table that an event is inserted into.
    const OUTBOX: &'static str;

    /// How a statement begins that renames a table and leaves triggers and views as they are.
    const ALTER_TABLE: &'static str;

    /// Runs statements.
    fn run(database: &Database<Self>, sql: &str) -> impl Future<Output = ()> + Send;

    /// Reads one column of integers.
    fn numbers(database: &Database<Self>, sql: &str) -> impl Future<Output = Vec<i64>> + Send;

    /// Reads one integer.
    fn number(database: &Database<Self>, sql: &str) -> impl Future<Output = i64> + Send {
        async move { Self::numbers(database, sql).await[0] }
    }

    /// Reads one column of texts.
    fn texts(database: &Database<Self>, sql: &str) -> impl Future<Output = Vec<String>> + Send;
}

macro_rules! sql {
    ($($backend:ty: $outbox:literal $alter:literal)*) => {$(
        impl Sql for $backend {
            const OUTBOX: &'static str = $outbox;
            const ALTER_TABLE: &'static str = $alter;

            async fn run(database: &Database<Self>, sql: &str) {
                let done = database.writer().execute(AssertSqlSafe(sql)).await;
                done.expect(sql);
            }

            async fn numbers(database: &Database<Self>, sql: &str) -> Vec<i64> {
                let rows = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(database.reader());
                rows.await.expect(sql)
            }

            async fn texts(database: &Database<Self>, sql: &str) -> Vec<String> {
                let rows = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(database.reader());
                rows.await.expect(sql)
            }
        }
    )*};
}
sql! {
    Postgres: "feed_outbox" "ALTER TABLE"
    Sqlite: "feed_event" "PRAGMA legacy_alter_table = ON; ALTER TABLE"
}
