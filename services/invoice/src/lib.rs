//! The invoice service: it follows the feed of the order service, writes an invoice for each order
//! that was placed, and credits those that were cancelled. It knows the order service by the
//! address of that feed alone.
//!
//! In reading order: what an event tells of an order ([`order`]) and how amounts in it stay exact
//! (`money`), what an invoice is ([`mod@invoice`]), what becomes of events ([`effect`]), what the
//! invoices ought to be by them ([`reconcile`]), where invoices are kept ([`store`]), how they look
//! as JSON ([`representation`]), and how people and programs reach them (`http`).

pub mod order;

mod money;

pub mod invoice;

pub mod effect;
pub mod reconcile;
pub mod store;

pub mod representation;

mod config;
mod http;

use std::process::ExitCode;

use axum::Router;
use feed_chassis::Mounted;
use feed_chassis::html::Frame;
use feed_console::command::{self, CommandError, Done};
use feed_console::{StartError, subscription};
use feed_core::transfer::{Moved, Table};
use feed_core::{Consumer, Database, DatabaseError, Kind, Subscription};
use sqlx::{Postgres, Sqlite};
use tokio_util::sync::CancellationToken;

pub use config::{Command, CommandLine, Config};

use effect::Invoicing;
use reconcile::Expected;
use store::Store;

/// The service on an open database.
#[derive(Debug)]
pub struct Service<S: Store> {
    /// All routes, relative to the public base URL.
    pub router: Router,
    /// What its pages have around them.
    pub frame: Frame<'static>,
    /// What follows the feed.
    pub consumer: Consumer<S, Invoicing>,
    pub database: Database<S>,
}

/// Opens the database that the configuration names, and makes the service on it ready to be
/// served, alone or beside others in one process. The feed need not be there.
///
/// # Errors
///
/// The database is out of reach, or its schema cannot be brought up to date.
pub async fn start(config: Config, shutdown: CancellationToken) -> Result<Mounted, StartError> {
    match config.database.url().parse()? {
        Kind::Sqlite => Ok(mounted(open::<Sqlite>(&config, shutdown).await?)),
        Kind::Postgres => Ok(mounted(open::<Postgres>(&config, shutdown).await?)),
    }
}

/// Opens the service without running anything beside its routes: what [`start`] does, and a test
/// that steps the consumer by itself.
///
/// # Errors
///
/// As [`start`].
pub async fn open<S: Store>(
    config: &Config,
    shutdown: CancellationToken,
) -> Result<Service<S>, DatabaseError> {
    let database = database::<S>(config).await?;
    let consumer =
        Consumer::open(database.clone(), subscription(config), Invoicing, shutdown).await?;
    let frame = http::frame(&config.settings);
    let pages = http::Pages::new(frame.clone(), config.order_url.clone());
    Ok(Service {
        router: http::router(database.clone(), consumer.handle(), pages),
        frame,
        consumer,
        database,
    })
}

/// Carries out a command on the database that the configuration names, beside a service that runs
/// on it or without one. Says on standard error what goes wrong.
pub async fn execute(config: &Config, command: Command) -> ExitCode {
    let log = config.settings.log_format;
    match command {
        Command::Subscription(command) => {
            command::run(log, &config.database, async |kind| match kind {
                Kind::Sqlite => execute_on::<Sqlite>(config, command).await,
                Kind::Postgres => execute_on::<Postgres>(config, command).await,
            })
            .await
        }
        Command::Transfer(command) => command.run(log, &config.database, &MOVED).await,
    }
}

/// What goes along when the service moves to another database.
pub const MOVED: Moved = Moved {
    migrations: MIGRATIONS,
    sqlite: <Sqlite as Store>::MIGRATIONS,
    postgres: <Postgres as Store>::MIGRATIONS,
    tables: &[
        Table::new("invoice"),
        Table::new("invoice_line"),
        Table::new("invoice_counter"),
    ],
};

/// The table that lists our migrations.
const MIGRATIONS: &str = "_invoice_migrations";

async fn execute_on<S: Store>(
    config: &Config,
    command: subscription::command::Command,
) -> Result<Done, CommandError> {
    let database = database::<S>(config).await?;
    subscription::command::execute::<S, _, Expected>(
        command,
        database,
        subscription(config),
        Invoicing,
    )
    .await
}

async fn database<S: Store>(config: &Config) -> Result<Database<S>, DatabaseError> {
    let database = Database::<S>::open(config.database.options()).await?;
    database.belongs_to(MIGRATIONS).await?;
    database.migrate(MIGRATIONS, S::MIGRATIONS).await?;
    Ok(database)
}

fn subscription(config: &Config) -> Subscription {
    let instance = config.settings.instance.clone();
    Subscription {
        instance: instance.unwrap_or_else(|| "invoice".to_owned()),
        ..config.follow.subscription("order")
    }
}

/// The service with the task that follows the feed.
fn mounted<S: Store>(service: Service<S>) -> Mounted {
    let consumer = service.consumer;
    feed_console::mount(service.router, service.database)
        .with_pages(service.frame)
        .with_open(http::OPEN)
        .with_metrics(consumer.handle())
        .with_task(consumer.run())
}
