//! Whether a database answers, and how far its schema is.

use sqlx::AssertSqlSafe;

use super::{Pool, from_row};
use crate::store::Made;

/// Fails if the database does not answer.
pub(in super::super) async fn ping(pool: &Pool) -> sqlx::Result<()> {
    sqlx::query(
        "-- database::ping
         SELECT 1",
    )
    .execute(pool)
    .await
    .map(drop)
}

/// Which migrations have been made, by the table in which sqlx lists them. The name is a constant of a
/// program's own.
pub(in super::super) async fn migrations(
    pool: &Pool,
    table: &'static str,
) -> sqlx::Result<Vec<Made>> {
    let sql = format!(
        "-- database::migrations
         SELECT version, description FROM {table} WHERE success ORDER BY version"
    );
    sqlx::query_as(AssertSqlSafe(sql)).fetch_all(pool).await
}

from_row! { Made: version, description }
