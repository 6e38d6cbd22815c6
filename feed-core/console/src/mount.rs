//! A service on a database, served by the chassis.

use std::pin::Pin;
use std::process::ExitCode;

use axum::Router;
use feed_chassis::{Mounted, TimedOut};
use feed_core::{Backend, Database};

use crate::StartError;

/// A service that starts. Boxed, so that the service is compiled once in its own crate, and not again in each program
/// that starts it: that is most of a release build.
pub type Started = Pin<Box<dyn Future<Output = Result<Mounted, StartError>> + Send>>;

/// A program that runs until its end. Boxed for the same reason.
pub type Running = Pin<Box<dyn Future<Output = ExitCode>>>;

/// Creates a service with these routes on this database. The database's measurements are at
/// `/metrics`, the failures of requests mark suspect connections, and the database is closed at the
/// end.
#[must_use]
pub fn mount<B: Backend>(router: Router, database: Database<B>) -> Mounted {
    let (closed, used) = (database.clone(), database.clone());
    Mounted::new(router)
        .described(format!("database: {database}"))
        .with_metrics(database)
        .on_failure(move |failure| match failure.error.downcast_ref() {
            Some(error) => used.learn_from(error),
            None if failure.error.is::<TimedOut>() => used.suspect_connections(),
            None => {}
        })
        .with_closing(async move { closed.close().await })
}
