//! What the metrics of a subscription are read from: one statement of a few rows, however much is stored.

use chrono::{DateTime, Utc};
use sqlx::Pool;

use super::answer::Answer;
use crate::event::Sequence;

/// How far a subscription has got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Progress {
    /// The lowest cursor of all partitions, and when the event there was published.
    pub(crate) sequence: Sequence,
    pub(crate) updated: Option<DateTime<Utc>>,
    /// The newest event that any instance has seen in the feed, if it numbers them.
    pub(crate) head: Option<Sequence>,
    pub(crate) last_contact: Option<DateTime<Utc>>,
    /// Instances alive.
    pub(crate) instances: i64,
    /// Events that failed, and those that wait for one of them; not above [`COUNTED`](super::COUNTED) together.
    pub(crate) parked: i64,
    pub(crate) waiting: i64,
    pub(crate) halted: bool,
}

/// The operation behind the metrics of a subscription.
pub(crate) trait Measure: sqlx::Database {
    /// How far the subscription `s` has got.
    fn progress(pool: &Pool<Self>, s: &str) -> impl Answer<Progress>;
}
