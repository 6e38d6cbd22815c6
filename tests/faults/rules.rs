//! What the checker finds in the answers to clients and in all databases: V1 to V7, V11 and V12.
//! Each returns what is wrong.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use harness::Story;
use harness::audit;
use harness::checker::difference;
use serde_json::Value;

use crate::clients::marker;
use crate::evidence::Evidence;
use crate::sent::lasts;

/// What is wrong, or nothing.
pub(crate) type Checked = Result<(), String>;

/// How long after the last fault everything must be applied, in milliseconds.
pub(crate) const LIVENESS: u64 = 30_000;

/// How long an instance may take to stop, in milliseconds: then Docker kills it.
const STOPPING: u64 = 10_000;

pub(crate) fn holds(condition: bool, otherwise: impl FnOnce() -> String) -> Checked {
    if condition { Ok(()) } else { Err(otherwise()) }
}

/// In any order.
pub(crate) fn same_list(what: &str, mut expected: Vec<String>, mut found: Vec<String>) -> Checked {
    expected.sort();
    found.sort();
    holds(expected == found, || {
        let [expected, found] = [expected, found].map(|list| list.into_iter().collect());
        let difference = difference(&expected, &found);
        format!(
            "{what}: {}",
            difference.unwrap_or("one came twice".to_owned())
        )
    })
}

pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

pub(crate) fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or_default()
}

/// The subjects of requests to `place` or `cancel` an order that were answered, and when.
pub(crate) fn acknowledged(evidence: &Evidence, what: &str) -> Vec<(String, u64)> {
    let asked = evidence.history.iter().filter(|line| line["do"] == what);
    let asked: HashSet<u64> = asked.filter_map(|line| line["op"].as_u64()).collect();
    let answered = evidence.history.iter().filter(|line| line["type"] == "ok");
    answered
        .filter(|line| line["op"].as_u64().is_some_and(|op| asked.contains(&op)))
        .map(|line| {
            let at = line["at"].as_u64().unwrap_or_default();
            (format!("order/{}", line["order"]), at)
        })
        .collect()
}

/// The order of an answer is that of its request, and not of another one.
fn each_has_its_own(evidence: &Evidence) -> Checked {
    let orders: BTreeMap<i64, &str> = list(&evidence.order["orders"])
        .iter()
        .map(|order| (number(&order["id"]), text(&order["marker"])))
        .collect();
    let asked = evidence.history.iter().filter(|line| line["do"] == "place");
    let asked: HashSet<u64> = asked.filter_map(|line| line["op"].as_u64()).collect();
    for line in evidence.history.iter().filter(|line| line["type"] == "ok") {
        let Some(op) = line["op"].as_u64().filter(|op| asked.contains(op)) else {
            continue;
        };
        let found = orders.get(&number(&line["order"]));
        holds(found.is_some_and(|found| *found == marker(op)), || {
            format!("the order of request {op} is {found:?}: {line}")
        })?;
    }
    Ok(())
}

/// Subjects that have an event of this type.
fn published_for<'a>(evidence: &'a Evidence, kind: &str) -> Vec<&'a str> {
    let events = list(&evidence.order["events"]).iter();
    events
        // An event that was written past the service has no order.
        .filter(|event| event["type"] == kind && !text(&event["data"]).contains("\"poison\""))
        .map(|event| text(&event["subject"]))
        .collect()
}

/// Every acknowledged change is in the feed, and every event of the feed is at every consumer: with
/// its effect, parked, or skipped with a reason.
pub(crate) fn v1_no_loss(evidence: &Evidence) -> Checked {
    let placed: BTreeSet<&str> = published_for(evidence, "order.placed")
        .into_iter()
        .collect();
    let cancelled: BTreeSet<&str> = published_for(evidence, "order.cancelled")
        .into_iter()
        .collect();
    for (what, published) in [("place", &placed), ("cancel", &cancelled)] {
        for (subject, at) in acknowledged(evidence, what) {
            holds(published.contains(subject.as_str()), || {
                format!("to {what} {subject} was acknowledged at {at} ms, and it has no event")
            })?;
        }
    }
    each_has_its_own(evidence)?;
    let story = Story::from_rows(list(&evidence.order["events"]));
    let all = story.claimed();
    let bills = evidence.bills.iter().map(|bills| ("bills", bills));
    for (name, consumer) in evidence.followers().chain(bills) {
        let claimed: BTreeSet<String> = list(&consumer["claims"])
            .iter()
            .map(|row| text(&row["event_id"]).to_owned())
            .collect();
        let missing: Vec<_> = all.difference(&claimed).take(5).collect();
        holds(missing.is_empty(), || {
            format!("{name} has never had {missing:?}")
        })?;
    }
    Ok(())
}

/// Every event describes a change that was committed, and every change has its events; a refused
/// request has left nothing, and no request has left two orders.
pub(crate) fn v2_no_phantom(evidence: &Evidence) -> Checked {
    let orders = list(&evidence.order["orders"]);
    let changed = |status: Option<&str>| -> Vec<String> {
        let orders = orders
            .iter()
            .filter(|order| status.is_none_or(|status| order["status"] == status));
        orders
            .map(|order| format!("order/{}", order["id"]))
            .collect()
    };
    for (kind, expected) in [
        ("order.placed", changed(None)),
        ("order.cancelled", changed(Some("cancelled"))),
    ] {
        // As lists, so that two events of one change are found.
        let published = published_for(evidence, kind).into_iter();
        same_list(kind, expected, published.map(str::to_owned).collect())?;
    }
    let mut of_marker: BTreeMap<&str, usize> = BTreeMap::new();
    for order in orders {
        *of_marker.entry(text(&order["marker"])).or_default() += 1;
    }
    let twice = of_marker.iter().find(|(_, count)| **count > 1);
    holds(twice.is_none(), || {
        format!("one request has left several orders: {twice:?}")
    })?;
    for line in evidence
        .history
        .iter()
        .filter(|line| line["type"] == "fail")
    {
        let marker = marker(line["op"].as_u64().unwrap_or_default());
        holds(!of_marker.contains_key(marker.as_str()), || {
            format!("it was refused, and is there: {line}")
        })?;
    }
    Ok(())
}

/// The sequence is 1, 2, 3 …
pub(crate) fn v3_dense(evidence: &Evidence) -> Checked {
    let events = list(&evidence.order["events"]);
    let numbers: Vec<i64> = events
        .iter()
        .map(|event| number(&event["sequence"]))
        .collect();
    let dense = numbers.iter().copied().eq(1..=numbers.len() as i64);
    holds(dense, || format!("the sequence has holes: {numbers:?}"))?;
    let head = &evidence.order["head"][0];
    let newest = number(&head["sequence"]);
    holds(newest == numbers.len() as i64, || {
        format!("the head is at {newest} of {}", numbers.len())
    })?;
    holds(
        head["anchor"]
            == events
                .last()
                .map_or(Value::Null, |event| event["id"].clone()),
        || format!("the head's anchor is another event: {head}"),
    )
}

/// The events of one order are published, and applied, in their order.
pub(crate) fn v4_in_order(evidence: &Evidence) -> Checked {
    let mut placed = BTreeSet::new();
    for event in list(&evidence.order["events"]) {
        match text(&event["type"]) {
            "order.placed" => {
                placed.insert(text(&event["subject"]));
            }
            "order.cancelled" => holds(placed.contains(text(&event["subject"])), || {
                format!("published before it was placed: {event}")
            })?,
            _ => {}
        }
    }
    for (name, consumer) in evidence.followers() {
        let rows = list(&consumer["audit"]);
        audit::claims(rows).map_err(|wrong| format!("{name}: {wrong}"))?;
    }
    Ok(())
}

/// One document for each order, of the event that placed it, with its amounts; the sums are equal.
pub(crate) fn v5_exactly_one_effect(evidence: &Evidence) -> Checked {
    let story = Story::from_rows(list(&evidence.order["events"]));
    for (name, consumer) in &evidence.consumers {
        let found = list(&consumer["documents"])
            .iter()
            .map(|row| text(row).to_owned());
        let difference = difference(&story.documents(name), &found.collect());
        holds(difference.is_none(), || {
            format!("{name}: {}", difference.unwrap_or_default())
        })?;
        audit::effects(list(&consumer["audit"])).map_err(|wrong| format!("{name}: {wrong}"))?;
        let erased = story.erased();
        let [_, parked, skipped] = story.ids();
        let mut either = BTreeSet::new();
        for (table, expected) in [("parked", parked), ("skipped", skipped)] {
            let found = list(&consumer[table]).iter();
            let found: BTreeSet<String> =
                found.map(|row| text(&row["event_id"]).to_owned()).collect();
            let (expected, kept) = (&expected - &erased, &found - &erased);
            let wrong = harness::checker::difference(&expected, &kept);
            holds(wrong.is_none(), || {
                format!("{name}, {table}: {}", wrong.unwrap_or_default())
            })?;
            either = &either ^ &found;
        }
        let wrong: Vec<_> = erased.difference(&either).take(5).collect();
        holds(wrong.is_empty(), || {
            format!("{name}: not parked or skipped, or both: {wrong:?}")
        })?;
    }
    billed_once(evidence, &story)?;
    let ordered: i64 = list(&evidence.order["orders"])
        .iter()
        .map(|order| number(&order["total_cents"]))
        .sum();
    let invoiced: i64 = list(&evidence.consumers[0].1["documents"])
        .iter()
        .filter_map(|row| text(row).split('|').nth(3)?.parse::<i64>().ok())
        .sum();
    holds(ordered == invoiced, || {
        format!("{ordered} cents were ordered, {invoiced} invoiced")
    })
}

/// The same of the consumer that is no program of ours. It keeps what it could not bill with its claim.
fn billed_once(evidence: &Evidence, story: &Story) -> Checked {
    let Some(bills) = &evidence.bills else {
        return Ok(());
    };
    // As lists, so that two bills of one order are found.
    let found = list(&bills["documents"]).iter();
    same_list(
        "bills",
        story.bills(),
        found.map(|row| text(row).to_owned()).collect(),
    )?;
    let failed = list(&bills["claims"])
        .iter()
        .filter(|row| !row["failed"].is_null());
    let failed = failed
        .map(|row| text(&row["event_id"]).to_owned())
        .collect();
    let unbilled = story.unbilled().into_iter().collect();
    same_list("bills that failed", unbilled, failed)
}

/// Cursors only advance, and are at the head, with its anchor.
pub(crate) fn v6_cursors(evidence: &Evidence) -> Checked {
    let head = &evidence.order["head"][0];
    let anchor = format!("urn:uuid:{}", text(&head["anchor"]));
    for (name, consumer) in evidence.followers() {
        audit::moves(list(&consumer["audit"])).map_err(|wrong| format!("{name}: {wrong}"))?;
        for partition in list(&consumer["partitions"]) {
            let there = partition["sequence"] == head["sequence"];
            let same = number(&head["sequence"]) == 0 || partition["anchor"] == anchor;
            holds(there && same, || {
                format!("{name}: {partition} is not at {head}")
            })?;
        }
    }
    Ok(())
}

/// No instance has written under another's lease.
pub(crate) fn v7_fencing(evidence: &Evidence) -> Checked {
    for (name, consumer) in evidence.followers() {
        audit::owners(list(&consumer["audit"])).map_err(|wrong| format!("{name}: {wrong}"))?;
    }
    Ok(())
}

/// Soon after the last fault everything is applied, without a decision of an operator.
pub(crate) fn v11_live(evidence: &Evidence) -> Checked {
    let (last, level) = (evidence.mark("last fault"), evidence.mark("level"));
    let took = level
        .zip(last)
        .map(|(level, last)| level.saturating_sub(last));
    holds(took.is_some_and(|took| took <= LIVENESS), || {
        format!("from the last fault to level: {took:?} ms")
    })?;
    let gone = evidence.history.iter().find(|line| !line["gone"].is_null());
    holds(gone.is_none(), || {
        format!("it has ended by itself: {gone:?}")
    })?;
    for stopped in evidence.history.iter().filter(|line| line["ready"] == true) {
        holds(stopped_well(evidence, stopped), || {
            format!("it has not stopped in order: {stopped}")
        })?;
    }
    for (name, consumer) in evidence.followers() {
        let halted = &consumer["subscription"][0]["halted"];
        holds(halted.is_null(), || format!("{name} is halted: {halted}"))?;
    }
    Ok(())
}

/// True if an instance that was ready has stopped in order and in time, or could not because of its database.
fn stopped_well(evidence: &Evidence, stopped: &Value) -> bool {
    const EXCUSES: [&str; 4] = ["FreezeBackend", "FreezePooler", "Restart", "LoseAnswers"];
    let [from, at] = ["from", "at"].map(|name| stopped[name].as_u64().unwrap_or_default());
    let mut faults = evidence
        .history
        .iter()
        .filter(|line| line["type"] == "fault");
    let is_excused = faults.any(|line| {
        let (fault, begin) = (
            text(&line["fault"]),
            line["at"].as_u64().unwrap_or_default(),
        );
        let excuses = EXCUSES.iter().any(|excuse| fault.starts_with(excuse));
        excuses && begin <= at && from <= begin + lasts(fault) + STOPPING
    });
    is_excused || (stopped["code"] == 0 && at - from <= STOPPING)
}

/// No event waits for a number, and nothing has grown beyond its bounds.
pub(crate) fn v12_bounded(evidence: &Evidence) -> Checked {
    holds(evidence.order["unnumbered"] == 0, || {
        format!("{} events have no number", evidence.order["unnumbered"])
    })?;
    for sample in &evidence.samples {
        let (size, bound) = (number(&sample["size"]), number(&sample["bound"]));
        holds(bound == 0 || size <= bound, || {
            format!("too much: {sample}")
        })?;
    }
    Ok(())
}
