//! What a comparison says.

use chrono::{DateTime, Utc};
#[cfg(feature = "schemars")]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::Sequence;

/// Something that is stored otherwise than the feed says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(JsonSchema))]
pub struct Difference {
    /// What it is about, as the subject of events names it: `order/17`.
    pub id: String,
    /// What differs, with the event that says so.
    pub what: String,
}

/// What came of a comparison.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(JsonSchema))]
pub struct Reconciliation {
    /// When it was done.
    pub at: DateTime<Utc>,
    /// The first event that was looked at; 0 for a feed without numbers.
    pub from: Sequence,
    /// The last one: what all partitions had taken when the comparison began.
    pub to: Sequence,
    /// Events whose effect was looked for.
    pub events: u64,
    /// Events that need have no effect; what they are about was left out.
    pub left_out: u64,
    /// How many differences there are.
    pub found: u64,
    /// The first thousand of them.
    pub differences: Vec<Difference>,
}
