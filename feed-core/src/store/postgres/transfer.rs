//! Moving a database, as far as it is PostgreSQL's own.

use sqlx::{AssertSqlSafe, PgConnection, Postgres};

use crate::store::transfer::{Column, NativeTransfer, names};

impl NativeTransfer for Postgres {
    const SNAPSHOT: &'static str = "BEGIN ISOLATION LEVEL REPEATABLE READ";

    async fn columns(connection: &mut PgConnection, table: &str) -> sqlx::Result<Vec<Column>> {
        let rows: Vec<(String, String)> = sqlx::query_as(
            "SELECT -- transfer::columns
             attname::text, atttypid::regtype::text FROM pg_attribute
             WHERE attrelid = to_regclass($1) AND attnum > 0
               AND NOT attisdropped AND attgenerated = ''
             ORDER BY attname COLLATE \"C\"",
        )
        .bind(table)
        .fetch_all(connection)
        .await?;
        let column = |(name, of): (String, String)| {
            let value = match of.as_str() {
                // A year before 1 would become one after it, and SQLite compares one after 9999 as a smaller text. No setting
                // has such a name, and the error has it; that of a cast would not be shown, as it quotes a value.
                "timestamp with time zone" => format!(
                    "CASE WHEN {name} BETWEEN '0001-01-01Z' AND '9999-12-31T23:59:59.999999Z'
                          THEN to_char({name} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')
                          ELSE current_setting('a time outside the years 1 to 9999: ' || {name}) END"
                ),
                "boolean" => format!("{name}::int"),
                _ => name.clone(),
            };
            Column { name, value }
        };
        Ok(rows.into_iter().map(column).collect())
    }

    async fn insert(
        connection: &mut PgConnection,
        table: &str,
        columns: &[Column],
        array: String,
    ) -> sqlx::Result<()> {
        let columns = names(columns);
        let sql = format!(
            "INSERT -- transfer::insert
             INTO {table} ({columns}) OVERRIDING SYSTEM VALUE
             SELECT {columns} FROM json_populate_recordset(NULL::{table}, $1::json)"
        );
        let insert = sqlx::query(AssertSqlSafe(sql)).bind(array);
        insert.execute(connection).await.map(drop)
    }

    async fn last_number(connection: &mut PgConnection, table: &str) -> sqlx::Result<Option<i64>> {
        let last: Option<Option<i64>> = sqlx::query_scalar(
            "SELECT -- transfer::last_number
             pg_sequence_last_value(pg_get_serial_sequence($1, attname)::regclass)
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
            "SELECT -- transfer::number_after
             setval(pg_get_serial_sequence($1, attname)::regclass, $2)
             FROM pg_attribute WHERE attrelid = to_regclass($1) AND attidentity <> '' AND NOT attisdropped",
        )
        .bind(table)
        .bind(last)
        .execute(connection)
        .await?;
        Ok(())
    }
}
