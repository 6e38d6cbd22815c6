//! A service that follows a feed, in few lines.
//!
//! A team says what is its own: a name, migrations and tables ([`Service`]), and for each database that it supports
//! an [`Effect`], a comparison and routes ([`ServiceOn`]). All else is here and the same in each such service: the
//! command line with its settings and commands, the database with its migrations, the consumer, health and status
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

pub use command_line::{Command, CommandLine, Config};
pub use start::{Opened, main, main_on, open, start, start_on};

/// A service that follows a feed: what it is on each database.
pub trait Service: Sized + Send + Sync + 'static {
    /// What its program is called, and an instance of it that has no other name.
    const NAME: &'static str;
    /// Its version, such as `env!("CARGO_PKG_VERSION")`.
    const VERSION: &'static str;
    /// What it does, in one line: `--help` begins with it.
    const ABOUT: &'static str;
    /// What stands at the end of `--help`.
    const EXAMPLES: &'static str = "";
    /// Defaults of settings, by field name; `listen`, `database_url` and `feed_url` need one.
    const DEFAULTS: &'static [(&'static str, &'static str)];

    /// The name under which the database knows the subscription.
    const SUBSCRIPTION: &'static str;
    /// The table that lists the migrations.
    const MIGRATIONS_TABLE: &'static str;
    /// The tables that move with the service to another database; one that refers to another stands behind it.
    const TABLES: &'static [Table];

    /// What the service is called on its pages.
    const TITLE: &'static str;
    /// What links to the start page of all services say.
    const HOME: &'static str = "Home";
    /// The paths of [`Service::open_routes`].
    const OPEN: &'static [&'static str] = &[];

    /// Settings beside those that each such service has; `()` if there are none.
    type Settings: clap::Args + Clone + Debug + Send + Sync + 'static;

    /// Routes that need no credentials, such as those of scripts.
    fn open_routes() -> Router {
        Router::new()
    }

    /// What the service's own routes are, for programs. Without it there is no `/openapi.json`.
    fn description() -> Option<(About, Description)> {
        None
    }

    /// Logs where the service is and which feed it follows, when it starts.
    fn log_start(base: &BaseUrl, feed: &str) {
        tracing::info!("{}: {base} (following {feed})", Self::NAME);
    }
}

/// What the service is on one database.
pub trait ServiceOn<B: Backend>: Service {
    /// The migrations, for this database.
    const MIGRATIONS: Migrations;

    /// What becomes of events.
    type Effect: Effect<B>;
    /// What ought to be stored by them; `()` if nothing is compared.
    type Expected: Reconcile<B>;

    /// The effect of an instance.
    fn effect(settings: &Self::Settings) -> Self::Effect;

    /// The service's own routes. Its pages stand in the frame of the site.
    fn routes(site: Site<B>, settings: &Self::Settings) -> Router;
}

/// What routes work with.
#[derive(Debug)]
pub struct Site<B: Backend> {
    /// The service's database.
    pub database: Database<B>,
    /// What its pages have around them.
    pub frame: Frame<'static>,
}

/// What goes along when a service moves to another database.
#[must_use]
pub const fn moved<T: ServiceOn<Sqlite> + ServiceOn<Postgres>>() -> Moved {
    Moved {
        migrations: T::MIGRATIONS_TABLE,
        sqlite: <T as ServiceOn<Sqlite>>::MIGRATIONS,
        postgres: <T as ServiceOn<Postgres>>::MIGRATIONS,
        tables: T::TABLES,
    }
}
