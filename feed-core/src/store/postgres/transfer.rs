//! Moving a PostgreSQL database: each row is one JSON object.

use futures_util::stream::BoxStream;
use sqlx::{AssertSqlSafe, PgConnection, Postgres};

use crate::store::transfer::{Column, Kind, Transfer, delete, names};

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
