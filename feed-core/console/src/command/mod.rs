//! The common part of a service's commands: each works on the service's database, with or without a
//! running service, listens nowhere, and prints an error on one line.

mod table;
mod who;

use std::error::Error;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

use serde::Serialize;
use sqlx::sqlite::SqliteConnectOptions;

use feed_chassis::{LogFormat, start_logging_from};
use feed_core::consumer::printable;
use feed_core::http::{escape_json, with_causes};
use feed_core::{DatabaseError, Kind};

use crate::DatabaseSettings;

pub use table::table;
pub use who::By;

/// Commands log problems only. They print their own decisions themselves.
const LOGGED: &str = "warn,feed_core::consumer::control=error";

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// A command does not create a database.
    #[error(
        "there is no database {}: say where it is (DATABASE_URL), or start the service once",
        .0.display()
    )]
    NoDatabase(PathBuf),
    /// A command that only reads does not migrate it.
    #[error(
        "the database has not had all migrations of this program: if it is the right one (DATABASE_URL), start the service \
         once, which runs them"
    )]
    Older,
    /// The database cannot be opened.
    #[error("the database cannot be used (DATABASE_URL)")]
    Open(#[source] DatabaseError),
    /// The database has other subscriptions alone.
    #[error("there is no subscription {name} in this database, but {known}")]
    NoSubscription {
        /// The one that was asked for.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// What the command is about is not there, or not any more.
    #[error(transparent)]
    NotFound(Box<dyn Error + Send + Sync>),
    /// The database failed.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    /// There is no name to record.
    #[error("--by NAME is required because $USER is not set")]
    Nameless,
    /// The operation had no result.
    #[error("{0}")]
    NotCarriedOut(String),
    /// The operation failed with this error.
    #[error(transparent)]
    Other(Box<dyn Error + Send + Sync>),
    /// The result cannot be printed.
    #[error("cannot print")]
    Print(#[source] io::Error),
}

impl From<DatabaseError> for CommandError {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::Pending(_) => Self::Older,
            _ => Self::Open(error),
        }
    }
}

/// How a successful command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// Nothing needs the operator.
    Well,
    /// Something was found that needs the operator.
    Found,
}

/// Implements a service's `main` for a command: starts logging, checks that there is a database,
/// and calls `act` with the backend that the URL names. Prints an error on one line.
pub async fn run(
    log: LogFormat,
    database: &DatabaseSettings,
    act: impl AsyncFnOnce(Kind) -> Result<Done, CommandError>,
) -> ExitCode {
    run_anywhere(log, async || act(existing(database.url())?).await).await
}

/// The same for a command that may create the database.
pub(crate) async fn run_anywhere(
    log: LogFormat,
    act: impl AsyncFnOnce() -> Result<Done, CommandError>,
) -> ExitCode {
    start_logging_from(log, LOGGED);
    match act().await {
        Ok(Done::Well) => ExitCode::SUCCESS,
        Ok(Done::Found) => ExitCode::from(1),
        Err(error) => {
            eprintln!("{}", printable(&with_causes(&error)));
            match error {
                CommandError::NotFound(_) => ExitCode::from(1),
                _ => ExitCode::from(2),
            }
        }
    }
}

/// Returns the backend, if its database exists: a mistyped path must not create an empty database,
/// which would look healthy.
pub(crate) fn existing(url: &str) -> Result<Kind, CommandError> {
    let kind = url.parse()?;
    if kind == Kind::Sqlite {
        let options = SqliteConnectOptions::from_str(url).map_err(DatabaseError::Malformed)?;
        let file = options.get_filename();
        if !file.exists() {
            return Err(CommandError::NoDatabase(file.to_owned()));
        }
    }
    Ok(kind)
}

/// Prints the result on standard output.
///
/// # Errors
///
/// Returns an error if it cannot be written.
pub fn say(text: &str) -> Result<Done, CommandError> {
    print(&format!("{text}\n"))?;
    Ok(Done::Well)
}

/// Prints to standard output. A reader that stops early, as in `| head`, is no error.
///
/// # Errors
///
/// Returns an error if it cannot be written.
pub fn print(text: &str) -> Result<(), CommandError> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(CommandError::Print(error)),
        _ => Ok(()),
    }
}

/// Prints a document as one line of JSON, with escapes in place of characters that a terminal would obey.
///
/// # Errors
///
/// Returns an error if it cannot be written.
pub fn print_json(document: &impl Serialize) -> Result<(), CommandError> {
    let text = serde_json::to_string(document);
    let text = text.map_err(|error| CommandError::Print(error.into()))?;
    print(&format!("{}\n", escape_json(&text)))
}
