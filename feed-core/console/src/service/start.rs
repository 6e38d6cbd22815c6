//! A service that follows a feed, from its settings: as a process, as a part of one, and opened for a test.

use std::any::TypeId;
use std::process::ExitCode;

use axum::Router;
use feed_chassis::Mounted;
use feed_chassis::html::Frame;
use feed_core::consumer::Reconcile;
use feed_core::{
    Backend, CancellationToken, Consumer, Database, DatabaseError, DatabaseOptions, Kind,
    Subscription,
};
use sqlx::{Postgres, Sqlite};

use super::router::router;
use super::{Command, CommandLine, Config, Service, ServiceOn, Site, moved};
use crate::command::{self, CommandError, Done};
use crate::{StartError, mount, open_database, subscription};

/// The links on each page.
const MENU: &[(&str, &str)] = &[("status", "Status")];

/// Implements `main` of the service `T` on the database that its settings name: runs it, or executes the command
/// in its command line.
pub async fn main<T: ServiceOn<Sqlite> + ServiceOn<Postgres>>() -> ExitCode {
    let compares = compares::<T, Sqlite>() || compares::<T, Postgres>();
    let CommandLine { config, command } = CommandLine::<T>::parse(compares);
    let log = config.settings.server.log_format;
    match command {
        None => run::<T>(config).await,
        Some(Command::Subscription(command)) => execute::<T>(config, command).await,
        Some(Command::Transfer(command)) => command.run(log, &config.database, &moved::<T>()).await,
    }
}

/// Implements `main` for the service itself: runs it until `SIGTERM` or Ctrl-C.
pub async fn run<T: ServiceOn<Sqlite> + ServiceOn<Postgres>>(
    config: Config<T::Settings>,
) -> ExitCode {
    run_service::<T>(config, start::<T>).await
}

/// Implements `main` for an operator's command, whether the service runs or not.
pub async fn execute<T: ServiceOn<Sqlite> + ServiceOn<Postgres>>(
    config: Config<T::Settings>,
    command: subscription::command::Command,
) -> ExitCode {
    let log = config.settings.server.log_format;
    command::run(log, &config.database, async |kind| match kind {
        Kind::Sqlite => execute_on::<T, Sqlite>(&config, command).await,
        Kind::Postgres => execute_on::<T, Postgres>(&config, command).await,
    })
    .await
}

/// As [`main`], for a service that supports one database.
pub async fn main_on<T: ServiceOn<B>, B: Backend>() -> ExitCode {
    let CommandLine { config, command } = CommandLine::<T>::parse(compares::<T, B>());
    let log = config.settings.server.log_format;
    match command {
        None => run_service::<T>(config, start_on::<T, B>).await,
        Some(Command::Subscription(command)) => {
            command::run(log, &config.database, async |kind| {
                check::<B>(kind).map_err(refused)?;
                execute_on::<T, B>(&config, command).await
            })
            .await
        }
        Some(Command::Transfer(command)) => {
            let act = async || {
                check::<B>(config.database.url().parse()?).map_err(refused)?;
                let options = config.database.options();
                let (table, migrations) = (T::MIGRATIONS_TABLE, T::MIGRATIONS);
                command
                    .execute_on::<B>(options, table, migrations, T::TABLES)
                    .await
            };
            command::run_anywhere(log, act).await
        }
    }
}

fn compares<T: ServiceOn<B>, B: Backend>() -> bool {
    <T::Expected as Reconcile<B>>::COMPARES
}

/// Checks that `B` is for databases of that kind: for the URL of another one, SQLite would create a file.
fn check<B: Backend>(kind: Kind) -> Result<(), StartError> {
    let (ours, scheme) = match TypeId::of::<B>() == TypeId::of::<Sqlite>() {
        true => (Kind::Sqlite, "sqlite"),
        false => (Kind::Postgres, "postgres"),
    };
    match kind == ours {
        true => Ok(()),
        false => Err(StartError::OtherKind(scheme)),
    }
}

fn refused(error: StartError) -> CommandError {
    CommandError::NotCarriedOut(error.to_string())
}

/// Runs the service as a process, until `SIGTERM` or Ctrl-C.
async fn run_service<T: Service>(
    config: Config<T::Settings>,
    start: impl AsyncFn(Config<T::Settings>, CancellationToken) -> Result<Mounted, StartError>,
) -> ExitCode {
    feed_chassis::run(
        config.settings.clone(),
        async |settings, shutdown| -> Result<_, StartError> {
            let (base, feed) = (settings.base_url(), config.follow.way()?);
            let config = Config {
                settings,
                ..config.clone()
            };
            let service = start(config, shutdown).await?;
            T::log_start(&base, &feed);
            Ok(service)
        },
    )
    .await
}

/// Opens the configured database and creates the service on it, to be served alone or beside others in one process.
/// The feed may be out of reach.
///
/// # Errors
///
/// Returns an error if the database is out of reach, or its schema cannot be migrated.
pub async fn start<T: ServiceOn<Sqlite> + ServiceOn<Postgres>>(
    config: Config<T::Settings>,
    shutdown: CancellationToken,
) -> Result<Mounted, StartError> {
    match config.database.url().parse()? {
        Kind::Sqlite => start_on::<T, Sqlite>(config, shutdown).await,
        Kind::Postgres => start_on::<T, Postgres>(config, shutdown).await,
    }
}

/// As [`start`], for a service that supports one database.
///
/// # Errors
///
/// As [`start`], and if the database is of another kind.
pub async fn start_on<T: ServiceOn<B>, B: Backend>(
    config: Config<T::Settings>,
    shutdown: CancellationToken,
) -> Result<Mounted, StartError> {
    check::<B>(config.database.url().parse()?)?;
    let service = open::<T, B>(&config, shutdown).await?;
    let consumer = service.consumer;
    Ok(mount(service.router, service.database)
        .with_pages(service.frame)
        .with_open(T::OPEN)
        .with_open(subscription::OPEN)
        .with_metrics(consumer.handle())
        .with_task(consumer.run()))
}

/// A service on an open database.
#[derive(Debug)]
pub struct Opened<T: ServiceOn<B>, B: Backend> {
    /// All routes, relative to the public base URL.
    pub router: Router,
    /// The frame of its pages.
    pub frame: Frame<'static>,
    /// The consumer of the feed, which does not run yet.
    pub consumer: Consumer<B, T::Effect>,
    /// Its database.
    pub database: Database<B>,
}

/// Opens the service without running its consumer: for [`start`], and for a test that calls the consumer itself.
///
/// # Errors
///
/// As [`start_on`].
pub async fn open<T: ServiceOn<B>, B: Backend>(
    config: &Config<T::Settings>,
    shutdown: CancellationToken,
) -> Result<Opened<T, B>, StartError> {
    let database = database::<T, B>(config.database.options_to_serve()).await?;
    T::check(&database, config).await?;
    let effect = T::effect(config);
    let consumer = Consumer::open(
        database.clone(),
        subscription::<T>(config),
        effect,
        shutdown,
    )
    .await?;
    let frame = Frame {
        home_name: T::HOME,
        ..config.settings.frame(T::TITLE, MENU)
    };
    let site = Site {
        database: database.clone(),
        frame: frame.clone(),
    };
    Ok(Opened {
        router: router::<T, B>(site, config, consumer.handle()),
        frame,
        consumer,
        database,
    })
}

async fn execute_on<T: ServiceOn<B>, B: Backend>(
    config: &Config<T::Settings>,
    command: subscription::command::Command,
) -> Result<Done, CommandError> {
    let options = match command.only_reads() {
        true => config.database.options().read_only(),
        false => config.database.options(),
    };
    let database = database::<T, B>(options).await?;
    let (subscription, effect) = (subscription::<T>(config), T::effect(config));
    let again = T::again(&config.own);
    subscription::command::execute::<B, _, T::Expected>(
        command,
        database,
        subscription,
        effect,
        again,
    )
    .await
}

async fn database<T: ServiceOn<B>, B: Backend>(
    options: DatabaseOptions,
) -> Result<Database<B>, DatabaseError> {
    open_database(options, T::MIGRATIONS_TABLE, T::MIGRATIONS).await
}

fn subscription<T: Service>(config: &Config<T::Settings>) -> Subscription {
    let instance = config.settings.server.instance.clone();
    Subscription {
        instance: instance.unwrap_or_else(|| T::NAME.to_owned()),
        version: T::version(&config.own),
        ..config.follow.subscription(T::subscription(&config.own))
    }
}
