//! What every command of a service has in common: it works on the service's database, beside the service
//! or without it, listens nowhere, and says on one line what goes wrong.

mod who;

use std::error::Error;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

use serde::Serialize;
use sqlx::sqlite::SqliteConnectOptions;

use feed_chassis::{LogFormat, start_logging_from};
use feed_core::http::with_causes;
use feed_core::{DatabaseError, Kind};

use crate::DatabaseSettings;

pub use who::By;

/// What a command logs: trouble. What it decides it says itself.
const LOGGED: &str = "warn,feed_core::consumer::control=error";

/// Why a command could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// A command does not make a database.
    #[error(
        "there is no database {}: say where it is (DATABASE_URL), or start the service once",
        .0.display()
    )]
    NoDatabase(PathBuf),
    /// The database cannot be opened.
    #[error("the database cannot be used (DATABASE_URL)")]
    Open(#[from] DatabaseError),
    /// The database failed.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    /// There is nobody to record.
    #[error("who decides? Say --by NAME: it is recorded, and $USER is not set")]
    Nameless,
    /// Nothing came of it.
    #[error("{0}")]
    NotCarriedOut(String),
    /// Nothing came of it, by the error of what was to be done.
    #[error(transparent)]
    Other(Box<dyn Error + Send + Sync>),
    /// The result cannot be written down.
    #[error("cannot print")]
    Print(#[source] io::Error),
}

/// How a command ended that was carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// All is well.
    Well,
    /// Something was found that needs a person.
    Found,
}

/// All of a service's `main` for a command: starts logging, checks that there is a database, and
/// lets `act` do the rest, with the backend that the URL names. What goes wrong is said on one
/// line.
pub async fn run(
    log: LogFormat,
    database: &DatabaseSettings,
    act: impl AsyncFnOnce(Kind) -> Result<Done, CommandError>,
) -> ExitCode {
    run_anywhere(log, async || act(existing(database.url())?).await).await
}

/// The same for a command that may make the database.
pub(crate) async fn run_anywhere(
    log: LogFormat,
    act: impl AsyncFnOnce() -> Result<Done, CommandError>,
) -> ExitCode {
    start_logging_from(log, LOGGED);
    match act().await {
        Ok(Done::Well) => ExitCode::SUCCESS,
        Ok(Done::Found) => ExitCode::from(1),
        Err(error) => {
            eprintln!("{}", with_causes(&error));
            ExitCode::from(2)
        }
    }
}

/// The backend, if its database is there: a mistyped path must not make an empty one, in which
/// all would be well.
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

/// Says what was done, on standard output.
///
/// # Errors
///
/// It cannot be written.
pub fn say(text: &str) -> Result<Done, CommandError> {
    print(&format!("{text}\n"))?;
    Ok(Done::Well)
}

/// Prints to standard output. That nobody reads to the end, as with `| head`, is no fault.
pub(crate) fn print(text: &str) -> Result<(), CommandError> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(CommandError::Print(error)),
        _ => Ok(()),
    }
}

/// Prints a document as one line of JSON.
pub(crate) fn print_json(document: &impl Serialize) -> Result<(), CommandError> {
    let text = serde_json::to_string(document);
    print(&(text.map_err(|error| CommandError::Print(error.into()))? + "\n"))
}
