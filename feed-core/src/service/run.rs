//! A service in a process of its own.

use std::error::Error;
use std::process::ExitCode;

use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::probe::probe;
use super::{
    Mounted, ServeError, Settings, listen, serve, start_logging, start_tracing, stop_signal,
};

/// All of a service's `main` but its settings: logs, traces, listens, starts it and serves it until
/// `SIGTERM` or Ctrl-C. What goes wrong is logged on one line. With `--probe` it asks the one that
/// runs already.
///
/// `start` gets the settings with the address that is listened on, and the token that is
/// cancelled at the end. It logs what the service is and where it is to be looked at; which database
/// it has is logged behind that.
///
/// ```no_run
/// # use std::process::ExitCode;
/// # use axum::Router;
/// use feed_core::service::{Mounted, Settings, run};
///
/// # async fn main_of(settings: Settings) -> ExitCode {
/// run(settings, async |settings, _shutdown| {
///     tracing::info!("hello: {}", settings.base_url());
///     Ok(Mounted::without_database(Router::new()))
/// })
/// .await
/// # }
/// ```
pub async fn run(
    settings: Settings,
    start: impl AsyncFnOnce(Settings, CancellationToken) -> Result<Mounted, ServeError>,
) -> ExitCode {
    start_logging(settings.log_format);
    if settings.probe {
        return probe(settings.listen).await;
    }
    let tracing = start_tracing();
    let ended = run_logged(settings, start).await;
    tracing.stop().await;
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!("{}", with_causes(&error));
            ExitCode::FAILURE
        }
    }
}

async fn run_logged(
    mut settings: Settings,
    start: impl AsyncFnOnce(Settings, CancellationToken) -> Result<Mounted, ServeError>,
) -> Result<(), ServeError> {
    let shutdown = CancellationToken::new();
    stop_signal(shutdown.clone()).map_err(ServeError::Signals)?;
    let credentials = settings.credentials_file.clone();
    let may_be_reached = credentials.is_some() || settings.allow_anonymous;
    let listener = listen(settings.listen, may_be_reached).await?;
    // With port 0 only the listener knows where it is, and links need to.
    settings.listen = listener
        .local_addr()
        .map_err(|error| ServeError::Listen(settings.listen, error))?;
    let database = settings.database();
    let starting = start(settings, shutdown.clone());
    // It may be waiting for its database.
    let Some(service) = shutdown.run_until_cancelled(starting).await else {
        info!("stopped before it had started");
        return Ok(());
    };
    let service = service?;
    info!("database: {database}; stop with Ctrl-C");
    serve(listener, service.guarded(credentials), shutdown).await
}

/// What went wrong, and why: `the database cannot be used (DATABASE_URL): …`.
#[must_use]
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // Some libraries tell their cause themselves.
        let told = error.to_string();
        if !text.ends_with(&told) {
            text = format!("{text}: {told}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_stand_behind_what_they_cause() {
        let taken = std::io::Error::other("the address is taken");
        let error = ServeError::Listen(([127, 0, 0, 1], 80).into(), taken);
        let expected = "cannot listen on 127.0.0.1:80 (LISTEN): the address is taken";
        assert_eq!(with_causes(&error), expected);
    }
}
