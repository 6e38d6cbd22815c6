//! Why a database cannot be used, with what to do about it; no password is repeated.

use std::io;
use std::path::PathBuf;

use sqlx::migrate::MigrateError;

use crate::database::shown;

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The URL's scheme is neither of ours.
    #[error("a database URL begins with `sqlite:` or `postgres:`, not `{0}:`")]
    Scheme(String),
    /// It is no URL at all.
    #[error("write sqlite:PATH or postgres://USER:PASSWORD@HOST/NAME")]
    NoUrl,
    /// The URL begins well, and does not go on so.
    #[error(
        "write sqlite:PATH or postgres://USER:PASSWORD@HOST/NAME, with %40 for an @ in the password \
         and the like"
    )]
    Malformed(#[source] sqlx::Error),
    /// There is no place for a SQLite file.
    #[error("cannot make the directory {} for the database{}", .0.display(), in_the_way(.1))]
    Directory(PathBuf, #[source] io::Error),
    /// The SQLite file cannot be opened or written, or is none.
    #[error("{} has to be a SQLite file that we may write, or not be there yet", .0.display())]
    File(PathBuf, #[source] sqlx::Error),
    /// No server answers, or none in time.
    #[error("nothing answers at {0}; PostgreSQL has to run there, and let this machine reach it")]
    Unreachable(String, #[source] Option<io::Error>),
    /// The server does not know whom the URL names, or has no such database.
    #[error("{0} does not let us in; check user, password and database")]
    Refused(String, #[source] sqlx::Error),
    /// The server answers, and it does not work all the same.
    #[error("cannot open {0}")]
    Open(String, #[source] sqlx::Error),
    /// The schema could not be brought up to date.
    #[error("cannot bring its tables up to date{}", newer(.0))]
    Migrate(#[from] MigrateError),
    /// It is another service's.
    #[error("it is the database of another service, which has its migrations in the table {0}")]
    Others(String),
    /// The database failed while the service started.
    #[error("cannot prepare it")]
    Prepare(#[from] sqlx::Error),
}

impl DatabaseError {
    /// Why the PostgreSQL at `url` could not be opened.
    pub(super) fn of_postgres(url: &str, error: sqlx::Error) -> Self {
        let database = shown(url);
        match error {
            // The pool has tried again all the time.
            sqlx::Error::PoolTimedOut => Self::Unreachable(database, None),
            sqlx::Error::Io(cause) => Self::Unreachable(database, Some(cause)),
            sqlx::Error::Database(ref cause)
                // Class 28: invalid authorization; 3D000: there is no such database.
                if cause.code().is_some_and(|code| code.starts_with("28") || code == "3D000") =>
            {
                Self::Refused(database, error)
            }
            error => Self::Open(database, error),
        }
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
