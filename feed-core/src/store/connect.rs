//! Begins transactions, so that no client can leave a connection in a bad state; opens a SQLite file, and runs
//! its migrations while nobody else does.

use std::str::FromStr;
use std::time::{Duration, Instant};

use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, Pool, SqlSafeStr, SqlStr, Sqlite, Transaction,
};

use super::{Backend, DatabaseError, Operations, Pools};
use crate::database::patience::{STATEMENT, within};

/// How long a request waits for a free connection before it is told that the service is busy.
pub(super) const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a SQLite connection waits for a lock that another process holds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The pause before a SQLite file that was locked is opened again.
const AGAIN: Duration = Duration::from_millis(10);

/// Readers of a SQLite file; in WAL mode they never wait for the writer.
const SQLITE_READERS: u32 = 4;

/// Begins a transaction, in a task of its own that runs to its end and drops what nobody waits for:
/// in sqlx 0.9.0 a `begin_with` that is dropped half-way leaves a transaction open in the pool, in
/// which the next writer's work would vanish although it reported success.
pub(crate) async fn begin_with<B: Backend>(
    pool: &Pool<B>,
    statement: SqlStr,
) -> sqlx::Result<Transaction<'static, B>> {
    let pool = pool.clone();
    let begun = tokio::spawn(async move {
        let begin = pool.begin_with(statement);
        if B::ONE_WRITER {
            // A file is never silent: it tells that it is locked.
            return begin.await;
        }
        // Whose connection is not used again.
        within(STATEMENT, begin).await
    });
    begun.await.unwrap_or(Err(sqlx::Error::WorkerCrashed))
}

/// The same with the backend's own statement.
pub(crate) async fn begin<B: Backend>(pool: &Pool<B>) -> sqlx::Result<Transaction<'static, B>> {
    begin_with(pool, B::BEGIN.into_sql_str()).await
}

pub(super) async fn connect_sqlite(url: &str) -> Result<Pools<Sqlite>, DatabaseError> {
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
        begin: Sqlite::BEGIN.into_sql_str(),
    })
}

/// Of several that open a new file at once, one switches it to WAL, and SQLite tells the others that it
/// is locked, without waiting as long as they would: so they come again.
async fn open_file(
    pool: SqlitePoolOptions,
    file: &SqliteConnectOptions,
) -> sqlx::Result<Pool<Sqlite>> {
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

/// sqlx's migrator takes no lock on SQLite: instances that start together would fail on each
/// other's tables, so all of it runs inside one `BEGIN IMMEDIATE`.
pub(super) async fn migrate_sqlite(
    pool: &Pool<Sqlite>,
    migrator: &Migrator,
) -> Result<(), DatabaseError> {
    let mut tx = begin(pool).await?;
    migrator.run_direct(None, &mut *tx, false).await?;
    tx.commit().await?;
    Ok(())
}

/// Which migrations have been made, by the table in which sqlx lists them. The name is a constant of a
/// program's own.
pub(super) fn migrations_in(table: &'static str) -> AssertSqlSafe<String> {
    AssertSqlSafe(format!(
        "-- database::migrations
         SELECT version, description FROM {table} WHERE success ORDER BY version"
    ))
}

/// Is anybody there?
pub(super) const PING: &str = "-- database::ping
    SELECT 1";
