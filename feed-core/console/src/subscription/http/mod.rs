//! The status pages of a consumer with an operator's decisions, for a service's router. Programs
//! get the same as JSON.

mod all;
mod chart;
mod decide;
mod form;
mod instances;
mod job;
mod lists;
mod live;
mod notices;
mod openapi;
mod pace;
mod page;
mod parked;
mod selected;
mod site;
mod stuck;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::Response;
use maud::Markup;
use schemars::JsonSchema;
use serde::Serialize;

use super::command::StatusDocument;
use super::{Again, Origin};
use crate::settings::StatusSettings;
use feed_chassis::html::Frame;
use feed_chassis::routing::{get, post};
use feed_chassis::{ProblemsAsPages, Wanted, same_origin};
use feed_core::Backend;
use feed_core::consumer::Handle;
use feed_core::consumer::Reconcile;
use feed_core::http::Problem;

use form::MAX_BODY;
use site::{Site, done};

pub use live::OPEN;
pub use openapi::describe;

/// Returns the routes `GET /status` with those below it, and `POST /poll`, with pages in the
/// service's frame. `R` compares the stored data with the feed.
pub fn router<B: Backend, R: Reconcile<B>>(handle: Handle<B>, frame: Frame<'static>) -> Router {
    router_beside::<B, R>(handle, frame, &StatusSettings::default(), Again::Harmless)
}

/// Returns the same for a consumer that is operated beside others; `again` says whether its effect bears an event that it
/// has had already.
pub fn router_beside<B: Backend, R: Reconcile<B>>(
    handle: Handle<B>,
    frame: Frame<'static>,
    settings: &StatusSettings,
    again: Again,
) -> Router {
    let origins: Arc<[Origin]> = settings.status_origins.as_slice().into();
    let site = Site {
        handle,
        frame: frame.clone(),
        compares: R::COMPARES,
        job: Arc::default(),
        again,
    };
    let mut comparing = Router::new();
    if R::COMPARES {
        comparing = comparing.route("/status/reconcile", post(reconcile::<B, R>));
    }
    Router::new()
        .route(
            "/status",
            get(status::<B>).layer(from_fn_with_state(origins, all::permit)),
        )
        .merge(all::router(frame.clone(), settings))
        .route("/status/events", get(lists::events::<B>))
        .route("/status/parked", get(parked::parked::<B>))
        .route("/status/skipped", get(lists::skipped::<B>))
        .route("/status/decisions", get(lists::decisions::<B>))
        .route("/status/instances", get(instances::list::<B>))
        .route("/status/pause", post(instances::pause::<B>))
        .route("/status/retire", post(instances::retire::<B>))
        .route("/status/retry", post(decide::retry::<B>))
        .route("/status/skip", post(decide::skip::<B>))
        .route("/status/undo", post(decide::undo::<B>))
        .route("/status/resume", post(decide::resume::<B>))
        .route("/status/replay", post(decide::replay::<B>))
        .merge(comparing)
        .route("/poll", post(poll::<B>))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn_with_state(frame.base.clone(), same_origin))
        .layer(ProblemsAsPages::new(frame))
        .layer(map_response(never_stored))
        .with_state(site)
        .merge(live::scripts())
}

/// Keeps caches from storing the state of a subscription.
async fn never_stored(mut response: Response) -> Response {
    let no_store = HeaderValue::from_static("no-store");
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, no_store);
    response
}

/// The answer: a poll was requested.
#[derive(Serialize, JsonSchema)]
struct Polling {
    polling: bool,
}

/// Answers at once; the poll runs in the background.
async fn poll<B: Backend>(State(site): State<Site<B>>, wanted: Wanted) -> Response {
    site.handle.poll_now();
    let document = Polling { polling: true };
    done(wanted, "status", StatusCode::ACCEPTED, document)
}

/// The answer: a comparison was requested.
#[derive(Serialize, JsonSchema)]
struct Comparing {
    comparing: bool,
    /// False if one was running already
    started: bool,
}

/// Answers at once; the comparison runs in the background, one at a time: a request while one is
/// running refers to that one.
async fn reconcile<B: Backend, R: Reconcile<B>>(
    State(site): State<Site<B>>,
    wanted: Wanted,
) -> Response {
    let started = site.job.start::<B, R>(&site.handle);
    let document = Comparing {
        comparing: true,
        started,
    };
    done(wanted, "../status", StatusCode::ACCEPTED, document)
}

async fn status<B: Backend>(
    State(site): State<Site<B>>,
    _: lists::Query<{ lists::NONE }>,
    wanted: Wanted,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let document = StatusDocument::of(&site.handle).await?;
    if wanted == Wanted::Json {
        return Ok(wanted.answer(Markup::default, || document));
    }
    let page = page::Page::of(&site, document).await?;
    Ok(live::answer(&site.frame, &headers, page, site.compares))
}
