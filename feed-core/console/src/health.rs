//! Health of a consumer, for `/health/ready`.

use axum::http::StatusCode;
use feed_core::Backend;
use feed_core::consumer::Handle;
use feed_core::http::Problem;

use crate::subscription::WHAT_TO_DO;

/// Checks for `ready` that the subscription is not halted. An unreachable feed does not make the
/// service unready: what is stored can still be read.
///
/// # Errors
///
/// Returns a `503` if it is halted. Only an operator can resume it, so there is no `Retry-After`.
pub async fn not_halted<B: Backend>(consumer: &Handle<B>) -> Result<(), Problem> {
    match consumer.halted().await? {
        None => Ok(()),
        Some(reason) => Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "halted",
            "The subscription is halted",
            format!("{reason}; {WHAT_TO_DO}"),
        )),
    }
}
