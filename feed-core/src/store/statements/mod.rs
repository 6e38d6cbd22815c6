//! Statements that differ between the databases at most by a clock, a cast or a list, written once.
//!
//! Each database's module compiles this folder (`#[path]` in `postgres/mod.rs` and
//! `sqlite/mod.rs`), so nothing here is generic. `super::dialect` is then the dialect of that
//! database.

#[cfg(feature = "consume")]
mod consume;
mod database;
#[cfg(feature = "consume")]
mod decide;
#[cfg(feature = "consume")]
mod operate;
#[cfg(feature = "publish")]
mod publish;
#[cfg(feature = "consume")]
mod replay;
mod transfer;

#[cfg(feature = "consume")]
pub(super) use consume::{MARK, NOT_STOPPED, is_due};

use super::dialect::{Db, HAS_UNNUMBERED, IS_STANDBY, JSON_OBJECT, Row};
#[cfg(feature = "consume")]
use super::dialect::{
    FOR_NO_KEY_UPDATE, FOR_UPDATE, FOR_UPDATE_SKIP_LOCKED, WITH_POSITION, each, now_plus,
    restoring_planner,
};
#[cfg(feature = "publish")]
use super::dialect::{GREATEST, NOW_MILLIS};
#[cfg(any(feature = "consume", feature = "publish"))]
use super::dialect::{NOW, instant, is_in, list};

type Connection = <Db as sqlx::Database>::Connection;
type Pool = sqlx::Pool<Db>;
#[cfg(any(feature = "consume", feature = "publish"))]
type Writer<'a> = crate::store::Writer<'a, Db>;
type Transaction<'c> = sqlx::Transaction<'c, Db>;

/// Implements `FromRow` by column names equal to field names; fields behind `;` are rows themselves, with other columns
/// of the same row. sqlx's own `derive` would compile its core a second time, for the host.
macro_rules! from_row {
    ($name:ident: $($field:ident),* $(; $($part:ident),*)?) => {
        impl sqlx::FromRow<'_, super::Row> for $name {
            fn from_row(row: &super::Row) -> sqlx::Result<Self> {
                Ok(Self {
                    $($field: sqlx::Row::try_get(row, stringify!($field))?,)*
                    $($($part: sqlx::FromRow::from_row(row)?,)*)?
                })
            }
        }
    };
}
use from_row;
