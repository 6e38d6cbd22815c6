//! A service's own database: connections, transactions that no client can break, migrations.

#[cfg(feature = "postgres")]
pub(crate) mod announce;
mod measure;
mod options;
mod ready;
pub(crate) mod timeout;

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::migrate::{Migration, MigrationType, Migrator};
#[cfg(feature = "postgres")]
use sqlx::postgres::PgConnectOptions;
use sqlx::{Pool, SqlSafeStr, SqlStr, Transaction};
use tokio::task::JoinError;
use tracing::{Instrument, Span};

use crate::store::{Backend, DatabaseError, Made, Pools, begin_with};
pub(crate) use measure::Turns;
pub use options::DatabaseOptions;
use ready::Schema;
use timeout::{STATEMENT, Suspicion, TRANSACTION};

/// Which backend a `DATABASE_URL` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `sqlite:`
    Sqlite,
    /// `postgres:` or `postgresql:`
    Postgres,
}

impl FromStr for Kind {
    type Err = DatabaseError;

    fn from_str(url: &str) -> Result<Self, DatabaseError> {
        // The scheme alone is repeated: the rest of the URL may hold a password.
        let (scheme, _) = url.split_once(':').ok_or(DatabaseError::NoUrl)?;
        match scheme {
            "sqlite" => Ok(Self::Sqlite),
            "postgres" | "postgresql" => Ok(Self::Postgres),
            other if other.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
                Err(DatabaseError::Scheme(other.to_owned()))
            }
            _ => Err(DatabaseError::NoUrl),
        }
    }
}

/// A database as it may be told: where it is, and as whom we use it, without a password.
///
/// ```
/// # use feed_core::redact_url;
/// assert_eq!(redact_url("sqlite:data/order.db?mode=rwc"), "sqlite:data/order.db");
/// let url = "postgres://eve:secret@db.example/orders?sslmode=require";
/// assert_eq!(redact_url(url), "postgres://eve@db.example:5432/orders");
/// ```
#[must_use]
pub fn redact_url(url: &str) -> String {
    match url.parse() {
        Ok(Kind::Sqlite) => url.split('?').next().unwrap_or_default().to_owned(),
        Ok(Kind::Postgres) => redact_postgres(url),
        Err(_) => "a malformed URL".to_owned(),
    }
}

#[cfg(feature = "postgres")]
fn redact_postgres(url: &str) -> String {
    match PgConnectOptions::from_str(url) {
        Ok(options) => {
            let user = options.get_username();
            // Who names no database gets that of their name.
            let name = options.get_database().unwrap_or(user);
            match options.get_socket() {
                Some(socket) => format!("postgres://{user}@/{name}?host={}", socket.display()),
                None => {
                    let (host, port) = (options.get_host(), options.get_port());
                    format!("postgres://{user}@{host}:{port}/{name}")
                }
            }
        }
        Err(_) => "a malformed postgres: URL".to_owned(),
    }
}

/// Only the driver knows which parts of such a URL are secret.
#[cfg(not(feature = "postgres"))]
fn redact_postgres(_: &str) -> String {
    "a postgres: URL".to_owned()
}

/// The connections of one service to its database: one pool to read from and one to write to.
///
/// SQLite has one writer at a time, so there the writing pool has one connection: writers queue fairly
/// in memory instead of fighting for the file. On PostgreSQL transactions may wait for each other's
/// rows; what is read, and the numbering of events, does not wait behind them. Transactions may go
/// through a pooler there ([`DatabaseOptions::direct_url`]).
#[derive(Debug)]
pub struct Database<B: Backend> {
    reader: Pool<B>,
    /// For single statements.
    writer: Pool<B>,
    /// The same pool, but where transactions go through a pooler.
    transactions: Pool<B>,
    /// True if transactions go through a pooler.
    pooled: bool,
    /// The message that begins a transaction.
    begin: SqlStr,
    /// What this program has migrated, to compare with what is there later.
    schemas: Arc<Mutex<Vec<Schema>>>,
    /// Which file it is, if it is one.
    file: Option<(u64, u64)>,
    /// Where it is, without passwords.
    shown: Arc<str>,
    turns: Arc<Turns>,
    suspicion: Suspicion,
}

impl<B: Backend> Clone for Database<B> {
    fn clone(&self) -> Self {
        Self {
            reader: self.reader.clone(),
            writer: self.writer.clone(),
            transactions: self.transactions.clone(),
            pooled: self.pooled,
            begin: self.begin.clone(),
            schemas: Arc::clone(&self.schemas),
            file: self.file,
            shown: Arc::clone(&self.shown),
            turns: Arc::clone(&self.turns),
            suspicion: self.suspicion.clone(),
        }
    }
}

/// Where it is, without passwords.
impl<B: Backend> fmt::Display for Database<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl<B: Backend> Database<B> {
    /// Connects to the database at a URL, or as the options say, and brings feed-core's own tables up to date.
    /// On PostgreSQL it waits up to five seconds for a server to let it in, five more for an answer, and
    /// for migrations up to an hour; from two seconds on it logs what it waits for.
    ///
    /// # Errors
    ///
    /// A URL is malformed, the database is out of reach or cannot be used as it is, or its schema cannot be
    /// migrated.
    pub async fn open(options: impl Into<DatabaseOptions>) -> Result<Self, DatabaseError> {
        let options = options.into();
        let suspicion = Suspicion::default();
        let Pools {
            reader,
            writer,
            transactions,
            begin,
        } = B::connect(&options, &suspicion).await?;
        let database = Self {
            file: B::file(&writer),
            shown: options.to_string().into(),
            reader,
            writer,
            transactions,
            pooled: options.direct_url.is_some(),
            begin,
            schemas: Arc::default(),
            turns: Arc::default(),
            suspicion,
        };
        database.migrate("_feed_migrations", B::MIGRATIONS).await?;
        Ok(database)
    }

    /// Where reads go. A statement that writes does not belong here: on SQLite it would compete
    /// with the writer for the file.
    #[must_use]
    pub fn reader(&self) -> &Pool<B> {
        &self.reader
    }

    /// Where single writing statements go.
    #[must_use]
    pub fn writer(&self) -> &Pool<B> {
        &self.writer
    }

    /// Where events are numbered.
    #[cfg(feature = "publish")]
    pub(crate) fn numbering(&self) -> &Pool<B> {
        if B::ONE_WRITER {
            &self.writer
        } else {
            &self.reader
        }
    }

    /// Begins a transaction that writes; on SQLite with `BEGIN IMMEDIATE`, since a deferred one
    /// that reads first fails as soon as another process has written.
    ///
    /// Run it in a task of its own (`tokio::spawn`) and wait for that: a future that a caller
    /// drops half-way, because its HTTP client hung up, must not stop between two statements.
    ///
    /// # Errors
    ///
    /// No connection became free in time, or the database is gone.
    pub async fn begin(&self) -> sqlx::Result<Transaction<'static, B>> {
        begin_with(&self.transactions, self.begin.clone(), &self.suspicion).await
    }

    /// Runs `work`, which has a transaction, to its end in a task of its own: a client who hangs up
    /// cannot stop it half-way. It ends with an error where the database says nothing for too long.
    ///
    /// # Errors
    ///
    /// Those of `work`; the database is silent; or `work` panicked.
    pub async fn run_to_completion<T, E>(
        &self,
        work: impl Future<Output = Result<T, E>> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<sqlx::Error> + From<JoinError> + Send + 'static,
    {
        let suspicion = self.suspicion.clone();
        let work = async move { suspicion.within(TRANSACTION, work).await };
        tokio::spawn(work.instrument(Span::current())).await?
    }

    /// Runs the migrations in `files`, (number, name, SQL), that `table` does not list yet.
    /// Safe when several instances start at once.
    ///
    /// Programs of two versions share a database for as long as an upgrade takes. A migration beside which
    /// the version before can work on has a name that begins with `expand`: that version stays ready, and
    /// starts again, although it does not know of it. What takes something away or changes its meaning
    /// has to wait for the version after, when nobody uses the old any more; its name begins otherwise.
    ///
    /// # Errors
    ///
    /// A migration fails, or one that has run was changed since.
    pub async fn migrate(
        &self,
        table: &'static str,
        files: &[(i64, &'static str, &'static str)],
    ) -> Result<(), DatabaseError> {
        let migrations = files
            .iter()
            .map(|&(version, name, sql)| {
                let sql = sql.into_sql_str();
                Migration::new(version, name.into(), MigrationType::Simple, sql, false)
            })
            .collect();
        let mut migrator = Migrator::with_migrations(migrations);
        migrator.dangerous_set_table_name(table);
        let schema = Schema {
            table,
            versions: files.iter().map(|&(version, ..)| version).collect(),
        };
        let made = self.made(table).await?;
        migrator.set_ignore_missing(schema.unknown(&made).is_none());
        B::run_migrations(&self.writer, &migrator, &self.suspicion).await?;
        let mut schemas = self.schemas.lock().unwrap_or_else(PoisonError::into_inner);
        schemas.push(schema);
        Ok(())
    }

    /// The migrations that `table` lists, if it is there.
    async fn made(&self, table: &'static str) -> sqlx::Result<Vec<Made>> {
        let tables = self.migration_tables().await?;
        match tables.iter().any(|there| there == table) {
            true => {
                self.within(STATEMENT, B::migrations(&self.reader, table))
                    .await
            }
            false => Ok(Vec::new()),
        }
    }

    async fn migration_tables(&self) -> sqlx::Result<Vec<String>> {
        self.within(STATEMENT, B::migration_tables(&self.reader))
            .await
    }

    /// For a service that shares its database with nobody: refuses one in which another service has
    /// its tables. `table` is where this one lists its migrations.
    ///
    /// # Errors
    ///
    /// The database is another service's, or out of reach.
    pub async fn belongs_to(&self, table: &str) -> Result<(), DatabaseError> {
        // Ours, and those of who uses `sqlx migrate`.
        let known = [table, "_feed_migrations", "_sqlx_migrations"];
        let mut tables = self.migration_tables().await?.into_iter();
        match tables.find(|other| !known.contains(&other.as_str())) {
            Some(other) => Err(DatabaseError::Others(other)),
            None => Ok(()),
        }
    }

    fn schemas(&self) -> Vec<Schema> {
        let schemas = self.schemas.lock();
        schemas.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes what a failed statement says of connections: a session of PostgreSQL that began while its database was
    /// to be read only stays so, also when it may be written to again; and a plan from before a table was
    /// altered stays in its session.
    pub fn learn_from(&self, error: &sqlx::Error) {
        self.suspicion.learn_from(error);
    }

    /// Notes that somebody waited for this database in vain: for a minute, connections that come back are closed.
    pub fn suspect_connections(&self) {
        self.suspicion.mark_suspect();
    }

    /// The outcome of `work` on this database, or an error if there is none in time; its connections are then
    /// suspect, and those of no other database.
    pub(crate) async fn within<T, E: From<sqlx::Error>>(
        &self,
        longest: Duration,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        self.suspicion.within(longest, work).await
    }

    pub(crate) fn suspicion(&self) -> &Suspicion {
        &self.suspicion
    }

    /// Closes all connections. On SQLite this also folds the write-ahead log into the file.
    pub async fn close(&self) {
        self.reader.close().await;
        self.writer.close().await;
        self.transactions.close().await;
    }
}
