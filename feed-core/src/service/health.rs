//! For whoever keeps a service running: is it alive, and can it do its work?

use std::future::Future;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;

use super::openapi::{Answer, Description, Operation, Schema};
use crate::consumer::{Handle, WHAT_TO_DO};
use crate::problem::Problem;
use crate::store::Backend;

/// The routes `/health/live` and `/health/ready`. The first answers as long as the process does;
/// the second asks `ready`, which ought to be quick.
///
/// ```
/// use axum::Router;
/// use feed_core::Problem;
/// use feed_core::service::health;
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
    let only_get = || async { Problem::method_not_allowed("GET, HEAD") };
    Router::new()
        .route("/health/live", get(live).fallback(only_get))
        .route("/health/ready", get(ready).fallback(only_get))
}

/// What these routes are, for the service's description.
#[must_use]
pub fn describe_health() -> Description {
    let ok = |about| Answer::new(200, about).content("text/plain", Schema::text());
    let live = Operation::get("/health/live", "live", "Is the process alive?").answer(ok("It is."));
    let ready = Operation::get("/health/ready", "ready", "Can the service do its work?")
        .answer(ok("It can."));
    let about = "For whoever keeps the service running";
    Description::of("Health", about, [live, ready])
}

fn ok() -> impl IntoResponse {
    ([(header::CACHE_CONTROL, "no-store")], "ok\n")
}

/// For `ready`: the subscription goes on. A feed that is away is not the service's fault; what is
/// there already can be looked at.
///
/// # Errors
///
/// A `503`: it is halted. Only a person can end that, so it does not say when to come again.
pub async fn not_halted<B: Backend>(consumer: &Handle<B>) -> Result<(), Problem> {
    match consumer.status().await?.halted {
        None => Ok(()),
        Some(reason) => Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "halted",
            "The subscription is halted",
            format!("{reason}; {WHAT_TO_DO}"),
        )),
    }
}
