//! The status page without reloading: its script asks again for the page, and replaces the parts that have changed.
//!
//! The page has a weak tag, which is in the page too: so the script's first request is conditional already. The page is
//! not stored by caches, since it has texts of events; only the script keeps the tag. What moves all the time and is
//! no news, such as the second at which the pace was measured, is no part of the tag.

use axum::Router;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use maud::{Markup, html};

use super::page::Page;
use feed_chassis::html::{Frame, instant, script};
use feed_core::http::conditional::{Outcome, Validators, evaluate};

/// The paths of the scripts, which need no credentials.
pub const OPEN: &[&str] = &["/status/watch.js", "/status/live.js", "/status/all.js"];

/// Returns the routes of the scripts.
pub(super) fn scripts() -> Router {
    Router::new()
        .merge(script("/status/watch.js", include_str!("watch.js")))
        .merge(script("/status/live.js", include_str!("live.js")))
        .merge(script("/status/all.js", include_str!("all.js")))
}

/// Answers with the page, or with a 304 to a client that has it.
pub(super) fn answer(
    frame: &Frame<'_>,
    headers: &HeaderMap,
    page: Page,
    compares: bool,
) -> Response {
    let body = page.render(&frame.base, compares);
    let now = page.now;
    let steady = page.steady().render(&frame.base, compares).into_string();
    let validators = Validators::of("text/html", steady.as_bytes());
    let fields = [
        (header::ETAG, validators.etag()),
        (header::VARY, "Accept".to_owned()),
    ];
    match evaluate(headers, &validators) {
        Outcome::NotModified => (StatusCode::NOT_MODIFIED, fields).into_response(),
        Outcome::Failed => feed_core::http::Problem::precondition_failed().into_response(),
        Outcome::Proceed => {
            let body = html! { (as_of(now, &validators.etag())) (body) };
            let scripts = ["status/watch.js", "status/live.js"];
            let page = frame.with_scripts("Status", &body, &scripts);
            (fields, page).into_response()
        }
    }
}

/// Says what time the page is of, and later whether it is old.
fn as_of(now: DateTime<Utc>, tag: &str) -> Markup {
    html! {
        p #asof.quiet data-tag=(tag) { "As of " (instant(now)) "." }
        p #stale role="status" {}
    }
}
