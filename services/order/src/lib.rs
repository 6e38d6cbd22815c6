//! The order service: it owns customers, items and orders, and publishes each change of an order
//! as an event in the feed that invoice and shipping follow.
//!
//! In reading order: an order ([`order`]) and the rules for a new one ([`rules`]); an order as JSON
//! ([`representation`]) and its events ([`events`]); placing and cancelling orders ([`orders`]) and
//! erasing a customer ([`erase`]); comparing the orders with the feed ([`reconcile`]); the database ([`store`]); the routes and pages (`http`).

pub mod order;
pub mod rules;

pub mod events;
pub mod representation;

pub mod erase;
pub mod orders;
pub mod reconcile;
pub mod store;

mod command;
mod config;
mod http;

#[cfg(any(test, feature = "fuzz"))]
#[doc(hidden)]
pub use http::fuzz;

use axum::Router;
use feed_chassis::Mounted;
use feed_chassis::html::Frame;
use feed_console::{Started, open_database};
use feed_core::{Database, DatabaseError, Feed, FeedSettings, Kind, feed};
use sqlx::{Postgres, Sqlite};
use tokio_util::sync::CancellationToken;

pub use command::{Command, CommandLine, MOVED, execute};
pub use config::Config;

use orders::Orders;
use store::Store;

/// The table that lists our migrations.
const MIGRATIONS: &str = "_order_migrations";

/// The service on an open database.
#[derive(Debug)]
pub struct Service<S: Store> {
    /// All routes, relative to the public base URL.
    pub router: Router,
    /// What its pages have around them.
    pub frame: Frame<'static>,
    pub feed: Feed<S>,
    pub orders: Orders<S>,
    pub database: Database<S>,
}

/// Opens the service on the database that the configuration names. It can then be served alone or beside others in one
/// process.
///
/// # Errors
///
/// The database is out of reach, or its schema cannot be brought up to date.
pub fn start(config: Config, shutdown: CancellationToken) -> Started {
    Box::pin(async move {
        match config.database.url().parse()? {
            Kind::Sqlite => Ok(mounted(open::<Sqlite>(&config, shutdown).await?)),
            Kind::Postgres => Ok(mounted(open::<Postgres>(&config, shutdown).await?)),
        }
    })
}

/// Opens the service and runs nothing beside its routes, for [`start`] and for a test that steps the feed itself.
///
/// # Errors
///
/// As [`start`].
pub async fn open<S: Store>(
    config: &Config,
    shutdown: CancellationToken,
) -> Result<Service<S>, DatabaseError> {
    assemble(config, Some(shutdown)).await
}

/// Opens the service; without a `shutdown` for a command, which serves no requests.
pub(crate) async fn assemble<S: Store>(
    config: &Config,
    shutdown: Option<CancellationToken>,
) -> Result<Service<S>, DatabaseError> {
    let frame = http::frame(&config.settings);
    let base = frame.base.clone();
    let options = match shutdown {
        Some(_) => config.database.options_to_serve(),
        None => config.database.options(),
    };
    let database = open_database::<S>(options, MIGRATIONS, S::MIGRATIONS).await?;
    let settings = FeedSettings {
        author: "Shop".to_owned(),
        subtitle: Some("What happened to orders: placed, cancelled, erased".to_owned()),
        schemas: events::schemas(),
        page: Some(feed_console::feed::page(frame.clone())),
        ..FeedSettings::new(base.clone(), "Orders")
    };
    let feed = match shutdown {
        Some(shutdown) => Feed::open(database.clone(), settings, shutdown).await?,
        None => Feed::open_for_command(database.clone(), settings).await?,
    };
    let orders = Orders::new(database.clone(), feed.clone(), base);
    let pages = http::Pages::new(
        frame.clone(),
        config.invoice_url.clone(),
        config.shipping_url.clone(),
    );
    let routes = feed_console::feed::router(&feed, frame.clone());
    let router = http::router(orders.clone(), pages, routes);
    Ok(Service {
        router,
        frame,
        feed,
        orders,
        database,
    })
}

/// The service with the task that publishes its events.
fn mounted<S: Store>(service: Service<S>) -> Mounted {
    feed_console::mount(service.router, service.database)
        .with_readable(feed::READABLE)
        .with_pages(service.frame)
        .with_open(http::OPEN)
        .with_metrics(service.feed.clone())
        .with_closing(service.feed.clone().finish())
        .with_task(service.feed.run())
}
