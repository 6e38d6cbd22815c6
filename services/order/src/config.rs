//! Every setting of the service.

use feed_chassis::{Settings, parse_url};
use feed_console::{DatabaseSettings, settings};
use url::Url;

use crate::Command;

const EXAMPLES: &str = "\
Examples:
  order
      listens on http://127.0.0.1:8081/ and stores its data in data/order.db
  DATABASE_URL=postgres://order:PASSWORD@localhost/order order
      stores it in PostgreSQL; an option would show the password in the list of processes
  order --listen 127.0.0.1:9000 --base-url https://shop.example/order/
      runs behind a proxy, whose public address is the second one
  curl http://127.0.0.1:8081/feed
      reads the published events
  order erase --customer 7 --by eve
      removes a person from orders and events

`order` is short for `cargo run -p order --`. The program `shop` runs this service and its two
consumers in one process.";

/// The order service: takes orders, and publishes their events as a feed
#[derive(Debug, Clone, clap::Parser)]
#[command(version)]
pub struct Config {
    #[command(flatten)]
    pub database: DatabaseSettings,

    #[command(flatten)]
    pub settings: Settings,

    /// The public address of the invoices; an order's page then links to `URL/{order}`
    #[arg(long, env, help_heading = "Links", value_name = "URL", value_parser = parse_url)]
    pub invoice_url: Option<Url>,

    /// The public address of the shipments; an order's page then links to `URL/{order}`
    #[arg(long, env, help_heading = "Links", value_name = "URL", value_parser = parse_url)]
    pub shipping_url: Option<Url>,
}

impl Config {
    /// Defaults, by field name.
    pub const DEFAULTS: &'static [(&'static str, &'static str)] = &[
        ("listen", "127.0.0.1:8081"),
        ("database_url", "sqlite:data/order.db"),
    ];
}

/// The order service: takes orders, and publishes their events as a feed
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
