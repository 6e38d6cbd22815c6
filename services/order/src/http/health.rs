//! For whoever keeps the service running: is it alive, and can it do its work?

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;

use super::problem::Problem;
use crate::orders::Orders;
use crate::store::Store;

/// The process answers.
pub(super) async fn live() -> impl IntoResponse {
    ([(header::CACHE_CONTROL, "no-store")], "ok\n")
}

/// The database answers too.
pub(super) async fn ready<S: Store>(
    State(orders): State<Orders<S>>,
) -> Result<impl IntoResponse, Problem> {
    S::ping(orders.database().reader()).await?;
    Ok(live().await)
}
