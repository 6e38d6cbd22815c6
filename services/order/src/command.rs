//! The command line, and the operator's commands: erase a customer, archive old events, compare the orders with the
//! feed, move the database, begin a new epoch after a backup was restored.

use std::path::PathBuf;

use feed_chassis::{Progress, Settings, counted};
use feed_console::Running;
use feed_console::command::{self, By, CommandError, Done, print, print_json, say};
use feed_console::{settings, transfer};
use feed_core::http::with_causes;
use feed_core::transfer::{Moved, Table};
use feed_core::{Kind, feed};
use sqlx::{Postgres, Sqlite};
use url::Url;

use crate::config::Config;
use crate::erase::EraseError;
use crate::order::CustomerId;
use crate::reconcile::Compared;
use crate::store::Store;
use crate::{MIGRATIONS, Service, assemble};

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
  order --base-url https://shop.example/order/ erase --customer 7 --by eve
      removes a person from orders and events

`order` is short for `cargo run -p order --`. The program `shop` runs this service and its two
consumers in one process.";

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
    pub fn parse() -> Self {
        Settings::parse(Config::DEFAULTS, settings::SHARED)
    }
}

/// Without a command, the service runs.
///
/// The exit code is 0 if the command succeeded, 1 if it has found a difference, and 2 if it failed.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    #[command(flatten)]
    Own(Own),
    #[command(flatten)]
    Transfer(transfer::Command),
}

/// The service's own commands.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Own {
    /// Erase a customer's name, e-mail and addresses everywhere
    ///
    /// Removes the customer, and the personal data from their orders and from the data of these orders'
    /// events. Publishes `order.erased` for each order, so that the other services erase their copies,
    /// except what a law requires them to keep: see docs/erasure.md. An erasure cannot be undone. If it
    /// is interrupted, run it again.
    ///
    /// Run it with the settings of the service. It requires its `BASE_URL` (or `--base-url` before
    /// `erase`): the links of the published events begin with it, and stay.
    #[command(after_help = "Example: erase --customer 7 --by eve")]
    Erase {
        /// The customer's number
        #[arg(long, value_name = "N")]
        customer: i64,
        /// The operator, who is recorded
        #[command(flatten)]
        by: By,
    },

    /// Move old events from the log to an archive
    ///
    /// Readers see no difference: each document keeps its address and its bytes. The table that is
    /// written and read all day becomes small. Events of the last two pages always stay. Run it as often
    /// as you like, whether the service runs or not.
    #[command(after_help = "Example: archive --keep 100000")]
    Archive {
        /// The number of newest events to keep in the log
        #[arg(long, value_name = "N")]
        keep: u64,
    },

    /// Write the feed's immutable pages to files, which any web server can serve in place of the service
    ///
    /// Each page is written to `feed/EPOCH/NUMBER` below the directory, its address below the
    /// `BASE_URL`, which is required. Existing pages stay: run it again for those that have become immutable since. Pages
    /// contain no personal data, only links to it.
    #[command(after_help = "Example: pages /var/www/order")]
    Pages {
        /// The directory; it is created if it is missing
        directory: PathBuf,
    },

    /// Compare the orders with their events; exit code 1 if they differ
    ///
    /// Each event has the order as it was then. So this finds an order that was deleted or altered in
    /// the database, an order without its events, an event without its order, and an event that was
    /// altered. Orders of an erased customer have no personal data, and neither have their events. It
    /// changes nothing. The exit code is 0 if there is no difference, 1 if there are some, and 2 if the
    /// comparison failed.
    #[command(after_help = "Example: reconcile\nExample: reconcile --json")]
    Reconcile {
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },

    /// Give the feed a new epoch, after a backup was restored
    ///
    /// Use it before the service starts on a database that is older than what consumers have read:
    /// events they have read are lost, and new ones would get the same numbers. With a new epoch, each
    /// consumer halts until an operator runs `resume --from-start`; events that it has already applied
    /// have no second effect, by their claims or the business keys of their effects. New orders, customers
    /// and items get numbers above these, so that no number that was lost is used again: an order would
    /// get the invoice of another one, and an erasure would erase another person. A number that is too
    /// high does no harm.
    #[command(
        after_help = "Example: restored --last-order 1234 --last-customer 300 --last-item 40"
    )]
    Restored {
        /// The highest order number known to a consumer or a customer
        #[arg(long, value_name = "N", value_parser = number())]
        last_order: i64,
        /// The highest customer number known to a consumer, or from an erasure
        #[arg(long, value_name = "N", value_parser = number())]
        last_customer: i64,
        /// The highest item number known to a consumer
        #[arg(long, value_name = "N", value_parser = number())]
        last_item: i64,
    },
}

/// A higher number is a typing error.
fn number() -> clap::builder::RangedI64ValueParser {
    clap::value_parser!(i64).range(0..=999_999_999_999)
}

/// What moves with the service to another database.
pub const MOVED: Moved = Moved {
    migrations: MIGRATIONS,
    sqlite: <Sqlite as Store>::MIGRATIONS,
    postgres: <Postgres as Store>::MIGRATIONS,
    tables: &[
        Table::with_seeds("customers", 2),
        Table::with_seeds("items", 4),
        Table::new("orders"),
        Table::new("order_line"),
        Table::new("idempotency_key"),
        Table::new("erasure"),
    ],
};

/// Executes a command on the database that the configuration names, whether a service runs on it or not. Reports errors
/// on standard error.
pub fn execute(config: Config, command: Command) -> Running {
    let log = config.settings.server.log_format;
    Box::pin(async move {
        match command {
            Command::Own(command) => {
                let act = async |kind| match kind {
                    Kind::Sqlite => own::<Sqlite>(&config, command).await,
                    Kind::Postgres => own::<Postgres>(&config, command).await,
                };
                command::run(log, &config.database, act).await
            }
            Command::Transfer(command) => command.run(log, &config.database, &MOVED).await,
        }
    })
}

async fn own<S: Store>(config: &Config, command: Own) -> Result<Done, CommandError> {
    let has_links = matches!(command, Own::Erase { .. } | Own::Pages { .. });
    if has_links && config.settings.server.base_url.is_none() {
        let message = "set BASE_URL to that of the service (or write --base-url before the command): the links of what \
                       is published begin with it, and stay";
        return Err(CommandError::NotCarriedOut(message.to_owned()));
    }
    let service = assemble::<S>(config, None).await?;
    let done = match command {
        Own::Erase { customer, by } => erase(&service, CustomerId(customer), by).await,
        Own::Archive { keep } => match service.feed.archive(keep).await {
            Ok(moved) => say(&format!("Moved {} to the archive.", events(moved))),
            Err(error) => Err(error.into()),
        },
        Own::Pages { directory } => match service.feed.export_pages(&directory).await {
            Ok(exported) => report_export(&exported, &service.feed.url()),
            Err(feed::ExportError::Database(error)) => Err(error.into()),
            Err(error) => Err(CommandError::NotCarriedOut(with_causes(&error))),
        },
        Own::Reconcile { json } => reconcile(&service, json).await,
        Own::Restored {
            last_order,
            last_customer,
            last_item,
        } => restored(&service, last_order, last_customer, last_item).await,
    };
    service.database.close().await;
    done
}

async fn erase<S: Store>(
    service: &Service<S>,
    customer: CustomerId,
    by: By,
) -> Result<Done, CommandError> {
    match service.orders.erase(customer, &by.name()?).await {
        Ok(erased) => say(&format!("Erased customer {customer}: {erased}.")),
        Err(EraseError::Database(error)) => Err(error.into()),
        Err(error @ EraseError::NoSuchCustomer(_)) => {
            Err(CommandError::NotCarriedOut(error.to_string()))
        }
    }
}

async fn reconcile<S: Store>(service: &Service<S>, json: bool) -> Result<Done, CommandError> {
    let mut progress = Progress::of("Comparing");
    let compared = service
        .orders
        .reconcile(|done, all| progress.at(done, all))
        .await;
    drop(progress);
    let compared = compared?;
    match json {
        true => print_json(&compared)?,
        false => print(&report_comparison(&compared))?,
    }
    Ok(match compared.found {
        0 => Done::Well,
        _ => Done::Found,
    })
}

fn report_comparison(compared: &Compared) -> String {
    let mut text = String::new();
    for difference in &compared.differences {
        text += &format!("{}: {}\n", difference.id, difference.what);
    }
    let listed = compared.differences.len() as u64;
    if compared.found > listed {
        text += &format!("and {} more\n", compared.found - listed);
    }
    let found = match compared.found {
        0 => "No difference".to_owned(),
        found => counted(found, "difference"),
    };
    let Compared {
        cancelled,
        erased,
        total,
        currency,
        ..
    } = compared;
    text += &format!(
        "{found} between {} and {}.\n",
        counted(compared.orders, "order"),
        events(compared.events)
    );
    text += &format!(
        "The orders are over {total} {currency}; {cancelled} cancelled, {erased} with an erased customer.\n"
    );
    text
}

fn report_export(exported: &feed::Exported, feed: &Url) -> Result<Done, CommandError> {
    say(&format!(
        "Wrote {} of {feed} below {}; {} there already.",
        counted(exported.written, "page"),
        exported.directory.display(),
        match exported.kept {
            1 => "1 was".to_owned(),
            kept => format!("{kept} were"),
        }
    ))
}

/// Changes the numbers first, so that no order that is placed in between gets an old one.
async fn restored<S: Store>(
    service: &Service<S>,
    order: i64,
    customer: i64,
    item: i64,
) -> Result<Done, CommandError> {
    let pool = service.database.writer();
    let order = S::number_after(pool, "orders", order).await?;
    let customer = S::number_after(pool, "customers", customer).await?;
    let item = S::number_after(pool, "items", item).await?;
    let epoch = service.feed.change_epoch().await?;
    say(&format!(
        "The feed now has the epoch {epoch}. The next order is {order}, the next customer {customer}, the next item \
         {item}. Each consumer halts until an operator runs `resume --from-start`."
    ))
}

fn events(count: u64) -> String {
    counted(i64::try_from(count).unwrap_or(i64::MAX), "event")
}
