//! What a person does about a subscription from the command line: to see what is stuck, and to
//! mend it. A service flattens [`Command`] into its own command line and hands it to [`execute`].
//!
//! A command opens the database itself, so it works while the service runs and while it is
//! stopped. It listens nowhere.

mod carry_out;
mod check;
mod line;
mod lists;
mod reconcile;
mod show;
mod who;
pub(super) mod words;

use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

use sqlx::sqlite::SqliteConnectOptions;

use super::{DecideError, Effect, Handle, Reconcile, ReconcileError, Subscription};
use crate::database::{Database, Kind};
use crate::service::{Settings, start_logging_from, with_causes};
use crate::store::{Backend, DatabaseError};
use crate::transfer::TransferError;

pub use check::Refused;
pub(super) use check::check;
pub use line::{Command, Listing, ResumeFrom, Which};
pub(super) use lists::named;
pub(super) use show::StatusDocument;
pub use who::By;
pub(crate) use words::WHAT_TO_DO;

/// What a command logs: trouble. What it decides it says itself.
const LOGGED: &str = "warn,feed_core::consumer::decide=error,feed_core::consumer::carry_out=error";

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
    /// The decision is not possible.
    #[error(transparent)]
    Decide(#[from] DecideError),
    /// The decision does not fit how the subscription stands.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// There is nobody to record.
    #[error("who decides? Say --by NAME: it is recorded, and $USER is not set")]
    Nameless,
    /// The decision was taken, and nothing came of it.
    #[error("{0}")]
    NotCarriedOut(String),
    /// The person stopped watching.
    #[error("stopped watching; the decision stands, and the service carries it out")]
    StoppedWatching,
    /// The comparison could not be made.
    #[error("cannot compare")]
    Reconcile(#[from] ReconcileError),
    /// The database could not be moved.
    #[error(transparent)]
    Transfer(#[from] TransferError),
    /// The result cannot be written down.
    #[error("cannot print")]
    Print(#[source] std::io::Error),
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
    settings: &Settings,
    act: impl AsyncFnOnce(Kind) -> Result<Done, CommandError>,
) -> ExitCode {
    run_anywhere(settings, async || {
        act(existing(settings.database_url())?).await
    })
    .await
}

/// The same for a command that may make the database.
pub(crate) async fn run_anywhere(
    settings: &Settings,
    act: impl AsyncFnOnce() -> Result<Done, CommandError>,
) -> ExitCode {
    start_logging_from(settings.log_format, LOGGED);
    end(act().await)
}

/// Says what went wrong, on one line, and gives the exit code.
pub fn end(done: Result<Done, CommandError>) -> ExitCode {
    match done {
        Ok(Done::Well) => ExitCode::SUCCESS,
        Ok(Done::Found) => ExitCode::from(1),
        Err(error) => {
            eprintln!("{}", with_causes(&error));
            ExitCode::from(2)
        }
    }
}

/// Says what was done, on standard output.
///
/// # Errors
///
/// It cannot be written.
pub fn say(text: &str) -> Result<Done, CommandError> {
    show::print(&format!("{text}\n"))?;
    Ok(Done::Well)
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

/// Carries out a command on an open database.
///
/// # Errors
///
/// It cannot be carried out: nothing has changed, unless the error says so.
pub async fn execute<B, E, R>(
    command: Command,
    database: Database<B>,
    subscription: Subscription,
    effect: E,
) -> Result<Done, CommandError>
where
    B: Backend,
    E: Effect<B>,
    R: Reconcile<B>,
{
    let feed_url = subscription.feed_url.clone();
    let handle = Handle::open(database.clone(), &subscription.name, feed_url)
        .await?
        .with_credentials(subscription.credentials.clone());
    let done = match command {
        Command::Status { json } => show::status(&handle, json).await,
        Command::Events { id, listing } => lists::events(&handle, id.as_deref(), listing).await,
        Command::Parked { listing } => lists::parked(&handle, listing).await,
        Command::Skipped { listing } => lists::skipped(&handle, listing).await,
        Command::Decisions { listing } => lists::decisions(&handle, listing).await,
        Command::Retry { which, by } => show::retry(&handle, which.id.as_deref(), by).await,
        Command::Skip { id, reason, by } => show::skip(&handle, &id, &reason, by).await,
        Command::Resume { from, by } => {
            let spare = carry_out::Spare::new(database.clone(), subscription, effect);
            carry_out::resume(&handle, from.into(), by, spare).await
        }
        Command::Replay { from, by } => {
            let spare = carry_out::Spare::new(database.clone(), subscription, effect);
            carry_out::replay(&handle, from, by, spare).await
        }
        Command::Reconcile { from, json } => reconcile::run::<B, R>(&handle, from, json).await,
    };
    database.close().await;
    done
}
