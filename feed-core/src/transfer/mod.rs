//! Moves all data of a service to another database, of the same kind or the other one: [`export()`]
//! writes it to a file, [`import()`] reads it into a new database. It keeps ids and sequences, and
//! with them the bytes of pages (I3), as well as claims and cursors, so that no event has a second
//! effect (I5).

mod export;
mod file;
mod import;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::database::Database;
use crate::database::timeout::TRANSACTION;
use crate::store::Backend;

pub use export::export;
pub use import::{Import, import};

/// A table of a service.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// Its name, on both databases.
    pub name: &'static str,
    /// The number of rows that a new database has in it.
    pub seeds: u64,
}

impl Table {
    /// Creates a table that is empty in a new database.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self { name, seeds: 0 }
    }

    /// Creates a table that has so many rows in a new database.
    #[must_use]
    pub const fn with_seeds(name: &'static str, seeds: u64) -> Self {
        Self { name, seeds }
    }
}

/// A service's migrations: number, name, SQL.
pub type Migrations = &'static [(i64, &'static str, &'static str)];

/// The [`Migrations`] of the calling crate, by the names of their files in a folder
/// below `migrations`: `migrations! { "sqlite": "0001_sale", "0002_expand_colour" }`.
#[macro_export]
macro_rules! migrations {
    ($folder:literal: $($file:literal),+ $(,)?) => {
        &[$($crate::transfer::migration(
            $file,
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/", $folder, "/", $file, ".sql")),
        )),+]
    };
}

/// Number and name of a file such as `0004_expand_archive`, and its SQL.
#[doc(hidden)]
#[must_use]
pub const fn migration(file: &'static str, sql: &'static str) -> (i64, &'static str, &'static str) {
    let (number, name) = file.split_at(4);
    match i64::from_str_radix(number, 10) {
        Ok(number) => (number, name.split_at(1).1, sql),
        Err(_) => panic!("a migration's file begins with four digits"),
    }
}

/// What a service stores in a database of its own, beside feed-core's tables.
#[derive(Debug, Clone, Copy)]
pub struct Moved {
    /// The table that lists its migrations.
    pub migrations: &'static str,
    /// Those for SQLite.
    pub sqlite: Migrations,
    /// Those for PostgreSQL.
    pub postgres: Migrations,
    /// Its tables; each follows those that it references.
    pub tables: &'static [Table],
}

/// feed-core's own tables. `feed_outbox` is empty when a database is moved, and the running
/// instances are not moved.
///
/// The head follows the events: without a head, the log accepts events that were published before.
const TABLES: &[Table] = &[
    Table::new("feed_event"),
    Table::new("feed_archive"),
    Table::new("feed_head"),
    Table::new("feed_quarantine"),
    Table::new("feed_subscription"),
    Table::new("feed_partition"),
    Table::new("feed_claim"),
    Table::new("feed_parked"),
    Table::new("feed_attempt"),
    Table::new("feed_skip"),
    Table::new("feed_decision"),
    Table::new("feed_undo"),
];

/// The longest time for a statement that changes all rows of a table, and for a commit of them.
const WHOLE: Duration = Duration::from_secs(600);

/// The outcome of one statement, or the next row.
async fn answered<B: Backend, T>(
    database: &Database<B>,
    statement: impl Future<Output = sqlx::Result<T>>,
) -> sqlx::Result<T> {
    answered_within(TRANSACTION, database, statement).await
}

/// A connection may fall silent. A file always answers, if only that it is locked.
async fn answered_within<B: Backend, T>(
    longest: Duration,
    database: &Database<B>,
    statement: impl Future<Output = sqlx::Result<T>>,
) -> sqlx::Result<T> {
    match B::ONE_WRITER {
        true => statement.await,
        false => database.within(longest, statement).await,
    }
}

/// Why a database was not moved. The new database and the file are unchanged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// A database failed.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    /// A row of the database cannot be read: its table, its place among the exported rows of the table, and why.
    #[error("row {1} of {0} cannot be read; correct it in the database, and try again")]
    Row(&'static str, u64, #[source] sqlx::Error),
    /// The file cannot be read or written.
    #[error("cannot use {}", .0.display())]
    File(PathBuf, #[source] io::Error),
    /// What is there is no export, and is not replaced by one.
    #[error("{} exists and is not an export: choose another file, or remove that one", .0.display())]
    Occupied(PathBuf),
    /// A line of the file cannot be read.
    #[error("line {0} of the file cannot be read: {1}")]
    Line(u64, String),
    /// The end of the file is missing.
    #[error("the file is not whole: its last line, with its digest, is missing")]
    Cut,
    /// It is not as it was written.
    #[error("the file is damaged: its digest differs from that in its last line")]
    Damaged,
    /// The database is in use.
    #[error("there are rows in {0}: import into a new database, which no service has used yet")]
    Used(&'static str),
    /// A row is there already, although the database was empty.
    #[error(
        "a row of {0} is there twice: the file has it twice, or another import into this database was first"
    )]
    Twice(&'static str),
    /// Events keep arriving.
    #[error(
        "new events keep arriving: stop the service; if it is stopped, find the session that holds the \
         row of feed_head"
    )]
    Busy,
}
