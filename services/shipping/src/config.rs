//! The settings that only this service has, and the examples in its `--help`.

use feed_chassis::parse_url;
use url::Url;

pub(crate) const EXAMPLES: &str = "\
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

/// The service's own settings, beside those of every service that follows a feed.
#[derive(Debug, Clone, clap::Args)]
pub struct Links {
    /// The public address of the orders; a shipment then links to `URL/{order}`
    #[arg(long, env, help_heading = "Links", value_name = "URL", value_parser = parse_url)]
    pub order_url: Option<Url>,
}
