//! An operator's commands for a subscription: see what is stuck, and fix it. A service flattens
//! [`Command`] into its own command line and passes it to [`execute`].

mod check;
mod decide;
mod execute_decision;
mod instances;
mod line;
mod lists;
pub(super) mod period;
mod reconcile;
mod show;
pub(super) mod words;

use crate::command::{CommandError, Done};
use feed_core::Backend;
use feed_core::Database;
use feed_core::consumer::{DecideError, Effect, Handle, Reconcile, ReconcileError, Subscription};

pub use check::{Again, Refused};
pub(super) use check::{check, check_pause};
pub(super) use instances::{COLUMNS, behind, share, state, why};
pub use line::{Command, Listing, ResumeFlags, Selected, Skipped, Which};
pub(super) use lists::{Known, named};
pub(super) use reconcile::summary;
pub(super) use show::StatusDocument;
pub use words::WHAT_TO_DO;

/// Why there is no result of a comparison.
#[derive(Debug, thiserror::Error)]
#[error("cannot compare")]
struct CannotCompare(#[source] ReconcileError);

impl From<ReconcileError> for CommandError {
    fn from(error: ReconcileError) -> Self {
        Self::Other(Box::new(CannotCompare(error)))
    }
}

impl From<DecideError> for CommandError {
    fn from(error: DecideError) -> Self {
        match error {
            DecideError::NotParked(_)
            | DecideError::NoneSelected(_)
            | DecideError::NoSuchInstance(_)
            | DecideError::AlreadyDecided { .. }
            | DecideError::SkippedBefore { .. }
            | DecideError::FailedSince { .. }
            | DecideError::NoSuchDecision(_)
            | DecideError::CannotUndo(..) => Self::NotFound(Box::new(error)),
            _ => Self::Other(Box::new(error)),
        }
    }
}

impl From<Refused> for CommandError {
    fn from(error: Refused) -> Self {
        Self::Other(Box::new(error))
    }
}

/// Executes a command on an open database. `again` says whether `effect` bears an event that it has had already.
///
/// # Errors
///
/// Returns an error if it fails: nothing has changed, unless the error says so.
pub async fn execute<B, E, R>(
    command: Command,
    database: Database<B>,
    subscription: Subscription,
    effect: E,
    again: Again,
) -> Result<Done, CommandError>
where
    B: Backend,
    E: Effect<B>,
    R: Reconcile<B>,
{
    let known = Handle::subscriptions(&database).await?;
    let is_known = known.is_empty() || known.contains(&subscription.name);
    // A new one may begin at the newest event.
    if !is_known && !matches!(command, Command::Resume { .. }) {
        return Err(CommandError::NoSubscription {
            name: subscription.name,
            known: known.join(", "),
        });
    }
    let handle = match command.only_reads() {
        true => Handle::to_read(database.clone(), subscription.clone()),
        false => Handle::open(database.clone(), subscription.clone()).await?,
    };
    let done = match command {
        Command::Status { json, pace } => show::status(&handle, json, pace).await,
        Command::Events {
            about,
            before,
            listing,
        } => match about {
            Some(about) => lists::about(&handle, &about, before, listing).await,
            None => lists::events(&handle, before, listing).await,
        },
        Command::Parked { listing } => lists::parked(&handle, listing).await,
        Command::Skipped { listing } => lists::skipped(&handle, listing).await,
        Command::Decisions { listing } => lists::decisions(&handle, listing).await,
        Command::Retry { which, by } => decide::retry(&handle, which, by).await,
        Command::Skip { which, reason, by } => decide::skip(&handle, which, reason, by).await,
        Command::Undo { decision, by } => decide::undo(&handle, decision, by).await,
        Command::Pause { reason, by } => instances::pause(&handle, &reason, by).await,
        Command::Instances { listing } => instances::list(&handle, listing).await,
        Command::Retire {
            instance,
            reason,
            by,
        } => instances::retire(&handle, &instance, &reason, by).await,
        Command::Resume { from, by } => match from.from() {
            Some(from) => {
                let spare =
                    execute_decision::OwnInstance::new(database.clone(), subscription, effect);
                execute_decision::resume(&handle, from, by, spare, again).await
            }
            None => instances::unpause(&handle, by).await,
        },
        Command::Replay { from, by } => {
            let spare = execute_decision::OwnInstance::new(database.clone(), subscription, effect);
            execute_decision::replay(&handle, from, by, spare, again).await
        }
        Command::Reconcile { from, until, json } => {
            reconcile::run::<B, R>(&handle, feed_core::consumer::Period { from, until }, json).await
        }
    };
    database.close().await;
    done
}
