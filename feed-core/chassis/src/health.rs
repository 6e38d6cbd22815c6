//! Health checks for operators: whether a service is alive, and whether it is ready.

use std::future::Future;

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;

use super::openapi::{Answer, Description, Operation, Schema};
use super::routing::get;
use feed_http::Problem;

/// Returns the routes `/health/live` and `/health/ready`. The first answers as long as the process
/// does; the second calls `ready`, which should be fast.
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
    let ready = |State(state): State<S>| async move { ready(state).await.map(|()| ok()) };
    Router::new()
        .route("/health/live", get(live))
        .route("/health/ready", get(ready))
}

/// Describes these routes.
#[must_use]
pub fn describe_health() -> Description {
    let ok = |about| Answer::new(200, about).content("text/plain", Schema::text());
    let live = Operation::get("/health/live", "live", "Is the process alive?").answer(ok("It is."));
    let ready = Operation::get("/health/ready", "ready", "Can the service do its work?")
        .answer(ok("It can."));
    let about = "Health checks for operators";
    Description::of("Health", about, [live, ready])
}

fn ok() -> impl IntoResponse {
    ([(header::CACHE_CONTROL, "no-store")], "ok\n")
}
