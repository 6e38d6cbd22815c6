//! A service's own database: connections, transactions that no client can break, migrations.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Executor, Pool, Postgres, SqlSafeStr, Sqlite, Transaction};

use crate::store::Backend;

/// How long a request waits for a free connection before it is told that the service is busy.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a SQLite connection waits for a lock that another process holds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Connections of one instance to its PostgreSQL. Small: a database serves many instances.
const POSTGRES_CONNECTIONS: u32 = 10;

/// Readers of a SQLite file; in WAL mode they never wait for the writer.
const SQLITE_READERS: u32 = 4;

/// Which backend a `DATABASE_URL` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `sqlite:`
    Sqlite,
    /// `postgres:` or `postgresql:`
    Postgres,
}

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The URL's scheme is neither of ours.
    #[error("a database URL begins with `sqlite:` or `postgres:`, not `{0}:`")]
    Scheme(String),
    /// The URL is malformed, or there is no such database.
    #[error("cannot open the database")]
    Open(#[source] sqlx::Error),
    /// There is no place for a SQLite file.
    #[error("cannot make the directory {} for the database", .0.display())]
    Directory(PathBuf, #[source] std::io::Error),
    /// The schema could not be brought up to date.
    #[error("cannot migrate the database")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// The database failed while the service started.
    #[error("cannot prepare the database")]
    Prepare(#[from] sqlx::Error),
}

impl FromStr for Kind {
    type Err = DatabaseError;

    fn from_str(url: &str) -> Result<Self, DatabaseError> {
        match url.split(':').next().unwrap_or_default() {
            "sqlite" => Ok(Self::Sqlite),
            "postgres" | "postgresql" => Ok(Self::Postgres),
            // The scheme alone: the rest of the URL may hold a password.
            other => Err(DatabaseError::Scheme(other.to_owned())),
        }
    }
}

/// The connections of one service to its database: one pool to read from and one to write to.
///
/// On PostgreSQL they are the same pool. SQLite has one writer at a time, so there the writing
/// pool has one connection: writers queue fairly in memory instead of fighting for the file.
#[derive(Debug)]
pub struct Database<B: Backend> {
    reader: Pool<B>,
    writer: Pool<B>,
}

impl<B: Backend> Clone for Database<B> {
    fn clone(&self) -> Self {
        Self {
            reader: self.reader.clone(),
            writer: self.writer.clone(),
        }
    }
}

impl<B: Backend> Database<B> {
    /// Connects, and brings feed-core's own tables up to date.
    ///
    /// # Errors
    ///
    /// The URL is malformed, the database is out of reach, or its schema cannot be migrated.
    pub async fn open(url: &str) -> Result<Self, DatabaseError> {
        let (reader, writer) = B::connect(url).await?;
        let database = Self { reader, writer };
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
        self.writer.begin_with(B::BEGIN.into_sql_str()).await
    }

    /// Runs the migrations in `files`, (number, name, SQL), that `table` does not list yet.
    /// Safe when several instances start at once.
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
        B::run_migrations(&self.writer, &migrator).await
    }

    /// Closes all connections. On SQLite this also folds the write-ahead log into the file.
    pub async fn close(&self) {
        self.reader.close().await;
        self.writer.close().await;
    }
}

/// A connection goes back to the pool without a transaction, whatever happened to it: in sqlx
/// 0.9.0 a `begin()` whose future was dropped leaves one open, in which the next writer's work
/// would vanish although it reported success.
macro_rules! roll_back_after_release {
    ($options:expr) => {
        $options.after_release(|connection, _| {
            Box::pin(async move {
                // Fails on SQLite where there is nothing to roll back, which is the rule.
                let _ = connection.execute("ROLLBACK").await;
                Ok(true)
            })
        })
    };
}

pub(crate) async fn connect_sqlite(
    url: &str,
) -> Result<(Pool<Sqlite>, Pool<Sqlite>), DatabaseError> {
    let options = SqliteConnectOptions::from_str(url)
        .map_err(DatabaseError::Open)?
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // An event that was seen over HTTP must survive a power loss (FULL syncs each commit).
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        .disable_statement_logging();
    if let Some(directory) = options.get_filename().parent() {
        let created = std::fs::create_dir_all(directory);
        created.map_err(|error| DatabaseError::Directory(directory.to_owned(), error))?;
    }
    // The writer first: it creates the file and switches it to WAL.
    let writer = roll_back_after_release!(SqlitePoolOptions::new().max_connections(1))
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_with(options.clone())
        .await
        .map_err(DatabaseError::Open)?;
    let reader = SqlitePoolOptions::new()
        .max_connections(SQLITE_READERS)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .connect_with(options.read_only(true))
        .await
        .map_err(DatabaseError::Open)?;
    Ok((reader, writer))
}

pub(crate) async fn connect_postgres(
    url: &str,
) -> Result<(Pool<Postgres>, Pool<Postgres>), DatabaseError> {
    let options = PgConnectOptions::from_str(url)
        .map_err(DatabaseError::Open)?
        // A ROLLBACK outside a transaction is a warning on each release; errors are errors still.
        .options([("client_min_messages", "error")])
        .disable_statement_logging();
    let pool = roll_back_after_release!(PgPoolOptions::new())
        .max_connections(POSTGRES_CONNECTIONS)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .connect_with(options)
        .await
        .map_err(DatabaseError::Open)?;
    Ok((pool.clone(), pool))
}

/// sqlx's migrator takes no lock on SQLite: instances that start together would fail on each
/// other's tables, so all of it runs inside one `BEGIN IMMEDIATE`.
pub(crate) async fn migrate_sqlite(
    pool: &Pool<Sqlite>,
    migrator: &Migrator,
) -> Result<(), DatabaseError> {
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await?;
    migrator.run_direct(None, &mut *tx, false).await?;
    tx.commit().await?;
    Ok(())
}

pub(crate) async fn migrate_postgres(
    pool: &Pool<Postgres>,
    migrator: &Migrator,
) -> Result<(), DatabaseError> {
    let mut connection = pool.acquire().await?;
    migrator.run_direct(None, &mut *connection, false).await?;
    Ok(())
}
