//! The order in which a document of a feed without sequences lists its entries.

use std::cmp::Reverse;
use std::iter::successors;

use chrono::{DateTime, Utc};

use super::entry::FoundEntry;

/// The order of a document's entries. RFC 4287 requires none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    NewestFirst,
    OldestFirst,
}

impl Order {
    /// Detects the order of entries; `None` if they show none, or if there is only one.
    pub(super) fn of(entries: &[&FoundEntry]) -> Option<Self> {
        dates(entries).into_iter().find_map(|dates| match () {
            () if dates.first() == dates.last() => None,
            () if dates.is_sorted_by(|one, next| one >= next) => Some(Self::NewestFirst),
            () if dates.is_sorted() => Some(Self::OldestFirst),
            () => None,
        })
    }

    /// Returns the order of most of a document's entries, and these, newest first: those that are left if as few as possible
    /// are taken for pinned, or edited.
    pub(super) fn of_most<'a>(listed: &[&'a FoundEntry]) -> (Self, Vec<&'a FoundEntry>) {
        let rising = longest_rise(listed, |entry| entry.published);
        let falling = longest_rise(listed, |entry| Reverse(entry.published));
        match rising.len() > falling.len() {
            true => (Self::OldestFirst, rising.into_iter().rev().collect()),
            false => (Self::NewestFirst, falling),
        }
    }

    /// Returns true if most of a document's entries are listed by their last changes, newest first.
    pub(super) fn is_by_update(listed: &[&FoundEntry]) -> bool {
        2 * longest_rise(listed, |entry| Reverse(entry.updated)).len() > listed.len()
    }

    /// Returns true if `old` is on the old side of all of `fresh`.
    pub(super) fn allows(self, old: &FoundEntry, fresh: &[&FoundEntry]) -> bool {
        match self {
            Self::NewestFirst => fresh.iter().all(|new| new.index < old.index),
            Self::OldestFirst => fresh.iter().all(|new| new.index > old.index),
        }
    }
}

/// Returns the most of these entries whose keys never fall.
fn longest_rise<'a, K: Ord>(
    listed: &[&'a FoundEntry],
    key: impl Fn(&FoundEntry) -> K,
) -> Vec<&'a FoundEntry> {
    // For each length the last entry of the rise that ends lowest; and for each entry the one before it in its rise.
    let mut ends: Vec<usize> = Vec::new();
    let mut before = Vec::with_capacity(listed.len());
    for (index, entry) in listed.iter().enumerate() {
        let length = ends.partition_point(|end| key(listed[*end]) <= key(entry));
        before.push(length.checked_sub(1).map(|shorter| ends[shorter]));
        match ends.get_mut(length) {
            Some(end) => *end = index,
            None => ends.push(index),
        }
    }
    let rise = successors(ends.last().copied(), |index| before[*index]);
    let mut rise: Vec<&FoundEntry> = rise.map(|index| listed[index]).collect();
    rise.reverse();
    rise
}

/// Returns the dates that may show an order. An edit changes the update date alone.
fn dates(entries: &[&FoundEntry]) -> [Vec<DateTime<Utc>>; 2] {
    let published = entries.iter().map(|entry| entry.published).collect();
    let updated = entries.iter().map(|entry| entry.updated).collect();
    [published, updated]
}
