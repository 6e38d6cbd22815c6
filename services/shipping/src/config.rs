//! The settings that only this service has, and what its command line says.

use feed_chassis::parse_url;
use url::Url;

pub(crate) const EXAMPLES: &str = "\
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

/// The service's own settings, beside those of every service that follows a feed.
#[derive(Debug, Clone, clap::Args)]
pub struct Links {
    /// Where people find orders; a shipment then links to `URL/{order}`
    #[arg(long, env, help_heading = "Links", value_name = "URL", value_parser = parse_url)]
    pub order_url: Option<Url>,
}
