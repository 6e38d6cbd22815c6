//! Why a database cannot be used, with what to do about it; no password is repeated.

use std::io;
use std::path::PathBuf;

use sqlx::migrate::MigrateError;

use crate::database::Kind;

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatabaseError {
    /// The URL's scheme is neither of ours.
    #[error("a database URL begins with `sqlite:` or `postgres:`, not `{0}:`")]
    Scheme(String),
    /// The program has chosen one backend, and the URL names the other.
    #[error("the program uses a `{0}` URL here, and this one begins with `{1}`")]
    OtherBackend(Kind, Kind),
    /// The URL names no SQLite file, or one in memory.
    #[error(
        "write sqlite:PATH: the database is a file, since events in memory would be lost with the process"
    )]
    NoFile,
    /// It is no URL at all.
    #[error("write sqlite:PATH or postgres://USER:PASSWORD@HOST/NAME")]
    NoUrl,
    /// The URL has a known scheme, and is malformed after it.
    #[error(
        "write sqlite:PATH or postgres://USER:PASSWORD@HOST/NAME, with %40 for an @ in the password \
         and the like"
    )]
    Malformed(#[source] sqlx::Error),
    /// A character in its password ends the host.
    #[error(
        "the database URL has an @ after its host; in a password write %2F for a /, %3F for a ? and %23 for a #, and in a \
         name %40 for an @"
    )]
    Password,
    /// There is no place for a SQLite file.
    #[error("cannot make the directory {} for the database{}", .0.display(), in_the_way(.1))]
    Directory(PathBuf, #[source] io::Error),
    /// The SQLite file cannot be opened or written, or is none.
    #[error("{} has to be a SQLite file that we may write, or not be there yet", .0.display())]
    File(PathBuf, #[source] sqlx::Error),
    /// The SQLite file cannot be written: its disk is full, or has failed.
    #[error("cannot write {}: its disk may be full", .0.display())]
    Disk(PathBuf, #[source] sqlx::Error),
    /// The system has no thread for another connection to the SQLite file.
    #[error("the system has too few threads for this program")]
    Threads(#[source] sqlx::Error),
    /// The SQLite file that is only read cannot be opened, or is none.
    #[error("{} has to be a SQLite file that we may read", .0.display())]
    FileToRead(PathBuf, #[source] sqlx::Error),
    /// The SQLite file that is only read is not there.
    #[error("there is no file {}, and none is made of a database that is only read", .0.display())]
    NoSuchFile(PathBuf),
    /// The SQLite file is missing, and its write-ahead log is there: the database was removed or moved without it.
    #[error(
        "the database {} is missing, and its log {} is there: restore the database, or remove the log to begin with a \
         new, empty one", .0.display(), .1.display()
    )]
    LogAlone(PathBuf, PathBuf),
    /// No server answers, or none in time.
    #[error("nothing answers at {0}; PostgreSQL has to run there, and let this machine reach it")]
    Unreachable(String, #[source] Option<io::Error>),
    /// The server does not know whom the URL names, or has no such database.
    #[error("{0} rejected the connection; check user, password and database")]
    Refused(String, #[source] sqlx::Error),
    /// The server, the database or the role has no connection left.
    #[error(
        "PostgreSQL refused another connection to {0}: raise the limit that it names, or have each instance \
         take fewer ({1})"
    )]
    TooMany(String, &'static str, #[source] sqlx::Error),
    /// The server runs, and accepts no connections right now.
    #[error("PostgreSQL at {0} accepts no connections at the moment")]
    NotYet(String, #[source] sqlx::Error),
    /// The server is not the one that is written to.
    #[error(
        "{0} is a standby, which cannot be written to; give the address that leads to the primary, also after another \
         server has become it (docs/deployment.md)"
    )]
    Standby(String),
    /// The driver knows one host.
    #[error(
        "it names several hosts, and a service connects to one: give the address that leads to the primary, such as \
         that of HAProxy before Patroni, of a pooler, or of a cluster's service (docs/deployment.md)"
    )]
    SeveralHosts,
    /// It has accepted the connection, and does not answer.
    #[error(
        "{0} accepted the connection, and answers no statement; if it is a pooler, all its connections to PostgreSQL \
         may be in use"
    )]
    Silent(String),
    /// The database does not store each text as UTF-8: its name, its encoding, and how to make another one.
    #[error(
        "{0} has the encoding {1}, in which not each text can be stored, found and read again: {2}, and move what is in \
         this one"
    )]
    Encoding(String, String, &'static str),
    /// A pooler gives each transaction another session.
    #[error(
        "{0} is a pooler in transaction mode: it gives each transaction another session of PostgreSQL. Point \
         {1} to PostgreSQL itself, or have the pooler give sessions (PgBouncer: pool_mode = session)"
    )]
    Pooled(String, &'static str),
    /// A setting does not take hold.
    #[error("{0} does not put these settings in force: {1}; a proxy or pooler there may drop them")]
    Settings(String, String),
    /// The two addresses lead to different databases.
    #[error("{0} and {1} ({2}) have to lead to the same database and schema")]
    Different(String, String, &'static str),
    /// The direct address cannot be used.
    #[error("by its direct address ({0})")]
    Direct(&'static str, #[source] Box<DatabaseError>),
    /// A SQLite file has one address.
    #[error("{0} is for PostgreSQL behind a pooler, not for a sqlite: file")]
    DirectFile(&'static str),
    /// The server answers, and it does not work all the same.
    #[error("cannot open {0}")]
    Open(String, #[source] sqlx::Error),
    /// The schema could not be brought up to date.
    #[error("cannot bring its tables up to date{}", newer(.0))]
    Migrate(#[from] MigrateError),
    /// The host runs them, and has not yet.
    #[error(
        "these migrations of feed-core are missing: {0}; run them first (Database::migrations has their SQL), or let \
         Database::open do it"
    )]
    Pending(String),
    /// A SQLite file has no schemas.
    #[error("a schema is for PostgreSQL, not for a sqlite: file")]
    SchemaFile,
    /// The schema is not there, and we have not made it.
    #[error("the schema {0} is missing: create it, and grant our role USAGE on it")]
    NoSchema(String, #[source] Option<sqlx::Error>),
    /// Its tables are in the first schema, and the second one comes first in the `search_path`, without them.
    #[error(
        "its tables are in the schema {0}, and {1} comes before it in the search_path: a second set of tables there would \
         begin with the first event again, and repeat effects. Take {1} out of the search_path, or name {0} as the \
         schema; if a second set is meant, give it a search_path without {0} (docs/deployment.md)"
    )]
    Elsewhere(String, String),
    /// The host's pool cannot be used.
    #[error("the pool cannot be used as it is: {0}")]
    Pool(String),
    /// Another session holds a lock for too long.
    #[error(
        "cannot bring its tables up to date: another session holds a lock that migrations need; find it \
         (pg_stat_activity, pg_blocking_pids) and end it, or wait if it is an instance that is migrating"
    )]
    Locked(#[source] MigrateError),
    /// Migrations have not ended in time.
    #[error(
        "cannot bring its tables up to date within an hour: see in pg_stat_activity what migrations do"
    )]
    MigrationsTimedOut,
    /// It is another service's.
    #[error("it is the database of another service, which has its migrations in the table {0}")]
    Others(String),
    /// A subscription without a name, or with one that PostgreSQL cannot store.
    #[error("the name of the subscription is blank or has a byte 0: set Subscription::name")]
    SubscriptionName,
    /// The feed cannot be created: consumers could not read it. The second number is the most that they can.
    #[error(
        "cannot create a feed with {0} events per page: set FeedSettings::page_size to 1 to {1}"
    )]
    PageSize(u32, u32),
    /// The database failed while the service started.
    #[error("cannot prepare it")]
    Prepare(#[from] sqlx::Error),
}

impl DatabaseError {
    /// Whether the same may succeed later, although nobody changes a setting: the server is away, is starting, has no
    /// connection left, or is a standby that may become the primary; another session holds a lock; or the disk of a file is
    /// full. A service then waits, and does not end.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable(_, Some(cause)) => cause.kind() != io::ErrorKind::PermissionDenied,
            Self::Directory(_, cause) => is_full(cause),
            Self::Unreachable(_, None)
            | Self::Disk(..)
            | Self::NotYet(..)
            | Self::TooMany(..)
            | Self::Standby(_)
            | Self::Silent(_)
            | Self::Locked(_) => true,
            Self::Direct(_, error) => error.may_pass(),
            Self::Open(_, error)
            | Self::Prepare(error)
            | Self::Migrate(
                MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _),
            ) => is_of_the_server(error),
            _ => false,
        }
    }
}

/// True if there is no space for a file.
pub(super) fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded)
}

/// True if the server or the way to it has failed, or the disk of a file, and not the statement.
fn is_of_the_server(error: &sqlx::Error) -> bool {
    match error {
        #[cfg(feature = "sqlite")]
        error if super::sqlite::is_of_the_disk(error) => true,
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            // SQLSTATE: connections, but not what the server does not understand; resources; an operator's intervention,
            // such as a shutdown; a server that is read-only.
            let class = code.get(..2).unwrap_or_default();
            match &*code {
                // PgBouncer has one code for all: also for the server behind it, and for its own limits. The rest, such as a
                // setting, a name, a password or a mode of pooling, stays as it is.
                "08P01" => {
                    let passing = ["server", "timeout", "no more connections"];
                    passing.iter().any(|one| error.message().contains(one))
                }
                "25006" => true,
                _ => ["08", "53", "57"].contains(&class),
            }
        }),
        _ => false,
    }
}

fn in_the_way(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
            ", since a file is in the way"
        }
        _ => "",
    }
}

fn newer(error: &MigrateError) -> &'static str {
    match error {
        MigrateError::VersionMissing(_) => ": a newer version of this program has used it",
        _ => "",
    }
}
