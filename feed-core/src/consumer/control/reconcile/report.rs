//! The report of a reconciliation.

use std::collections::{BTreeMap, HashSet};

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
    /// Which kind of difference it is.
    #[serde(default)]
    pub kind: Kind,
}

/// The kinds of differences.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// What is stored is not what the events demand.
    #[default]
    Different,
    /// What an event demands is not stored.
    Missing,
    /// No event explains what is stored.
    Unexplained,
    /// A series of numbers has a gap, which no event fills.
    Gap,
}

/// What a comparison has found.
#[derive(Debug, Default)]
pub struct Compared {
    /// The differences.
    pub differences: Vec<Difference>,
    /// Subjects whose stored data is as the events demand.
    pub equal: u64,
    /// Amounts by name, added up over all that the events demand.
    pub sums: BTreeMap<String, Sum>,
}

/// The same amount, from the feed and from the database.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(JsonSchema))]
pub struct Sum {
    /// As the events demand, such as `84.00`.
    pub events: String,
    /// As it is stored.
    pub stored: String,
}

/// How many subjects were compared, with which result. One that both differs and lacks something counts
/// twice.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(JsonSchema))]
#[serde(default)]
pub struct Totals {
    /// Those that are as the events demand.
    pub equal: u64,
    /// Those that differ.
    pub different: u64,
    /// Those that are missing.
    pub missing: u64,
    /// Those that no event explains.
    pub unexplained: u64,
    /// Gaps in series of numbers.
    pub gaps: u64,
    /// Amounts by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub sums: BTreeMap<String, Sum>,
}

impl Totals {
    /// Returns how many subjects are not as the events demand, without gaps.
    #[must_use]
    pub fn unequal(&self) -> u64 {
        self.different + self.missing + self.unexplained
    }

    pub(super) fn of(equal: u64, differences: &[Difference], sums: BTreeMap<String, Sum>) -> Self {
        let mut subjects: HashSet<(Kind, &str)> = HashSet::new();
        let mut totals = Self {
            equal,
            sums,
            ..Self::default()
        };
        for Difference { id, kind, .. } in differences {
            if subjects.insert((*kind, id)) {
                *match kind {
                    Kind::Different => &mut totals.different,
                    Kind::Missing => &mut totals.missing,
                    Kind::Unexplained => &mut totals.unexplained,
                    Kind::Gap => &mut totals.gaps,
                } += 1;
            }
        }
        totals
    }
}

/// The result of a reconciliation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(JsonSchema))]
pub struct Reconciliation {
    /// When it ended.
    pub at: DateTime<Utc>,
    /// The first event that was compared; 0 for a feed without sequences, and if there was none.
    pub from: Sequence,
    /// The last event that was compared: the lowest cursor at the beginning, or the last one of the period.
    pub to: Sequence,
    /// Only events that happened from this time on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<DateTime<Utc>>,
    /// Only events that happened before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
    /// Events whose effect was compared.
    pub events: u64,
    /// Events that need not have an effect; their subjects were left out.
    pub left_out: u64,
    /// What was compared, added up.
    #[serde(default)]
    pub totals: Totals,
    /// The number of differences.
    pub found: u64,
    /// The first thousand differences.
    pub differences: Vec<Difference>,
}
