//! The state of a subscription as operators see it.

use chrono::{DateTime, Utc};
#[cfg(feature = "schemars")]
use schemars::JsonSchema;
use serde::Serialize;

use crate::consumer::source::wait::SILENCE;
use crate::event::Sequence;
use crate::store::consume::SubscriptionState;
use crate::store::operate::{instant, moment};

/// The state of a subscription.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(JsonSchema))]
pub struct Status {
    /// The address of the feed that the latest instance follows, or has followed.
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
    /// Who has paused the subscription and why; `null` if it is not paused.
    pub paused: Option<Paused>,
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
    /// Live instances that are not retired. One is alive while it reports to the database, every three seconds.
    pub instances: i64,
    /// Live instances that an operator has retired: they take nothing until their processes are restarted.
    pub retired: i64,
}

/// A pause: no event is taken and none retried until an operator resumes the subscription.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(JsonSchema))]
pub struct Paused {
    /// The operator.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Since when.
    #[serde(serialize_with = "moment")]
    pub at: DateTime<Utc>,
}

impl Status {
    /// Returns true if no event is taken or retried until an operator resumes the subscription: it is halted or paused.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.halted.is_some() || self.paused.is_some()
    }
}

/// How far a subscription is behind its feed.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(feature = "schemars", derive(JsonSchema))]
pub struct Lag {
    /// Events not yet taken.
    pub events: i64,
    /// The age of the oldest event that is not taken, within the seconds between two reports of an instance; `null` before
    /// the first answer of the feed. Without such events: zero, or the time since the feed last answered, or since
    /// the first instance started if it never has, if that is too long.
    pub seconds: Option<i64>,
}

pub(super) fn status_of(state: SubscriptionState, feed: String) -> Status {
    let reported = state.reported;
    let head = reported.head.unwrap_or(0).max(state.sequence);
    let events = head - state.sequence;
    let is_long = |silent: &i64| *silent > SILENCE.as_secs().cast_signed();
    let age = |updated: DateTime<Utc>| (state.now - updated).num_seconds().max(0);
    let paused = state.paused_at.map(|at| Paused {
        by: state.paused_by.unwrap_or_default(),
        reason: state.paused_because.unwrap_or_default(),
        at,
    });
    let heard = reported.last_contact.or(reported.started);
    Status {
        feed,
        epoch: state.epoch,
        sequence: state.sequence,
        head,
        lag: Lag {
            events,
            seconds: match events {
                // A feed that does not answer may have news.
                0 => Some(heard.map(age).filter(is_long).unwrap_or(0)),
                // An older version of an instance reports only the last event taken.
                _ => reported.all_taken_until().or(state.updated).map(age),
            },
        },
        parked: state.parked,
        waiting: state.waiting,
        skipped: state.skipped,
        halted: state.halted,
        paused,
        decision: state.decision,
        begins: state.begins.unwrap_or(0),
        last_contact: reported.last_contact,
        last_error: state.last_error,
        instances: reported.instances,
        retired: reported.retired,
    }
}
