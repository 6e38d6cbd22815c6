//! Which parked events a decision is about, and a preview of it.

use std::fmt;

use chrono::{DateTime, SecondsFormat, SubsecRound, Utc};
#[cfg(feature = "schemars")]
use schemars::JsonSchema;
use serde::Serialize;

use super::handle::Handle;
use crate::partition::stable_hash;
use crate::store::Backend;
use crate::store::decide::{Cause, TypeCount};
use crate::store::operate::{ParkedEvent, moment};

/// Failed events that meet all conditions that are set. Without any, all of them.
///
/// Events that wait for a failed one are never selected: they follow it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// The one with this id, as [`parked`](Handle::parked) returns it.
    pub event_id: Option<String>,
    /// Those that have failed for this [cause](Handle::causes): the whole text.
    pub cause: Option<String>,
    /// Those of this `CloudEvents` type. An event that an older version has parked has none here.
    pub event_type: Option<String>,
    /// Those that were parked at this instant or later.
    pub from: Option<DateTime<Utc>>,
    /// Those that were parked before this instant.
    pub until: Option<DateTime<Utc>>,
    /// Those that had failed by this instant, and have not failed again since: what a [preview](Handle::preview) of that
    /// instant has counted, and nothing that came later.
    pub as_of: Option<DateTime<Utc>>,
}

impl Selection {
    /// The one with that id.
    #[must_use]
    pub fn of_event(id: impl Into<String>) -> Self {
        Self {
            event_id: Some(id.into()),
            ..Self::default()
        }
    }

    /// Those that have failed for that cause.
    #[must_use]
    pub fn of_cause(cause: impl Into<String>) -> Self {
        Self {
            cause: Some(cause.into()),
            ..Self::default()
        }
    }

    /// Returns true if it selects one event at most.
    pub(super) fn is_one(&self) -> bool {
        self.event_id.is_some()
    }

    /// Returns true if it selects by nothing but [`as_of`](Self::as_of).
    #[must_use]
    pub fn is_all(&self) -> bool {
        *self
            == Self {
                as_of: self.as_of,
                ..Self::default()
            }
    }
}

/// As it is recorded with a decision: `all of type order.placed that failed for cause a366b47a`, or an event's id. A decision
/// and the log are kept, and a cause may quote personal data, which an erasure removes from the parked events: so it is a digest.
impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |at: &DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::AutoSi, true);
        f.write_str(self.event_id.as_deref().unwrap_or("all"))?;
        if let Some(event_type) = &self.event_type {
            write!(f, " of type {event_type}")?;
        }
        match (&self.from, &self.until) {
            (Some(from), Some(until)) => {
                write!(f, " parked from {} until {}", text(from), text(until))?;
            }
            (Some(from), None) => write!(f, " parked from {} on", text(from))?,
            (None, Some(until)) => write!(f, " parked before {}", text(until))?,
            (None, None) => {}
        }
        if let Some(cause) = &self.cause {
            write!(f, " that failed for cause {}", digest(cause))?;
        }
        Ok(())
    }
}

/// Returns what names a cause in a decision.
fn digest(cause: &str) -> String {
    format!("{:08x}", stable_hash(cause) >> 32)
}

impl Cause {
    /// Returns what names this cause in a decision, as a [`Selection`] is displayed.
    #[must_use]
    pub fn digest(&self) -> String {
        digest(&self.cause)
    }
}

/// What a decision about a [`Selection`] would touch.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(JsonSchema))]
pub struct Preview {
    /// The number of selected events.
    pub events: i64,
    /// When they were counted: a decision with this as `as_of` touches nothing that failed later.
    #[serde(serialize_with = "moment")]
    pub as_of: DateTime<Utc>,
    /// Why they have failed, the most frequent causes first.
    pub causes: Vec<Cause>,
    /// Their types, the most frequent first.
    pub types: Vec<TypeCount>,
    /// The first of them, oldest first.
    pub first: Vec<ParkedEvent>,
}

/// The causes and types that a preview names.
const NAMED: i64 = 20;

impl<B: Backend> Handle<B> {
    /// Returns what a decision about these events would touch now, with the first `limit` of them. Changes nothing.
    ///
    /// # Errors
    ///
    /// Returns the error of the database.
    pub async fn preview(&self, selection: &Selection, limit: u32) -> sqlx::Result<Preview> {
        let (database, s) = (&self.database, &self.subscription.name);
        let pool = database.reader();
        let as_of = match selection.as_of {
            Some(as_of) => as_of,
            // As precise as it is written: the decision has to select the same.
            None => database.statement(B::now(pool)).await?.trunc_subsecs(3),
        };
        let selection = Selection {
            as_of: Some(as_of),
            ..selection.clone()
        };
        let events = B::count(pool, s, &selection);
        let causes = B::causes(pool, s, &selection, NAMED);
        let types = B::types(pool, s, &selection, NAMED);
        let first = B::selected(pool, s, &selection, limit.into());
        Ok(Preview {
            events: database.statement(events).await?,
            as_of,
            causes: database.statement(causes).await?,
            types: database.statement(types).await?,
            first: database.statement(first).await?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selection_says_what_it_selects() {
        let at = |text: &str| Some(text.parse().expect("a time"));
        let all = Selection::default();
        let until = Selection {
            until: at("2026-11-02T00:00:00Z"),
            ..Selection::of_cause("no such customer: of 7")
        };
        let every = Selection {
            event_type: Some("order.placed".to_owned()),
            from: at("2026-11-01T00:00:00.500Z"),
            as_of: at("2026-11-03T00:00:00Z"),
            ..until.clone()
        };
        for (selection, expected) in [
            (&all, "all"),
            (&Selection::of_event("urn:uuid:1"), "urn:uuid:1"),
            (
                &Selection::of_cause("x"),
                "all that failed for cause af63f54c",
            ),
            (
                &until,
                "all parked before 2026-11-02T00:00:00Z that failed for cause ef9d66c2",
            ),
            (
                &every,
                "all of type order.placed parked from 2026-11-01T00:00:00.500Z until 2026-11-02T00:00:00Z that failed \
                 for cause ef9d66c2",
            ),
        ] {
            assert_eq!(selection.to_string(), expected);
        }
        assert!(all.is_all() && !until.is_all() && !Selection::of_event("1").is_all());
        let bounded = Selection {
            as_of: every.as_of,
            ..all
        };
        assert!(bounded.is_all());
    }
}
