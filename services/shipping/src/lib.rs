//! The shipping service: it follows the feed of the order service, makes a shipment for each order
//! that was placed, and stops those of orders that were cancelled. It knows the order service by
//! the address of that feed alone.
//!
//! In reading order: an order as events describe it ([`order`]); a shipment ([`shipment`]); the
//! effect of events ([`effect`]) and the comparison with them ([`reconcile`]); the database
//! ([`store`]); a shipment as JSON ([`representation`]); the routes and pages (`http`).

pub mod order;

pub mod shipment;

pub mod effect;
pub mod reconcile;
pub mod store;

pub mod representation;

mod config;
mod http;

use axum::Router;
use feed_chassis::openapi::{About, Description};
use feed_console::service::{self, Service, ServiceOn, Site};
use feed_console::{Running, Started};
use feed_core::http::BaseUrl;
use feed_core::transfer::{Migrations, Moved, Table};
use tokio_util::sync::CancellationToken;

pub use config::Links;

use effect::Shipping;
use reconcile::Expected;
use store::Store;

/// Every setting of the service.
pub type Config = service::Config<Links>;

/// What moves with the service to another database.
pub const MOVED: Moved = service::moved::<ShippingService>();

/// Opens the service, which can then be served alone or beside others in one process. The feed need not answer.
///
/// # Errors
///
/// The database is out of reach, or its schema cannot be brought up to date.
pub fn start(config: Config, shutdown: CancellationToken) -> Started {
    Box::pin(service::start::<ShippingService>(config, shutdown))
}

/// Runs the service, or the command on its command line.
pub fn main() -> Running {
    Box::pin(service::main::<ShippingService>())
}

/// The service, for all that serves it.
#[derive(Debug)]
pub struct ShippingService;

impl Service for ShippingService {
    const NAME: &'static str = "shipping";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const ABOUT: &'static str = "The shipping service: creates a shipment for each order in a feed";
    const EXAMPLES: &'static str = config::EXAMPLES;
    const DEFAULTS: &'static [(&'static str, &'static str)] = &[
        ("listen", "127.0.0.1:8083"),
        ("database_url", "sqlite:data/shipping.db"),
        ("instance", "shipping"),
        ("feed_url", "http://127.0.0.1:8081/feed"),
    ];

    const SUBSCRIPTION: &'static str = "order";
    const MIGRATIONS_TABLE: &'static str = "_shipping_migrations";
    const TABLES: &'static [Table] = &[Table::new("shipment"), Table::new("shipment_line")];
    const TITLE: &'static str = "Shipments";
    const HOME: &'static str = "Shop";

    type Settings = Links;

    fn description() -> Option<(About, Description)> {
        Some((http::ABOUT, http::description()))
    }

    fn log_start(base: &BaseUrl, feed: &str) {
        tracing::info!("shipping: {base} (following {feed})");
    }
}

impl<S: Store> ServiceOn<S> for ShippingService {
    const MIGRATIONS: Migrations = S::MIGRATIONS;

    type Effect = Shipping;
    type Expected = Expected;

    fn effect(_: &Config) -> Shipping {
        Shipping
    }

    fn routes(site: Site<S>, links: &Links) -> Router {
        http::routes(site, links)
    }
}
