//! Statements that read the rows of a table as JSON.

use futures_util::stream::BoxStream;
use sqlx::AssertSqlSafe;

use super::{Connection, Db, HAS_UNNUMBERED, JSON_OBJECT};
use crate::store::sql::sql;
use crate::store::transfer::{Column, Transfer};

impl Transfer for Db {
    async fn has_unnumbered(connection: &mut Connection) -> sqlx::Result<bool> {
        sqlx::query_scalar(sql!(
            "SELECT -- transfer::has_unnumbered
             {HAS_UNNUMBERED}"
        ))
        .fetch_one(connection)
        .await
    }

    fn rows<'c>(
        connection: &'c mut Connection,
        table: &str,
        columns: &[Column],
    ) -> BoxStream<'c, sqlx::Result<String>> {
        let members: Vec<String> = columns
            .iter()
            .map(|Column { name, value }| format!("'{name}', {value}"))
            .collect();
        let members = members.join(", ");
        let sql = format!(
            "SELECT -- transfer::rows
             CAST({JSON_OBJECT}({members}) AS TEXT) FROM {table}"
        );
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch(connection)
    }

    async fn empty(connection: &mut Connection, table: &str) -> sqlx::Result<u64> {
        let sql = format!(
            "DELETE -- transfer::empty
             FROM {table}"
        );
        let emptied = sqlx::query(AssertSqlSafe(sql)).execute(connection).await?;
        Ok(emptied.rows_affected())
    }
}
