//! The whole shop in one process: order, invoice and shipping on one address, each with a
//! database of its own. They still meet by the feed alone, over HTTP.

mod demo;
mod start_page;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::builder::BoolishValueParser;
use clap::{CommandFactory, Parser, Subcommand, ValueHint};
use feed_core::service::{
    BaseUrl, Follow, LogFormat, Mounted, ServeError, Settings, listen, parse_address,
    parse_command_line, parse_duration, serve, start_logging, stop_signal, with_causes,
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

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

`cargo run --` stands for `shop`, and `cargo run` for a shop as it comes. In PostgreSQL, or on several
machines, the three run as programs of their own: see `order --help`.";

/// The whole shop in one process: order, invoice and shipping
#[derive(Debug, Parser)]
#[command(name = "shop", version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
struct CommandLine {
    #[command(flatten)]
    config: Config,

    /// What to do instead of opening a shop
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Fill a shop that is open with plausible orders
    ///
    /// Use it to have something to look at, or something to do for a shop. Customers order what a
    /// home needs, to addresses in many countries, and some think better of it. A shop that has few
    /// customers or items gets more of them first. While the shop is away it is waited for, at most a
    /// minute; no order is placed twice. Ctrl-C ends it. The exit code is 0 if all orders were placed.
    #[command(after_help = demo::EXAMPLES)]
    Demo(demo::Config),
}

#[derive(Debug, clap::Args)]
struct Config {
    /// The address to listen on
    #[arg(
        long,
        env,
        help_heading = "Network",
        value_name = "ADDRESS",
        value_parser = parse_address,
        default_value = "127.0.0.1:8080"
    )]
    listen: SocketAddr,

    /// The public base URL, for all links; may have a path behind a proxy [default: that of LISTEN]
    #[arg(long, env, help_heading = "Network", value_name = "URL")]
    base_url: Option<BaseUrl>,

    /// Listen on an address that other machines reach, although anyone there could read all
    #[arg(long, env, help_heading = "Network", value_parser = BoolishValueParser::new())]
    allow_anonymous: bool,

    /// Where the SQLite files are kept, one for each service
    #[arg(
        long,
        env,
        help_heading = "Database",
        value_name = "DIRECTORY",
        value_hint = ValueHint::DirPath,
        default_value = "data"
    )]
    data_dir: PathBuf,

    /// The pause after a poll that found nothing and could not wait at the feed, such as 500ms
    #[arg(
        long,
        env,
        help_heading = "Feed",
        value_name = "DURATION",
        value_parser = parse_duration,
        default_value = "1s"
    )]
    poll_interval: Duration,

    /// A name for this instance, in leases and logs
    #[arg(long, env, help_heading = "Process", value_name = "NAME", default_value = "shop")]
    instance: String,

    /// The form of the log on standard error; RUST_LOG chooses what is logged, such as `debug`
    #[arg(
        long,
        env,
        help_heading = "Process",
        value_name = "FORMAT",
        default_value = "text"
    )]
    log_format: LogFormat,
}

#[tokio::main]
async fn main() -> ExitCode {
    let CommandLine { config, command } = parse_command_line(CommandLine::command());
    if let Some(Command::Demo(config)) = command {
        return demo::run(config).await;
    }
    start_logging(config.log_format);
    match open(&config).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!("{}", with_causes(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

/// Opens the shop, and closes it at `SIGTERM` or Ctrl-C.
async fn open(config: &Config) -> anyhow::Result<()> {
    let shutdown = CancellationToken::new();
    stop_signal(shutdown.clone()).context("cannot listen for signals")?;
    // The address first: a second shop on the same one must not touch the data.
    let listener = listen(config.listen, config.allow_anonymous).await?;
    let address = listener
        .local_addr()
        .context("the listener has no address")?;
    let base = config.base_url(address)?;
    let shop = shop(config, address, &base, &shutdown).await?;
    info!("the shop is open at {base}");
    info!("the feed: {}", base.join("order/feed"));
    info!("invoices: {}", base.join("invoice/"));
    info!("shipments: {}", base.join("shipping/"));
    info!(
        "database: SQLite below {}; stop with Ctrl-C",
        config.data_dir.display()
    );
    serve(listener, shop, shutdown).await?;
    Ok(())
}

/// The three services below their names, and the start page.
async fn shop(
    config: &Config,
    address: SocketAddr,
    base: &BaseUrl,
    shutdown: &CancellationToken,
) -> anyhow::Result<Mounted> {
    // The consumers reach the feed where this process listens, whatever the world calls it.
    let follow = Follow {
        feed_url: format!("http://{}/order/feed", reachable(address)).parse()?,
        poll_interval: config.poll_interval,
    };
    let settings = |name: &str| -> anyhow::Result<Settings> {
        let file = config.data_dir.join(format!("{name}.db"));
        Ok(Settings {
            database_url: format!("sqlite:{}", file.display()),
            listen: address,
            base_url: Some(base.join(&format!("{name}/")).as_str().parse()?),
            home_url: Some(base.url().clone()),
            allow_anonymous: config.allow_anonymous,
            instance: Some(config.instance.clone()),
            log_format: config.log_format,
        })
    };
    let order = order::Config {
        settings: settings("order")?,
        invoice_url: Some(base.join("invoice/")),
        shipping_url: Some(base.join("shipping/")),
    };
    let invoice = invoice::Config {
        settings: settings("invoice")?,
        follow: follow.clone(),
        order_url: Some(base.join("order/order/")),
    };
    let shipping = shipping::Config {
        settings: settings("shipping")?,
        follow,
        order_url: Some(base.join("order/order/")),
    };
    let frame = start_page::frame(base);
    let shop = Mounted::without_database(start_page::router(frame.clone()))
        .with_pages(frame)
        .mount(
            "order",
            order::start(order, shutdown.clone())
                .await
                .map_err(|error| config.explained("order", error))?,
        )
        .mount(
            "invoice",
            invoice::start(invoice, shutdown.clone())
                .await
                .map_err(|error| config.explained("invoice", error))?,
        )
        .mount(
            "shipping",
            shipping::start(shipping, shutdown.clone())
                .await
                .map_err(|error| config.explained("shipping", error))?,
        );
    Ok(shop)
}

impl Config {
    fn base_url(&self, address: SocketAddr) -> anyhow::Result<BaseUrl> {
        match &self.base_url {
            Some(base) => Ok(base.clone()),
            None => Ok(format!("http://{address}/").parse()?),
        }
    }

    /// Why a service does not start, by the setting that this program has.
    fn explained(&self, name: &str, error: ServeError) -> anyhow::Error {
        let directory = self.data_dir.display();
        match error {
            ServeError::Database(error) => anyhow::Error::new(error).context(format!(
                "the database of {name} below {directory} cannot be used (DATA_DIR)"
            )),
            error => anyhow!(error).context(name.to_owned()),
        }
    }
}

/// An address that stands for all of this machine is reached by the loopback one.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}
