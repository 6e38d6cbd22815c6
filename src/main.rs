//! The whole shop in one process: order, invoice and shipping on one address, each with a
//! database of its own. They still meet by the feed alone, over HTTP.

mod start_page;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use feed_core::service::{
    BaseUrl, Follow, LogFormat, Mounted, Settings, listen, parse_duration, serve, start_logging,
    start_tracing, stop_signal,
};
use tokio_util::sync::CancellationToken;
use tracing::info;

/// The whole shop in one process: order, invoice and shipping
#[derive(Debug, Parser)]
#[command(name = "shop", version)]
struct Config {
    /// Where the SQLite files are kept, one for each service
    #[arg(long, env, value_name = "DIRECTORY", default_value = "data")]
    data_dir: PathBuf,

    /// The address to listen on
    #[arg(long, env, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,

    /// The public base URL, for all links; may have a path behind a proxy [default: that of LISTEN]
    #[arg(long, env, value_name = "URL")]
    base_url: Option<BaseUrl>,

    /// Listen on an address that other machines reach, although anyone there could read all
    #[arg(long, env)]
    allow_anonymous: bool,

    /// The pause after a poll that found nothing and could not wait
    #[arg(long, env, value_name = "DURATION", default_value = "1s", value_parser = parse_duration)]
    poll_interval: Duration,

    /// A name for this instance, in leases and logs
    #[arg(long, env, value_name = "NAME", default_value = "shop")]
    instance: String,

    /// The form of the log on standard error; `RUST_LOG` chooses what is logged, such as `debug`
    #[arg(long, env, value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let config = Config::parse();
    start_logging(config.log_format);
    let tracing = start_tracing();
    let ended = run(&config).await;
    tracing.stop().await;
    ended
}

async fn run(config: &Config) -> anyhow::Result<()> {
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
    info!("data: {}; stop with Ctrl-C", config.data_dir.display());
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
                .context("order")?,
        )
        .mount(
            "invoice",
            invoice::start(invoice, shutdown.clone())
                .await
                .context("invoice")?,
        )
        .mount(
            "shipping",
            shipping::start(shipping, shutdown.clone())
                .await
                .context("shipping")?,
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
