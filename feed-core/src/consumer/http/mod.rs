//! The status page of a consumer and its `POST /poll`, to be merged into a service's router.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use maud::{Markup, html};

use super::handle::{Handle, ParkedEvent, Status};
use crate::problem::Problem;
use crate::service::html::Frame;
use crate::service::{BaseUrl, negotiate};
use crate::store::Backend;

/// Parked events shown at once.
const SHOWN: u32 = 100;

/// What the routes know of the service they are part of.
#[derive(Debug)]
struct Site<B: Backend> {
    handle: Handle<B>,
    base: BaseUrl,
    service: &'static str,
    menu: &'static [(&'static str, &'static str)],
}

impl<B: Backend> Clone for Site<B> {
    fn clone(&self) -> Self {
        Self {
            handle: self.handle.clone(),
            base: self.base.clone(),
            service: self.service,
            menu: self.menu,
        }
    }
}

/// `GET /status` and `POST /poll`.
pub fn router<B: Backend>(
    handle: Handle<B>,
    base: BaseUrl,
    service: &'static str,
    menu: &'static [(&'static str, &'static str)],
) -> Router {
    let only_get = || async { Problem::method_not_allowed("GET, HEAD") };
    let only_post = || async { Problem::method_not_allowed("POST") };
    Router::new()
        .route("/status", get(status::<B>).fallback(only_get))
        .route("/poll", post(poll::<B>).fallback(only_post))
        .with_state(Site {
            handle,
            base,
            service,
            menu,
        })
}

/// Answers at once; the poll runs in the background.
async fn poll<B: Backend>(State(site): State<Site<B>>) -> Response {
    site.handle.poll_now();
    // Relative, so that it holds behind any prefix.
    let headers = [
        (header::LOCATION, HeaderValue::from_static("status")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (StatusCode::SEE_OTHER, headers).into_response()
}

async fn status<B: Backend>(
    State(site): State<Site<B>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let offers = ["text/html", "application/json"];
    let offer = negotiate(&headers, &offers).ok_or_else(|| Problem::not_acceptable(&offers))?;
    let status = site.handle.status().await?;
    let caching = [
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::VARY, HeaderValue::from_static("Accept")),
    ];
    if offer == 1 {
        return Ok((caching, axum::Json(status)).into_response());
    }
    let parked = site.handle.parked(SHOWN).await?;
    let frame = Frame {
        base: &site.base,
        service: site.service,
        menu: site.menu,
        feed: None,
    };
    Ok((
        caching,
        frame.page("Status", &page(&site, &status, &parked)),
    )
        .into_response())
}

fn page<B: Backend>(site: &Site<B>, status: &Status, parked: &[ParkedEvent]) -> Markup {
    html! {
        @if let Some(reason) = &status.halted {
            p.notice.bad role="alert" { strong { "Halted. " } (reason) }
        } @else if let Some(error) = &status.last_error {
            p.notice.bad role="alert" { strong { "The last poll failed. " } (error) }
        }
        dl {
            // No link: it may be an address that only services reach.
            dt { "Feed" } dd { code { (status.feed) } }
            dt { "Epoch" } dd { (status.epoch.as_deref().unwrap_or("none yet")) }
            dt { "Taken up to" } dd { (status.sequence) " of " (status.head) }
            dt { "Lag" } dd { (status.lag.events) " events, " (status.lag.seconds) " s" }
            dt { "Last contact" } dd {
                @match status.last_contact {
                    Some(at) => time datetime=(at.to_rfc3339()) { (at.format("%Y-%m-%d %H:%M:%S UTC")) },
                    None => "never",
                }
            }
            dt { "Parked" } dd { (status.parked) ", and " (status.waiting) " that wait for them" }
            dt { "Instances" } dd { (status.instances) }
        }
        form.actions method="post" action=(site.base.path("poll")) {
            button { "Poll now" }
        }
        @if !parked.is_empty() {
            h2 { "Parked events" }
            div.scroll { table {
                thead { tr {
                    th scope="col" { "Subject" } th scope="col" { "Event" }
                    th scope="col" { "Reason" } th.number scope="col" { "Attempts" }
                    th scope="col" { "Next attempt" }
                } }
                tbody { @for event in parked { (row(event)) } }
            } }
        }
    }
}

fn row(event: &ParkedEvent) -> Markup {
    html! {
        tr {
            td { (event.subject) }
            td { (event.id) }
            td { (event.reason.as_deref().unwrap_or("waits for the one before")) }
            td.number { (event.attempts) }
            td {
                @match (event.retry_at, &event.reason) {
                    (Some(at), _) => (at.format("%H:%M:%S UTC")),
                    (None, Some(_)) => "a person decides",
                    (None, None) => "after that one",
                }
            }
        }
    }
}
