//! The service's own routes.

mod openapi;
mod pages;
mod problem;
mod shipments;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn;
use feed_chassis::list::no_parameters;
use feed_chassis::routing::{get, post};
use feed_console::service::Site;

use crate::config::Links;
use crate::store::Store;

pub(crate) use openapi::{ABOUT, description};

use pages::Pages;

pub(crate) fn routes<S: Store>(site: Site<S>, links: &Links) -> Router {
    let app = shipments::App {
        database: site.database,
        pages: Pages::new(site.frame, links.order_url.clone()),
    };
    Router::new()
        .route("/{id}", get(shipments::show::<S>))
        .route("/{id}/dispatch", post(shipments::dispatch::<S>))
        .route_layer(from_fn(no_parameters))
        .route("/", get(shipments::list::<S>))
        .with_state(Arc::new(app))
}
