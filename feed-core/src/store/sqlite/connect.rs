//! Opens a SQLite file, and runs migrations under its write lock.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};

use sqlx::error::DatabaseError as _;
use sqlx::migrate::Migrator;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteError, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, Executor, Row, SqlSafeStr, Sqlite, SqliteConnection,
    SqlitePool, SqliteTransaction,
};
use tracing::{info, warn};

use crate::database::timeout::ConnectionHealth;
use crate::database::{DatabaseOptions, Kind};
use crate::store::error::is_full;
use crate::store::{ACQUIRE_TIMEOUT, DatabaseError, Open, Pools, Writer, begin_with};

/// How a transaction that writes begins: with the write lock, for which it waits. One that begins as a reader
/// would fail at once where another one writes.
const BEGIN: &str = "BEGIN IMMEDIATE";

/// How long a SQLite connection waits for a lock that another process holds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The pause before a SQLite file that was locked is opened again.
const AGAIN: Duration = Duration::from_millis(10);

const NEW_FILE: &str = "begin with a new file, whose encoding is UTF-8";

/// Readers of a SQLite file; in WAL mode they never wait for the writer.
const SQLITE_READERS: u32 = 4;

impl Open for Sqlite {
    async fn connect(
        database: &DatabaseOptions,
        _: &ConnectionHealth,
    ) -> Result<Pools<Sqlite>, DatabaseError> {
        if database.direct_url.is_some() {
            return Err(DatabaseError::DirectFile(database.names.direct_url));
        }
        if database.schema.is_some() {
            return Err(DatabaseError::SchemaFile);
        }
        Kind::Sqlite.check(&database.url)?;
        if !names_a_file(&database.url) {
            return Err(DatabaseError::NoFile);
        }
        let options = SqliteConnectOptions::from_str(&database.url)
            .map_err(DatabaseError::Malformed)?
            .create_if_missing(true)
            // An event that was seen over HTTP must survive a power loss (FULL syncs each commit).
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT)
            // What is deleted or rewritten may be a person's: it is overwritten, not just let go.
            .pragma("secure_delete", "ON")
            .disable_statement_logging();
        let file = options.get_filename().to_owned();
        let unusable = |error| unusable(&file, error);
        if database.read_only {
            // In the mode that the file has: another program may have made it, and nothing is changed.
            let options = options.create_if_missing(false).read_only(true);
            let reader = open_file(pool_of(SQLITE_READERS), &options).await;
            let reader = reader.map_err(|error| match file.exists() {
                _ if lacks_thread(&error) => DatabaseError::Threads(error),
                true => DatabaseError::FileToRead(file.clone(), error),
                false => DatabaseError::NoSuchFile(file.clone()),
            })?;
            check_encoding(&reader, &file).await?;
            return Ok(Pools {
                of_host: false,
                ours: vec![reader.clone()],
                writer: reader.clone(),
                transactions: reader.clone(),
                reader,
                begin: BEGIN.into_sql_str(),
                shown: database.to_string(),
            });
        }
        let created = create(&file)?;
        let options = options.journal_mode(SqliteJournalMode::Wal);
        // The writer first: it switches the file to WAL.
        let writer = pool_of(1).idle_timeout(None).max_lifetime(None);
        let writer = open_file(writer, &options).await.map_err(unusable)?;
        if let Some(created) = created {
            created.log(&file);
        }
        check_encoding(&writer, &file).await?;
        let reader = open_file(pool_of(SQLITE_READERS), &options.read_only(true)).await;
        let reader = reader.map_err(unusable)?;
        Ok(Pools {
            of_host: false,
            ours: vec![reader.clone(), writer.clone()],
            reader,
            writer: writer.clone(),
            transactions: writer,
            begin: BEGIN.into_sql_str(),
            shown: database.to_string(),
        })
    }

    /// Takes the host's pool as the writer, and opens readers beside it.
    async fn adopt(
        writer: SqlitePool,
        options: &DatabaseOptions,
    ) -> Result<Pools<Sqlite>, DatabaseError> {
        if options.schema.is_some() {
            return Err(DatabaseError::SchemaFile);
        }
        let file = writer.connect_options().get_filename().to_owned();
        let unusable = |error| unusable(&file, error);
        // The first database is `main`; one in memory has no file.
        let main = writer.fetch_one("PRAGMA database_list").await;
        if main.map_err(unusable)?.get::<&str, _>("file").is_empty() {
            return Err(DatabaseError::NoFile);
        }
        check_encoding(&writer, &file).await?;
        let mut missing = Vec::new();
        for (pragma, wanted, setting) in PRAGMAS {
            let found = writer.fetch_one(AssertSqlSafe(format!("PRAGMA {pragma}")));
            let found = found.await.map_err(unusable)?;
            let found = found.try_get_unchecked::<String, _>(0).map_err(unusable)?;
            if found != *wanted {
                missing.push(*setting);
            }
        }
        let busy_timeout = writer.fetch_one("PRAGMA busy_timeout").await;
        let busy_timeout: i64 = busy_timeout.map_err(unusable)?.get(0);
        if busy_timeout == 0 {
            missing.push("busy_timeout(Duration::from_secs(5))");
        }
        // Several would compete for the file, without a queue.
        if writer.options().get_max_connections() != 1 {
            missing.push("max_connections(1), with another pool for what only reads");
        }
        if !missing.is_empty() {
            let missing = format!("set {}", missing.join(", "));
            return Err(DatabaseError::Pool(missing));
        }
        let options = (*writer.connect_options()).clone().read_only(true);
        let reader = open_file(pool_of(SQLITE_READERS), &options).await;
        let reader = reader.map_err(unusable)?;
        Ok(Pools {
            of_host: true,
            ours: vec![reader.clone()],
            reader,
            writer: writer.clone(),
            transactions: writer,
            begin: BEGIN.into_sql_str(),
            shown: format!("sqlite:{}", file.display()),
        })
    }

    /// After an error of the disk, `ON CONFLICT ROLLBACK` or a `ROLLBACK` that sqlx does not know of, SQLite has no
    /// transaction, and sqlx 0.9.0 believes in it for ever, and begins no other one.
    async fn end_open_transaction(connection: &mut SqliteConnection) -> sqlx::Result<()> {
        match connection.is_in_transaction() {
            true => Err(sqlx::Error::InvalidSavePointStatement),
            false => Ok(()),
        }
    }

    /// sqlx's migrator takes no lock on SQLite: instances that start together would fail on each
    /// other's tables, so all of it runs inside one `BEGIN IMMEDIATE`.
    async fn run_migrations(
        pool: &SqlitePool,
        migrator: &Migrator,
        _: Option<&str>,
        _: &ConnectionHealth,
    ) -> Result<(), DatabaseError> {
        let mut tx = begin(Writer::new(pool, true)).await?;
        migrator.run_direct(None, &mut *tx, false).await?;
        tx.commit().await?;
        Ok(())
    }
}

/// A file that SQLite makes a new database of. That is reported: where a database was before, it is lost, moved, or on a volume
/// that is not mounted, and the new one begins at 1 again.
struct Created {
    with_directory: bool,
}

/// Creates the file if it is missing. An empty one is left by a start that failed, as on a full disk.
fn create(file: &Path) -> Result<Option<Created>, DatabaseError> {
    let is_there = || file.metadata().is_ok_and(|file| file.len() > 0);
    // The log first: a process that creates the same file now creates its log after it.
    let mut log = file.as_os_str().to_owned();
    log.push("-wal");
    let log = PathBuf::from(log);
    if log.exists() && !is_there() {
        return Err(DatabaseError::LogAlone(file.to_owned(), log));
    }
    let directory = file.parent().filter(|name| !name.as_os_str().is_empty());
    let is_new_directory = directory.is_some_and(|directory| !directory.exists());
    if let Some(directory) = directory {
        let created = std::fs::create_dir_all(directory);
        created.map_err(|error| DatabaseError::Directory(directory.to_owned(), error))?;
    }
    // A new file, and with it its log, is its owner's alone: there is personal data in it. What is wrong, SQLite says.
    let was_there = is_there();
    let opened = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file);
    match opened {
        Err(error) if is_full(&error) => Err(DatabaseError::Disk(file.to_owned(), error.into())),
        Err(_) if was_there || !file.exists() => Ok(None),
        _ => Ok(Some(Created {
            with_directory: is_new_directory,
        })),
    }
}

impl Created {
    fn log(&self, file: &Path) {
        let shown = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
        let shown = shown.display();
        // A program that is tried out has no directory below the working one yet. A path from the root is that of a
        // deployment, which has made it.
        if self.with_directory && file.is_absolute() {
            warn!(
                "created a new, empty database at {shown}, whose directory was missing: if there was a database before, \
                 stop the service, and restore it or mount its volume"
            );
        } else {
            info!(
                "created a new, empty database at {shown}; if there was one before, stop the service and restore that"
            );
        }
    }
}

/// Why the file cannot be used.
fn unusable(file: &Path, error: sqlx::Error) -> DatabaseError {
    match is_of_the_disk(&error) {
        _ if lacks_thread(&error) => DatabaseError::Threads(error),
        true => DatabaseError::Disk(file.to_owned(), error),
        false => DatabaseError::File(file.to_owned(), error),
    }
}

/// Returns true if the connection has got no thread from the system: sqlx 0.9.0 gives each one of its own.
fn lacks_thread(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Io(error) if error.kind() == io::ErrorKind::WouldBlock)
}

/// Returns false for a database in memory, and for one that SQLite removes when it is closed.
fn names_a_file(url: &str) -> bool {
    let (file, parameters) = url.split_once('?').unwrap_or((url, ""));
    let file = file.trim_start_matches("sqlite:").trim_start_matches("//");
    !matches!(file, "" | ":memory:") && !parameters.split('&').any(|set| set == "mode=memory")
}

fn pool_of(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // A file does not hang up. But after an error of the disk SQLite has ended the transaction by
        // itself, sqlx 0.9.0 believes in it for ever, and begins no other one: then a new connection is used.
        .test_before_acquire(false)
        .before_acquire(|connection, _| Box::pin(async { Ok(!connection.is_in_transaction()) }))
}

/// What the writer of a host needs: a pragma, its value, and how to set it.
const PRAGMAS: &[(&str, &str, &str)] = &[
    (
        "journal_mode",
        "wal",
        "journal_mode(SqliteJournalMode::Wal)",
    ),
    ("synchronous", "2", "synchronous(SqliteSynchronous::Full)"),
    ("foreign_keys", "1", "foreign_keys(true)"),
    ("secure_delete", "1", "pragma(\"secure_delete\", \"ON\")"),
];

/// Returns an error if texts are UTF-16 in the file: what is no UTF-8, and lengths in bytes, would be others there.
async fn check_encoding(pool: &SqlitePool, file: &Path) -> Result<(), DatabaseError> {
    let unusable = |error| unusable(file, error);
    let encoding = pool.fetch_one("PRAGMA encoding").await.map_err(unusable)?;
    let encoding: String = encoding.try_get(0).map_err(unusable)?;
    if encoding == "UTF-8" {
        return Ok(());
    }
    let name = file.display().to_string();
    Err(DatabaseError::Encoding(name, encoding, NEW_FILE))
}

/// Opens the file, and tries again while it is locked: of several processes that open a new file, one switches it to
/// WAL, and SQLite rejects the others without waiting for their busy timeout.
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

/// `SQLITE_BUSY`.
fn is_busy(error: &sqlx::Error) -> bool {
    code_of(error) == Some(5)
}

/// `SQLITE_IOERR`, `SQLITE_FULL`.
pub(crate) fn is_of_the_disk(error: &sqlx::Error) -> bool {
    matches!(code_of(error), Some(10 | 13))
}

/// The primary result code; the bits above its eight contain the reason.
fn code_of(error: &sqlx::Error) -> Option<i32> {
    let error = error.as_database_error()?;
    let error = error.try_downcast_ref::<SqliteError>()?;
    Some(error.code()?.parse::<i32>().ok()? & 0xff)
}

/// Begins a transaction that writes.
pub(super) async fn begin(writer: Writer<'_, Sqlite>) -> sqlx::Result<SqliteTransaction<'static>> {
    begin_with(writer, BEGIN.into_sql_str(), None).await
}
