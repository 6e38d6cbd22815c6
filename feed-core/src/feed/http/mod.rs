//! The feed's routes, one file for each resource.

mod answer;
mod data;
mod filtered;
mod head;
mod pages;
mod request;
mod status;
mod stream;
pub(super) mod unread;
mod with_data;

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::{ALLOW, CACHE_CONTROL};
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, get};

use super::Feed;
use crate::http::Problem;
use crate::store::Backend;

/// The routes of a feed that consumers need and every reader may read. `/feed/status` is for
/// operators.
pub const READABLE: &[&str] = &[
    "/feed",
    "/feed.atom",
    "/feed/{epoch}/{page}",
    "/feed/{epoch}/batch/{range}",
    "/feed/schemas/{type}",
    "/feed/stream",
    "/events/{id}",
];

impl<B: Backend> Feed<B> {
    /// Returns the routes of the feed, for a router with any state: `/feed` and what is below it,
    /// and `/events/{id}`.
    ///
    /// Merge them into the router at the [base URL](crate::FeedSettings::base_url). If that router has
    /// such paths of its own, nest them and add the prefix to the base URL:
    /// `Router::new().nest("/orders", feed.router())` requires `https://shop.example/orders/`.
    pub fn router<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        Router::new()
            .route("/feed", read_only(get(head::by_parameters::<B>)))
            .route("/feed.atom", read_only(get(head::raw::<B>)))
            .route("/feed/status", read_only(get(status::status::<B>)))
            .route("/feed/stream", read_only(get(stream::stream::<B>)))
            .route("/feed/schemas/{type}", read_only(get(data::schema::<B>)))
            .route("/feed/{epoch}/{page}", read_only(get(pages::page::<B>)))
            .route(
                "/feed/{epoch}/batch/{range}",
                read_only(get(data::batch::<B>)),
            )
            .route("/events/{id}", read_only(get(data::event::<B>)))
            .with_state(self.clone())
    }
}

/// Answers `OPTIONS`, and rejects methods that write.
fn read_only<S: Clone + Send + Sync + 'static>(get: MethodRouter<S>) -> MethodRouter<S> {
    let options = || async {
        let headers = [(ALLOW, "GET, HEAD, OPTIONS"), (CACHE_CONTROL, "no-store")];
        (StatusCode::NO_CONTENT, headers).into_response()
    };
    get.options(options)
        .fallback(|| async { Problem::method_not_allowed("GET, HEAD, OPTIONS") })
}
