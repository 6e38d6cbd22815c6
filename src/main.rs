//! The whole shop in one process: order, invoice and shipping on one address, each with a database
//! of its own. They still communicate by the feed alone, over HTTP.

mod config;
mod demo;
mod moving;
mod services;
mod start_page;

use std::process::ExitCode;

use feed_chassis::{Mounted, ServeError, ServerSettings, Settings, block_on, reachable, run};
use feed_console::{DatabaseSettings, Follow, StatusSettings};
use feed_core::consumer::FeedCredentials;
use tokio_util::sync::CancellationToken;
use tracing::info;

use config::{Command, CommandLine, Config};
use services::Services;

fn main() -> ExitCode {
    block_on(run_shop())
}

async fn run_shop() -> ExitCode {
    let (CommandLine { config, command }, credentials) = CommandLine::parse();
    match command {
        Some(Command::Demo(config)) => return demo::run(config).await,
        Some(Command::Export(config)) => return moving::export(&config).await,
        Some(Command::Import(config)) => return moving::import(&config).await,
        None => {}
    }
    let settings = Settings {
        server: config.server.clone(),
        home_url: None,
        probe: false,
    };
    run(settings, async |settings: Settings, shutdown| {
        config.warn_of_databases();
        let shop = shop(&config, &settings, credentials.clone(), &shutdown).await;
        let shop = shop.map_err(|error| ServeError::Start(error.into()))?;
        let base = settings.base_url();
        info!("the shop is open at {base}");
        info!("the feed: {}", base.join("order/feed"));
        info!("invoices: {}", base.join("invoice/"));
        info!("shipments: {}", base.join("shipping/"));
        Ok::<_, ServeError>(shop)
    })
    .await
}

/// The three services below their names, and the start page.
async fn shop(
    config: &Config,
    settings: &Settings,
    credentials: Option<FeedCredentials>,
    shutdown: &CancellationToken,
) -> anyhow::Result<Mounted> {
    let base = &settings.base_url();
    // The consumers reach the feed at the address on which this process listens, not at its public
    // URL.
    let follow = Follow {
        feed_url: format!("http://{}/order/feed", reachable(settings.server.listen)).parse()?,
        feed_credentials_file: credentials,
        // It is in this process.
        feed_proxy: None,
        feed_proxy_sees_credentials: false,
        poll_interval: config.poll_interval,
    };
    // The first start of a shop is nothing to warn of. If it cannot be made, the databases say why.
    let _ = std::fs::create_dir_all(&config.data_dir);
    let database = |name: &str| DatabaseSettings::of(moving::sqlite(&config.data_dir, name));
    let settings = |name: &str| -> anyhow::Result<Settings> {
        Ok(Settings {
            server: ServerSettings {
                base_url: Some(base.join(&format!("{name}/")).as_str().parse()?),
                credentials_file: None,
                ..settings.server.clone()
            },
            home_url: Some(base.url().clone()),
            ..settings.clone()
        })
    };
    // Each consumer's page shows the other one too.
    let beside = |name: &str| -> anyhow::Result<StatusSettings> {
        Ok(StatusSettings {
            status_of: vec![base.path(&format!("{name}/")).parse()?],
            status_origins: Vec::new(),
        })
    };
    let order = order::Config {
        database: database("order"),
        settings: settings("order")?,
        invoice_url: Some(base.join("invoice/")),
        shipping_url: Some(base.join("shipping/")),
    };
    let invoice = invoice::Config {
        database: database("invoice"),
        settings: settings("invoice")?,
        follow: follow.clone(),
        status: beside("shipping")?,
        own: invoice::Links {
            order_url: Some(base.join("order/order/")),
            sender: config.sender.clone(),
        },
    };
    let shipping = shipping::Config {
        database: database("shipping"),
        settings: settings("shipping")?,
        follow,
        status: beside("invoice")?,
        own: shipping::Links {
            order_url: Some(base.join("order/order/")),
        },
    };
    let order = order::start(order, shutdown.clone())
        .await
        .map_err(|error| config.explained("order", error))?;
    let invoice = invoice::start(invoice, shutdown.clone())
        .await
        .map_err(|error| config.explained("invoice", error))?;
    let shipping = shipping::start(shipping, shutdown.clone())
        .await
        .map_err(|error| config.explained("shipping", error))?;
    let services = Services {
        order: order.router.clone(),
        invoice: invoice.router.clone(),
        shipping: shipping.router.clone(),
    };
    let frame = start_page::frame(base);
    let shop = Mounted::new(start_page::router(frame.clone(), services))
        .described(format!(
            "database: SQLite below {}",
            config.data_dir.display()
        ))
        .with_pages(frame)
        .with_open(start_page::OPEN)
        .mount("order", order)
        .mount("invoice", invoice)
        .mount("shipping", shipping);
    Ok(shop)
}
