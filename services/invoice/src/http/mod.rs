//! How people and programs reach the invoices: all routes on one screen.

mod context;
mod health;
mod invoices;
mod pages;
mod problem;

use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::get;
use feed_core::consumer::{self, Handle};
use feed_core::service::BaseUrl;
use feed_core::service::html::stylesheet;
use feed_core::{Database, Problem};

use crate::store::Store;

use pages::{MENU, Pages, SERVICE};

pub(crate) fn router<S: Store>(database: Database<S>, handle: Handle, base: BaseUrl) -> Router {
    let state = App {
        database,
        handle: handle.clone(),
        pages: Arc::new(Pages::new(base.clone())),
    };
    let only_get = || async { Problem::method_not_allowed("GET, HEAD") };
    Router::new()
        .route("/", get(invoices::list::<S>).fallback(only_get))
        .route("/{id}", get(invoices::show::<S>).fallback(only_get))
        .layer(map_response(keep_private))
        .route("/health/live", get(health::live).fallback(only_get))
        .route("/health/ready", get(health::ready::<S>).fallback(only_get))
        .with_state(state)
        .merge(consumer::router(handle, base, SERVICE, MENU))
        .merge(stylesheet())
}

/// What the handlers work with.
struct App<S: Store> {
    database: Database<S>,
    handle: Handle,
    pages: Arc<Pages>,
}

impl<S: Store> Clone for App<S> {
    fn clone(&self) -> Self {
        Self {
            database: self.database.clone(),
            handle: self.handle.clone(),
            pages: Arc::clone(&self.pages),
        }
    }
}

/// Invoices are for whoever asked, as they are now: no shared cache keeps them.
async fn keep_private(mut response: Response) -> Response {
    response
        .headers_mut()
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("private, no-cache"));
    response
}
