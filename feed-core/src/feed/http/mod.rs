//! The feed's routes, one file for each resource.

mod answer;
mod data;
mod filtered;
mod pages;
mod status;
mod subscription;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::http::StatusCode;
use axum::http::header::{ALLOW, CACHE_CONTROL};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};

use super::Feed;
use super::document::Link;
use super::page::Pages;
use crate::cursor::{Cursor, Epoch};
use crate::event::{LAST_SEQUENCE, Sequence};
use crate::http::Problem;
use crate::store::Backend;
use crate::store::publish::Head;

pub(super) use answer::LinkHeaders;
pub(super) use pages::PageCache;

/// The routes of a feed that consumers need and every reader may read. `/feed/status` is for
/// operators.
pub const READABLE: &[&str] = &[
    "/feed",
    "/feed.atom",
    "/feed/{epoch}/{page}",
    "/feed/{epoch}/batch/{range}",
    "/events/{id}",
];

pub(super) fn router<B: Backend, S>(feed: Feed<B>) -> Router<S> {
    Router::new()
        .route("/feed", read_only(get(subscription::subscription::<B>)))
        .route("/feed.atom", read_only(get(subscription::raw::<B>)))
        .route("/feed/status", read_only(get(status::status::<B>)))
        .route("/feed/{epoch}/{page}", read_only(get(pages::page::<B>)))
        .route(
            "/feed/{epoch}/batch/{range}",
            read_only(get(data::batch::<B>)),
        )
        .route("/events/{id}", read_only(get(data::event::<B>)))
        .with_state(feed)
}

/// Answers `OPTIONS`, and rejects methods that write.
fn read_only<S: Clone + Send + Sync + 'static>(get: MethodRouter<S>) -> MethodRouter<S> {
    let options = || async {
        let headers = [(ALLOW, "GET, HEAD, OPTIONS"), (CACHE_CONTROL, "no-store")];
        (StatusCode::NO_CONTENT, headers).into_response()
    };
    get.options(options)
        .fallback(|| async { Problem::method_not_allowed("GET, HEAD, OPTIONS") })
}

impl<B: Backend> super::Inner<B> {
    pub(super) fn layout(head: &Head) -> Pages {
        Pages::new(head.page_size, head.sequence)
    }

    /// Returns the link to the batch document of these events, if there are any.
    fn batch_link(&self, head: &Head, first: Sequence, last: Sequence) -> Option<Link> {
        (first <= last).then(|| Link {
            rel: "related",
            href: self.addresses.batch(&head.epoch, first, last),
            media_type: Some(super::document::BATCH),
        })
    }

    /// Returns the head; reads it from the database if `known` is false for the head in memory: the
    /// reader may have learnt of newer events from another instance.
    async fn head_where(&self, known: impl Fn(&Head) -> bool) -> Result<Head, Problem> {
        let head = self.sequencer.head();
        if known(&head) {
            return Ok(head);
        }
        Ok(self.sequencer.look().await?.head)
    }
}

/// Returns true if `cursor` claims to have seen more of this feed than `head` has.
fn beyond(cursor: &Cursor, head: &Head) -> bool {
    cursor.epoch == head.epoch && cursor.sequence > head.sequence
}

/// Parses a number in its canonical form: `007` would be another address of the same bytes.
fn canonical(text: &str) -> Option<i64> {
    let number: i64 = text.parse().ok()?;
    ((1..=LAST_SEQUENCE).contains(&number) && number.to_string() == text).then_some(number)
}

/// Rejects parameters where none exist: if ignored, each would be another cache key of the same
/// bytes.
fn no_parameters(query: Option<&str>) -> Result<(), Problem> {
    match query {
        None => Ok(()),
        Some(_) => Err(Problem::bad_request("this address takes no parameters")),
    }
}

fn another_epoch(epoch: &Epoch, head: &Head) -> Problem {
    Problem::not_found(format!(
        "this feed is of epoch {}, not {epoch}: it is another history",
        head.epoch
    ))
}

/// A path that is not UTF-8 names no resource.
fn unreadable_path(_: PathRejection) -> Problem {
    Problem::not_found("there is nothing under such a name")
}

/// An answer without a body that caches must not store.
fn see_other(location: &str) -> Response {
    let headers = [
        (axum::http::header::LOCATION, location),
        (CACHE_CONTROL, "no-store"),
    ];
    (StatusCode::SEE_OTHER, headers).into_response()
}
