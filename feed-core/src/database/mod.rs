//! A service's own database: connections, transactions that no client can break, migrations.

mod address;
mod addresses;
#[cfg(feature = "postgres")]
pub(crate) mod announce;
mod measure;
mod metrics_queries;
mod migrate;
pub(crate) mod notifications;
mod options;
mod ready;
mod schema;
pub(crate) mod timeout;

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sqlx::{Pool, Transaction};
use tokio::sync::Semaphore;
use tokio::task::JoinError;
use tracing::{Instrument, Span};

use crate::store::{Backend, DatabaseError, Pools, Writer, begin_with};
#[cfg(feature = "postgres")]
pub(crate) use address::show_server;
pub use address::{Kind, redact_url};
use addresses::Addresses;
pub(crate) use metrics_queries::MetricsQueries;
pub use migrate::MigrationSql;
pub use options::{DatabaseOptions, OptionNames};
use schema::Schema;
use timeout::{ConnectionHealth, SILENT, STATEMENT, TRANSACTION};

/// The connections of one service to its database: one pool to read from and one to write to.
///
/// SQLite has one writer at a time, so there the writing pool has one connection: writers queue fairly
/// in memory instead of fighting for the file. On PostgreSQL transactions may wait for each other's
/// rows; what is read, and the numbering of events, does not wait behind them. Transactions may go
/// through a pooler there ([`DatabaseOptions::direct_url`]).
///
/// # Statements of the host
///
/// On PostgreSQL, statements that a host sends through [`reader`](Database::reader), [`writer`](Database::writer) or
/// in a transaction of [`begin`](Database::begin) find the settings that feed-core's own statements rely on, among
/// them `enable_seqscan = off`, `jit = off` and `lock_timeout = 3s`. So reports that read whole tables belong to
/// another pool; in a transaction, `SET LOCAL enable_seqscan = on; SET LOCAL jit = on` undoes the planner's part.
/// Inside an [effect](crate::Effect) the planner is as the role and the database have set it. A
/// [pool of the host](Database::with_pool) keeps its own settings outside transactions of [`begin`](Database::begin).
#[derive(Debug)]
pub struct Database<B: Backend> {
    shared: Arc<Shared<B>>,
}

/// What all clones share.
#[derive(Debug)]
struct Shared<B: Backend> {
    pools: Pools<B>,
    /// Where transactions go through a pooler.
    addresses: Option<Addresses>,
    /// What this program has migrated, to compare with what is there later.
    schemas: Mutex<Vec<Schema>>,
    /// Which file it is, if it is one.
    file: Option<(u64, u64)>,
    metrics_queries: MetricsQueries,
    /// One permit for each connection that may listen at a time; reads need the others.
    listeners: Arc<Semaphore>,
    health: ConnectionHealth,
    /// What errors call its options.
    names: OptionNames,
    /// Whether it need not be written to.
    read_only: bool,
    /// Where our tables are, if that was said.
    schema: Option<String>,
}

impl<B: Backend> Clone for Database<B> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

/// Where it is, without passwords.
impl<B: Backend> fmt::Display for Database<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shared.pools.shown)
    }
}

impl<B: Backend> Database<B> {
    /// Connects to the database at a URL, or as the options say, and brings feed-core's own tables up to date.
    /// On PostgreSQL it waits up to five seconds for a connection, five more for an answer, and
    /// for migrations up to an hour; from two seconds on it logs what it waits for.
    ///
    /// # Errors
    ///
    /// A URL is malformed, the database is out of reach or cannot be used as it is, or its schema cannot be
    /// migrated.
    pub async fn open(options: impl Into<DatabaseOptions>) -> Result<Self, DatabaseError> {
        let options = options.into();
        let health = ConnectionHealth::default();
        let pools = B::connect(&options, &health).await?;
        Self::on(pools, &options, health).await
    }

    /// Works on a pool that the host has, and brings feed-core's own tables up to date. Of the options only
    /// [`schema`](DatabaseOptions::schema) and [`without_migrations`](DatabaseOptions::without_migrations) count:
    /// [`DatabaseOptions::default`] has neither.
    ///
    /// The pool stays the host's: [`close`](Database::close) leaves it open.
    ///
    /// # Requirements for the pool
    ///
    /// | PostgreSQL | SQLite |
    /// |---|---|
    /// | at least [`MIN_CONNECTIONS`](DatabaseOptions::MIN_CONNECTIONS); a feed and a consumer keep one each, to listen, up to half of it | one connection, which is the writer; feed-core opens four more to read from |
    /// | sessions, not those of a pooler in transaction mode | `journal_mode = WAL`, `synchronous = FULL`, `foreign_keys = ON`, `secure_delete = ON`, a `busy_timeout` |
    /// | `read committed`, read-write, `standard_conforming_strings`, no `synchronous_commit = off` | |
    /// | with a `schema`: that schema in the `search_path` of its sessions, before each other one that has feed-core's tables | no commit or rollback hook and no progress handler: a consumer replaces those of the connection |
    ///
    /// Each transaction sets by itself all else that it relies on, for itself.
    ///
    /// Begin transactions by [`begin`](Database::begin), or in a task of their own (`tokio::spawn`). If a `begin` of the pool is
    /// dropped half-way, because an HTTP client hung up, sqlx 0.9.0 returns its connection to the pool inside a transaction. What is
    /// executed there next stays uncommitted, and may fail. On SQLite, a transaction that SQLite has ended by itself
    /// (`ON CONFLICT ROLLBACK`, a full disk) leaves sqlx unable to begin another one. So feed-core looks before each transaction, and
    /// before each statement of its own that writes: it commits what it finds open, and closes a connection where that fails. On
    /// PostgreSQL this costs a round trip.
    ///
    /// # What [`Database::open`] has over it
    ///
    /// There reads and the numbering of events have connections of their own: long transactions of the host do not stop
    /// the feed, and the feed's work does not keep the host waiting for a connection. The statements of feed-core
    /// outside transactions have planner settings of their own. After a timeout, connections that may be dead are not
    /// used again; a host's pool finds them by `test_before_acquire`, which is sqlx's default. A connection of the host
    /// whose server answers a `BEGIN` too late returns to its pool after that answer, and one that never answers is missing
    /// there until the system gives it up.
    ///
    /// # Errors
    ///
    /// The pool cannot be used as it is (the error says what to set); the database is out of reach; or its
    /// schema cannot be migrated.
    pub async fn with_pool(pool: Pool<B>, options: DatabaseOptions) -> Result<Self, DatabaseError> {
        let pools = B::adopt(pool, &options).await?;
        Self::on(pools, &options, ConnectionHealth::default()).await
    }

    async fn on(
        pools: Pools<B>,
        options: &DatabaseOptions,
        health: ConnectionHealth,
    ) -> Result<Self, DatabaseError> {
        let listeners = pools.reader.options().get_max_connections() / 2;
        let database = Self {
            shared: Arc::new(Shared {
                listeners: Arc::new(Semaphore::new(listeners as usize)),
                file: B::file(&pools.writer),
                pools,
                addresses: Addresses::of(options),
                schemas: Mutex::default(),
                metrics_queries: MetricsQueries::default(),
                health,
                names: options.names,
                read_only: options.read_only,
                schema: options.schema.clone(),
            }),
        };
        database.migrate_own(options.migrate).await?;
        Ok(database)
    }

    /// Where reads go. A statement that writes does not belong here: on SQLite it would compete
    /// with the writer for the file.
    #[must_use]
    pub fn reader(&self) -> &Pool<B> {
        &self.shared.pools.reader
    }

    /// Where single writing statements go.
    #[must_use]
    pub fn writer(&self) -> &Pool<B> {
        &self.shared.pools.writer
    }

    /// Limits the connections that listen.
    fn listeners(&self) -> Arc<Semaphore> {
        Arc::clone(&self.shared.listeners)
    }

    /// Where single statements of ours go that write: each has committed when it reports success.
    pub(crate) fn writing(&self) -> Writer<'_, B> {
        self.writing_by(&self.shared.pools.writer)
    }

    /// Where events are numbered.
    #[cfg(feature = "publish")]
    pub(crate) fn numbering(&self) -> Writer<'_, B> {
        let pools = &self.shared.pools;
        self.writing_by(if B::ONE_WRITER {
            &pools.writer
        } else {
            &pools.reader
        })
    }

    fn writing_by<'a>(&self, pool: &'a Pool<B>) -> Writer<'a, B> {
        Writer::new(pool, self.shared.pools.of_host)
    }

    /// Begins a transaction that writes; on SQLite with `BEGIN IMMEDIATE`, since a deferred one
    /// that reads first fails as soon as another process has written.
    ///
    /// Run it in a task of its own (`tokio::spawn`) and wait for that: a future that a caller
    /// drops half-way, because its HTTP client hung up, must not stop between two statements.
    ///
    /// # Errors
    ///
    /// No connection became free in time, or the database is gone; or the pooler leads to another one.
    pub async fn begin(&self) -> sqlx::Result<Transaction<'static, B>> {
        self.check_addresses()?;
        self.begin_anywhere().await
    }

    async fn begin_anywhere(&self) -> sqlx::Result<Transaction<'static, B>> {
        let pools = &self.shared.pools;
        let writer = self.writing_by(&pools.transactions);
        let begin = |limit| begin_with(writer, pools.begin.clone(), limit);
        if B::ONE_WRITER {
            // A file always answers, if only that it is locked.
            begin(None).await
        } else if pools.of_host {
            // The task keeps a connection of the host until the answer, and rolls back then.
            self.statement(begin(None)).await
        } else {
            let begun = begin(Some(&self.shared.health)).await;
            self.shared.health.note_begun(begun.as_ref().err());
            begun
        }
    }

    /// Runs `work`, which has a transaction, until it has finished, in a task of its own: a client that
    /// disconnects cannot stop it half-way. It ends with an error if the database does not answer for too long.
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
        let database = self.clone();
        let work = async move { database.within(TRANSACTION, work).await };
        tokio::spawn(work.instrument(Span::current())).await?
    }

    /// Uses no connection again that is there now, after an error that concerns all of them: the server ends its
    /// sessions, as it does when another one takes its place; a session of PostgreSQL that began while the database was
    /// read-only stays read-only; and a plan from before a table was altered stays in its session.
    pub fn learn_from(&self, error: &sqlx::Error) {
        self.shared.health.learn_from(error);
    }

    /// Uses no connection again that is there now: call it after a timeout.
    pub fn suspect_connections(&self) {
        self.shared.health.mark_suspect();
    }

    /// The outcome of `work` on this database, or an error if there is none in time; the connections that are there are
    /// then not used again. Within it, begin no transaction by a pool: [`begin`](Database::begin) leaves none open.
    ///
    /// # Errors
    ///
    /// Those of `work`, or the database is silent.
    pub async fn within<T, E: From<sqlx::Error>>(
        &self,
        longest: Duration,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let health = &self.shared.health;
        health.within_or(longest, work, || self.silence()).await
    }

    /// Why there was no answer in time: a pool of the host may let us wait longer for a connection.
    fn silence(&self) -> &'static str {
        let Pools {
            writer, of_host, ..
        } = &self.shared.pools;
        match *of_host && has_none_free(writer) {
            true => "no connection of the pool is free",
            false => SILENT,
        }
    }

    /// The outcome of one statement, or an error if there is none [in eight seconds](Database::within). A statement outside
    /// a transaction belongs here, since the other end of its connection may be gone without a sign.
    ///
    /// # Errors
    ///
    /// Those of `statement`, or the database is silent.
    pub async fn statement<T>(
        &self,
        statement: impl Future<Output = sqlx::Result<T>>,
    ) -> sqlx::Result<T> {
        self.within(STATEMENT, statement).await
    }

    pub(crate) fn health(&self) -> &ConnectionHealth {
        &self.shared.health
    }

    /// Closes all connections but those of a [pool of the host](Database::with_pool). On SQLite this also folds the
    /// write-ahead log into the file.
    pub async fn close(&self) {
        for pool in &self.shared.pools.ours {
            pool.close().await;
        }
    }
}

/// True if all connections that a pool may have are in use.
pub(crate) fn has_none_free<B: sqlx::Database>(pool: &Pool<B>) -> bool {
    pool.num_idle() == 0 && pool.size() >= pool.options().get_max_connections()
}
