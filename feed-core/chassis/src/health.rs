//! Health checks for operators: whether a service is alive, has started, and is ready.

use std::future::Future;

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;

use super::openapi::{Answer, Description, Operation, Schema};
use super::routing::get;
use feed_http::Problem;

/// Returns the routes `/health/live`, `/health/started` and `/health/ready`. The first two answer as long
/// as the process does (before these routes are served, [`run`](fn@super::run) answers that the service has not
/// started); the last one calls `ready`, which should be fast.
///
/// ```
/// use axum::Router;
/// use feed_http::Problem;
/// use feed_chassis::health;
///
/// #[derive(Clone)]
/// struct App;
///
/// async fn ready(_: App) -> Result<(), Problem> {
///     Err(Problem::unavailable("the shelves are empty"))
/// }
///
/// let routes: Router = health(ready).with_state(App);
/// ```
pub fn health<S, F, R>(ready: F) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    F: Fn(S) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Result<(), Problem>> + Send + 'static,
{
    let live = || async { ok() };
    let started = || async { ok() };
    let ready = |State(state): State<S>| async move { ready(state).await.map(|()| ok()) };
    Router::new()
        .route("/health/live", get(live))
        .route("/health/started", get(started))
        .route("/health/ready", get(ready))
}

/// Describes these routes.
#[must_use]
pub fn describe_health() -> Description {
    let ok = |about| Answer::new(200, about).content("text/plain", Schema::text());
    let live = Operation::get("/health/live", "live", "Is the process alive?").answer(ok("It is."));
    let started = Operation::get("/health/started", "started", "Has the service started?")
        .answer(ok("It has: it answers requests."))
        .problem(503, "It waits for what it needs, such as its database.");
    let ready = Operation::get("/health/ready", "ready", "Can the service do its work?")
        .answer(ok("It can."));
    let about = "Health checks for operators";
    Description::of("Health", about, [live, started, ready])
}

pub(super) fn ok() -> impl IntoResponse {
    ([(header::CACHE_CONTROL, "no-store")], "ok\n")
}
