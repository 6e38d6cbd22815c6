//! The lists below the status page.

use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::response::Response;
use maud::{Markup, html};
use url::form_urlencoded;

use super::site::Site;
use super::stuck;
use crate::subscription::command::named;
use crate::subscription::command::words::{MOST, number, outcome_name};
use feed_chassis::Wanted;
use feed_chassis::html::instant;
use feed_core::Backend;
use feed_core::consumer::{Decided, Outcome, SkippedEvent, TakenEvent};
use feed_core::http::Problem;

/// The default of `?limit=`.
const LISTED: u32 = 100;

/// The query `?limit=17&event=…`. As an extractor it answers `400` if the limit is no number within
/// bounds.
pub(super) struct Query {
    limit: u32,
    event: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut query = Self {
            limit: LISTED,
            event: None,
        };
        for (name, value) in
            form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes())
        {
            match name.as_ref() {
                "limit" => {
                    let limit = value
                        .parse()
                        .ok()
                        .filter(|limit| (1..=MOST).contains(limit));
                    query.limit = limit.ok_or_else(|| {
                        Problem::bad_request(format!("`limit` is a number from 1 to {MOST}"))
                    })?;
                }
                // No id is blank or has such characters, and PostgreSQL cannot store all of them.
                "event" if value.trim().is_empty() || value.chars().any(char::is_control) => {
                    return Err(Problem::bad_request("`event` is the id of an event"));
                }
                "event" => query.event = Some(value.into_owned()),
                _ => {}
            }
        }
        Ok(query)
    }
}

/// `GET /status/events`
pub(super) async fn events<B: Backend>(
    State(site): State<Site<B>>,
    query: Query,
    wanted: Wanted,
) -> Result<Response, Problem> {
    let (id, limit) = (query.event.as_deref(), query.limit);
    let events = site.handle.events(id, limit).await?;
    let page = || site.frame.page("Events taken", &taken_table(&events));
    Ok(wanted.answer(page, || named("events", &events)))
}

/// `GET /status/parked`
pub(super) async fn parked<B: Backend>(
    State(site): State<Site<B>>,
    query: Query,
    wanted: Wanted,
) -> Result<Response, Problem> {
    let parked = site.handle.parked(query.limit).await?;
    let halted = site.handle.status().await?.halted.is_some();
    let page = || {
        site.frame.page(
            "Parked events",
            &stuck::parked(&site.frame.base, &parked, halted),
        )
    };
    Ok(wanted.answer(page, || named("parked", &parked)))
}

/// `GET /status/skipped`
pub(super) async fn skipped<B: Backend>(
    State(site): State<Site<B>>,
    query: Query,
    wanted: Wanted,
) -> Result<Response, Problem> {
    let events = site.handle.skipped(query.limit).await?;
    let page = || {
        site.frame
            .page("Events without effect", &skipped_table(&events))
    };
    Ok(wanted.answer(page, || named("skipped", &events)))
}

/// `GET /status/decisions`
pub(super) async fn decisions<B: Backend>(
    State(site): State<Site<B>>,
    query: Query,
    wanted: Wanted,
) -> Result<Response, Problem> {
    let decisions = site.handle.decisions(query.limit).await?;
    let page = || site.frame.page("Decisions", &decisions_table(&decisions));
    Ok(wanted.answer(page, || named("decisions", &decisions)))
}

fn taken_table(events: &[TakenEvent]) -> Markup {
    let columns = ["Number", "Subject", "Outcome", "Taken", "Event"];
    let none = "No such event is known here.";
    table("Events", columns, events, none, |event| {
        html! {
            td.number { (number(event.sequence)) }
            td { (event.subject.as_deref().unwrap_or_default()) }
            td {
                (outcome(event.outcome))
                @if let Some(reason) = &event.reason { p.reason { (reason) } }
            }
            td { (instant(event.claimed)) }
            td { code.id { (event.id) } }
        }
    })
}

fn outcome(outcome: Outcome) -> Markup {
    let class = match outcome {
        Outcome::Applied => "status good",
        Outcome::Parked => "status bad",
        Outcome::Waiting | Outcome::Skipped | Outcome::PassedOver => "status quiet",
    };
    html! { span class=(class) { (outcome_name(outcome)) } }
}

pub(super) fn skipped_table(events: &[SkippedEvent]) -> Markup {
    let columns = ["Number", "Subject", "By", "When", "Event"];
    let none = "No event was skipped or passed over.";
    table("Events without effect", columns, events, none, |event| {
        html! {
            td.number { (number(event.sequence)) }
            td { (event.subject) }
            td {
                @match &event.skipped_by {
                    Some(by) => (by),
                    None => span.quiet { "passed over" },
                }
                p.reason { (event.reason) }
            }
            td { (instant(event.skipped_at)) }
            td { code.id { (event.id) } }
        }
    })
}

pub(super) fn decisions_table(decisions: &[Decided]) -> Markup {
    let columns = ["When", "By", "Decision", "Outcome"];
    let none = "Nothing has been decided yet.";
    table("Decisions", columns, decisions, none, |decided| {
        html! {
            td { (instant(decided.decided_at)) }
            td { (decided.decided_by) }
            td {
                code.id { (decided.decision) }
                @if let Some(reason) = &decided.reason { p.reason { (reason) } }
            }
            td { (decided.outcome.as_deref().unwrap_or("not carried out yet")) }
        }
    })
}

/// Renders a table that scrolls by itself if it is wider than the page, or `none` for an empty one.
pub(super) fn table<T, const N: usize>(
    label: &str,
    columns: [&str; N],
    items: &[T],
    none: &str,
    cells: impl Fn(&T) -> Markup,
) -> Markup {
    html! {
        @if items.is_empty() { p.quiet { (none) } }
        @else {
            div.scroll tabindex="0" { table aria-label=(label) {
                thead { tr { @for column in columns {
                    th class=[(column == "Number").then_some("number")] scope="col" { (column) }
                } } }
                tbody { @for item in items { tr { (cells(item)) } } }
            } }
        }
    }
}
