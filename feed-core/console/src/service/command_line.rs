//! The command line of a service that follows a feed: its settings, and the commands beside it.

use clap::{Args, CommandFactory};
use feed_chassis::{Settings, parse_command_line};

use super::Service;
use crate::settings::{SHARED, StatusSettings};
use crate::{DatabaseSettings, Follow, subscription, transfer};

/// The settings of a service, of which `S` are its own.
#[derive(Debug, Clone, Args)]
pub struct Config<S: Args> {
    /// The feed to follow
    #[command(flatten)]
    pub follow: Follow,

    /// The database
    #[command(flatten)]
    pub database: DatabaseSettings,

    /// The status pages
    #[command(flatten)]
    pub status: StatusSettings,

    /// Those that each service has
    #[command(flatten)]
    pub settings: Settings,

    /// Those that only this service has
    #[command(flatten)]
    pub own: S,
}

/// The command line of the service `T`.
#[derive(Debug, clap::Parser)]
#[command(
    name = T::NAME,
    version = T::VERSION,
    about = T::ABOUT,
    long_about = None,
    after_help = examples::<T>(),
    subcommand_help_heading = "Commands, whether the service runs or not"
)]
pub struct CommandLine<T: Service> {
    /// The settings; commands read some of them too
    #[command(flatten)]
    pub config: Config<T::Settings>,

    /// The command to run instead of the service
    #[command(subcommand)]
    pub command: Option<Command>,
}

fn examples<T: Service>() -> Option<&'static str> {
    (!T::EXAMPLES.is_empty()).then_some(T::EXAMPLES)
}

impl<T: Service> CommandLine<T> {
    /// Parses the command line and the environment. On an error it ends the process with a message. The help lists the
    /// comparison only for a service that `compares`.
    pub(super) fn parse(compares: bool) -> Self {
        let command = Settings::prepare(Self::command(), T::DEFAULTS, SHARED);
        parse_command_line(match compares {
            true => command,
            false => without_comparison(command),
        })
    }

    /// Parses these arguments, of which the first is the program.
    ///
    /// # Errors
    ///
    /// Returns an error if they are wrong, or ask for help.
    pub fn try_parse_from<'a>(
        arguments: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, clap::Error> {
        Settings::try_parse_from(T::DEFAULTS, SHARED, arguments)
    }
}

/// Hides the command that compares: for a service that compares nothing.
#[must_use]
pub fn without_comparison(command: clap::Command) -> clap::Command {
    command.mut_subcommand("reconcile", |reconcile| reconcile.hide(true))
}

/// Commands for the subscription and the data. Without a command, the service runs.
///
/// The exit code is 0 if nothing needs a decision, 1 if something does, and 2 if the command failed.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// An operator's commands for the subscription
    #[command(flatten)]
    Subscription(subscription::command::Command),
    /// The move to another database
    #[command(flatten)]
    Transfer(transfer::Command),
}
