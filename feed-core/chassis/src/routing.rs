//! Routes that answer one method. To any other they answer `405` with a problem document.

use axum::handler::Handler;
use axum::routing::{self, MethodRouter};

use feed_http::Problem;

/// Routes `GET` and `HEAD` to `handler`.
///
/// A route with several methods needs axum's own functions, and a fallback that names all of them.
pub fn get<H, T, S>(handler: H) -> MethodRouter<S>
where
    H: Handler<T, S>,
    T: 'static,
    S: Clone + Send + Sync + 'static,
{
    routing::get(handler).fallback(|| async { Problem::method_not_allowed("GET, HEAD") })
}

/// Routes `POST` to `handler`; otherwise as [`get`].
pub fn post<H, T, S>(handler: H) -> MethodRouter<S>
where
    H: Handler<T, S>,
    T: 'static,
    S: Clone + Send + Sync + 'static,
{
    routing::post(handler).fallback(|| async { Problem::method_not_allowed("POST") })
}
