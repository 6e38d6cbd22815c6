//! The command line of the program: its commands, and what each does.

use clap::CommandFactory;
use feed_chassis::{Settings, parse_command_line};
use feed_console::service::without_comparison;
use feed_console::settings::SHARED;

use crate::check::Check;
use crate::deliver::{self, Deliver};
use crate::serve::{self, Serve};
use crate::status::Status;
use crate::tail::Tail;

const ABOUT: &str = "\
Events between services without a broker, for services in any language

A service publishes an event by an INSERT, in the transaction of the change. `feed serve` shows these events as an Atom \
feed. Another service follows that feed with `feed deliver`, which executes SQL of that service for each event, in the \
transaction that records the event as taken: each event has one effect, whatever dies in between.";

const EXAMPLES: &str = "\
Example: try both sides in an empty directory
  feed serve --database-url sqlite:shop.db &
  sqlite3 shop.db \"INSERT INTO feed_outbox (event_type, subject, data)
                   VALUES ('order.placed', 'order/1', '{}')\"
  feed tail http://127.0.0.1:8081/feed --until-now";

#[derive(Debug, clap::Parser)]
#[command(
    name = "feed",
    version,
    about = "Events between services without a broker, for services in any language",
    long_about = ABOUT,
    after_long_help = EXAMPLES,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub(crate) struct Program {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Serve(Box<Serve>),
    Deliver(Box<Deliver>),
    Tail(Tail),
    Check(Check),
    Status(Status),
}

impl Program {
    /// Parses the command line and the environment. On an error it ends the process with a message.
    pub(crate) fn parse() -> Self {
        parse_command_line(Self::prepared())
    }

    /// The commands with their defaults.
    fn prepared() -> clap::Command {
        let serve = |command| Settings::prepare(command, serve::DEFAULTS, SHARED);
        let shared = [SHARED, deliver::SHARED].concat();
        // The effects are SQL of a team, or a webhook: there is nothing to compare with.
        let deliver =
            |command| without_comparison(Settings::prepare(command, deliver::DEFAULTS, &shared));
        Self::command()
            .mut_subcommand("serve", serve)
            .mut_subcommand("deliver", deliver)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Program::prepared().debug_assert();
    }
}
