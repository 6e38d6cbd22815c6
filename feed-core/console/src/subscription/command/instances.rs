//! Who takes events: pauses and resumes the subscription, lists and retires its instances.

use super::Listing;
use super::check_pause;
use super::lists::named;
use super::words::{MOST, grouped, moment, number};
use crate::command::{By, CommandError, Done, print, print_json, say, table};
use feed_core::Backend;
use feed_core::consumer::{Handle, InstanceStatus};

/// The columns of the list of instances.
pub(in crate::subscription) const COLUMNS: [&str; 7] = [
    "Instance",
    "State",
    "Share",
    "Behind",
    "Last contact",
    "Started",
    "Version",
];

/// `pause`
pub(super) async fn pause<B: Backend>(
    handle: &Handle<B>,
    reason: &str,
    by: By,
) -> Result<Done, CommandError> {
    handle.pause(reason, &by.name()?).await?;
    let instances = handle.instances(MOST).await?;
    let older = instances.iter().filter(|instance| instance.is_older());
    let older: Vec<&str> = older.map(|instance| instance.instance.as_str()).collect();
    match older.as_slice() {
        [] => say("Paused: no event is taken or retried until `resume`."),
        _ => say(&format!(
            "Paused, but an instance of an older version takes events all the same: stop the process of {}.",
            older.join(", ")
        )),
    }
}

/// `resume`, without a flag
pub(super) async fn unpause<B: Backend>(handle: &Handle<B>, by: By) -> Result<Done, CommandError> {
    let by = by.name()?;
    check_pause(handle).await??;
    handle.unpause(&by).await?;
    let status = handle.status().await?;
    say(match (status.halted, status.instances) {
        (Some(_), _) => "Resumed after the pause. It is halted still: `status` says why.",
        (None, 0) => "Resumed: events are taken when the service starts.",
        (None, _) => "Resumed: events are taken again within seconds.",
    })
}

/// `instances`
pub(super) async fn list<B: Backend>(
    handle: &Handle<B>,
    listing: Listing,
) -> Result<Done, CommandError> {
    let instances = handle.instances(listing.limit).await?;
    if listing.json {
        print_json(&named("instances", &instances))?;
    } else {
        let rows = instances.iter().map(|instance| {
            let columns = [
                instance.instance.clone(),
                state(instance),
                share(instance),
                behind(instance),
                instance
                    .last_contact
                    .map_or_else(|| "never".to_owned(), moment),
                instance
                    .started_at
                    .map_or_else(|| "\u{2013}".to_owned(), moment),
                instance
                    .version
                    .clone()
                    .unwrap_or_else(|| "\u{2013}".to_owned()),
            ];
            (columns, why(instance))
        });
        print(&table(
            COLUMNS,
            rows,
            "No instance has run within the last hour.",
        ))?;
    }
    let works = instances.iter().any(InstanceStatus::takes_events);
    Ok(match works {
        true => Done::Well,
        false => Done::Found,
    })
}

/// `retire`
pub(super) async fn retire<B: Backend>(
    handle: &Handle<B>,
    instance: &str,
    reason: &str,
    by: By,
) -> Result<Done, CommandError> {
    handle.retire(instance, reason, &by.name()?).await?;
    say(&format!(
        "Retired {instance}: the others take over its events within seconds. It takes none until its process is restarted."
    ))
}

/// Names the state of an instance.
pub(in crate::subscription) fn state(instance: &InstanceStatus) -> String {
    match &instance.retired_by {
        _ if !instance.alive => format!("ended, by {}", moment(instance.alive_until)),
        Some(by) => format!("retired by {by}"),
        None => "works".to_owned(),
    }
}

/// Returns why an instance is retired, or the error of its last round.
pub(in crate::subscription) fn why(instance: &InstanceStatus) -> Option<&str> {
    let retired = instance.retired_because.as_deref();
    retired.or(instance.last_error.as_deref())
}

/// Formats the share of an instance: `8 of 16`.
pub(in crate::subscription) fn share(instance: &InstanceStatus) -> String {
    format!("{} of {}", instance.partitions, InstanceStatus::PARTITIONS)
}

/// Formats how many events an instance is behind, if it holds a partition.
pub(in crate::subscription) fn behind(instance: &InstanceStatus) -> String {
    match (instance.head, instance.sequence) {
        (Some(head), Some(sequence)) => grouped((head - sequence).max(0)),
        _ => number(None),
    }
}
