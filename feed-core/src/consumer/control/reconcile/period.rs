//! The events that a reconciliation is about.

use chrono::{DateTime, Utc};

use crate::event::Sequence;

/// The events from one bound until another one. The default has all events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Period {
    /// The first event, or the time from which on they happened.
    pub from: Option<Bound>,
    /// The last event, or the time before which they happened.
    pub until: Option<Bound>,
}

/// A bound of a [`Period`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// An event by its sequence; it is in the period.
    Sequence(Sequence),
    /// A time: when events happened, not when they were published.
    Time(DateTime<Utc>),
}

impl Bound {
    /// Returns the sequence, or `None` for a time.
    pub(super) fn sequence(self) -> Option<Sequence> {
        match self {
            Self::Sequence(sequence) => Some(sequence),
            Self::Time(_) => None,
        }
    }

    /// Returns the time, or `None` for a sequence.
    pub(super) fn time(self) -> Option<DateTime<Utc>> {
        match self {
            Self::Sequence(_) => None,
            Self::Time(time) => Some(time),
        }
    }
}

impl Period {
    /// The events from this sequence on.
    #[must_use]
    pub fn since(sequence: Sequence) -> Self {
        Self {
            from: Some(Bound::Sequence(sequence)),
            until: None,
        }
    }

    /// Returns true if no event can be in it, since it ends before it begins.
    #[must_use]
    pub fn is_void(&self) -> bool {
        match (self.from, self.until) {
            (Some(Bound::Sequence(from)), Some(Bound::Sequence(until))) => until < from,
            (Some(Bound::Time(from)), Some(Bound::Time(until))) => until <= from,
            _ => false,
        }
    }

    /// Returns true for an event that is not before the period. An event without a sequence is before
    /// none.
    pub(super) fn has_begun(&self, sequence: Option<Sequence>, time: DateTime<Utc>) -> bool {
        match self.from {
            Some(Bound::Sequence(from)) => sequence.is_none_or(|sequence| sequence >= from),
            Some(Bound::Time(from)) => time >= from,
            None => true,
        }
    }

    /// Returns true for an event of the period.
    pub(super) fn contains(&self, sequence: Option<Sequence>, time: DateTime<Utc>) -> bool {
        let ends_later = match self.until {
            Some(Bound::Sequence(until)) => sequence.is_none_or(|sequence| sequence <= until),
            Some(Bound::Time(until)) => time < until,
            None => true,
        };
        ends_later && self.has_begun(sequence, time)
    }
}
