//! What the checker finds in the answers that readers of the feed got: V3 in part, V8 to V10.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::evidence::Evidence;
use crate::rules::{Checked, acknowledged, holds, list, number, text};

/// The longest delay between instances, in milliseconds.
const LATE: u64 = 1_000;

/// What a loaded machine may add between the two ends of a connection, in milliseconds.
const SLACK: u64 = 250;

/// The longest time until an event is visible that another writer's stalls do not concern, for nine
/// of ten, in milliseconds.
const PROMPT: u64 = 500;

/// Each event in an answer: its sequence, its id, and a hash of its content.
fn shown<'a>(
    evidence: &'a Evidence,
    what: &'a str,
) -> impl Iterator<Item = (&'a Value, &'a Value)> {
    let all = evidence.http.iter();
    all.flat_map(move |answer| list(&answer[what]).iter().map(move |event| (answer, event)))
}

/// Every answer with a sequence showed the same event there, and a final page has the same bytes each time.
pub(crate) fn v3_immutable(evidence: &Evidence) -> Checked {
    for what in ["events", "data"] {
        let mut known: BTreeMap<i64, &Value> = BTreeMap::new();
        for (answer, event) in shown(evidence, what) {
            let before = *known.entry(number(&event[0])).or_insert(event);
            holds(before == event, || {
                format!(
                    "{what}: {before} became {event} in {} at {}",
                    answer["path"], answer["at"]
                )
            })?;
        }
    }
    let mut pages: BTreeMap<&str, &Value> = BTreeMap::new();
    for answer in evidence
        .http
        .iter()
        .filter(|answer| !answer["final"].is_null())
    {
        let before = *pages
            .entry(text(&answer["path"]))
            .or_insert(&answer["final"]);
        holds(*before == answer["final"], || {
            format!(
                "the bytes of {} changed at {}",
                answer["path"], answer["at"]
            )
        })?;
    }
    Ok(())
}

/// No answer leaves out an event between two that it shows, nor between what its reader knew and what is new.
pub(crate) fn v3_complete(evidence: &Evidence) -> Checked {
    for answer in &evidence.http {
        for what in ["events", "data"] {
            let mut sequences: Vec<i64> = list(&answer[what])
                .iter()
                .map(|event| number(&event[0]))
                .collect();
            sequences.sort_unstable();
            let begins = match answer["status"] == 226 {
                true => sequences
                    .first()
                    .is_none_or(|first| *first == number(&answer["known"]) + 1),
                false => true,
            };
            let dense = sequences.windows(2).all(|pair| pair[0] + 1 == pair[1]);
            holds(begins && dense, || {
                format!(
                    "{what} {sequences:?} in {} at {}, after {}",
                    answer["path"], answer["at"], answer["known"]
                )
            })?;
        }
    }
    Ok(())
}

/// When each event was first in an answer.
fn first_seen(evidence: &Evidence) -> BTreeMap<i64, u64> {
    let mut first = BTreeMap::new();
    for what in ["events", "data"] {
        for (answer, event) in shown(evidence, what) {
            let at = answer["at"].as_u64().unwrap_or_default();
            let seen = first.entry(number(&event[0])).or_insert(at);
            *seen = at.min(*seen);
        }
    }
    first
}

/// No reader got a 304 that asked more than a second after another reader had a newer event; and an
/// announced date is never in the future.
pub(crate) fn v8_no_304_hides_an_event(evidence: &Evidence) -> Checked {
    let first = first_seen(evidence);
    for answer in evidence
        .http
        .iter()
        .filter(|answer| answer["status"] == 304)
    {
        let asked = answer["from"].as_u64().unwrap_or_default();
        let newer = number(&answer["known"]) + 1..;
        let hidden = first
            .range(newer)
            .find(|(_, seen)| **seen + LATE + SLACK < asked);
        holds(hidden.is_none(), || {
            format!("event {hidden:?} (sequence, when it was seen) is hidden by {answer}")
        })?;
    }
    for answer in &evidence.http {
        let date = |name: &str| httpdate::parse_http_date(text(&answer[name])).ok();
        let later = date("modified")
            .zip(date("date"))
            .is_some_and(|(modified, date)| modified > date);
        holds(!later, || format!("a date in the future: {answer}"))?;
    }
    Ok(())
}

/// What was seen is still there.
pub(crate) fn v9_durable(evidence: &Evidence) -> Checked {
    let there: BTreeMap<i64, String> = list(&evidence.order["events"])
        .iter()
        .map(|event| {
            (
                number(&event["sequence"]),
                format!("urn:uuid:{}", text(&event["id"])),
            )
        })
        .collect();
    for what in ["events", "data"] {
        for (answer, event) in shown(evidence, what) {
            let kept = there.get(&number(&event[0]));
            holds(kept.map(String::as_str) == event[1].as_str(), || {
                format!(
                    "{event} was seen at {} ms, and now there is {kept:?}",
                    answer["at"]
                )
            })?;
        }
    }
    Ok(())
}

/// While a writer stalls (from the mark `stall` to the mark `stalled`), the orders of others are
/// visible as soon as before.
pub(crate) fn v10_independent(evidence: &Evidence) -> Checked {
    let (Some(from), Some(to)) = (evidence.mark("stall"), evidence.mark("stalled")) else {
        return Ok(());
    };
    let first = first_seen(evidence);
    let sequences: BTreeMap<&str, i64> = list(&evidence.order["events"])
        .iter()
        .filter(|event| event["type"] == "order.placed")
        .map(|event| (text(&event["subject"]), number(&event["sequence"])))
        .collect();
    let mut delays = Vec::new();
    for (subject, at) in acknowledged(evidence, "place") {
        if at < from || at + PROMPT > to {
            continue;
        }
        let seen = sequences
            .get(subject.as_str())
            .and_then(|sequence| first.get(sequence));
        let seen = seen.ok_or_else(|| format!("no reader has seen {subject}"))?;
        delays.push(seen.saturating_sub(at));
    }
    delays.sort_unstable();
    holds(delays.len() >= 5, || {
        format!("only {} orders while a writer stalls", delays.len())
    })?;
    let most = delays[delays.len() * 9 / 10];
    holds(most < PROMPT, || format!("seen only after {delays:?} ms"))
}
