//! What moving a database asks of it: its rows as JSON, out of one and into another. The same names on
//! both databases make that possible; how each writes an instant is theirs.

use std::future::Future;

use futures_util::stream::BoxStream;
use sqlx::{AssertSqlSafe, Executor, PgConnection, Postgres, Sqlite, SqliteConnection};

/// A column of a table, as far as it matters here.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    kind: Kind,
}

/// How it is written as JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// As it is: a number or a text.
    Plain,
    /// An instant that is no text becomes one.
    Instant,
    /// What is true is 1.
    Truth,
}

/// Operations on tables by their names, which are constants of programs.
pub(crate) trait Transfer: sqlx::Database {
    /// Begins a transaction in which nothing changes but what it does itself.
    const SNAPSHOT: &'static str;

    /// True if events have been committed that have no number yet.
    fn has_unnumbered(
        connection: &mut Self::Connection,
    ) -> impl Future<Output = sqlx::Result<bool>> + Send;

    /// The columns of a table that are written to it, by name.
    fn columns(
        connection: &mut Self::Connection,
        table: &str,
    ) -> impl Future<Output = sqlx::Result<Vec<Column>>> + Send;

    /// Each row as one JSON object.
    fn rows<'c>(
        connection: &'c mut Self::Connection,
        table: &str,
        columns: &[Column],
    ) -> BoxStream<'c, sqlx::Result<String>>;

    /// Inserts the rows of a JSON array.
    fn insert(
        connection: &mut Self::Connection,
        table: &str,
        columns: &[Column],
        array: String,
    ) -> impl Future<Output = sqlx::Result<()>> + Send;

    /// Removes all rows; returns how many there were.
    fn empty(
        connection: &mut Self::Connection,
        table: &str,
    ) -> impl Future<Output = sqlx::Result<u64>> + Send;

    /// The last number that a table has given to a row, if it numbers them: a number is not given twice,
    /// although its row may be gone.
    fn last_number(
        connection: &mut Self::Connection,
        table: &str,
    ) -> impl Future<Output = sqlx::Result<Option<i64>>> + Send;

    /// Has a table go on numbering after `last`.
    fn number_after(
        connection: &mut Self::Connection,
        table: &str,
        last: i64,
    ) -> impl Future<Output = sqlx::Result<()>> + Send;
}

/// `a, b, c`
fn names(columns: &[Column], of: impl Fn(&Column) -> String) -> String {
    columns.iter().map(of).collect::<Vec<_>>().join(", ")
}

fn delete(table: &str) -> AssertSqlSafe<String> {
    AssertSqlSafe(format!(
        "-- transfer::empty
         DELETE FROM {table}"
    ))
}

impl Transfer for Postgres {
    const SNAPSHOT: &'static str = "BEGIN ISOLATION LEVEL REPEATABLE READ";

    async fn has_unnumbered(connection: &mut PgConnection) -> sqlx::Result<bool> {
        sqlx::query_scalar(
            "-- transfer::has_unnumbered
             SELECT EXISTS (SELECT FROM feed_outbox)",
        )
        .fetch_one(connection)
        .await
    }

    async fn columns(connection: &mut PgConnection, table: &str) -> sqlx::Result<Vec<Column>> {
        let rows: Vec<(String, String)> = sqlx::query_as(
            "-- transfer::columns
             SELECT attname::text, atttypid::regtype::text FROM pg_attribute
             WHERE attrelid = to_regclass($1) AND attnum > 0
               AND NOT attisdropped AND attgenerated = ''
             ORDER BY attname COLLATE \"C\"",
        )
        .bind(table)
        .fetch_all(connection)
        .await?;
        let column = |(name, of): (String, String)| Column {
            name,
            kind: match of.as_str() {
                "timestamp with time zone" => Kind::Instant,
                "boolean" => Kind::Truth,
                _ => Kind::Plain,
            },
        };
        Ok(rows.into_iter().map(column).collect())
    }

    fn rows<'c>(
        connection: &'c mut PgConnection,
        table: &str,
        columns: &[Column],
    ) -> BoxStream<'c, sqlx::Result<String>> {
        let members = names(columns, |Column { name, kind }| match kind {
            Kind::Plain => format!("'{name}', {name}"),
            Kind::Truth => format!("'{name}', {name}::int"),
            Kind::Instant => format!(
                "'{name}', to_char({name} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"
            ),
        });
        let sql = format!(
            "-- transfer::rows
             SELECT json_build_object({members})::text FROM {table}"
        );
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch(connection)
    }

    async fn insert(
        connection: &mut PgConnection,
        table: &str,
        columns: &[Column],
        array: String,
    ) -> sqlx::Result<()> {
        let columns = names(columns, |column| column.name.clone());
        let sql = format!(
            "-- transfer::insert
             INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE
             SELECT {columns} FROM json_populate_recordset(NULL::{table}, $1::json)"
        );
        let insert = sqlx::query(AssertSqlSafe(sql)).bind(array);
        insert.execute(connection).await.map(drop)
    }

    async fn empty(connection: &mut PgConnection, table: &str) -> sqlx::Result<u64> {
        let emptied = sqlx::query(delete(table)).execute(connection).await?;
        Ok(emptied.rows_affected())
    }

    async fn last_number(connection: &mut PgConnection, table: &str) -> sqlx::Result<Option<i64>> {
        let last: Option<Option<i64>> = sqlx::query_scalar(
            "-- transfer::last_number
             SELECT pg_sequence_last_value(pg_get_serial_sequence($1, attname)::regclass)
             FROM pg_attribute WHERE attrelid = to_regclass($1) AND attidentity <> '' AND NOT attisdropped",
        )
        .bind(table)
        .fetch_optional(connection)
        .await?;
        Ok(last.flatten())
    }

    async fn number_after(
        connection: &mut PgConnection,
        table: &str,
        last: i64,
    ) -> sqlx::Result<()> {
        sqlx::query(
            "-- transfer::number_after
             SELECT setval(pg_get_serial_sequence($1, attname)::regclass, $2)
             FROM pg_attribute WHERE attrelid = to_regclass($1) AND attidentity <> '' AND NOT attisdropped",
        )
        .bind(table)
        .bind(last)
        .execute(connection)
        .await?;
        Ok(())
    }
}

impl Transfer for Sqlite {
    const SNAPSHOT: &'static str = "BEGIN";

    async fn has_unnumbered(_: &mut SqliteConnection) -> sqlx::Result<bool> {
        Ok(false)
    }

    async fn columns(connection: &mut SqliteConnection, table: &str) -> sqlx::Result<Vec<Column>> {
        let rows: Vec<String> = sqlx::query_scalar(
            "-- transfer::columns
             SELECT name FROM pragma_table_info($1) ORDER BY name",
        )
        .bind(table)
        .fetch_all(connection)
        .await?;
        let column = |name| Column {
            name,
            kind: Kind::Plain,
        };
        Ok(rows.into_iter().map(column).collect())
    }

    fn rows<'c>(
        connection: &'c mut SqliteConnection,
        table: &str,
        columns: &[Column],
    ) -> BoxStream<'c, sqlx::Result<String>> {
        let members = names(columns, |Column { name, .. }| format!("'{name}', {name}"));
        let sql = format!(
            "-- transfer::rows
             SELECT json_object({members}) FROM {table}"
        );
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch(connection)
    }

    async fn insert(
        connection: &mut SqliteConnection,
        table: &str,
        columns: &[Column],
        array: String,
    ) -> sqlx::Result<()> {
        let members = names(columns, |Column { name, .. }| {
            format!("json_extract(value, '$.{name}')")
        });
        let columns = names(columns, |column| column.name.clone());
        let sql = format!(
            "-- transfer::insert
             INSERT INTO {table} ({columns}) SELECT {members} FROM json_each($1)"
        );
        let insert = sqlx::query(AssertSqlSafe(sql)).bind(array);
        insert.execute(connection).await.map(drop)
    }

    async fn empty(connection: &mut SqliteConnection, table: &str) -> sqlx::Result<u64> {
        let emptied = sqlx::query(delete(table)).execute(connection).await?;
        Ok(emptied.rows_affected())
    }

    async fn last_number(
        connection: &mut SqliteConnection,
        table: &str,
    ) -> sqlx::Result<Option<i64>> {
        // The table of such tables is made with the first of them.
        let numbers = "SELECT name FROM sqlite_master WHERE name = 'sqlite_sequence'";
        if connection.fetch_optional(numbers).await?.is_none() {
            return Ok(None);
        }
        sqlx::query_scalar(
            "-- transfer::last_number
             SELECT seq FROM sqlite_sequence WHERE name = $1 AND seq > 0",
        )
        .bind(table)
        .fetch_optional(connection)
        .await
    }

    async fn number_after(
        connection: &mut SqliteConnection,
        table: &str,
        last: i64,
    ) -> sqlx::Result<()> {
        sqlx::query(
            "-- transfer::forget_number
             DELETE FROM sqlite_sequence WHERE name = $1",
        )
        .bind(table)
        .execute(&mut *connection)
        .await?;
        sqlx::query(
            "-- transfer::number_after
             INSERT INTO sqlite_sequence (name, seq) VALUES ($1, $2)",
        )
        .bind(table)
        .bind(last)
        .execute(connection)
        .await?;
        Ok(())
    }
}
