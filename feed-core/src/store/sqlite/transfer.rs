//! Moving a database, as far as it is SQLite's own.

use sqlx::{AssertSqlSafe, Executor, Sqlite, SqliteConnection};

use crate::store::transfer::{Column, NativeTransfer, names};

impl NativeTransfer for Sqlite {
    const SNAPSHOT: &'static str = "BEGIN";

    async fn columns(connection: &mut SqliteConnection, table: &str) -> sqlx::Result<Vec<Column>> {
        let rows: Vec<String> = sqlx::query_scalar(
            "SELECT -- transfer::columns
             name FROM pragma_table_info($1) ORDER BY name",
        )
        .bind(table)
        .fetch_all(connection)
        .await?;
        let column = |name: String| {
            let value = match name.as_str() {
                // A row in quarantine is kept as it was.
                "time" | "updated" if table != "feed_quarantine" => without_second_60(&name),
                _ => name.clone(),
            };
            Column { name, value }
        };
        Ok(rows.into_iter().map(column).collect())
    }

    async fn insert(
        connection: &mut SqliteConnection,
        table: &str,
        columns: &[Column],
        array: String,
    ) -> sqlx::Result<()> {
        let members: Vec<String> = columns
            .iter()
            .map(|column| format!("json_extract(value, '$.{}')", column.name))
            .collect();
        let members = members.join(", ");
        let columns = names(columns);
        let sql = format!(
            "INSERT -- transfer::insert
             INTO {table} ({columns}) SELECT {members} FROM json_each($1)"
        );
        let insert = sqlx::query(AssertSqlSafe(sql)).bind(array);
        insert.execute(connection).await.map(drop)
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
            "SELECT -- transfer::last_number
             seq FROM sqlite_sequence WHERE name = $1 AND seq > 0",
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
            "DELETE -- transfer::forget_number
             FROM sqlite_sequence WHERE name = $1",
        )
        .bind(table)
        .execute(&mut *connection)
        .await?;
        sqlx::query(
            "INSERT -- transfer::number_after
             INTO sqlite_sequence (name, seq) VALUES ($1, $2)",
        )
        .bind(table)
        .bind(last)
        .execute(connection)
        .await?;
        Ok(())
    }
}

/// Returns the value of an instant that an earlier version may have stored with a second 60. PostgreSQL reads not each of
/// these, and would have stored the next second.
fn without_second_60(name: &str) -> String {
    format!(
        "iif(typeof({name}) = 'text' AND instr({name}, ':60.') > 0,
             coalesce(strftime('%Y-%m-%dT%H:%M:%fZ', replace({name}, ':60.', ':59.'), '+1 second'), {name}),
             {name})"
    )
}
