//! The service's own routes.

mod invoices;
mod openapi;
mod pages;
mod problem;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn;
use feed_chassis::html::script;
use feed_chassis::list::no_parameters;
use feed_chassis::routing::get;
use feed_console::service::Site;

use crate::config::Links;
use crate::store::Store;

pub(crate) use openapi::{ABOUT, description};

use pages::Pages;

/// The routes that need no credentials: scripts.
pub(crate) const OPEN: &[&str] = &["/print.js"];

pub(crate) fn open_routes() -> Router {
    script("/print.js", include_str!("pages/print.js"))
}

pub(crate) fn routes<S: Store>(site: Site<S>, links: &Links) -> Router {
    let app = invoices::App {
        database: site.database,
        pages: Pages::new(site.frame, links),
    };
    Router::new()
        .route("/{id}", get(invoices::show::<S>))
        .route("/{id}/credit-note", get(invoices::credit_note::<S>))
        .route_layer(from_fn(no_parameters))
        .route("/", get(invoices::list::<S>))
        .with_state(Arc::new(app))
}
