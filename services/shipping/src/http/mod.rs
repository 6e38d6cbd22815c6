//! How people and programs reach the shipments: all routes on one screen.

mod openapi;
mod pages;
mod problem;
mod shipments;

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn_with_state, map_response};
use axum::routing::{get, post};
use feed_chassis::html::{problems_as_pages, stylesheet};
use feed_chassis::openapi::described;
use feed_chassis::{health, keep_private, same_origin};
use feed_console::not_halted;
use feed_console::subscription;
use feed_core::Database;
use feed_core::consumer::Handle;
use feed_core::http::Problem;

use crate::reconcile::Expected;
use crate::store::Store;

pub(crate) use pages::{Pages, frame};

pub(crate) fn router<S: Store>(database: Database<S>, handle: Handle<S>, pages: Pages) -> Router {
    let frame = pages.frame().clone();
    let base = frame.base.clone();
    let state = App {
        database,
        handle: handle.clone(),
        pages: Arc::new(pages),
    };
    let only_get = || async { Problem::method_not_allowed("GET, HEAD") };
    let only_post = || async { Problem::method_not_allowed("POST") };
    let routes = Router::new()
        .route("/", get(shipments::list::<S>).fallback(only_get))
        .route("/{id}", get(shipments::show::<S>).fallback(only_get))
        .route(
            "/{id}/dispatch",
            post(shipments::dispatch::<S>).fallback(only_post),
        )
        .layer(from_fn_with_state(base.clone(), same_origin))
        .layer(from_fn_with_state(frame.clone(), problems_as_pages))
        .layer(map_response(keep_private))
        .merge(health(ready::<S>))
        .with_state(state)
        .merge(subscription::router::<S, Expected>(handle, frame))
        .merge(stylesheet());
    described(routes, openapi::description(), openapi::ABOUT, &base)
}

/// What the handlers work with.
struct App<S: Store> {
    database: Database<S>,
    handle: Handle<S>,
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

/// The database answers and has our schema, and the subscription goes on.
async fn ready<S: Store>(app: App<S>) -> Result<(), Problem> {
    app.database.ready().await?;
    not_halted(&app.handle).await
}
