//! The data behind the metrics of a subscription: one statement that reads a few rows, however much
//! is stored.

use chrono::{DateTime, Utc};
use sqlx::Pool;

use super::answer::Answer;
use crate::event::Sequence;

/// The progress of a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Progress {
    /// The lowest cursor of all partitions.
    pub(crate) sequence: Sequence,
    /// The newest event that any instance has seen in the feed, if it has sequences.
    pub(crate) head: Option<Sequence>,
    /// All events that were published before are taken, as far as live instances know, or the last ones did.
    pub(crate) taken_until: Option<DateTime<Utc>>,
    pub(crate) last_contact: Option<DateTime<Utc>>,
    /// When the first of the known instances started.
    pub(crate) started: Option<DateTime<Utc>>,
    /// Live instances that are not retired.
    pub(crate) instances: i64,
    /// Failed events, and those that wait for one of them; together not above
    /// [`COUNTED`](super::COUNTED).
    pub(crate) parked: i64,
    pub(crate) waiting: i64,
    pub(crate) halted: bool,
    pub(crate) paused: bool,
}

/// The operation behind the metrics of a subscription.
pub(crate) trait Measure: sqlx::Database {
    /// Returns the progress of the subscription `s`.
    fn progress(pool: &Pool<Self>, s: &str) -> impl Answer<Progress>;
}
