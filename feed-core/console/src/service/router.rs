//! The routes of a service that follows a feed: its own, and those that each such service has.

use axum::Router;
use axum::middleware::{from_fn_with_state, map_response};
use feed_chassis::html::stylesheet;
use feed_chassis::openapi::described;
use feed_chassis::{ProblemsAsPages, describe_health, health, keep_private, same_origin};
use feed_core::consumer::{Handle, Reconcile};
use feed_core::http::Problem;
use feed_core::{Backend, Database};

use super::{Config, ServiceOn, Site};
use crate::{not_halted, subscription};

/// Returns all routes of the service `T`, relative to its public base URL.
pub(super) fn router<T: ServiceOn<B>, B: Backend>(
    site: Site<B>,
    config: &Config<T::Settings>,
    handle: Handle<B>,
) -> Router {
    let frame = site.frame.clone();
    let base = frame.base.clone();
    let state = Health {
        database: site.database.clone(),
        handle: handle.clone(),
    };
    let routes = T::routes(site, &config.own)
        .layer(from_fn_with_state(base.clone(), same_origin))
        .layer(ProblemsAsPages::new(frame.clone()))
        .layer(map_response(keep_private))
        .merge(health(ready::<B>).with_state(state))
        .merge(subscription::router_beside::<B, T::Expected>(
            handle,
            frame,
            &config.status,
            T::again(&config.own),
        ))
        .merge(stylesheet())
        .merge(T::open_routes());
    match T::description() {
        Some((about, own)) => {
            let compares = <T::Expected as Reconcile<B>>::COMPARES;
            let subscription = subscription::describe(compares);
            let all = own.with(subscription).with(describe_health());
            described(routes, all, about, &base)
        }
        None => routes,
    }
}

/// The state of the health checks.
struct Health<B: Backend> {
    database: Database<B>,
    handle: Handle<B>,
}

impl<B: Backend> Clone for Health<B> {
    fn clone(&self) -> Self {
        Self {
            database: self.database.clone(),
            handle: self.handle.clone(),
        }
    }
}

/// Checks that the database answers and has our schema, and that the subscription is not halted.
async fn ready<B: Backend>(health: Health<B>) -> Result<(), Problem> {
    health.database.ready().await?;
    not_halted(&health.handle).await
}
