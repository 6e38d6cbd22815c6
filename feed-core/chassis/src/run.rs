//! Runs a service in a process of its own.

use std::pin::Pin;
use std::process::ExitCode;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::probe::probe;
use super::program::stop_signal;
use super::starting::answer_while;
use super::telemetry::report;
use super::{Mounted, ServeError, Settings, listen, serve, start_logging, start_tracing};
use feed_http::with_causes;

/// The pause after an attempt to start; it doubles up to the longest. An attempt itself waits for what is away, so these
/// are for one that was cut off.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// Implements a service's `main` except its settings: sets up logs and traces, listens, starts the
/// service and serves it until `SIGTERM` or Ctrl-C. Logs an error on one line. With `--probe` it
/// checks the running service instead.
///
/// `start` gets the settings with the actual listening address, and the token that is cancelled at
/// the end. It logs what the service is and its address for people; the service's own description
/// ([`Mounted::described`]) is logged after that. While it takes longer than two seconds,
/// `/health/live` succeeds, and everything else is a `503`. If it fails with [`ServeError::Away`], it
/// is called again until it succeeds.
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
    start: impl AsyncFn(Settings, CancellationToken) -> Result<Mounted, E>,
) -> ExitCode {
    start_logging(settings.server.log_format);
    if settings.probe {
        return probe(settings.server.listen).await;
    }
    let tracing = start_tracing();
    let ended = run_logged(settings, start).await;
    tracing.stop().await;
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}

async fn run_logged<E: Into<ServeError>>(
    mut settings: Settings,
    start: impl AsyncFn(Settings, CancellationToken) -> Result<Mounted, E>,
) -> Result<(), ServeError> {
    let shutdown = CancellationToken::new();
    stop_signal(shutdown.clone()).map_err(ServeError::Signals)?;
    let credentials = settings.server.credentials_file.clone();
    let may_be_reached = credentials.is_some() || settings.server.allow_anonymous;
    let listener = listen(settings.server.listen, may_be_reached).await?;
    // With port 0 only the listener knows the port, and links need it.
    settings.server.listen = listener
        .local_addr()
        .map_err(|error| ServeError::Listen(settings.server.listen, error))?;
    let frame = settings.frame("the service", &[]);
    let starting = persist(settings, start, &shutdown);
    let starting = answer_while(starting, &listener, frame);
    let Some(service) = shutdown.run_until_cancelled(starting).await else {
        info!("stopped before it had started");
        return Ok(());
    };
    let service = service?;
    match service.description() {
        Some(description) => info!("{description}; stop with Ctrl-C"),
        None => info!("stop with Ctrl-C"),
    }
    serve(listener, service.guarded(credentials), shutdown).await
}

/// Starts the service, again and again while what it needs is away.
async fn persist<E: Into<ServeError>>(
    settings: Settings,
    start: impl AsyncFn(Settings, CancellationToken) -> Result<Mounted, E>,
    shutdown: &CancellationToken,
) -> Result<Mounted, ServeError> {
    let mut pause = FIRST_PAUSE;
    loop {
        let attempt = shutdown.child_token();
        // Without its type, which is too deep for the compiler.
        let starting: Pin<Box<dyn Future<Output = Result<Mounted, E>> + '_>> =
            Box::pin(start(settings.clone(), attempt.clone()));
        match starting.await {
            Ok(service) => return Ok(service),
            Err(error) => match error.into() {
                ServeError::Away(error) => warn!("cannot start yet: {}", with_causes(&*error)),
                error => return Err(error),
            },
        }
        // What it has started must not run beside the next attempt.
        attempt.cancel();
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
