//! What the checker finds in the answers that readers of the feed got: V3 in part, V8 to V10, V11 in part.

use std::collections::BTreeMap;
use std::time::SystemTime;

use chrono::DateTime;
use serde_json::Value;

use crate::evidence::Evidence;
use crate::rules::{Checked, LIVENESS, acknowledged, holds, list, number, text};
use crate::sent::lasts;

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
    let mut pages: BTreeMap<&str, (&Value, u64)> = BTreeMap::new();
    for answer in &evidence.http {
        let (path, content) = (text(&answer["path"]), &answer["final"]);
        if content.is_null() {
            let known = pages.get(path);
            let kept = known.is_none_or(|(_, at)| is_excused(answer, *at));
            holds(kept, || format!("{path} was immutable, and then {answer}"))?;
            continue;
        }
        let (before, _) = *pages
            .entry(path)
            .or_insert((content, milliseconds(answer, "at")));
        holds(before == content, || {
            format!("the bytes of {path} changed at {}", answer["at"])
        })?;
    }
    Ok(())
}

/// True for an answer that decides nothing about a page that was immutable at this time: another instance may not know that
/// yet, or cannot answer now.
fn is_excused(answer: &Value, at: u64) -> bool {
    answer["status"] == 503 || milliseconds(answer, "from") <= at + LATE + SLACK
}

fn milliseconds(answer: &Value, name: &str) -> u64 {
    answer[name].as_u64().unwrap_or_default()
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
        let later = date(answer, "modified")
            .zip(date(answer, "date"))
            .is_some_and(|(modified, date)| modified > date);
        holds(!later, || format!("a date in the future: {answer}"))?;
    }
    Ok(())
}

/// An answer's date in a header.
fn date(answer: &Value, name: &str) -> Option<SystemTime> {
    httpdate::parse_http_date(text(&answer[name])).ok()
}

/// Two whole answers with one tag have the same bytes. Tags are weak because they are the same for each coding, and these
/// readers ask for none.
pub(crate) fn v8_a_tag_is_of_one_document(evidence: &Evidence) -> Checked {
    let mut known: BTreeMap<(&str, &str), &Value> = BTreeMap::new();
    let whole = evidence
        .http
        .iter()
        .filter(|answer| answer["status"] == 200);
    for answer in whole {
        let (path, tag) = (text(&answer["path"]), text(&answer["etag"]));
        if tag.is_empty() {
            continue;
        }
        let before = *known.entry((path, tag)).or_insert(&answer["body"]);
        holds(*before == answer["body"], || {
            format!(
                "one tag of two documents: {tag} of {path} at {}",
                answer["at"]
            )
        })?;
    }
    Ok(())
}

/// The date of an event is never before that of an earlier one, nor an announced date of the head before one that was
/// announced more than a second ago.
pub(crate) fn v8_dates_never_go_back(evidence: &Evidence) -> Checked {
    let mut newest = None;
    for event in list(&evidence.order["events"]) {
        let updated = DateTime::parse_from_rfc3339(text(&event["updated"])).ok();
        holds(updated.is_some() && updated >= newest, || {
            format!(
                "event {} has the date {}, after {newest:?}",
                event["sequence"], event["updated"]
            )
        })?;
        newest = updated;
    }
    let heads = evidence
        .http
        .iter()
        .filter(|answer| answer["path"] == "feed");
    let mut announced: Vec<_> = heads
        .filter_map(|answer| Some((answer, date(answer, "modified")?)))
        .collect();
    let mut earlier = announced.clone();
    announced.sort_by_key(|(answer, _)| milliseconds(answer, "from"));
    earlier.sort_by_key(|(answer, _)| milliseconds(answer, "at"));
    let (mut earlier, mut latest) = (earlier.into_iter().peekable(), None);
    for (answer, modified) in announced {
        let asked = milliseconds(answer, "from");
        let is_over =
            |(before, _): &(&Value, SystemTime)| milliseconds(before, "at") + LATE + SLACK < asked;
        while let Some((_, before)) = earlier.next_if(is_over) {
            latest = latest.max(Some(before));
        }
        holds(Some(modified) >= latest, || {
            format!("a date that went back from {latest:?}: {answer}")
        })?;
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

/// A reader is refused only around a fault, and then because the service cannot answer now.
pub(crate) fn v11_answers(evidence: &Evidence) -> Checked {
    let faults = evidence
        .history
        .iter()
        .filter(|line| line["type"] == "fault");
    let faults: Vec<(u64, u64)> = faults
        .map(|line| (milliseconds(line, "at"), lasts(text(&line["fault"]))))
        .collect();
    let level = evidence.mark("level").unwrap_or(u64::MAX);
    for answer in &evidence.http {
        let [from, at] = ["from", "at"].map(|name| milliseconds(answer, name));
        let meets = |(begin, time): &(u64, u64)| *begin <= at && from <= begin + time + LIVENESS;
        let right = match number(&answer["status"]) {
            200 | 226 | 303 | 304 => true,
            503 => from < level && faults.iter().any(meets),
            _ => false,
        };
        holds(right, || format!("a reader was refused: {answer}"))?;
    }
    Ok(())
}

/// Each reader has read the newest event, one by tag until nothing was newer: so the other rules had something to judge.
pub(crate) fn v11_all_is_read(evidence: &Evidence) -> Checked {
    let readers = evidence
        .history
        .iter()
        .filter(|line| line["type"] == "reader");
    let readers: Vec<&str> = readers.map(|line| text(&line["reader"])).collect();
    holds(!readers.is_empty(), || "nobody has read".to_owned())?;
    let newest = number(&evidence.order["head"][0]["sequence"]);
    for name in readers {
        let answers = || {
            evidence
                .http
                .iter()
                .filter(|answer| answer["reader"] == name)
        };
        let events = answers()
            .flat_map(|answer| list(&answer["events"]).iter().chain(list(&answer["data"])));
        let read = events.map(|event| number(&event[0])).max();
        holds(read == Some(newest), || {
            format!("the reader {name} has read {read:?} of {newest}")
        })?;
        let nothing_newer = |answer: &Value| answer["status"] == 304 && answer["known"] == newest;
        holds(name != "tag" || answers().any(nothing_newer), || {
            format!("the reader {name} never got a 304 for {newest}")
        })?;
    }
    Ok(())
}
