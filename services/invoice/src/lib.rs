//! The invoice service: it follows the feed of the order service, writes an invoice for each order
//! that was placed, and credits those that were cancelled. It knows the order service by the
//! address of that feed alone.
//!
//! In reading order: an order as events describe it ([`order`]), with exact amounts (`money`); an
//! invoice ([`mod@invoice`]); the effect of events ([`effect`]) and the comparison with them
//! ([`reconcile`]); the database ([`store`]); an invoice as JSON ([`representation`]); the routes
//! and pages (`http`).

pub mod order;

mod money;

pub mod invoice;

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

pub use config::{Links, parse_sender};

use effect::Invoicing;
use reconcile::Expected;
use store::Store;

/// Every setting of the service.
pub type Config = service::Config<Links>;

/// What moves with the service to another database.
pub const MOVED: Moved = service::moved::<InvoiceService>();

/// Opens the service, which can then be served alone or beside others in one process. The feed need not answer.
///
/// # Errors
///
/// The database is out of reach, or its schema cannot be brought up to date.
pub fn start(config: Config, shutdown: CancellationToken) -> Started {
    Box::pin(service::start::<InvoiceService>(config, shutdown))
}

/// Runs the service, or the command on its command line.
pub fn main() -> Running {
    Box::pin(service::main::<InvoiceService>())
}

/// The service, for all that serves it.
#[derive(Debug)]
pub struct InvoiceService;

impl Service for InvoiceService {
    const NAME: &'static str = "invoice";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const ABOUT: &'static str = "The invoice service: writes an invoice for each order in a feed";
    const EXAMPLES: &'static str = config::EXAMPLES;
    const DEFAULTS: &'static [(&'static str, &'static str)] = &[
        ("listen", "127.0.0.1:8082"),
        ("database_url", "sqlite:data/invoice.db"),
        ("instance", "invoice"),
        ("feed_url", "http://127.0.0.1:8081/feed"),
    ];

    const SUBSCRIPTION: &'static str = "order";
    const MIGRATIONS_TABLE: &'static str = "_invoice_migrations";
    const TABLES: &'static [Table] = &[
        Table::new("invoice"),
        Table::new("invoice_line"),
        Table::new("invoice_counter"),
    ];
    const TITLE: &'static str = "Invoices";
    const HOME: &'static str = "Shop";
    const OPEN: &'static [&'static str] = http::OPEN;

    type Settings = Links;

    fn open_routes() -> Router {
        http::open_routes()
    }

    fn description() -> Option<(About, Description)> {
        Some((http::ABOUT, http::description()))
    }

    fn log_start(base: &BaseUrl, feed: &str) {
        tracing::info!("invoice: {base} (following {feed})");
    }
}

impl<S: Store> ServiceOn<S> for InvoiceService {
    const MIGRATIONS: Migrations = S::MIGRATIONS;

    type Effect = Invoicing;
    type Expected = Expected;

    fn effect(_: &Config) -> Invoicing {
        Invoicing
    }

    fn routes(site: Site<S>, links: &Links) -> Router {
        http::routes(site, links)
    }
}
