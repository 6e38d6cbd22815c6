//! Answers while a service starts, which may take long: its database may be away, or be migrated. It is alive, and
//! not ready.

use std::io;
use std::os::fd::AsFd;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::http::HeaderMap;
use feed_http::with_causes;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::connections::{self, Limits};
use super::failures::Failures;
use super::health::ok;
use super::html::{Frame, stylesheet};
use super::routing::get;
use feed_http::Problem;

/// A start that is faster needs no answers: clients wait that long for the service itself.
const SOON: Duration = Duration::from_secs(2);

/// How long requests that are being answered may delay the service that has started.
const DRAIN: Duration = Duration::from_secs(1);

/// Awaits `starting`. From two seconds on, clients of `listener` get an answer: `/health/live` succeeds, and everything
/// else is a `503`, in `frame` for a browser.
pub(super) async fn answer_while<T>(
    starting: impl Future<Output = T>,
    listener: &TcpListener,
    frame: Frame<'static>,
) -> T {
    let mut starting = pin!(starting);
    if let Ok(started) = tokio::time::timeout(SOON, starting.as_mut()).await {
        return started;
    }
    let listener = match second(listener) {
        Ok(listener) => listener,
        Err(error) => {
            warn!(
                error = with_causes(&error),
                "nothing is answered until the service has started"
            );
            return starting.await;
        }
    };
    let stop = CancellationToken::new();
    let serving = tokio::spawn(connections::serve(
        listener,
        (router(frame), None),
        Failures::default(),
        Limits::default(),
        stop.clone(),
    ));
    let _stop_at_the_end = stop.clone().drop_guard();
    let started = starting.await;
    stop.cancel();
    // A connection that is slower than this ends with its request.
    let _ = tokio::time::timeout(DRAIN, serving).await;
    started
}

/// Another handle to the same listener.
fn second(listener: &TcpListener) -> io::Result<TcpListener> {
    let descriptor = listener.as_fd().try_clone_to_owned()?;
    TcpListener::from_std(descriptor.into())
}

fn router(frame: Frame<'static>) -> Router {
    let waiting = async move |headers: HeaderMap| frame.problem(&headers, not_ready());
    Router::new()
        .route("/health/live", get(|| async { ok() }))
        .merge(stylesheet())
        .fallback(waiting)
}

fn not_ready() -> Problem {
    Problem::unavailable(
        "the service is starting, and waits for what it needs, such as its database; its log says for what",
    )
}
