//! How people and programs reach the invoices: all routes on one screen.

mod invoices;
mod pages;
mod problem;

use std::sync::Arc;

use axum::Router;
use axum::middleware::map_response;
use axum::routing::get;
use feed_core::consumer::{self, Handle};
use feed_core::service::html::stylesheet;
use feed_core::service::{BaseUrl, health, keep_private, not_halted};
use feed_core::{Database, Problem};

use crate::reconcile::Expected;
use crate::store::Store;

use pages::{MENU, Pages, SERVICE};

pub(crate) fn router<S: Store>(database: Database<S>, handle: Handle<S>, base: BaseUrl) -> Router {
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
        .merge(health(ready::<S>))
        .with_state(state)
        .merge(consumer::router::<S, Expected>(handle, base, SERVICE, MENU))
        .merge(stylesheet())
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

/// The database answers, and the subscription goes on.
async fn ready<S: Store>(app: App<S>) -> Result<(), Problem> {
    S::ping(app.database.reader()).await?;
    not_halted(&app.handle).await
}
