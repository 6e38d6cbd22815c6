//! Every setting of the shop, and what it does beside being open.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::anyhow;
use clap::{Parser, Subcommand, ValueHint};
use feed_chassis::ServerSettings;
use feed_console::StartError;
use feed_console::settings::parse_poll_interval;

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

impl Config {
    /// Defaults, by field name.
    pub(crate) const DEFAULTS: &[(&'static str, &'static str)] =
        &[("listen", "127.0.0.1:8080"), ("instance", "shop")];

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
