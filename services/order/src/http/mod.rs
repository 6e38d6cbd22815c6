//! How people and programs reach the shop's orders: all routes on one screen.

mod context;
mod form;
mod health;
mod json;
mod order;
mod orders;
mod pages;
mod problem;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRef};
use axum::http::{HeaderValue, header};
use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::{get, post};
use feed_core::Problem;
use feed_core::service::html::stylesheet;

use crate::orders::Orders;
use crate::store::Store;

pub(crate) use pages::Pages;

/// The largest body we read: a thousand lines are some 60 KiB, as JSON or as a form.
const MAX_BODY: usize = 1024 * 1024;

pub(crate) fn router<S: Store>(orders: Orders<S>, pages: Pages) -> Router {
    let state = App {
        orders,
        pages: Arc::new(pages),
    };
    Router::new()
        .route(
            "/",
            get(orders::list::<S>)
                .post(form::submit::<S>)
                .fallback(|| allow("GET, HEAD, POST")),
        )
        .route(
            "/form.html",
            get(form::blank::<S>).fallback(|| allow("GET, HEAD")),
        )
        .route("/line", post(form::lines::<S>).fallback(|| allow("POST")))
        .route(
            "/orders",
            post(orders::place::<S>).fallback(|| allow("POST")),
        )
        .route(
            "/order/{id}",
            get(order::show::<S>)
                .delete(order::delete::<S>)
                .fallback(|| allow("GET, HEAD, DELETE")),
        )
        .route(
            "/order/{id}/cancel",
            post(order::cancel::<S>).fallback(|| allow("POST")),
        )
        .layer(map_response(keep_private))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .route(
            "/health/live",
            get(health::live).fallback(|| allow("GET, HEAD")),
        )
        .route(
            "/health/ready",
            get(health::ready::<S>).fallback(|| allow("GET, HEAD")),
        )
        .with_state(state)
        .merge(stylesheet())
}

/// What the handlers work with.
struct App<S: Store> {
    orders: Orders<S>,
    pages: Arc<Pages>,
}

impl<S: Store> Clone for App<S> {
    fn clone(&self) -> Self {
        Self {
            orders: self.orders.clone(),
            pages: Arc::clone(&self.pages),
        }
    }
}

impl<S: Store> FromRef<App<S>> for Orders<S> {
    fn from_ref(app: &App<S>) -> Self {
        app.orders.clone()
    }
}

async fn allow(methods: &'static str) -> Problem {
    Problem::method_not_allowed(methods)
}

/// Orders and customers are for whoever asked, as they are now: no shared cache keeps them.
async fn keep_private(mut response: Response) -> Response {
    response
        .headers_mut()
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("private, no-cache"));
    response
}
