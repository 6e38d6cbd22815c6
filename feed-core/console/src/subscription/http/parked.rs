//! The list of parked events: all, or a selection, with the decisions about exactly what is shown.

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};
use schemars::JsonSchema;
use serde::Serialize;

use super::lists::{PARKED, Query, about, table};
use super::site::Site;
use super::{selected, stuck};
use crate::subscription::command::words::{MOST, counted, grouped};
use feed_chassis::Wanted;
use feed_chassis::html::instant;
use feed_core::Backend;
use feed_core::consumer::{ParkedEvent, Preview, Selection, Status};
use feed_core::http::{BaseUrl, Problem};

/// The list as a document.
#[derive(Serialize, JsonSchema)]
pub(super) struct Parked {
    /// Those that have failed and are selected, oldest first; without a selection, also those that wait for them
    parked: Vec<ParkedEvent>,
    #[serde(flatten)]
    counted: Counted,
}

/// What a decision about the selection would touch.
#[derive(Serialize, JsonSchema)]
struct Counted {
    /// The number of selected events that have failed
    events: i64,
    /// When they were counted: a decision with this as `as_of` touches nothing that failed later
    as_of: String,
    /// Why they have failed, the most frequent causes first
    causes: Vec<feed_core::consumer::Cause>,
    /// Their types, the most frequent first
    types: Vec<feed_core::consumer::TypeCount>,
}

/// `GET /status/parked`
pub(super) async fn parked<B: Backend>(
    State(site): State<Site<B>>,
    query: Query<PARKED>,
    wanted: Wanted,
) -> Result<Response, Problem> {
    let selection = &query.selection;
    let is_selected = *selection != Selection::default();
    let mut preview = site.handle.preview(selection, query.limit).await?;
    let events = match is_selected {
        true => std::mem::take(&mut preview.first),
        false => site.handle.parked(query.limit).await?,
    };
    let status = site.handle.status().await?;
    let page = || {
        let base = &site.frame.base;
        let body = html! {
            (filters(base, selection))
            @if is_selected {
                (chosen(base, selection, &preview))
            } @else {
                (all(base, &status, query.limit))
            }
            (stuck::parked(base, &events, status.is_stopped(), !is_selected))
            @if is_selected && preview.events > events.len() as i64 {
                p { "These are the first " (grouped(events.len() as i64)) "." }
            }
        };
        site.frame.page("Parked events", &body)
    };
    Ok(wanted.answer(page, || Parked {
        parked: events.clone(),
        counted: Counted {
            events: preview.events,
            as_of: as_of(&preview),
            causes: preview.causes.clone(),
            types: preview.types.clone(),
        },
    }))
}

fn as_of(preview: &Preview) -> String {
    preview
        .as_of
        .to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

/// Says how many there are in all.
fn all(base: &BaseUrl, status: &Status, limit: u32) -> Markup {
    html! {
        p {
            (counted(status.parked, "event")) " parked, and " (grouped(status.waiting)) " waiting for them"
            @if status.parked + status.waiting > i64::from(limit) {
                "; the oldest " (grouped(i64::from(limit))) " are here"
                @if limit < MOST {
                    ", " a href={ (base.path("status/parked")) "?limit=" (MOST) } { "more of them" }
                }
            }
            "."
        }
    }
}

/// The form that selects, in the address of the page.
fn filters(base: &BaseUrl, selection: &Selection) -> Markup {
    html! {
        form method="get" action=(base.path("status/parked")) role="search" aria-label="Select parked events" {
            details.filters open[!selection.is_all()] {
                summary { "Select by type, time or cause" }
                div.inline { (selected::fields(selection)) }
                div.actions {
                    button.plain { "Show" }
                    @if !selection.is_all() { a.button.plain href=(base.path("status/parked")) { "Show all" } }
                }
            }
        }
    }
}

/// What is selected, and the decisions about it. They are about what the page has counted: what fails meanwhile is
/// not touched.
fn chosen(base: &BaseUrl, selection: &Selection, preview: &Preview) -> Markup {
    let bounded = Selection {
        as_of: Some(preview.as_of),
        ..selection.clone()
    };
    let events = preview.events;
    html! {
        section.card aria-labelledby="selected" {
            h2 id="selected" { (counted(events, "event")) " selected" }
            p.quiet {
                "Counted " (instant(preview.as_of)) ". A decision here is about "
                (if events == 1 { "this one" } else { "these" }) " alone, not about what fails later."
            }
            @if preview.causes.len() > 1 {
                (table("Causes", ["Events", "Cause", "Since"], &preview.causes, "", |of| html! {
                    td.number { (grouped(of.events)) }
                    td {
                        a href=(narrowed(base, selection, |s| s.cause = Some(of.cause.clone()))) { (of.cause) }
                        p.reason { "such as " (about(base, &of.subject)) "; in decisions " (of.digest()) }
                    }
                    td { (instant(of.since)) }
                }))
            }
            @if preview.types.len() > 1 {
                (table("Types", ["Events", "Type"], &preview.types, "", |of| html! {
                    td.number { (grouped(of.events)) }
                    td {
                        @match &of.event_type {
                            Some(text) => a href=(narrowed(base, selection, |s| s.event_type = Some(text.clone()))) {
                                (text)
                            },
                            None => span.quiet { "none is known" },
                        }
                    }
                }))
            }
            @if events > 0 {
                (stuck::decide_many(
                    base,
                    "selected",
                    &bounded,
                    &format!("these {}", grouped(events)),
                    !selection.is_all(),
                ))
            }
        }
    }
}

fn narrowed(base: &BaseUrl, selection: &Selection, narrow: impl Fn(&mut Selection)) -> String {
    let mut selection = selection.clone();
    selection.as_of = None;
    narrow(&mut selection);
    let query = selected::query(&selection);
    format!("{}?{query}", base.path("status/parked"))
}
