//! Statements that differ between the databases by a clock, a cast or a list at most: written once.
//!
//! This folder is compiled in each database's module (`#[path]` in `postgres/mod.rs` and `sqlite/mod.rs`), so
//! that nothing here is generic. `super::dialect` is then the dialect of that database.

mod consume;
mod measure;
mod operate;
mod publish;
mod transfer;

use sqlx::AssertSqlSafe;

pub(super) use consume::from_due;

use super::dialect::{
    Db, FOR_UPDATE, FOR_UPDATE_SKIP_LOCKED, GREATEST, HAS_UNNUMBERED, JSON_OBJECT, NOW, NOW_MILLIS,
    Row, SECOND_CLOSES, is_in, list, now_plus,
};
use crate::store::Made;

type Connection = <Db as sqlx::Database>::Connection;
type Pool = sqlx::Pool<Db>;
type Transaction<'c> = sqlx::Transaction<'c, Db>;

/// Reads a struct from a row whose columns have the names of its fields. sqlx's own `derive` would compile its
/// core a second time, for the compiler's side.
macro_rules! from_row {
    ($name:ident: $($field:ident),*) => {
        impl sqlx::FromRow<'_, super::Row> for $name {
            fn from_row(row: &super::Row) -> sqlx::Result<Self> {
                Ok(Self { $($field: sqlx::Row::try_get(row, stringify!($field))?),* })
            }
        }
    };
}
use from_row;

/// Fails if the database does not answer.
pub(super) async fn ping(pool: &Pool) -> sqlx::Result<()> {
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
pub(super) async fn migrations(pool: &Pool, table: &'static str) -> sqlx::Result<Vec<Made>> {
    let sql = format!(
        "-- database::migrations
         SELECT version, description FROM {table} WHERE success ORDER BY version"
    );
    let made: Vec<(i64, String)> = sqlx::query_as(AssertSqlSafe(sql)).fetch_all(pool).await?;
    Ok(made.into_iter().map(Made::from).collect())
}
