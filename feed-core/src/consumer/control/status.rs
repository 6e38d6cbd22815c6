//! The state of a subscription as operators see it.

use chrono::{DateTime, SecondsFormat, Utc};
#[cfg(feature = "schemars")]
#[cfg(feature = "schemars")]
use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use crate::consumer::source::wait::SILENCE;
use crate::event::Sequence;
use crate::store::consume::{ParkedRow, Standing};
use crate::store::operate::{DecisionRow, SkipRow, TakenRow};

/// The state of a subscription.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(JsonSchema))]
pub struct Status {
    /// The address of the feed.
    pub feed: String,
    /// The feed's incarnation; `null` before the first event.
    pub epoch: Option<String>,
    /// The last event taken, in the partition that is furthest behind.
    pub sequence: Sequence,
    /// The newest event seen in the feed.
    pub head: Sequence,
    /// How far the subscription is behind.
    pub lag: Lag,
    /// Failed events, which wait for a retry or the operator.
    pub parked: i64,
    /// Later events of their subjects, which wait for them.
    pub waiting: i64,
    /// Events without an effect: the operator skipped them, or the effect had nothing to do.
    pub skipped: i64,
    /// Why the subscription is halted until an operator decides; `null` if it is not.
    pub halted: Option<String>,
    /// A decision that no instance has executed yet.
    pub decision: Option<String>,
    /// Events up to this sequence were never taken: an operator let the subscription begin after
    /// them.
    pub begins: Sequence,
    /// When the feed last answered any instance; the current time while that answer is fresh.
    #[serde(serialize_with = "instant")]
    pub last_contact: Option<DateTime<Utc>>,
    /// The error of the last round; `null` if it succeeded.
    pub last_error: Option<String>,
    /// Live instances.
    pub instances: i64,
}

/// How far a subscription is behind its feed.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(feature = "schemars", derive(JsonSchema))]
pub struct Lag {
    /// Events not yet taken.
    pub events: i64,
    /// The age of the last event taken while newer ones exist: at least that of the oldest event
    /// not yet taken; `null` before the first event. Without newer events: zero, or the time since
    /// the feed last answered if that is too long.
    pub seconds: Option<i64>,
}

/// A parked event.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(JsonSchema))]
pub struct ParkedEvent {
    /// The event's id.
    pub id: String,
    /// The event's subject.
    pub subject: String,
    /// Its sequence in the feed.
    pub sequence: Option<Sequence>,
    /// Why it failed; `null` if it waits for an earlier event of its subject.
    pub reason: Option<String>,
    /// The number of attempts.
    pub attempts: i64,
    /// When it was parked.
    #[serde(serialize_with = "moment")]
    pub parked_at: DateTime<Utc>,
    /// When it is retried; `null` if it waits for the operator.
    #[serde(serialize_with = "instant")]
    pub retry_at: Option<DateTime<Utc>>,
}

/// An event that was taken from the feed. Claims far below the cursor are no longer listed.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(JsonSchema))]
pub struct TakenEvent {
    /// The event's id.
    pub id: String,
    /// The event's subject; `null` for events taken by an older version.
    pub subject: Option<String>,
    /// Its sequence in the feed.
    pub sequence: Option<Sequence>,
    /// When it was claimed.
    #[serde(serialize_with = "moment")]
    pub claimed: DateTime<Utc>,
    /// What has happened to it.
    pub outcome: Outcome,
    /// Why it is parked, skipped or passed over.
    pub reason: Option<String>,
}

/// What has happened to an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Its effect is committed.
    Applied,
    /// Its effect failed.
    Parked,
    /// It waits for a parked event of its subject.
    Waiting,
    /// An operator has skipped it.
    Skipped,
    /// The effect had nothing to do for it.
    PassedOver,
}

/// An event without an effect.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(JsonSchema))]
pub struct SkippedEvent {
    /// The event's id.
    pub id: String,
    /// The event's subject.
    pub subject: String,
    /// The `CloudEvents` type, if the feed gives one.
    pub event_type: Option<String>,
    /// Its sequence in the feed.
    pub sequence: Option<Sequence>,
    /// Why it has no effect.
    pub reason: String,
    /// The operator who skipped it; `null` if the effect had nothing to do.
    pub skipped_by: Option<String>,
    /// When it was skipped or passed over.
    #[serde(serialize_with = "moment")]
    pub skipped_at: DateTime<Utc>,
}

/// A decision of an operator.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(JsonSchema))]
pub struct Decided {
    /// The number of the decision, ascending.
    pub position: i64,
    /// The decision as text.
    pub decision: String,
    /// The reason, if the operator gave one.
    pub reason: Option<String>,
    /// The operator's name.
    pub decided_by: String,
    /// When the operator decided.
    #[serde(serialize_with = "moment")]
    pub decided_at: DateTime<Utc>,
    /// When an instance executed it; `null` if it is open.
    #[serde(serialize_with = "instant")]
    pub done_at: Option<DateTime<Utc>>,
    /// The outcome.
    pub outcome: Option<String>,
}

fn instant<S: Serializer>(at: &Option<DateTime<Utc>>, serializer: S) -> Result<S::Ok, S::Error> {
    at.as_ref().map(text).serialize(serializer)
}

fn moment<S: Serializer>(at: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    text(at).serialize(serializer)
}

fn text(at: &DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

pub(super) fn status_of(standing: Standing, feed: String) -> Status {
    let head = standing.head.unwrap_or(0).max(standing.sequence);
    let events = head - standing.sequence;
    let is_long = |silent: &i64| *silent > SILENCE.as_secs().cast_signed();
    let age = |updated: DateTime<Utc>| (standing.now - updated).num_seconds().max(0);
    Status {
        feed,
        epoch: standing.epoch,
        sequence: standing.sequence,
        head,
        lag: Lag {
            events,
            seconds: match events {
                // A feed that does not answer may have news.
                0 => Some(standing.last_contact.map(age).filter(is_long).unwrap_or(0)),
                _ => standing.updated.map(age),
            },
        },
        parked: standing.parked,
        waiting: standing.waiting,
        skipped: standing.skipped,
        halted: standing.halted,
        decision: standing.decision,
        begins: standing.begins.unwrap_or(0),
        last_contact: standing.last_contact,
        last_error: standing.last_error,
        instances: standing.instances,
    }
}

pub(super) fn parked_of(row: ParkedRow) -> ParkedEvent {
    ParkedEvent {
        id: row.event_id,
        subject: row.subject,
        sequence: row.sequence,
        reason: row.reason,
        attempts: row.attempts,
        parked_at: row.parked_at,
        retry_at: row.retry_at,
    }
}

pub(super) fn taken_of(row: TakenRow) -> TakenEvent {
    TakenEvent {
        id: row.event_id,
        subject: row.subject,
        sequence: row.sequence,
        claimed: row.claimed,
        outcome: match (row.skipped, row.skipped_by, row.parked) {
            (true, Some(_), _) => Outcome::Skipped,
            (true, None, _) => Outcome::PassedOver,
            (false, _, true) if row.reason.is_some() => Outcome::Parked,
            (false, _, true) => Outcome::Waiting,
            (false, _, false) => Outcome::Applied,
        },
        reason: row.reason,
    }
}

pub(super) fn skipped_of(row: SkipRow) -> SkippedEvent {
    SkippedEvent {
        id: row.event_id,
        subject: row.subject,
        event_type: row.event_type,
        sequence: row.sequence,
        reason: row.reason,
        skipped_by: row.skipped_by,
        skipped_at: row.skipped_at,
    }
}

pub(super) fn decided_of(row: DecisionRow) -> Decided {
    Decided {
        position: row.position,
        decision: row.decision,
        reason: row.reason,
        decided_by: row.decided_by,
        decided_at: row.decided_at,
        done_at: row.done_at,
        outcome: row.outcome,
    }
}
