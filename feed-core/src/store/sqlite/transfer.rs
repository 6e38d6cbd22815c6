//! Moving a SQLite database: each row is one JSON object.

use futures_util::stream::BoxStream;
use sqlx::{AssertSqlSafe, Executor, Sqlite, SqliteConnection};

use crate::store::transfer::{Column, Kind, Transfer, delete, names};

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
