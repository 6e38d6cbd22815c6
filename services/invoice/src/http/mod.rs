//! The service's own routes.

mod invoices;
mod openapi;
mod pages;
mod problem;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use feed_chassis::html::script;
use feed_console::service::Site;
use feed_core::http::Problem;

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
        pages: Pages::new(site.frame, links.order_url.clone()),
    };
    let only_get = || async { Problem::method_not_allowed("GET, HEAD") };
    Router::new()
        .route("/", get(invoices::list::<S>).fallback(only_get))
        .route("/{id}", get(invoices::show::<S>).fallback(only_get))
        .route(
            "/{id}/credit-note",
            get(invoices::credit_note::<S>).fallback(only_get),
        )
        .with_state(Arc::new(app))
}
