//! Every setting of the shop, and what it does beside being open.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::anyhow;
use clap::builder::BoolishValueParser;
use clap::{Parser, Subcommand, ValueHint};
use feed_chassis::{Credentials, LogFormat, parse_address};
use feed_console::StartError;
use feed_console::settings::parse_poll_interval;
use feed_core::http::BaseUrl;

use crate::{demo, moving};

const EXAMPLES: &str = "\
Examples:
  shop
      opens on http://127.0.0.1:8080/ and keeps its data below data/
  shop demo
      places a hundred orders in it, from another terminal
  shop --data-dir /tmp/shop --listen 127.0.0.1:9000
      opens a second one
  RUST_LOG=debug shop
      logs more

`cargo run --` stands for `shop`, and plain `cargo run` opens one. With PostgreSQL, or on several
machines, the three run as programs of their own: see `order --help`; `shop export` takes along what
there is.";

/// The whole shop in one process: order, invoice and shipping
#[derive(Debug, Parser)]
#[command(name = "shop", version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(crate) struct CommandLine {
    #[command(flatten)]
    pub(crate) config: Config,

    /// What to do instead of opening a shop
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Fill a shop that is open with plausible orders
    ///
    /// Use it to have something to look at, or something to do for a shop. Customers order what a
    /// home needs, to addresses in many countries, and some think better of it. A shop that has few
    /// customers or items gets more of them first. While the shop is away it is waited for, at most a
    /// minute; no order is placed twice. Ctrl-C ends it. The exit code is 0 if all orders were placed.
    #[command(after_help = demo::EXAMPLES)]
    Demo(demo::Config),

    /// Write all that the shop has to files, to move it to other databases
    ///
    /// Orders, events, invoices and shipments, with all numbers, ids and places in the feed. Stop the
    /// shop first: what happens after the export is not in the files. They hold personal data.
    #[command(after_help = moving::EXAMPLES)]
    Export(moving::Config),

    /// Fill three new databases with what `export` has written
    ///
    /// Each of them all or nothing. All numbers and ids stay as they were: with the same `BASE_URL`,
    /// readers of the feed notice nothing. Do not open the old shop again.
    #[command(after_help = moving::EXAMPLES)]
    Import(moving::Config),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Config {
    /// The address to listen on
    #[arg(
        long,
        env,
        help_heading = "Network",
        value_name = "ADDRESS",
        value_parser = parse_address,
        default_value = "127.0.0.1:8080"
    )]
    pub(crate) listen: SocketAddr,

    /// The public base URL, for all links; may have a path behind a proxy [default: that of LISTEN]
    #[arg(long, env, help_heading = "Network", value_name = "URL")]
    pub(crate) base_url: Option<BaseUrl>,

    /// Ask for credentials: a file with one a line, `read NAME:PASSWORD` (the feed alone) or
    /// `operate NAME:PASSWORD` (all), or a token in place of both; SIGHUP has it read again
    #[arg(long, env, help_heading = "Network", value_name = "FILE", value_parser = Credentials::from_setting)]
    pub(crate) credentials_file: Option<Credentials>,

    /// Listen on an address that other machines reach without credentials: anyone there can do all
    #[arg(long, env, help_heading = "Network", value_parser = BoolishValueParser::new())]
    pub(crate) allow_anonymous: bool,

    /// Where the SQLite files are kept, one for each service
    #[arg(
        long,
        env,
        help_heading = "Database",
        value_name = "DIRECTORY",
        value_hint = ValueHint::DirPath,
        default_value = "data"
    )]
    pub(crate) data_dir: PathBuf,

    /// The pause after a poll that found nothing and could not wait at the feed, such as 500ms; 1h at
    /// most
    #[arg(
        long,
        env,
        help_heading = "Feed",
        value_name = "DURATION",
        value_parser = parse_poll_interval,
        default_value = "1s"
    )]
    pub(crate) poll_interval: Duration,

    /// A name for this instance, in leases and logs
    #[arg(
        long,
        env,
        help_heading = "Process",
        value_name = "NAME",
        default_value = "shop"
    )]
    pub(crate) instance: String,

    /// The form of the log on standard error; `RUST_LOG` chooses what is logged, such as `debug`
    #[arg(
        long,
        env,
        help_heading = "Process",
        value_name = "FORMAT",
        default_value = "text"
    )]
    pub(crate) log_format: LogFormat,
}

impl Config {
    /// The public base URL: the configured one, or that of the address that is listened on.
    pub(crate) fn base_url(&self, address: SocketAddr) -> anyhow::Result<BaseUrl> {
        match &self.base_url {
            Some(base) => Ok(base.clone()),
            None => Ok(format!("http://{address}/").parse()?),
        }
    }

    /// Why a service does not start, by the setting that this program has.
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
