//! The report of a reconciliation.

use chrono::{DateTime, Utc};
#[cfg(feature = "schemars")]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::Sequence;

/// A difference between the stored data and the feed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(JsonSchema))]
pub struct Difference {
    /// The subject in the events' terms: `order/17`.
    pub id: String,
    /// What differs, and the event that demands it.
    pub what: String,
}

/// The result of a reconciliation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(JsonSchema))]
pub struct Reconciliation {
    /// When it ended.
    pub at: DateTime<Utc>,
    /// The first event that was compared; 0 for a feed without sequences.
    pub from: Sequence,
    /// The last event that was compared: the lowest cursor at the beginning.
    pub to: Sequence,
    /// Events whose effect was compared.
    pub events: u64,
    /// Events that need not have an effect; their subjects were left out.
    pub left_out: u64,
    /// The number of differences.
    pub found: u64,
    /// The first thousand differences.
    pub differences: Vec<Difference>,
}
