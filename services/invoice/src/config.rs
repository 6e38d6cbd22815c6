//! The settings that only this service has, and what its command line says.

use feed_chassis::parse_url;
use url::Url;

pub(crate) const EXAMPLES: &str = "\
Examples:
  invoice
      opens on http://127.0.0.1:8082/, keeps its data in data/invoice.db, and follows the order
      service on this machine, which need not be there yet
  invoice --feed-url https://shop.example/order/feed
      follows another one
  DATABASE_URL=postgres://invoice:PASSWORD@localhost/invoice invoice
      keeps its data in PostgreSQL; an option would show the password to whoever lists processes
  invoice status
      says how far the service has got, and what is stuck

`cargo run -p invoice --` stands for `invoice`. A command needs the DATABASE_URL of the service that
it is about; `invoice help COMMAND` tells more of it.";

/// The service's own settings, beside those of every service that follows a feed.
#[derive(Debug, Clone, clap::Args)]
pub struct Links {
    /// Where people find orders; an invoice then links to `URL/{order}`
    #[arg(long, env, help_heading = "Links", value_name = "URL", value_parser = parse_url)]
    pub order_url: Option<Url>,
}
