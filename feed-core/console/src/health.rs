//! Health of a consumer, for `/health/ready`.

use axum::http::StatusCode;
use feed_core::Backend;
use feed_core::consumer::Handle;
use feed_core::http::Problem;

use crate::subscription::WHAT_TO_DO;

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
