//! The state of the subscription.

use schemars::JsonSchema;
use serde::Serialize;

use super::reconcile::summary;
use super::words::{WHAT_TO_DO, behind, grouped, moment, sentence, span};
use crate::command::{CommandError, Done, print, print_json};
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
