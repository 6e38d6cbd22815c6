//! What a service needs to write each of its statements once, for both databases.
//!
//! The statements are in a file of their own, say `store/statements.rs`. Each database's module compiles that file
//! and chooses the dialect for it. So the statements are not generic: to them, `Db` is one database.
//!
//! ```ignore
//! // store/postgres.rs
//! use feed_core::dialect::postgres::{Db, NOW, is_in, list};
//!
//! #[path = "statements.rs"]
//! mod statements;
//! ```
//!
//! ```ignore
//! // store/statements.rs
//! use super::{Db, NOW, is_in, list};
//!
//! impl Store for Db {
//!     async fn ship(tx: &mut Transaction<'_, Db>, ids: &[i64]) -> sqlx::Result<()> {
//!         sqlx::query(sql!(
//!             "UPDATE parcel SET shipped_at = {NOW} WHERE id {in_list}",
//!             in_list = is_in("$1")
//!         ))
//!         .bind(list(ids))
//! ```
//!
//! A statement that differs in more than this is written in each database's module.

/// The dialect of PostgreSQL.
#[cfg(feature = "postgres")]
pub mod postgres {
    /// The database.
    pub type Db = sqlx::Postgres;
    /// One of its rows.
    pub type Row = sqlx::postgres::PgRow;

    /// The clock, at this moment, in whole milliseconds.
    pub const NOW: &str = "date_trunc('milliseconds', clock_timestamp())";

    /// The function that takes the largest of its arguments.
    pub const GREATEST: &str = "GREATEST";

    /// The function that returns where in a text another one begins; 0 if nowhere.
    pub const POSITION: &str = "strpos";

    /// The condition that what stands before it is in a [`list`].
    #[must_use]
    pub fn is_in(list: &str) -> String {
        format!("= ANY ({list})")
    }

    /// Several values as one parameter.
    #[must_use]
    pub fn list<T>(values: &[T]) -> &[T] {
        values
    }
}

/// The dialect of SQLite, which holds instants as texts and gets lists as JSON.
#[cfg(feature = "sqlite")]
pub mod sqlite {
    use chrono::{DateTime, SecondsFormat, Utc};
    use serde::Serialize;
    use serde_json::json;

    /// The database.
    pub type Db = sqlx::Sqlite;
    /// One of its rows.
    pub type Row = sqlx::sqlite::SqliteRow;

    /// The clock in whole milliseconds, the same wherever it stands in a statement.
    pub const NOW: &str = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')";

    /// The function that takes the largest of its arguments.
    pub const GREATEST: &str = "max";

    /// The function that returns where in a text another one begins; 0 if nowhere.
    pub const POSITION: &str = "instr";

    /// The condition that what stands before it is in a [`list`].
    #[must_use]
    pub fn is_in(list: &str) -> String {
        format!("IN (SELECT value FROM json_each({list}))")
    }

    /// Several values, or rows of values, as one parameter.
    #[must_use]
    pub fn list<T: Serialize>(values: &[T]) -> String {
        json!(values).to_string()
    }

    /// An instant as a parameter, and as it is stored.
    #[must_use]
    pub fn instant(at: DateTime<Utc>) -> String {
        at.to_rfc3339_opts(SecondsFormat::Millis, true)
    }
}
