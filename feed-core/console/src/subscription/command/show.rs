//! The state of the subscription, and the decisions that take effect at once.

use schemars::JsonSchema;
use serde::Serialize;

use super::line::{Skipped, Which};
use super::reconcile::summary;
use super::words::{
    MOST, WHAT_TO_DO, WHEN_RESUMED, behind, counted, grouped, moment, sentence, span,
};
use crate::command::{By, CommandError, Done, print, print_json};
use feed_core::Backend;
use feed_core::consumer::{Handle, Pace, Paused, Reconciliation, Status};

/// The status with the last comparison: the JSON that `GET /status` answers.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Status")]
pub(in crate::subscription) struct StatusDocument {
    #[serde(flatten)]
    pub(in crate::subscription) status: Status,
    /// How fast it follows the feed; `null` while that is not known: in a process that has just
    /// started or that does not follow the feed itself, and right after a replay.
    pub(in crate::subscription) pace: Option<Pace>,
    /// The last comparison of the feed with the stored data; `null` if there was none.
    pub(in crate::subscription) reconciliation: Option<Reconciliation>,
}

/// The differences included in the status. `reconcile` names more.
const NAMED: usize = 100;

impl StatusDocument {
    pub(in crate::subscription) async fn of<B: Backend>(handle: &Handle<B>) -> sqlx::Result<Self> {
        let mut reconciliation = handle.reconciliation().await?;
        if let Some(reconciliation) = &mut reconciliation {
            reconciliation.differences.truncate(NAMED);
        }
        let status = handle.status().await?;
        Ok(Self {
            pace: handle.pace(&status),
            status,
            reconciliation,
        })
    }
}

/// `status`
pub(super) async fn status<B: Backend>(
    handle: &Handle<B>,
    json: bool,
) -> Result<Done, CommandError> {
    let document = StatusDocument::of(handle).await?;
    let status = &document.status;
    if json {
        print_json(&document)?;
    } else {
        print(&text(&document))?;
    }
    let needs_someone = status.is_stopped()
        || status.parked > 0
        || status.last_error.is_some()
        || is_left_alone(status)
        || silent_for(status).is_some();
    Ok(match needs_someone {
        true => Done::Found,
        false => Done::Well,
    })
}

/// Returns true if nobody takes events: then nobody knows either whether there are new ones.
fn is_left_alone(status: &Status) -> bool {
    status.instances == 0
}

/// Returns for how many seconds the feed has not answered, if that is too long: it may have news.
fn silent_for(status: &Status) -> Option<i64> {
    let silent = status.lag.seconds.filter(|_| status.lag.events == 0);
    silent.filter(|seconds| *seconds > 0)
}

fn text(document: &StatusDocument) -> String {
    let status = &document.status;
    let mut text = String::new();
    if let Some(reason) = &status.halted {
        text += &format!("Halted: {reason}.\n{}.\n", sentence(WHAT_TO_DO));
    }
    if let Some(Paused { by, reason, at }) = &status.paused {
        let since = moment(*at);
        text += &format!(
            "Paused by {by} since {since}: {reason}.\nNo event is taken until `resume`.\n"
        );
    }
    match status.parked {
        0 => {}
        1 => text += "1 event is parked: `parked` says why.\n",
        parked => {
            text += &format!(
                "{} events are parked: `parked` says why.\n",
                grouped(parked)
            );
        }
    }
    if let Some(error) = &status.last_error {
        text += &format!("The last poll failed: {error}.\n");
    }
    if is_left_alone(status) {
        text += "No instance runs: no event is taken, and what is new in the feed is not known.\n";
    } else if let Some(seconds) = silent_for(status) {
        let silent = span(seconds);
        text +=
            &format!("The feed has not answered for {silent}: what is new there is not known.\n");
    }
    if text.is_empty() {
        text += "Nothing is stuck.\n";
    }
    if let Some(decision) = &status.decision {
        text += &format!("Decided, and not carried out yet: {decision}.\n");
    }
    text.push('\n');
    let mut row = |name: &str, value: String| text += &format!("{name:<16}{value}\n");
    row("Feed", status.feed.clone());
    row(
        "Epoch",
        status
            .epoch
            .clone()
            .unwrap_or_else(|| "none yet".to_owned()),
    );
    row(
        "Taken up to",
        format!("{} of {}", grouped(status.sequence), grouped(status.head)),
    );
    if status.begins > 0 {
        row("Begins after", grouped(status.begins));
    }
    row("Lag", behind(status.lag));
    row(
        "Last contact",
        status
            .last_contact
            .map_or_else(|| "never".to_owned(), moment),
    );
    row(
        "Parked",
        format!(
            "{}, and {} waiting for them",
            grouped(status.parked),
            grouped(status.waiting)
        ),
    );
    row("Without effect", grouped(status.skipped));
    row("Instances", grouped(status.instances));
    if let Some(compared) = &document.reconciliation {
        row("Compared", summary(compared));
    }
    text
}

/// `retry`
pub(super) async fn retry<B: Backend>(
    handle: &Handle<B>,
    which: Which,
    by: By,
) -> Result<Done, CommandError> {
    let by = by.name()?;
    let events = match which.cause {
        Some(cause) => handle.retry_cause(&cause, &by).await?,
        None => handle.retry(which.id.as_deref(), &by).await?,
    };
    let events = i64::try_from(events).unwrap_or(i64::MAX);
    let status = handle.status().await?;
    let when = match status.instances {
        _ if status.is_stopped() => WHEN_RESUMED,
        0 => "when the service starts",
        _ => "within seconds",
    };
    let again = "`parked` lists what fails again";
    print(&match events {
        0 => "No event is parked.\n".to_owned(),
        1 => format!("1 event is tried again {when}; {again}.\n"),
        _ => format!(
            "{} events are tried again {when}; {again}.\n",
            grouped(events)
        ),
    })?;
    Ok(Done::Well)
}

/// `skip`
pub(super) async fn skip<B: Backend>(
    handle: &Handle<B>,
    which: Skipped,
    reason: &str,
    by: By,
) -> Result<Done, CommandError> {
    let by = by.name()?;
    let skipped = match (which.id, which.cause) {
        (Some(id), _) => {
            handle.skip(&id, reason, &by).await?;
            format!("Skipped {id}. The later events of its subject continue.\n")
        }
        (None, cause) => {
            let cause = cause.unwrap_or_default();
            let events = handle.skip_cause(&cause, reason, &by).await?;
            let events = counted(i64::try_from(events).unwrap_or(i64::MAX), "event");
            let more = handle.causes(MOST).await?;
            let more = more.iter().find(|other| other.cause == cause);
            let more = more.map_or(String::new(), |more| {
                format!(
                    " {} of this cause remain: repeat the command.",
                    grouped(more.events)
                )
            });
            format!("Skipped {events}. The later events of their subjects continue.{more}\n")
        }
    };
    print(&skipped)?;
    Ok(Done::Well)
}
