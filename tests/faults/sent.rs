//! What the checker finds in the requests to a webhook, which is no database: V1 to V5. An event arrives there at least once,
//! in sequence within its subject. What the webhook refuses is parked, and what follows it in its subject.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::evidence::Evidence;
use crate::rules::{Checked, holds, list, number, same_list, text};

/// How many events may come again for each fault that an acknowledgement met: one from each instance that was at work.
const AGAIN: usize = 3;

/// How many without a fault: the answer of a loaded machine may be too late.
const LATE: usize = 2;

/// How long a fault may take to act, and what was acknowledged to be committed, in milliseconds.
const SOON: u64 = 3_000;

/// The events of the feed by their ids.
fn published(evidence: &Evidence) -> BTreeMap<String, &Value> {
    let events = list(&evidence.order["events"]).iter();
    events
        .map(|event| (format!("urn:uuid:{}", text(&event["id"])), event))
        .collect()
}

/// Subjects of which the webhook takes no event.
fn refused(evidence: &Evidence) -> BTreeSet<&str> {
    let sent = evidence.sent.iter().filter(|sent| sent["refused"] == true);
    sent.map(|sent| text(&sent["subject"])).collect()
}

fn is_acknowledged(sent: &Value) -> bool {
    matches!(number(&sent["answered"]), 200..=299)
}

/// Every event was acknowledged, except those of subjects that the webhook refuses.
pub(crate) fn v1_all_acknowledged(evidence: &Evidence) -> Checked {
    if evidence.webhook.is_none() {
        return Ok(());
    }
    let acknowledged = evidence.sent.iter().filter(|sent| is_acknowledged(sent));
    let acknowledged: BTreeSet<&str> = acknowledged.map(|sent| text(&sent["id"])).collect();
    let refused = refused(evidence);
    for (id, event) in published(evidence) {
        let done = acknowledged.contains(id.as_str()) || refused.contains(text(&event["subject"]));
        holds(done, || {
            format!("the webhook never acknowledged event {}", event["sequence"])
        })?;
    }
    Ok(())
}

/// What was sent is an event of the feed, with the data that readers have seen.
pub(crate) fn v2_nothing_else(evidence: &Evidence) -> Checked {
    let published = published(evidence);
    let mut data: BTreeMap<&str, &Value> = BTreeMap::new();
    for answer in &evidence.http {
        for event in list(&answer["data"]) {
            data.insert(text(&event[1]), &event[2]);
        }
    }
    for sent in &evidence.sent {
        let id = text(&sent["id"]);
        let event = published.get(id);
        let same = event.is_some_and(|event| {
            ["subject", "sequence", "type"].map(|name| &sent[name])
                == ["subject", "sequence", "type"].map(|name| &event[name])
        });
        holds(same && sent["body"] == id, || {
            format!("the webhook got what is not in the feed: {sent}, and there is {event:?}")
        })?;
        let seen = data.get(id);
        holds(seen.is_none_or(|seen| **seen == sent["data"]), || {
            format!("the webhook got other data than readers: {sent}, {seen:?}")
        })?;
    }
    Ok(())
}

/// An event is not sent before the one before it in its subject was acknowledged.
pub(crate) fn v4_in_order(evidence: &Evidence) -> Checked {
    let mut before: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    for event in list(&evidence.order["events"]) {
        let subject = before.entry(text(&event["subject"])).or_default();
        subject.push(number(&event["sequence"]));
    }
    // When each event was acknowledged first. A line is written right before its answer.
    let mut acknowledged: BTreeMap<i64, u64> = BTreeMap::new();
    for sent in evidence.sent.iter().filter(|sent| is_acknowledged(sent)) {
        let at = sent["at"].as_u64().unwrap_or_default();
        acknowledged.entry(number(&sent["sequence"])).or_insert(at);
    }
    for sent in &evidence.sent {
        let from = sent["from"].as_u64().unwrap_or_default();
        let earlier = before.get(text(&sent["subject"])).into_iter().flatten();
        let earlier = earlier.filter(|earlier| **earlier < number(&sent["sequence"]));
        for earlier in earlier {
            let at = acknowledged.get(earlier);
            holds(at.is_some_and(|at| *at <= from), || {
                format!("the webhook got {sent} before it had acknowledged event {earlier}: {at:?}")
            })?;
        }
    }
    Ok(())
}

/// What stays parked is what the webhook refuses, and what follows it. An acknowledged event comes again only after a
/// fault.
pub(crate) fn v5_no_more_than_needed(evidence: &Evidence) -> Checked {
    let Some(webhook) = &evidence.webhook else {
        return Ok(());
    };
    let refused = refused(evidence);
    let events = published(evidence).into_iter();
    let expected = events.filter(|(_, event)| refused.contains(text(&event["subject"])));
    let parked = list(&webhook["parked"]).iter();
    same_list(
        "webhook, parked",
        expected.map(|(id, _)| id).collect(),
        parked
            .map(|row| text(&row["event_id"]).to_owned())
            .collect(),
    )?;
    again_only_after_faults(evidence)
}

/// An event comes again if the one who sent it died, or lost its database, before it had stored the acknowledgement.
fn again_only_after_faults(evidence: &Evidence) -> Checked {
    let mut faults: Vec<(u64, u64, usize)> = interruptions(evidence)
        .map(|(from, to)| (from, to, 0))
        .collect();
    let mut acknowledged: BTreeMap<&str, &Value> = BTreeMap::new();
    let mut unexplained = Vec::new();
    for sent in &evidence.sent {
        if let Some(before) = acknowledged.get(text(&sent["id"])) {
            let [from, at] = ["from", "at"].map(|name| before[name].as_u64().unwrap_or_default());
            let met = faults.iter_mut().find(|(begin, end, times)| {
                *times < AGAIN && *begin <= at + SOON && from <= *end + SOON
            });
            match met {
                Some((_, _, times)) => *times += 1,
                None => unexplained.push(number(&sent["sequence"])),
            }
        }
        if is_acknowledged(sent) {
            acknowledged.insert(text(&sent["id"]), sent);
        }
    }
    holds(unexplained.len() <= LATE, || {
        format!(
            "the webhook got acknowledged events again: {unexplained:?}, which {} faults do not explain",
            faults.len()
        )
    })
}

/// From when to when something interrupted those who send, or their database. One that stops in order finishes first.
fn interruptions(evidence: &Evidence) -> impl Iterator<Item = (u64, u64)> {
    const THEIRS: [&str; 8] = [
        "Kill(Shipping",
        "KillAll",
        "Freeze(Shipping",
        "Cut(Shipping",
        "FreezeBackend(Shipping",
        "FreezePooler",
        "Restart",
        "Burst",
    ];
    let faults = evidence
        .history
        .iter()
        .filter(|line| line["type"] == "fault");
    faults.filter_map(|line| {
        let (fault, at) = (text(&line["fault"]), line["at"].as_u64()?);
        let theirs = THEIRS.iter().any(|begin| fault.starts_with(begin));
        theirs.then(|| (at, at + lasts(fault)))
    })
}

/// How long a fault lasts, in milliseconds.
pub(crate) fn lasts(fault: &str) -> u64 {
    let numbers = fault.trim_end_matches(')').rsplit([' ', '(']);
    let last = numbers.map(str::parse).next();
    match last {
        Some(Ok(time)) if fault.starts_with("Freeze") => time,
        _ => 0,
    }
}
