//! For whoever keeps the service running: is it alive, and can it do its work?

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;

use super::App;
use super::problem::Problem;
use crate::store::Store;

/// The process answers.
pub(super) async fn live() -> impl IntoResponse {
    ([(header::CACHE_CONTROL, "no-store")], "ok\n")
}

/// The database answers too, and the subscription goes on. A feed that is away is not our fault:
/// what is there already can be looked at.
pub(super) async fn ready<S: Store>(
    State(app): State<App<S>>,
) -> Result<impl IntoResponse, Problem> {
    S::ping(app.database.reader()).await?;
    match app.handle.status().await?.halted {
        None => Ok(live().await),
        Some(reason) => Err(Problem::Halted(reason)),
    }
}
