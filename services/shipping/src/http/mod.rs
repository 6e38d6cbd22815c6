//! The service's own routes.

mod openapi;
mod pages;
mod problem;
mod shipments;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use feed_console::service::Site;
use feed_core::http::Problem;

use crate::config::Links;
use crate::store::Store;

pub(crate) use openapi::{ABOUT, description};

use pages::Pages;

pub(crate) fn routes<S: Store>(site: Site<S>, links: &Links) -> Router {
    let app = shipments::App {
        database: site.database,
        pages: Pages::new(site.frame, links.order_url.clone()),
    };
    let only_get = || async { Problem::method_not_allowed("GET, HEAD") };
    let only_post = || async { Problem::method_not_allowed("POST") };
    Router::new()
        .route("/", get(shipments::list::<S>).fallback(only_get))
        .route("/{id}", get(shipments::show::<S>).fallback(only_get))
        .route(
            "/{id}/dispatch",
            post(shipments::dispatch::<S>).fallback(only_post),
        )
        .with_state(Arc::new(app))
}
