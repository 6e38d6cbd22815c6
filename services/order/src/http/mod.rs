//! All routes of the service.

mod app;
mod body;
mod context;
mod customers;
mod form;
#[cfg(any(test, feature = "fuzz"))]
#[doc(hidden)]
pub mod fuzz;
mod items;
mod mistyped;
mod openapi;
mod orders;
mod pages;
mod problem;
mod records;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state, map_response};
use axum::routing::{self, MethodRouter};
use feed_chassis::html::{script, stylesheet};
use feed_chassis::list::no_parameters;
use feed_chassis::routing::{get, post};
use feed_chassis::{ProblemsAsPages, health, keep_private, same_origin};
use feed_console::feed::{Events, described};
use feed_core::http::Problem;

use crate::events;
use crate::order::{Customer, Item};
use crate::orders::Orders;
use crate::store::Store;

use app::App;
use body::MAX_BODY;
pub(crate) use pages::{Pages, frame};
use records::Resource;

/// The routes that need no credentials: scripts.
pub(crate) const OPEN: &[&str] = &["/form.js", "/order.js"];

/// The routes of the service and those of its `feed`: all answers lead to their description.
pub(crate) fn router<S: Store>(orders: Orders<S>, pages: Pages, feed: Router) -> Router {
    let frame = pages.frame().clone();
    let base = frame.base.clone();
    let state = App {
        orders,
        pages: Arc::new(pages),
    };
    let routes = Router::new()
        .route("/form.html", get(form::blank::<S>))
        .route("/line", post(form::lines::<S>))
        .route("/orders", post(orders::place::<S>))
        .route(
            "/order/{id}",
            get(orders::show::<S>)
                .delete(orders::delete::<S>)
                .fallback(|| allow("GET, HEAD, DELETE")),
        )
        .route(
            "/order/{id}/cancel",
            get(orders::confirm::<S>)
                .post(orders::cancel::<S>)
                .fallback(|| allow("GET, HEAD, POST")),
        )
        .route_layer(from_fn(no_parameters))
        .route(
            "/",
            list(
                routing::get(orders::list::<S>),
                routing::post(form::submit::<S>),
            ),
        )
        .merge(record::<S, Customer>(
            "/customers",
            "/customers/new",
            "/customers/{id}",
        ))
        .merge(record::<S, Item>("/items", "/items/new", "/items/{id}"))
        .layer(from_fn_with_state(base.clone(), same_origin))
        .layer(ProblemsAsPages::new(frame))
        .layer(map_response(keep_private))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .merge(health(ready::<S>))
        .with_state(state)
        .merge(stylesheet())
        .merge(script("/form.js", include_str!("pages/form.js")))
        .merge(script("/order.js", include_str!("pages/order.js")))
        .merge(feed);
    let events = Events {
        schemas: &events::schemas(),
        others: false,
    };
    described(
        routes,
        openapi::description(),
        openapi::ABOUT,
        events,
        &base,
    )
}

/// The routes of customers or of items: their list, the form of a new one, and each of them.
fn record<S: Store, R: Resource>(all: &str, new: &str, each: &str) -> Router<App<S>> {
    Router::new()
        .route(new, get(records::blank::<S, R>))
        .route(
            each,
            get(records::show::<S, R>)
                .post(records::change::<S, R>)
                .put(records::change::<S, R>)
                .fallback(|| allow("GET, HEAD, POST, PUT")),
        )
        .route_layer(from_fn(no_parameters))
        .route(
            all,
            list(
                routing::get(records::list::<S, R>),
                routing::post(records::create::<S, R>),
            ),
        )
}

/// The route of a list, which takes parameters, and of what is added to it, which takes none.
fn list<S: Store>(list: MethodRouter<App<S>>, add: MethodRouter<App<S>>) -> MethodRouter<App<S>> {
    list.merge(add.route_layer(from_fn(no_parameters)))
        .fallback(|| allow("GET, HEAD, POST"))
}

async fn allow(methods: &'static str) -> Problem {
    Problem::method_not_allowed(methods)
}

/// Fails unless the database answers and has our schema.
async fn ready<S: Store>(app: App<S>) -> Result<(), Problem> {
    app.orders.database().ready().await
}
