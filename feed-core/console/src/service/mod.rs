//! A service that follows a feed, in few lines.
//!
//! A team implements what is its own: a name, migrations and tables ([`Service`]), and for each database that it
//! supports an [`Effect`], a comparison and routes ([`ServiceOn`]). Everything else is the same in each such service:
//! the command line with its settings and commands, the database with its migrations, the consumer, health and status
//! pages, `/metrics`, and the description of all routes. `main` is then one line: [`main()`], or [`main_on()`] for a
//! service on one kind of database.
//!
//! A service reads events with the help of [`data`], and compares its records with events by [`demand`].
//!
//! `examples/sales.rs` is a whole service.

mod command_line;
pub mod data;
pub mod demand;
mod router;
mod start;

use std::fmt::Debug;

use axum::Router;
use feed_chassis::html::Frame;
use feed_chassis::openapi::{About, Description};
use feed_core::consumer::Reconcile;
use feed_core::http::BaseUrl;
use feed_core::transfer::{Migrations, Moved, Table};
use feed_core::{Backend, Database, Effect};
use sqlx::{Postgres, Sqlite};

use crate::StartError;
use crate::subscription::Again;

pub use command_line::{Command, CommandLine, Config, without_comparison};
pub use start::{Opened, execute, main, main_on, open, run, start, start_on};

/// A service that follows a feed: the parts that are the same on each database.
pub trait Service: Sized + Send + Sync + 'static {
    /// The name of its program, and the default name of an instance.
    const NAME: &'static str;
    /// Its version, such as `env!("CARGO_PKG_VERSION")`.
    const VERSION: &'static str;
    /// Its purpose in one line, with which `--help` begins.
    const ABOUT: &'static str;
    /// Examples at the end of `--help`.
    const EXAMPLES: &'static str = "";
    /// Defaults of settings, by field name; `listen`, `database_url` and `feed_url` need one.
    const DEFAULTS: &'static [(&'static str, &'static str)];

    /// The name of the subscription in the database.
    const SUBSCRIPTION: &'static str;
    /// The table that lists the migrations.
    const MIGRATIONS_TABLE: &'static str;
    /// The tables that move with the service to another database, each after those that it refers to.
    const TABLES: &'static [Table];

    /// The name of the service on its pages.
    const TITLE: &'static str;
    /// The text of links to the start page of all services.
    const HOME: &'static str = "Home";
    /// The paths of [`Service::open_routes`].
    const OPEN: &'static [&'static str] = &[];

    /// The service's own settings, beside the common ones; `()` if there are none.
    type Settings: clap::Args + Clone + Debug + Send + Sync + 'static;

    /// Returns the name of the subscription. By default it is [`Service::SUBSCRIPTION`].
    fn subscription(settings: &Self::Settings) -> &str {
        let _ = settings;
        Self::SUBSCRIPTION
    }

    /// Returns what operators read as the version of an instance. By default it is [`Service::VERSION`].
    fn version(settings: &Self::Settings) -> String {
        let _ = settings;
        Self::VERSION.to_owned()
    }

    /// Returns what comes of an event that is taken again after its claim was dropped. By default nothing, as
    /// [`Effect::apply`] asks for.
    fn again(settings: &Self::Settings) -> Again {
        let _ = settings;
        Again::Harmless
    }

    /// Routes that need no credentials, such as those of scripts.
    fn open_routes() -> Router {
        Router::new()
    }

    /// Describes the service's own routes for programs. Without it there is no `/openapi.json`.
    fn description() -> Option<(About, Description)> {
        None
    }

    /// Logs the address of the service and its feed when it starts.
    fn log_start(base: &BaseUrl, feed: &str) {
        tracing::info!("{}: {base} (following {feed})", Self::NAME);
    }
}

/// The parts of the service for one database.
pub trait ServiceOn<B: Backend>: Service {
    /// The migrations, for this database.
    const MIGRATIONS: Migrations;

    /// Applies events.
    type Effect: Effect<B>;
    /// The rows that events must have led to; `()` if nothing is compared.
    type Expected: Reconcile<B>;

    /// Creates the effect of an instance.
    fn effect(config: &Config<Self::Settings>) -> Self::Effect;

    /// Checks whether the effect can work on this database, before it gets events: each event would be parked
    /// otherwise. By default it can.
    ///
    /// # Errors
    ///
    /// Returns an error if it cannot, or the database failed.
    fn check(
        database: &Database<B>,
        config: &Config<Self::Settings>,
    ) -> impl Future<Output = Result<(), StartError>> + Send {
        let _ = (database, config);
        async { Ok(()) }
    }

    /// Returns the service's own routes. Its pages have the frame of the site.
    fn routes(site: Site<B>, settings: &Self::Settings) -> Router;
}

/// The state of routes.
#[derive(Debug)]
pub struct Site<B: Backend> {
    /// The service's database.
    pub database: Database<B>,
    /// The frame of its pages.
    pub frame: Frame<'static>,
}

/// Returns what moves with a service to another database.
#[must_use]
pub const fn moved<T: ServiceOn<Sqlite> + ServiceOn<Postgres>>() -> Moved {
    Moved {
        migrations: T::MIGRATIONS_TABLE,
        sqlite: <T as ServiceOn<Sqlite>>::MIGRATIONS,
        postgres: <T as ServiceOn<Postgres>>::MIGRATIONS,
        tables: T::TABLES,
    }
}
