//! Every setting of the service.

use feed_chassis::{Settings, parse_url};
use feed_console::subscription::command;
use feed_console::transfer;
use feed_console::{DatabaseSettings, Follow, settings};
use url::Url;

const EXAMPLES: &str = "\
Examples:
  shipping
      listens on http://127.0.0.1:8083/, stores its data in data/shipping.db, and follows the order
      service on this machine, which may start later
  shipping --feed-url https://shop.example/order/feed
      follows another order service
  DATABASE_URL=postgres://shipping:PASSWORD@localhost/shipping shipping
      stores its data in PostgreSQL; an option would show the password in the list of processes
  shipping status
      shows the lag and the parked events

`shipping` is short for `cargo run -p shipping --`. A command needs the service's DATABASE_URL;
`shipping help COMMAND` explains it.";

/// The shipping service: creates a shipment for each order in a feed
#[derive(Debug, Clone, clap::Parser)]
#[command(version)]
pub struct Config {
    #[command(flatten)]
    pub follow: Follow,

    #[command(flatten)]
    pub database: DatabaseSettings,

    #[command(flatten)]
    pub settings: Settings,

    /// The public address of the orders; a shipment then links to `URL/{order}`
    #[arg(long, env, help_heading = "Links", value_name = "URL", value_parser = parse_url)]
    pub order_url: Option<Url>,
}

impl Config {
    /// Defaults, by field name.
    pub const DEFAULTS: &'static [(&'static str, &'static str)] = &[
        ("listen", "127.0.0.1:8083"),
        ("database_url", "sqlite:data/shipping.db"),
        ("instance", "shipping"),
        ("feed_url", "http://127.0.0.1:8081/feed"),
    ];
}

/// The shipping service: creates a shipment for each order in a feed
#[derive(Debug, Clone, clap::Parser)]
#[command(
    version,
    after_help = EXAMPLES,
    subcommand_help_heading = "Commands, whether the service runs or not"
)]
pub struct CommandLine {
    #[command(flatten)]
    pub config: Config,

    /// The command to run instead of the service
    #[command(subcommand)]
    pub command: Option<Command>,
}

impl CommandLine {
    /// Reads the command line and the environment. Ends the process with a clear message if they are
    /// wrong.
    #[must_use]
    pub fn parse() -> Self {
        Settings::parse(Config::DEFAULTS, settings::SHARED)
    }
}

/// Commands for the subscription and the data. Without a command, the service runs.
///
/// The exit code is 0 if nothing needs a decision, 1 if something does, and 2 if the command failed.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    #[command(flatten)]
    Subscription(command::Command),
    #[command(flatten)]
    Transfer(transfer::Command),
}
