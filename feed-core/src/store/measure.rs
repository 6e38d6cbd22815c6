//! What metrics are read from: one statement for a feed, one for a subscription, each of a few rows
//! however much is stored.

use chrono::{DateTime, Utc};
use sqlx::Pool;

use super::answer::Answer;
use crate::event::{EventId, Sequence};

/// Parked events that are counted; there are more where somebody has long looked away.
pub(crate) const COUNTED: i64 = 10_000;

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
    /// Events that failed, and those that wait for one of them; not above [`COUNTED`] together.
    pub(crate) parked: i64,
    pub(crate) waiting: i64,
    pub(crate) halted: bool,
}

/// How far a feed has got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Published {
    pub(crate) sequence: Sequence,
    /// The oldest event that is committed and has no number yet: its id, and when it happened.
    pub(crate) unnumbered: Option<(EventId, DateTime<Utc>)>,
    /// Rows in quarantine, not above [`COUNTED`].
    pub(crate) quarantined: i64,
}

/// The operation behind the metrics of a subscription.
pub(crate) trait Measure: sqlx::Database {
    /// How far the subscription `s` has got.
    fn progress(pool: &Pool<Self>, s: &str) -> impl Answer<Progress>;
}
