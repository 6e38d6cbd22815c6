//! The interface to a database: operations, and their SQL per database. All SQL of feed-core lies below this folder.
//!
//! `publish`, `consume`, `operate` and their like declare the operations. `statements` has what both databases answer
//! with the same SQL, but for a clock, a cast or a list. `postgres` and `sqlite` have what is their own; each
//! compiles `statements` for itself. The same tests run on both.

pub(crate) mod answer;
mod begin;
#[cfg(feature = "consume")]
pub(crate) mod consume;
#[cfg(feature = "consume")]
pub(crate) mod decide;
mod error;
mod listen;
#[cfg(feature = "consume")]
pub(crate) mod operate;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "publish")]
pub(crate) mod publish;
#[cfg(feature = "consume")]
pub(crate) mod replay;
mod sides;
mod sql;
#[cfg(feature = "sqlite")]
mod sqlite;
pub(crate) mod transfer;

use std::future::Future;
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::{Pool, SqlStr};

use crate::database::timeout::ConnectionHealth;
use crate::database::{DatabaseOptions, OptionNames};
use crate::transfer::Migrations;
use answer::Answer;
pub(crate) use begin::{Writer, begin_with};
pub use error::DatabaseError;
#[cfg(all(feature = "consume", feature = "postgres"))]
pub(crate) use postgres::sqlstate;

/// A database that can hold a feed and its consumers: [`sqlx::Postgres`] or [`sqlx::Sqlite`].
///
/// There is nothing here to call: hand the type to [`Database::open`](crate::Database::open),
/// choosing by the URL's scheme ([`Kind`](crate::Kind)).
#[expect(private_bounds, reason = "the operations are ours to change")]
pub trait Backend: Operations {}

/// The operations behind [`Backend`], which no caller can name.
pub(crate) trait Operations:
    sides::PublishSide
    + sides::ConsumeSide
    + Check
    + Open
    + listen::Listen
    + transfer::NativeTransfer
    + transfer::Transfer
{
    /// feed-core's own migrations.
    const MIGRATIONS: Migrations;

    /// The columns of a table in which sqlx lists migrations.
    const MIGRATION_LIST: &'static str;

    /// What stands before and after bytes in hexadecimal.
    const BYTES: [&'static str; 2];

    /// True if only one transaction at a time can write.
    const ONE_WRITER: bool;

    /// The tables that list migrations, by our way to name them; of `schema`, or of the one that is in use.
    fn migration_tables(pool: &Pool<Self>, schema: Option<&str>) -> impl Answer<Vec<String>>;

    /// What distinguishes a file from another one in its place; a server that is gone ends its connections.
    fn file(pool: &Pool<Self>) -> Option<(u64, u64)>;
}

/// How a database is opened.
pub(crate) trait Open: sqlx::Database {
    /// Opens the pools, and checks that the database can be used.
    fn connect(
        options: &DatabaseOptions,
        health: &ConnectionHealth,
    ) -> impl Future<Output = Result<Pools<Self>, DatabaseError>> + Send;

    /// Checks whether a pool of the host can be used, and how.
    fn adopt(
        pool: Pool<Self>,
        options: &DatabaseOptions,
    ) -> impl Future<Output = Result<Pools<Self>, DatabaseError>> + Send;

    /// Ends a transaction that is open in a connection of a host's pool, although nobody has it. Fails if the connection is
    /// of no further use.
    fn end_open_transaction(connection: &mut Self::Connection) -> impl Answer<()>;

    /// Runs `migrator`, where [`check_place`](Open::check_place) refuses nothing: while no other instance does, unless the
    /// migrator does not lock.
    fn run_migrations(
        pool: &Pool<Self>,
        migrator: &Migrator,
        schema: Option<&str>,
        health: &ConnectionHealth,
    ) -> impl Future<Output = Result<(), DatabaseError>> + Send;

    /// Refuses sessions that find `table`, a list of migrations, in another schema than its migrations would make it in.
    fn check_place(
        _: &Pool<Self>,
        _table: &str,
        _schema: Option<&str>,
    ) -> impl Future<Output = Result<(), DatabaseError>> + Send {
        async { Ok(()) }
    }

    /// Why the server refuses a connection that is made now, outside of `pool`, if it says so.
    fn refusal(
        _: &Pool<Self>,
        _: OptionNames,
    ) -> impl Future<Output = Option<DatabaseError>> + Send {
        async { None }
    }

    /// Which database and schema a connection leads to, in a form to compare two connections by.
    fn identity(_: &mut Self::Connection) -> impl Answer<String> {
        async { Ok(String::new()) }
    }

    /// Sets the sequences of identity columns that are behind the rows of their tables to the highest number there. Only
    /// tables that `ours` names. Returns each such column, with that number.
    fn raise_sequences(
        _: &Pool<Self>,
        _schema: Option<&str>,
        _ours: impl Fn(&str) -> bool + Send,
    ) -> impl Answer<Vec<(String, i64)>> {
        async { Ok(Vec::new()) }
    }
}

/// Whether the database answers, and what it is.
pub(crate) trait Check: sqlx::Database {
    /// Fails if the database does not answer.
    fn ping(pool: &Pool<Self>) -> impl Answer<()>;

    /// True if the server follows another one, and cannot be written to.
    fn is_standby(pool: &Pool<Self>) -> impl Answer<bool>;

    /// The migrations that `table`, where sqlx lists them, has; the name is a constant of the program.
    fn migrations(pool: &Pool<Self>, table: &'static str) -> impl Answer<Vec<AppliedMigration>>;
}

/// The most rows that metrics count.
pub(crate) const COUNTED: i64 = 10_000;

/// How long a request waits for a free connection before the answer is that the service is busy.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// The SQLSTATE of an error, if it is one of PostgreSQL's.
#[cfg(all(feature = "consume", not(feature = "postgres")))]
pub(crate) fn sqlstate(_: &dyn sqlx::error::DatabaseError) -> Option<&str> {
    None
}

/// The connections to one database.
#[derive(Debug)]
pub(crate) struct Pools<B: sqlx::Database> {
    /// For what is read.
    pub(crate) reader: Pool<B>,
    /// For single statements that write.
    pub(crate) writer: Pool<B>,
    /// For transactions.
    pub(crate) transactions: Pool<B>,
    /// The message that begins one there.
    pub(crate) begin: SqlStr,
    /// Whether the host has brought the one for what writes.
    pub(crate) of_host: bool,
    /// Those of them that are not the host's.
    pub(crate) ours: Vec<Pool<B>>,
    /// Where it is, without passwords.
    pub(crate) shown: String,
}

/// A migration that was applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AppliedMigration {
    pub(crate) version: i64,
    pub(crate) description: String,
}

impl AppliedMigration {
    /// True if programs that do not know it can continue: it adds something and removes nothing. Its name says
    /// so: `0004_expand_archive.sql`. Older programs have stored those of services with the underscore.
    pub(crate) fn is_expansion(&self) -> bool {
        let rest = self.description.strip_prefix("expand");
        rest.is_some_and(|rest| rest.starts_with([' ', '_']))
    }
}
