//! The lists below the status page.

use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::response::Response;
use maud::{Markup, html};
use url::form_urlencoded;

use super::site::Site;
use super::stuck;
use crate::subscription::command::words::{MOST, counted, grouped, number, outcome_name};
use crate::subscription::command::{Known, named};
use feed_chassis::Wanted;
use feed_chassis::html::instant;
use feed_core::Backend;
use feed_core::consumer::{Decided, FailedEvent, Outcome, SkippedEvent, TakenEvent};
use feed_core::http::{BaseUrl, Problem};

/// The default of `?limit=`.
const LISTED: u32 = 100;

/// The query `?limit=17`, and of a list that may be about one event or subject, `&event=…`. As an extractor it answers
/// `400` to anything else.
pub(super) struct Query<const EVENT: bool = false> {
    limit: u32,
    event: Option<String>,
}

impl<const EVENT: bool, S: Send + Sync> FromRequestParts<S> for Query<EVENT> {
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
                "event"
                    if EVENT
                        && (value.trim().is_empty() || value.chars().any(char::is_control)) =>
                {
                    return Err(Problem::bad_request(
                        "`event` is the id of an event, or a subject",
                    ));
                }
                "event" if EVENT => query.event = Some(value.into_owned()),
                other => {
                    let known = if EVENT {
                        "`limit` and `event`"
                    } else {
                        "`limit`"
                    };
                    return Err(Problem::bad_request(format!(
                        "there is no parameter `{other}` here, but {known}"
                    )));
                }
            }
        }
        Ok(query)
    }
}

impl<const EVENT: bool> Query<EVENT> {
    /// The most items to list.
    pub(super) fn limit(&self) -> u32 {
        self.limit
    }
}

/// `GET /status/events`
pub(super) async fn events<B: Backend>(
    State(site): State<Site<B>>,
    query: Query<true>,
    wanted: Wanted,
) -> Result<Response, Problem> {
    if let Some(about) = &query.event {
        let known = Known::about(&site.handle, about, query.limit).await?;
        if known.events.is_empty() {
            return Err(Problem::not_found(format!(
                "`{about}` is no event or subject that is known here: it was not taken, or long ago"
            )));
        }
        let halted = site.handle.status().await?.is_stopped();
        let page = || {
            let body = known_page(&site.frame.base, &known, halted);
            site.frame.page(about, &body)
        };
        return Ok(wanted.answer(page, || &known));
    }
    let events = site.handle.events(None, query.limit).await?;
    let page = || {
        site.frame
            .page("Events taken", &taken_table(&site.frame.base, &events))
    };
    Ok(wanted.answer(page, || named("events", &events)))
}

/// `GET /status/parked`
pub(super) async fn parked<B: Backend>(
    State(site): State<Site<B>>,
    query: Query,
    wanted: Wanted,
) -> Result<Response, Problem> {
    let parked = site.handle.parked(query.limit).await?;
    let status = site.handle.status().await?;
    let page = || {
        let base = &site.frame.base;
        let body = html! {
            p {
                (counted(status.parked, "event")) " parked, and " (grouped(status.waiting)) " waiting for them"
                @if status.parked + status.waiting > i64::from(query.limit) {
                    "; the oldest " (grouped(i64::from(query.limit))) " are here"
                    @if query.limit < MOST {
                        ", " a href={ (base.path("status/parked")) "?limit=" (MOST) } { "more of them" }
                    }
                }
                "."
            }
            (stuck::parked(base, &parked, status.is_stopped()))
        };
        site.frame.page("Parked events", &body)
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
        site.frame.page(
            "Events without effect",
            &skipped_table(&site.frame.base, &events),
        )
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

fn known_page(base: &BaseUrl, known: &Known, halted: bool) -> Markup {
    html! {
        (taken_table(base, &known.events))
        @if let Some(failed) = &known.parked {
            h2 { "Parked" }
            (stuck::failed(base, 0, &failed.event, &failed.waiting.iter().collect::<Vec<_>>(), halted))
            h2 { "Attempts" }
            (attempts_table(failed))
            h2 { "What the event says" }
            (data(failed))
        }
        @if !known.decisions.is_empty() {
            h2 { "Decisions" }
            (decisions_table(&known.decisions))
        }
    }
}

fn attempts_table(failed: &FailedEvent) -> Markup {
    let columns = ["Attempt", "When", "What went wrong"];
    let none = "An older program has parked it, and has not recorded what was tried.";
    table("Attempts", columns, &failed.attempts, none, |attempt| {
        html! {
            td { (grouped(attempt.attempt)) }
            td { (instant(attempt.tried_at)) }
            td { p.reason { (attempt.reason) } }
        }
    })
}

/// The longest data on a page, in bytes. The document for programs has all of it.
const SHOWN: usize = 64 * 1024;

fn data(failed: &FailedEvent) -> Markup {
    let value: Option<serde_json::Value> = match failed.data.len() {
        ..=SHOWN => serde_json::from_str(&failed.data).ok(),
        _ => None,
    };
    let text = value.and_then(|value| serde_json::to_string_pretty(&value).ok());
    let text = text.as_deref().unwrap_or(&failed.data);
    let shown = &text[..text.floor_char_boundary(SHOWN)];
    html! {
        p.quiet {
            @if let Some(event_type) = &failed.event_type { code { (event_type) } ", " }
            (instant(failed.time)) ", " (counted(failed.data.len() as i64, "byte"))
        }
        @if failed.data.is_empty() { p.quiet { "It has no data." } }
        @else {
            details {
                summary { "Data" }
                pre tabindex="0" { (shown) }
                @if shown.len() < text.len() {
                    p.quiet { "The rest is in the JSON of this page." }
                }
            }
        }
    }
}

fn taken_table(base: &BaseUrl, events: &[TakenEvent]) -> Markup {
    let columns = ["Number", "Subject", "Outcome", "Taken", "Event"];
    let none = "No such event is known here.";
    table("Events", columns, events, none, |event| {
        html! {
            td.number { (number(event.sequence)) }
            td {
                @if let Some(subject) = &event.subject { (about(base, subject)) }
            }
            td {
                (outcome(event.outcome))
                @if let Some(by) = &event.skipped_by { " by " (by) }
                @if let Some(reason) = &event.reason { p.reason { (reason) } }
            }
            td { (instant(event.claimed)) }
            td { code.id { (about(base, &event.id)) } }
        }
    })
}

/// Links to what is known of an event or a subject.
pub(super) fn about(base: &BaseUrl, about: &str) -> Markup {
    let query: String = form_urlencoded::byte_serialize(about.as_bytes()).collect();
    html! { a href={ (base.path("status/events")) "?event=" (query) } { (about) } }
}

fn outcome(outcome: Outcome) -> Markup {
    let class = match outcome {
        Outcome::Applied => "status good",
        Outcome::Parked => "status bad",
        Outcome::Waiting | Outcome::Skipped | Outcome::PassedOver => "status quiet",
    };
    html! { span class=(class) { (outcome_name(outcome)) } }
}

pub(super) fn skipped_table(base: &BaseUrl, events: &[SkippedEvent]) -> Markup {
    let columns = ["Number", "Subject", "By", "When", "Event"];
    let none = "No event was skipped or passed over.";
    table("Events without effect", columns, events, none, |event| {
        html! {
            td.number { (number(event.sequence)) }
            td { (about(base, &event.subject)) }
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
