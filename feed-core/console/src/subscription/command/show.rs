//! The state of the subscription.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::reconcile::summary;
use super::words::{WHAT_TO_DO, behind, grouped, moment, parked, sentence};
use crate::command::{CommandError, Done, print, print_json};
use crate::subscription::concern::{Concern, Kind, ReportedStatus};
use crate::subscription::pace::words;
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
    /// What keeps the subscription from being well, worst first. It is empty if nothing needs an operator.
    pub(in crate::subscription) concerns: Vec<Concern>,
}

/// How long `--pace` watches: a shorter time has none.
const WATCHED: Duration = Duration::from_millis(10_100);

/// From this lag on, in seconds, the pace is watched in any case: whether it catches up decides about the exit code.
const LATE: i64 = 60;

/// The differences included in the status. `reconcile` names more.
const NAMED: usize = 100;

impl StatusDocument {
    pub(in crate::subscription) async fn of<B: Backend>(handle: &Handle<B>) -> sqlx::Result<Self> {
        let mut reconciliation = handle.reconciliation().await?;
        if let Some(reconciliation) = &mut reconciliation {
            reconciliation.differences.truncate(NAMED);
        }
        let status = handle.status().await?;
        let pace = handle.pace(&status);
        Ok(Self {
            concerns: ReportedStatus::of(&status, pace.as_ref(), reconciliation.as_ref())
                .concerns(),
            pace,
            status,
            reconciliation,
        })
    }
}

/// `status`
pub(super) async fn status<B: Backend>(
    handle: &Handle<B>,
    json: bool,
    pace: bool,
) -> Result<Done, CommandError> {
    let before = handle.status().await?;
    let is_late = before.lag.events > 0 && before.lag.seconds >= Some(LATE);
    if pace || is_late && !before.is_stopped() {
        handle.sample(&before);
        tokio::time::sleep(WATCHED).await;
    }
    let document = StatusDocument::of(handle).await?;
    if json {
        print_json(&document)?;
    } else {
        print(&text(&document))?;
    }
    Ok(match document.concerns.is_empty() {
        true => Done::Well,
        false => Done::Found,
    })
}

/// Describes a concern on lines of its own, with what to do about it.
fn advice(concern: &Concern, status: &Status) -> String {
    let said = match &concern.why {
        Some(why) => format!("{}: {why}", sentence(&concern.text)),
        None => sentence(&concern.text),
    };
    match concern.kind {
        Kind::Halted => format!("{said}.\n{}.\n", sentence(WHAT_TO_DO)),
        Kind::Parked => format!("{}: `parked` says why.\n", parked(status.parked)),
        Kind::Unattended => {
            format!("{said}.\nNo event is taken, and what is new in the feed is not known.\n")
        }
        Kind::Silent => format!("{said}: what is new there is not known.\n"),
        Kind::Paused => match &status.paused {
            Some(Paused { by, reason, at }) => {
                let since = moment(*at);
                format!(
                    "Paused by {by} since {since}: {reason}.\nNo event is taken until `resume`.\n"
                )
            }
            None => format!("{said}.\n"),
        },
        Kind::Differing => format!("{said}: `reconcile` names them.\n"),
        Kind::Behind | Kind::Failing | Kind::Other => format!("{said}.\n"),
    }
}

fn text(document: &StatusDocument) -> String {
    let status = &document.status;
    let concerns = document.concerns.iter();
    let mut text: String = concerns.map(|concern| advice(concern, status)).collect();
    if text.is_empty() {
        text += match document.pace.is_none() && status.lag.events > 0 {
            true => "Nothing is parked; `status --pace` says whether it catches up.\n",
            false => "Nothing is stuck.\n",
        };
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
    row("Lag", behind(status.lag, status.halted.is_some()));
    if let Some(pace) = &document.pace {
        row(
            "Pace",
            sentence(&words(pace, status.lag.events, status.is_stopped())),
        );
    }
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
