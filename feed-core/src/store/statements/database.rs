//! Statements that check whether a database answers, and the version of its schema.

use sqlx::AssertSqlSafe;

use super::{Db, IS_STANDBY, Pool, from_row};
use crate::store::{AppliedMigration, Check};

impl Check for Db {
    async fn ping(pool: &Pool) -> sqlx::Result<()> {
        sqlx::query(
            "SELECT -- database::ping
             1",
        )
        .execute(pool)
        .await
        .map(drop)
    }

    async fn is_standby(pool: &Pool) -> sqlx::Result<bool> {
        let sql = format!(
            "SELECT -- database::is_standby
             {IS_STANDBY}"
        );
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(pool).await
    }

    async fn migrations(pool: &Pool, table: &'static str) -> sqlx::Result<Vec<AppliedMigration>> {
        let sql = format!(
            "SELECT -- database::migrations
             version, description FROM {table} WHERE success ORDER BY version"
        );
        sqlx::query_as(AssertSqlSafe(sql)).fetch_all(pool).await
    }
}

from_row! { AppliedMigration: version, description }
