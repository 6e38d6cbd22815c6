//! How people and programs reach the shop's orders: all routes on one screen.

mod context;
mod form;
mod json;
mod order;
mod orders;
mod pages;
mod problem;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRef};
use axum::middleware::map_response;
use axum::routing::{get, post};
use feed_core::Problem;
use feed_core::service::html::stylesheet;
use feed_core::service::{health, keep_private};

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
        .merge(health(ready::<S>))
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

/// The database answers.
async fn ready<S: Store>(app: App<S>) -> Result<(), Problem> {
    Ok(S::ping(app.orders.database().reader()).await?)
}
