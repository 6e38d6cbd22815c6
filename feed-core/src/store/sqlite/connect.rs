//! Opens a SQLite file, and runs migrations while nobody else does.

use std::str::FromStr;
use std::time::{Duration, Instant};

use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqlSafeStr, Sqlite, SqlitePool, SqliteTransaction};

use crate::database::timeout::Suspicion;
use crate::store::{ACQUIRE_TIMEOUT, DatabaseError, Pools, begin_with};

/// How a transaction that writes begins: with the write lock, for which it waits. One that begins as a reader
/// would fail at once where another one writes.
const BEGIN: &str = "BEGIN IMMEDIATE";

/// How long a SQLite connection waits for a lock that another process holds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The pause before a SQLite file that was locked is opened again.
const AGAIN: Duration = Duration::from_millis(10);

/// Readers of a SQLite file; in WAL mode they never wait for the writer.
const SQLITE_READERS: u32 = 4;

pub(super) async fn connect(url: &str) -> Result<Pools<Sqlite>, DatabaseError> {
    let options = SqliteConnectOptions::from_str(url)
        .map_err(DatabaseError::Malformed)?
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // An event that was seen over HTTP must survive a power loss (FULL syncs each commit).
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        // What is deleted or rewritten may be a person's: it is overwritten, not just let go.
        .pragma("secure_delete", "ON")
        .disable_statement_logging();
    if let Some(directory) = options.get_filename().parent() {
        let created = std::fs::create_dir_all(directory);
        created.map_err(|error| DatabaseError::Directory(directory.to_owned(), error))?;
    }
    let file = options.get_filename().to_owned();
    let unusable = |error| DatabaseError::File(file.clone(), error);
    let pool = |connections: u32| {
        SqlitePoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            // A file does not hang up. But after an error of the disk SQLite has ended the transaction by
            // itself, sqlx 0.9.0 believes in it for ever, and begins no other one: it takes a new connection.
            .test_before_acquire(false)
            .before_acquire(|connection, _| Box::pin(async { Ok(!connection.is_in_transaction()) }))
    };
    // The writer first: it creates the file and switches it to WAL.
    let writer = pool(1).idle_timeout(None).max_lifetime(None);
    let writer = open_file(writer, &options).await.map_err(unusable)?;
    let reader = open_file(pool(SQLITE_READERS), &options.read_only(true)).await;
    Ok(Pools {
        reader: reader.map_err(unusable)?,
        writer: writer.clone(),
        transactions: writer,
        begin: BEGIN.into_sql_str(),
    })
}

/// Of several that open a new file at once, one switches it to WAL, and SQLite tells the others that it
/// is locked, without waiting as long as they would: so they come again.
async fn open_file(
    pool: SqlitePoolOptions,
    file: &SqliteConnectOptions,
) -> sqlx::Result<SqlitePool> {
    let until = Instant::now() + BUSY_TIMEOUT;
    loop {
        match pool.clone().connect_with(file.clone()).await {
            Err(error) if is_busy(&error) && Instant::now() < until => {
                tokio::time::sleep(AGAIN).await;
            }
            opened => return opened,
        }
    }
}

/// `SQLITE_BUSY`; what stands above its eight bits tells why.
fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    let code = code.and_then(|code| code.parse::<i32>().ok());
    code.is_some_and(|code| code & 0xff == 5)
}

/// Begins a transaction that writes.
pub(super) async fn begin(pool: &SqlitePool) -> sqlx::Result<SqliteTransaction<'static>> {
    // A file is never silent.
    begin_with(pool, BEGIN.into_sql_str(), &Suspicion::default()).await
}

/// sqlx's migrator takes no lock on SQLite: instances that start together would fail on each
/// other's tables, so all of it runs inside one `BEGIN IMMEDIATE`.
pub(super) async fn migrate(pool: &SqlitePool, migrator: &Migrator) -> Result<(), DatabaseError> {
    let mut tx = begin(pool).await?;
    migrator.run_direct(None, &mut *tx, false).await?;
    tx.commit().await?;
    Ok(())
}
