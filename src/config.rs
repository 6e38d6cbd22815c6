//! Every setting of the shop, and what it does beside being open.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::anyhow;
use clap::{CommandFactory, Parser, Subcommand, ValueHint};
use feed_chassis::{Credentials, ServerSettings, parse_command_line, read_once, with_defaults};
use feed_console::StartError;
use feed_console::settings::parse_poll_interval;
use feed_core::consumer::FeedCredentials;
use feed_core::http::with_causes;
use tracing::warn;

use crate::{demo, moving};

const EXAMPLES: &str = "\
Examples:
  shop
      listens on http://127.0.0.1:8080/ and stores its data below data/
  shop demo
      places a hundred orders in it, from another terminal
  shop --data-dir /tmp/shop --listen 127.0.0.1:9000
      starts a second shop
  RUST_LOG=debug shop
      logs more

`shop` is short for `cargo run --`; plain `cargo run` starts a shop. To use PostgreSQL or several
machines, run the three services as separate programs: see `order --help`. `shop export` writes the
existing data to files.";

/// The whole shop in one process: order, invoice and shipping
#[derive(Debug, Parser)]
#[command(name = "shop", version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(crate) struct CommandLine {
    #[command(flatten)]
    pub(crate) config: Config,

    /// The command to run instead of the shop
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

impl CommandLine {
    /// Parses the command line and the environment, and ends the process with a message if they are wrong. Returns also
    /// what the shop's own consumers send to the feed. It is in the file of the credentials that the shop requires, which
    /// is read once, since it may be a pipe.
    pub(crate) fn parse() -> (Self, Option<FeedCredentials>) {
        let of_consumers = Arc::new(OnceLock::new());
        let found = Arc::clone(&of_consumers);
        let read = move |file: &str| {
            let text = Credentials::text_of_setting(file)?;
            let required = Credentials::from_text(&text, file);
            let required = required.map_err(|error| with_causes(&error))?;
            let own = FeedCredentials::from_text(&text, file);
            let _ = found.set(own.map_err(|error| with_causes(&error))?);
            Ok::<_, String>(required)
        };
        let command = with_defaults(Self::command(), Config::DEFAULTS);
        let command = command.mut_arg("credentials_file", |argument| {
            argument.value_parser(read_once(read))
        });
        let parsed = parse_command_line(command);
        (parsed, of_consumers.get().cloned())
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Fill a running shop with plausible orders
    ///
    /// Use it to try the shop, or to put load on it. Customers order household items, to addresses in
    /// many countries, and cancel some of the orders. A shop with few customers or items gets more of
    /// them first. If the shop is away, the demo waits for up to a minute; no order is placed twice.
    /// Ctrl-C ends it. The exit code is 0 if all orders were placed.
    #[command(after_help = demo::EXAMPLES)]
    Demo(demo::Config),

    /// Write the shop's data to files, to move it to other databases
    ///
    /// Writes orders, events, invoices and shipments, with all numbers, ids and cursors. Stop the shop
    /// first: later changes are not in the files. The files contain personal data.
    #[command(after_help = moving::EXAMPLES)]
    Export(moving::Config),

    /// Fill three new databases from the files of `export`
    ///
    /// Fills each database completely or not at all. All numbers and ids stay: with the same
    /// `BASE_URL`, readers of the feed see no difference. Do not start the old shop again.
    #[command(after_help = moving::EXAMPLES)]
    Import(moving::Config),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Config {
    #[command(flatten)]
    pub(crate) server: ServerSettings,

    /// The directory of the SQLite files, one for each service
    #[arg(
        long,
        env,
        help_heading = "Database",
        value_name = "DIRECTORY",
        value_hint = ValueHint::DirPath,
        default_value = "data"
    )]
    pub(crate) data_dir: PathBuf,

    /// The pause after a poll that found nothing, if the feed does not support waiting, such as
    /// 500ms; at most 1h
    #[arg(
        long,
        env,
        help_heading = "Feed",
        value_name = "DURATION",
        value_parser = parse_poll_interval,
        default_value = "1s"
    )]
    pub(crate) poll_interval: Duration,

    /// Who sends the invoices: name and address, which printed invoices and credit notes show, each part after a
    /// comma on its own line
    #[arg(
        long,
        env,
        help_heading = "Invoices",
        value_name = "TEXT",
        value_parser = invoice::parse_sender,
        default_value = "Shop"
    )]
    pub(crate) sender: String,
}

/// Variables that name a database of a service, or of `shop export` and `shop import`.
const DATABASES: [&str; 5] = [
    "DATABASE_URL",
    "DATABASE_URL_FILE",
    "ORDER_DATABASE_URL",
    "INVOICE_DATABASE_URL",
    "SHIPPING_DATABASE_URL",
];

impl Config {
    /// Defaults, by field name.
    const DEFAULTS: &[(&'static str, &'static str)] =
        &[("listen", "127.0.0.1:8080"), ("instance", "shop")];

    /// Warns of variables that look as if the shop used another database than its own.
    pub(crate) fn warn_of_databases(&self) {
        let is_set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let set = DATABASES.into_iter().filter(is_set).collect::<Vec<_>>();
        if !set.is_empty() {
            warn!(
                "{} in the environment without effect: the shop stores its data in SQLite files below {} (DATA_DIR). For \
                 another database run the services as separate programs; each has its own DATABASE_URL",
                set.join(", "),
                self.data_dir.display()
            );
        }
    }

    /// Why a service does not start, in terms of this program's settings.
    pub(crate) fn explained(&self, name: &str, error: StartError) -> anyhow::Error {
        let directory = self.data_dir.display();
        match error {
            StartError::Database(error) => anyhow::Error::new(error).context(format!(
                "the database of {name} below {directory} cannot be used (DATA_DIR)"
            )),
            error => anyhow!(error).context(name.to_owned()),
        }
    }
}
