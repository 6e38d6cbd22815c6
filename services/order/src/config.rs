//! Every setting of the service.

use feed_chassis::{Settings, parse_url};
use feed_console::{DatabaseSettings, settings};
use url::Url;

use crate::Command;

const EXAMPLES: &str = "\
Examples:
  order
      opens on http://127.0.0.1:8081/ and keeps its data in data/order.db
  DATABASE_URL=postgres://order:PASSWORD@localhost/order order
      keeps it in PostgreSQL; an option would show the password to whoever lists processes
  order --listen 127.0.0.1:9000 --base-url https://shop.example/order/
      runs behind a proxy, which the world knows by the second address
  curl http://127.0.0.1:8081/feed
      reads what is published
  order erase --customer 7 --by eve
      removes a person from orders and events

`cargo run -p order --` stands for `order`. The program `shop` is this service and the two that
follow it, in one process.";

/// The order service: takes orders, and publishes what happens to them as a feed
#[derive(Debug, Clone, clap::Parser)]
#[command(version)]
pub struct Config {
    #[command(flatten)]
    pub database: DatabaseSettings,

    #[command(flatten)]
    pub settings: Settings,

    /// Where people find invoices; an order's page then links to `URL/{order}`
    #[arg(long, env, help_heading = "Links", value_name = "URL", value_parser = parse_url)]
    pub invoice_url: Option<Url>,

    /// Where people find shipments; an order's page then links to `URL/{order}`
    #[arg(long, env, help_heading = "Links", value_name = "URL", value_parser = parse_url)]
    pub shipping_url: Option<Url>,
}

impl Config {
    /// What holds where nothing else is said, by the name of the field.
    pub const DEFAULTS: &'static [(&'static str, &'static str)] = &[
        ("listen", "127.0.0.1:8081"),
        ("database_url", "sqlite:data/order.db"),
    ];
}

/// The order service: takes orders, and publishes what happens to them as a feed
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
