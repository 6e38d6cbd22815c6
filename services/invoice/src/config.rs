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

/// The longest sender, in characters.
const LONGEST_SENDER: usize = 200;

/// The service's own settings, beside those of every service that follows a feed.
#[derive(Debug, Clone, clap::Args)]
pub struct Links {
    /// The public address of the orders; an invoice then links to `URL/{order}`
    #[arg(long, env, help_heading = "Links", value_name = "URL", value_parser = parse_url)]
    pub order_url: Option<Url>,

    /// Who sends the invoices: name and address, which printed invoices and credit notes show, each part after a
    /// comma on its own line
    #[arg(long, env, help_heading = "Invoices", value_name = "TEXT", default_value = "Shop", value_parser = parse_sender)]
    pub sender: String,
}

/// Parses a sender from the command line.
///
/// # Errors
///
/// Returns an error if the text is empty, too long, or no single line.
pub fn parse_sender(text: &str) -> Result<String, String> {
    let text = text.trim();
    match text.is_empty()
        || text.chars().count() > LONGEST_SENDER
        || text.chars().any(char::is_control)
    {
        true => Err(format!(
            "write a name and an address in one line of at most {LONGEST_SENDER} characters, such as \
             'Shop Ltd, Main Street 1, 10115 Berlin'"
        )),
        false => Ok(text.to_owned()),
    }
}
