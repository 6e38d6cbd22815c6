//! Lists, for people and as JSON.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::Listing;
use super::words::{
    MOST, by_cause, counted, grouped, moment, next_try, number, outcome_name, outcome_of,
};
use crate::command::{CommandError, Done, print, print_json, table};
use feed_core::consumer::{Decided, FailedEvent, Handle, ParkedEvent, TakenEvent, printable};
use feed_core::{Backend, Sequence};

/// Returns a list under its name, as a document: `{"events": […]}`.
pub(in crate::subscription) fn named<T: Serialize>(name: &'static str, list: T) -> impl Serialize {
    BTreeMap::from([(name, list)])
}

/// `events`
pub(super) async fn events<B: Backend>(
    handle: &Handle<B>,
    before: Option<Sequence>,
    listing: Listing,
) -> Result<Done, CommandError> {
    let events = match before {
        Some(before) => handle.events_before(None, before, listing.limit).await?,
        None => handle.events(None, listing.limit).await?,
    };
    if listing.json {
        print_json(&named("events", events))?;
    } else {
        let none = "No event has been taken yet.";
        print(&table(TAKEN, events.iter().map(taken), none))?;
    }
    Ok(Done::Well)
}

const TAKEN: [&str; 5] = ["Number", "Subject", "Outcome", "Taken", "Event"];

/// What is known of an event, or of a subject.
#[derive(Serialize, JsonSchema)]
pub(in crate::subscription) struct Known {
    /// Its events that are known here, newest first
    pub(in crate::subscription) events: Vec<TakenEvent>,
    /// The one that has failed, and holds the later ones; `null` if none has
    pub(in crate::subscription) parked: Option<FailedEvent>,
    /// The decisions about these events, newest first
    pub(in crate::subscription) decisions: Vec<Decided>,
}

impl Known {
    pub(in crate::subscription) async fn about<B: Backend>(
        handle: &Handle<B>,
        about: &str,
        before: Option<Sequence>,
        limit: u32,
    ) -> sqlx::Result<Self> {
        let events = match before {
            Some(before) => handle.events_before(Some(about), before, limit).await?,
            None => handle.events(Some(about), limit).await?,
        };
        Ok(Self {
            parked: handle.failed_event(about).await?,
            decisions: handle.decisions_about(&events).await?,
            events,
        })
    }
}

/// `events EVENT|SUBJECT`
pub(super) async fn about<B: Backend>(
    handle: &Handle<B>,
    about: &str,
    before: Option<Sequence>,
    listing: Listing,
) -> Result<Done, CommandError> {
    let known = Known::about(handle, about, before, listing.limit).await?;
    if listing.json {
        print_json(&known)?;
    } else {
        let none = format!(
            "Nothing is known of {} here: it was not taken, or some 10,000 events ago.",
            printable(about)
        );
        let mut text = table(TAKEN, known.events.iter().map(taken), &none);
        if let Some(event) = &known.parked {
            let waiting: Vec<_> = event.waiting.iter().collect();
            let halted = handle.status().await?.is_stopped();
            text += &format!("\n{}", failed(&event.event, &waiting, halted));
            let tried = event.attempts.iter().map(|tried| {
                let columns = [grouped(tried.attempt), moment(tried.tried_at)];
                (columns, Some(tried.reason.as_str()))
            });
            text += &format!(
                "\n{}",
                table(["Attempt", "When"], tried, "No attempt is recorded.")
            );
            let lines = event.data.split('\n').map(printable);
            text += &format!("\nData\n{}\n", lines.collect::<Vec<_>>().join("\n"));
        }
        if !known.decisions.is_empty() {
            text += &format!("\n{}", decided(&known.decisions));
        }
        print(&text)?;
    }
    Ok(match known.events.is_empty() {
        true => Done::Found,
        false => Done::Well,
    })
}

fn taken(event: &TakenEvent) -> ([String; 5], Option<&str>) {
    let outcome = outcome_name(event.outcome);
    let columns = [
        number(event.sequence),
        event.subject.clone().unwrap_or_default(),
        match &event.skipped_by {
            Some(by) => format!("{outcome} by {by}"),
            None => outcome.to_owned(),
        },
        moment(event.claimed),
        event.id.clone(),
    ];
    (columns, event.reason.as_deref())
}

/// `skipped`
pub(super) async fn skipped<B: Backend>(
    handle: &Handle<B>,
    listing: Listing,
) -> Result<Done, CommandError> {
    let events = handle.skipped(listing.limit).await?;
    if listing.json {
        print_json(&named("skipped", events))?;
        return Ok(Done::Well);
    }
    let rows = events.iter().map(|event| {
        let by = event.skipped_by.as_deref().unwrap_or("passed over");
        let columns = [
            number(event.sequence),
            event.subject.clone(),
            by.to_owned(),
            moment(event.skipped_at),
            event.id.clone(),
        ];
        (columns, Some(event.reason.as_str()))
    });
    let head = ["Number", "Subject", "By", "When", "Event"];
    print(&table(head, rows, "No event was skipped or passed over."))?;
    Ok(Done::Well)
}

/// `decisions`
pub(super) async fn decisions<B: Backend>(
    handle: &Handle<B>,
    listing: Listing,
) -> Result<Done, CommandError> {
    let decisions = handle.decisions(listing.limit).await?;
    if listing.json {
        print_json(&named("decisions", decisions))?;
        return Ok(Done::Well);
    }
    print(&decided(&decisions))?;
    Ok(Done::Well)
}

fn decided(decisions: &[Decided]) -> String {
    let rows = decisions.iter().map(|decided| {
        let mut outcome = outcome_of(decided);
        if let Some(by) = &decided.undone_by {
            outcome += &format!("; undone by {by}");
        }
        let columns = [
            decided.position.to_string(),
            moment(decided.decided_at),
            decided.decided_by.clone(),
            outcome,
            decided.decision.clone(),
        ];
        (columns, decided.reason.as_deref())
    });
    let head = ["Number", "When", "By", "Outcome", "Decision"];
    table(head, rows, "Nothing has been decided yet.")
}

/// `parked`
pub(super) async fn parked<B: Backend>(
    handle: &Handle<B>,
    listing: Listing,
) -> Result<Done, CommandError> {
    if listing.json {
        print_json(&named("parked", handle.parked(listing.limit).await?))?;
        return Ok(Done::Well);
    }
    // Read all of them, since waiting events are listed between failed ones.
    let parked = handle.parked(MOST).await?;
    let causes = by_cause(&parked);
    let status = handle.status().await?;
    let halted = status.is_stopped();
    let shown = causes.iter().take(listing.limit as usize);
    let mut blocks: Vec<String> = shown
        .map(|(event, later)| failed(event, later, halted))
        .collect();
    let counts = handle.causes(listing.limit).await?;
    if counts.first().is_some_and(|cause| cause.events > 1) {
        let rows = counts.iter().map(|cause| {
            let columns = [
                grouped(cause.events),
                moment(cause.since),
                cause.digest(),
                cause.subject.clone(),
            ];
            (columns, Some(cause.cause.as_str()))
        });
        blocks.insert(0, table(["Events", "Since", "Cause", "Such as"], rows, ""));
    }
    let more = status.parked - causes.len().min(listing.limit as usize) as i64;
    if more > 0 {
        let more = grouped(more);
        blocks.push(format!(
            "{more} more: --limit says how many are listed, up to 1,000.\n"
        ));
    }
    if blocks.is_empty() {
        blocks.push("No event is parked.\n".to_owned());
    }
    let text = blocks.join("\n");
    print(&text)?;
    Ok(Done::Well)
}

/// Formats a failed event on lines of its own: its reason may be long.
fn failed(event: &ParkedEvent, waiting: &[&ParkedEvent], halted: bool) -> String {
    let place = event
        .sequence
        .map_or(String::new(), |at| format!(", event {}", grouped(at)));
    let mut text = format!(
        "{}\n  {}{place}\n  {}\n  parked {}, tried {}; {}\n",
        printable(&event.id),
        printable(&event.subject),
        printable(event.reason.as_deref().unwrap_or_default()),
        moment(event.parked_at),
        counted(event.attempts, "time"),
        next_try(event, halted),
    );
    for later in waiting {
        let place = later
            .sequence
            .map_or(String::new(), |at| format!(", event {},", grouped(at)));
        text += &format!("  {}{place} waits for it\n", printable(&later.id));
    }
    text
}
