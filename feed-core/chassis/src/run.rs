//! Runs a service in a process of its own.

use std::process::ExitCode;

use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::probe::probe;
use super::{
    Mounted, ServeError, Settings, listen, serve, start_logging, start_tracing, stop_signal,
};
use feed_http::with_causes;

/// Implements a service's `main` except its settings: sets up logs and traces, listens, starts the
/// service and serves it until `SIGTERM` or Ctrl-C. Logs an error on one line. With `--probe` it
/// checks the running service instead.
///
/// `start` gets the settings with the actual listening address, and the token that is cancelled at
/// the end. It logs what the service is and its address for people; the service's own description
/// ([`Mounted::described`]) is logged after that.
///
/// ```no_run
/// # use std::process::ExitCode;
/// # use axum::Router;
/// use feed_chassis::{Mounted, ServeError, Settings, run};
///
/// # async fn main_of(settings: Settings) -> ExitCode {
/// run(settings, async |settings, _shutdown| {
///     tracing::info!("hello: {}", settings.base_url());
///     Ok::<_, ServeError>(Mounted::new(Router::new()))
/// })
/// .await
/// # }
/// ```
pub async fn run<E: Into<ServeError>>(
    settings: Settings,
    start: impl AsyncFnOnce(Settings, CancellationToken) -> Result<Mounted, E>,
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

async fn run_logged<E: Into<ServeError>>(
    mut settings: Settings,
    start: impl AsyncFnOnce(Settings, CancellationToken) -> Result<Mounted, E>,
) -> Result<(), ServeError> {
    let shutdown = CancellationToken::new();
    stop_signal(shutdown.clone()).map_err(ServeError::Signals)?;
    let credentials = settings.credentials_file.clone();
    let may_be_reached = credentials.is_some() || settings.allow_anonymous;
    let listener = listen(settings.listen, may_be_reached).await?;
    // With port 0 only the listener knows the port, and links need it.
    settings.listen = listener
        .local_addr()
        .map_err(|error| ServeError::Listen(settings.listen, error))?;
    let starting = start(settings, shutdown.clone());
    // It may be waiting for its database.
    let Some(service) = shutdown.run_until_cancelled(starting).await else {
        info!("stopped before it had started");
        return Ok(());
    };
    let service = service.map_err(Into::into)?;
    match service.description() {
        Some(description) => info!("{description}; stop with Ctrl-C"),
        None => info!("stop with Ctrl-C"),
    }
    serve(listener, service.guarded(credentials), shutdown).await
}
