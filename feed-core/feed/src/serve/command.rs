//! The operator's commands for a feed: begin a new epoch after a backup was restored, erase the data of a subject's events.

use std::process::ExitCode;

use feed_chassis::counted;
use feed_console::command::{self, CommandError, Done, say};
use feed_core::{Backend, Database, Feed, FeedSettings, Kind, NewEvent, outbox};
use serde_json::Value;
use sqlx::{Postgres, Sqlite};

use super::Serve;
use crate::types::parse_type;

/// What an erasure leaves of earlier events.
const NOTHING: &str = "null";

/// Commands for the feed, whether it is served or not.
///
/// The exit code is 0 on success, 1 if there is nothing to erase, and 2 if the command failed.
#[derive(Debug, Clone, clap::Subcommand)]
pub(crate) enum Command {
    /// Give the feed a new epoch, after a backup was restored
    ///
    /// Use it before anything runs again on a database that is older than what consumers have read: events they have read
    /// are lost, and new ones would get the same sequences, and so the same addresses as other bytes. With a new epoch,
    /// each consumer halts until an operator runs `resume --from-start`; events that it has already applied have no second
    /// effect. The application itself must not use a number again that was lost, such as that of an order.
    #[command(after_help = "Example: restored")]
    Restored,

    /// Erase the data of all events of a subject
    ///
    /// Replaces the data of all events of the subject, numbered or not, by the JSON null, and publishes one event more, by
    /// whose type consumers know that they have to erase their copies. Entries and pages keep their bytes, so type, subject,
    /// title and summary stay. An erasure cannot be undone. Executed again, it gives the earlier events of that type the new
    /// data too.
    ///
    /// Erase the person in the application first, so that no event with their data follows.
    #[command(after_help = "Example: erase order/17 --type order.erased --data '{\"id\": 17}'")]
    Erase {
        /// The subject, as its events have it
        subject: String,
        /// The type of the event that is published
        #[arg(long = "type", value_name = "TYPE", value_parser = parse_type)]
        event_type: String,
        /// The data of the event that is published
        #[arg(long, value_name = "JSON", default_value = "{}")]
        data: String,
    },
}

/// Executes a command on the database that the settings name.
pub(super) async fn execute(serve: Serve, command: Command) -> ExitCode {
    let act = async |kind| match kind {
        Kind::Sqlite => on::<Sqlite>(&serve, command).await,
        Kind::Postgres => on::<Postgres>(&serve, command).await,
    };
    command::run(serve.settings.server.log_format, &serve.database, act).await
}

async fn on<B: Backend>(serve: &Serve, command: Command) -> Result<Done, CommandError> {
    let database = Database::<B>::open(serve.database.options()).await?;
    let settings = FeedSettings::new(serve.settings.base_url(), serve.title.clone());
    let feed = Feed::open_for_command(database.clone(), settings).await?;
    let done = match command {
        Command::Restored => restored(&feed).await,
        Command::Erase {
            subject,
            event_type,
            data,
        } => {
            let event = NewEvent::new(event_type, subject, data);
            erase(&database, &feed, &event).await
        }
    };
    database.close().await;
    done
}

async fn restored<B: Backend>(feed: &Feed<B>) -> Result<Done, CommandError> {
    let epoch = feed.change_epoch().await?;
    say(&format!(
        "The feed now has the epoch {epoch}. Each consumer halts until an operator runs `resume --from-start`."
    ))
}

async fn erase<B: Backend>(
    database: &Database<B>,
    feed: &Feed<B>,
    event: &NewEvent,
) -> Result<Done, CommandError> {
    let mut tx = database.begin().await?;
    let notice: Option<Value> = serde_json::from_str(&event.data).ok();
    let erased = outbox::rewrite(&mut tx, event, |event_type, data| {
        // The subject may have been erased before: a notice without data would block consumers.
        let left = match event_type == event.event_type {
            true if notice == serde_json::from_str(data).ok() => data,
            true => &event.data,
            false => NOTHING,
        };
        Ok(left.to_owned())
    });
    let erased = erased.await;
    let erased = erased.map_err(|error| match error {
        // The event is invalid, such as data that is no JSON.
        sqlx::Error::Encode(wrong) => CommandError::Other(wrong),
        error => error.into(),
    })?;
    if erased == 0 {
        // The subject may be mistyped.
        tx.rollback().await?;
        let message = format!(
            "no event about {} has data to erase, so nothing was published",
            event.subject
        );
        return Err(CommandError::NotFound(message.into()));
    }
    tx.commit().await?;
    // Instances drop what they have cached once the event is numbered.
    feed.publish().await?;
    say(&format!(
        "Erased the data of {} about {}, and published {}.",
        counted(i64::try_from(erased).unwrap_or(i64::MAX), "event"),
        event.subject,
        event.event_type
    ))
}
