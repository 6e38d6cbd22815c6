//! The settings that only this service has, and the examples in its `--help`.

use feed_chassis::parse_url;
use url::Url;

pub(crate) const EXAMPLES: &str = "\
Examples:
  invoice
      listens on http://127.0.0.1:8082/, stores its data in data/invoice.db, and follows the order
      service on this machine, which may start later
  invoice --feed-url https://shop.example/order/feed
      follows another order service
  DATABASE_URL=postgres://invoice:PASSWORD@localhost/invoice invoice
      stores its data in PostgreSQL; an option would show the password in the list of processes
  invoice status
      shows the lag and the parked events

`invoice` is short for `cargo run -p invoice --`. A command needs the service's DATABASE_URL;
`invoice help COMMAND` explains it.";

/// The service's own settings, beside those of every service that follows a feed.
#[derive(Debug, Clone, clap::Args)]
pub struct Links {
    /// The public address of the orders; an invoice then links to `URL/{order}`
    #[arg(long, env, help_heading = "Links", value_name = "URL", value_parser = parse_url)]
    pub order_url: Option<Url>,
}
