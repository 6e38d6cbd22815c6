//! Every setting of the service.

use feed_chassis::{Settings, parse_url};
use feed_console::subscription::command;
use feed_console::transfer;
use feed_console::{DatabaseSettings, Follow, settings};
use url::Url;

const EXAMPLES: &str = "\
Examples:
  shipping
      opens on http://127.0.0.1:8083/, keeps its data in data/shipping.db, and follows the order
      service on this machine, which need not be there yet
  shipping --feed-url https://shop.example/order/feed
      follows another one
  DATABASE_URL=postgres://shipping:PASSWORD@localhost/shipping shipping
      keeps its data in PostgreSQL; an option would show the password to whoever lists processes
  shipping status
      says how far the service has got, and what is stuck

`cargo run -p shipping --` stands for `shipping`. A command needs the DATABASE_URL of the service that
it is about; `shipping help COMMAND` tells more of it.";

/// The shipping service: makes a shipment for each order that it reads of in a feed
#[derive(Debug, Clone, clap::Parser)]
#[command(version)]
pub struct Config {
    #[command(flatten)]
    pub follow: Follow,

    #[command(flatten)]
    pub database: DatabaseSettings,

    #[command(flatten)]
    pub settings: Settings,

    /// Where people find orders; a shipment then links to `URL/{order}`
    #[arg(long, env, help_heading = "Links", value_name = "URL", value_parser = parse_url)]
    pub order_url: Option<Url>,
}

impl Config {
    /// What holds where nothing else is said, by the name of the field.
    pub const DEFAULTS: &'static [(&'static str, &'static str)] = &[
        ("listen", "127.0.0.1:8083"),
        ("database_url", "sqlite:data/shipping.db"),
        ("instance", "shipping"),
        ("feed_url", "http://127.0.0.1:8081/feed"),
    ];
}

/// The shipping service: makes a shipment for each order that it reads of in a feed
#[derive(Debug, Clone, clap::Parser)]
#[command(
    version,
    after_help = EXAMPLES,
    subcommand_help_heading = "Commands, while the service runs or is stopped"
)]
pub struct CommandLine {
    #[command(flatten)]
    pub config: Config,

    /// What to do instead of running the service
    #[command(subcommand)]
    pub command: Option<Command>,
}

impl CommandLine {
    /// What the command line and the environment say. Ends the process with a clear message where
    /// they are wrong.
    #[must_use]
    pub fn parse() -> Self {
        Settings::parse(Config::DEFAULTS, settings::SHARED)
    }
}

/// What to do about what the service follows and has. Without a command, the service runs.
///
/// The exit code is 0 if all is well, 1 if something was found that needs a person, and 2 if the
/// command could not be carried out.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    #[command(flatten)]
    Subscription(command::Command),
    #[command(flatten)]
    Transfer(transfer::Command),
}
