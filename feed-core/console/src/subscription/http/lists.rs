//! The lists below the status page.

use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::response::Response;
use maud::{Markup, html};
use url::form_urlencoded;

use super::site::Site;
use super::{selected, stuck};
use crate::subscription::command::words::{
    MOST, counted, grouped, number, outcome_name, outcome_of,
};
use crate::subscription::command::{Known, named};
use feed_chassis::Wanted;
use feed_chassis::html::instant;
use feed_core::consumer::{Decided, FailedEvent, Outcome, Selection, SkippedEvent, TakenEvent};
use feed_core::http::{BaseUrl, Problem, query};
use feed_core::{Backend, Sequence};

/// The default of `?limit=`.
const LISTED: u32 = 100;

/// The kinds of queries: of a route without parameters, of a list, of one that may be about one event or subject, and of the
/// parked events.
pub(super) const NONE: u8 = 0;
pub(super) const LIST: u8 = 1;
pub(super) const EVENTS: u8 = 2;
pub(super) const PARKED: u8 = 3;

/// The query `?limit=17`, and of some lists `&event=…`, or the fields that [select](selected) parked events. As an extractor it
/// answers `400` to anything else.
pub(super) struct Query<const KIND: u8> {
    pub(super) limit: u32,
    event: Option<String>,
    before: Option<Sequence>,
    pub(super) selection: Selection,
}

impl<const KIND: u8> Query<KIND> {
    /// Returns the names of the parameters.
    fn known() -> Vec<&'static str> {
        let own: &[&str] = match KIND {
            EVENTS => &["event", "before"],
            PARKED => &selected::FIELDS,
            _ => &[],
        };
        let limit = (KIND != NONE).then_some("limit");
        limit.into_iter().chain(own.iter().copied()).collect()
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "limit" => {
                let limit = value.parse().ok();
                let limit = limit.filter(|limit| (1..=MOST).contains(limit));
                self.limit = limit.ok_or_else(|| format!("is a number from 1 to {MOST}"))?;
            }
            // No id is blank.
            "event" if value.trim().is_empty() => {
                return Err("is the id of an event, or a subject".to_owned());
            }
            "event" => self.event = Some(value.to_owned()),
            "before" => {
                let before = value.parse().ok().filter(|before| *before > 0);
                self.before = Some(before.ok_or("is the number of an event, from 1 on")?);
            }
            // A browser sends the empty fields of a form, too.
            _ if value.is_empty() => {}
            _ => selected::set(&mut self.selection, name, value)?,
        }
        Ok(())
    }
}

impl<const KIND: u8, S: Send + Sync> FromRequestParts<S> for Query<KIND> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut read = Self {
            limit: LISTED,
            event: None,
            before: None,
            selection: Selection::default(),
        };
        let resource = if KIND == NONE {
            "this address"
        } else {
            "this list"
        };
        for (name, value) in query::read(parts.uri.query(), resource, &Self::known())? {
            let wrong = |message| Problem::bad_request(format!("`{name}` {message}"));
            read.set(name, &value).map_err(wrong)?;
        }
        Ok(read)
    }
}

/// `GET /status/events`
pub(super) async fn events<B: Backend>(
    State(site): State<Site<B>>,
    query: Query<EVENTS>,
    wanted: Wanted,
) -> Result<Response, Problem> {
    if let Some(about) = &query.event {
        let known = Known::about(&site.handle, about, query.before, query.limit).await?;
        if known.events.is_empty() {
            return Err(Problem::not_found(format!(
                "`{about}` is no event or subject that is known here: it was not taken, or some 10,000 events ago"
            )));
        }
        let halted = site.handle.status().await?.is_stopped();
        let page = || {
            let body = known_page(&site.frame.base, &known, halted);
            site.frame.page(about, &body)
        };
        return Ok(wanted.answer(page, || &known));
    }
    let events = match query.before {
        Some(before) => site.handle.events_before(None, before, query.limit).await?,
        None => site.handle.events(None, query.limit).await?,
    };
    let page = || {
        let base = &site.frame.base;
        let body = html! {
            (taken_table(base, &events))
            @if let Some((before, words)) = earlier(&query, &events) {
                p {
                    a href={ (base.path("status/events")) "?limit=" (query.limit) "&before=" (before) } { (words) }
                }
            }
        };
        site.frame.page("Events taken", &body)
    };
    Ok(wanted.answer(page, || named("events", &events)))
}

/// Returns what comes after a list that is full. The newest events are in the order in which they were taken, and all in
/// that of their numbers.
fn earlier(query: &Query<EVENTS>, events: &[TakenEvent]) -> Option<(Sequence, &'static str)> {
    let full = events.len() == query.limit as usize;
    let numbers = || events.iter().filter_map(|event| event.sequence);
    match query.before {
        _ if !full => None,
        Some(_) => Some((numbers().min()?, "Earlier events")),
        None => Some((numbers().max()? + 1, "All events, by number")),
    }
}

/// `GET /status/skipped`
pub(super) async fn skipped<B: Backend>(
    State(site): State<Site<B>>,
    query: Query<LIST>,
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
    query: Query<LIST>,
    wanted: Wanted,
) -> Result<Response, Problem> {
    let decisions = site.handle.decisions(query.limit).await?;
    let page = || {
        site.frame
            .page("Decisions", &decisions_table(&site.frame.base, &decisions))
    };
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
            (decisions_table(base, &known.decisions))
        }
    }
}

fn attempts_table(failed: &FailedEvent) -> Markup {
    let columns = ["Attempt", "When", "What went wrong"];
    let none = "What was tried is not recorded: an older program has parked it, or a skip of it was undone.";
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
            @if let Some(event_type) = &failed.event.event_type { code { (event_type) } ", " }
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
                @if let Some(by) = &event.skipped_by { " by " bdi { (by) } }
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
            td { code.id { (about(base, &event.id)) } }
        }
    })
}

pub(super) fn decisions_table(base: &BaseUrl, decisions: &[Decided]) -> Markup {
    let columns = ["Number", "When", "By", "Decision", "Outcome"];
    let none = "Nothing has been decided yet.";
    table("Decisions", columns, decisions, none, |decided| {
        html! {
            td.number { (decided.position) }
            td { (instant(decided.decided_at)) }
            td { (decided.decided_by) }
            td {
                code.id { (decided.decision) }
                @if let Some(reason) = &decided.reason { p.reason { (reason) } }
            }
            td {
                (outcome_of(decided))
                @if let (Some(by), Some(at)) = (&decided.undone_by, decided.undone_at) {
                    p.reason { "undone by " bdi { (by) } ", " (instant(at)) }
                }
                @if decided.can_be_undone { (stuck::undo(base, decided.position)) }
            }
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
