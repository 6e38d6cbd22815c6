//! What a feed without numbers showed when it was last read, and whether a later document goes on from
//! there. Such a feed shows its newest entries: when it has moved on by more than that, those in
//! between are gone, and what is still shown of the old ones does not say so.

use std::collections::HashSet;
use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};

use super::document::{Document, FoundEntry};

/// The entries that are kept of a window: some of them may be deleted or edited.
const NEWEST: usize = 3;

/// The newest entries of a feed at one moment. Its text is stored as the anchor of a position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Window {
    /// How many entries the document had.
    shown: usize,
    /// The date of the newest one.
    updated: DateTime<Utc>,
    /// Ids of the newest entries, newest first.
    pub(super) newest: Vec<String>,
}

impl Window {
    /// What `document` shows; `None` if that is nothing.
    pub(super) fn of(document: &Document) -> Option<Self> {
        let shown = document.entries.len();
        let newest = document.entries.iter().rev();
        Some(Self {
            shown,
            updated: document.entries.last()?.updated,
            newest: newest.take(NEWEST).map(|entry| entry.id.clone()).collect(),
        })
    }

    /// Reads a stored text; a single id is what older versions stored.
    pub(super) fn parse(text: &str) -> Self {
        let stored = || {
            let (first, ids) = text.split_once('\n')?;
            let (shown, updated) = first.split_once(' ')?;
            Some(Self {
                shown: shown.parse().ok()?,
                updated: updated.parse().ok()?,
                newest: ids.split('\n').map(str::to_owned).collect(),
            })
        };
        stored().unwrap_or_else(|| Self {
            // Not known.
            shown: usize::MAX,
            updated: DateTime::default(),
            newest: vec![text.to_owned()],
        })
    }

    /// True if nothing can be missing between this window and `document`, in which the entries with
    /// the ids `known` have been taken.
    pub(super) fn continues_in(&self, document: &Document, known: &HashSet<&str>) -> bool {
        let is_known = |entry: &&FoundEntry| known.contains(entry.id.as_str());
        let shows = |id: &String| document.entries.iter().any(|entry| entry.id == *id);
        // All that it had is still there.
        if self.newest.len() == self.shown && self.newest.iter().all(shows) {
            return true;
        }
        // Of few entries the oldest prove nothing: they may be shown however far the feed has gone.
        let newest = &self.newest[..self.shown.div_ceil(3).min(self.newest.len())];
        let deleted = newest.iter().any(|id| document.deleted.contains(id));
        if deleted && document.entries.iter().any(|entry| is_known(&entry)) {
            return true;
        }
        let fresh = document.entries.iter();
        let mut fresh: Vec<&FoundEntry> = fresh
            .filter(|entry| !is_known(entry) && entry.updated > self.updated)
            .collect();
        fresh.sort_by_key(|entry| entry.index);
        let order = Order::of(&fresh);
        let mut shown = document.entries.iter();
        shown.any(|entry| newest.contains(&entry.id) && order.allows(entry, &fresh))
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let updated = self.updated.to_rfc3339_opts(SecondsFormat::AutoSi, true);
        write!(f, "{} {updated}", self.shown)?;
        self.newest.iter().try_for_each(|id| write!(f, "\n{id}"))
    }
}

/// In which order a document has its entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    NewestFirst,
    OldestFirst,
    /// None that can be seen. RFC 4287 asks for none.
    Any,
}

impl Order {
    /// By the entries that are new; old ones may be pinned to the top.
    fn of(fresh: &[&FoundEntry]) -> Self {
        let by_update: Vec<_> = fresh.iter().map(|entry| entry.updated).collect();
        let by_publication: Vec<_> = fresh.iter().map(|entry| entry.published).collect();
        let mut dates = [by_update, by_publication].into_iter();
        let found = dates.find_map(|dates| match () {
            () if dates.first() == dates.last() => None,
            () if dates.is_sorted_by(|one, next| one >= next) => Some(Self::NewestFirst),
            () if dates.is_sorted() => Some(Self::OldestFirst),
            () => None,
        });
        found.unwrap_or(Self::Any)
    }

    /// True if an old entry is where this order has it: on the old side of all that is new. One that is
    /// pinned to the top, or came back there when it was edited, would be shown however far the feed has gone.
    fn allows(self, old: &FoundEntry, fresh: &[&FoundEntry]) -> bool {
        match self {
            Self::NewestFirst => fresh.iter().all(|new| new.index < old.index),
            Self::OldestFirst => fresh.iter().all(|new| new.index > old.index),
            Self::Any => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consumer::document::tests::{feed, read};

    /// A document with these entries in this order; `n'` was edited since, at the minute behind it.
    fn document(entries: &str) -> Document {
        let entry = |word: &str| {
            let (id, updated) = word.split_once('\'').unwrap_or((word, word));
            let date = |minute: &str| format!("2026-05-01T00:{minute:0>2}:00Z");
            format!(
                "<entry><id>{id}</id><published>{}</published><updated>{}</updated></entry>",
                date(id),
                date(updated),
            )
        };
        let entries: String = entries.split_whitespace().map(entry).collect();
        read(&feed(&entries)).expect("a document")
    }

    /// True if a consumer that has taken `before` misses nothing in `after`.
    fn continues(before: &str, after: &str) -> bool {
        let (before, after) = (document(before), document(after));
        let known = before
            .entries
            .iter()
            .map(|entry| entry.id.as_str())
            .collect();
        let window = Window::of(&before).expect("entries");
        let window = Window::parse(&window.to_string());
        window.continues_in(&after, &known)
    }

    const TEN: &str = "10 9 8 7 6 5 4 3 2 1";

    #[test]
    fn a_window_that_has_moved_by_less_than_itself_continues() {
        for after in [
            TEN,
            "11 10 9 8 7 6 5 4 3 2",
            "19 18 17 16 15 14 13 12 11 10",
            // In other orders.
            "10 11 12 13 14 15 16 17 18 19",
            "12 10 14 11 13 15 17 16 19 18",
            // The newest was deleted, the newest was edited, where it is or back to the top.
            "12 11 9 8 7 6 5 4 3 2",
            "12 11 10'13 9 8 7 6 5 4 3",
            "10'13 12 11 9 8 7 6 5 4 3",
            // An old one is pinned beside it.
            "3 14 13 12 11 10 9 8 7 6",
            // All were edited at once.
            "11 10'12 9'12 8'12 7'12 6'12 5'12 4'12 3'12 2'12",
            // What is new has an old date.
            "10 9 8 7 0 6 5 4 3 2",
        ] {
            assert!(continues(TEN, after), "{after}");
        }
        for (before, after) in [
            ("1", "2 1"),
            ("1", "3 2 1'4"),
            ("2 1", "1'5 4 3 2'6"),
            ("3 1", "4 3 2 1"),
        ] {
            assert!(continues(before, after), "{before}, then {after}");
        }
    }

    #[test]
    fn a_window_that_has_moved_by_more_does_not_continue() {
        for (before, after) in [
            (TEN, "40 39 38 37 36 35 34 33 32 31"),
            // One that is known is pinned to the top, or has its place at the end.
            (TEN, "1 40 39 38 37 36 35 34 33 32"),
            (TEN, "40 39 38 37 36 35 34 33 32 1"),
            (TEN, "5 40 39 38 37 36 35 34 33 32"),
            (TEN, "32 33 34 35 36 37 38 39 40 5"),
            // Also the newest one, and two of them.
            (TEN, "10 40 39 38 37 36 35 34 33 32"),
            (TEN, "10 9 40 39 38 37 36 35 34 33"),
            // One that was edited has come back to the top.
            (TEN, "10'41 40 39 38 37 36 35 34 33 32"),
            (TEN, "5'41 40 39 38 37 36 35 34 33 32"),
            ("3 2 1", "40 39 38 37 36 35 34 33 32 1"),
        ] {
            assert!(!continues(before, after), "{before}, then {after}");
        }
    }

    #[test]
    fn an_id_alone_is_a_window_of_an_older_version() {
        for text in ["tag:example.com,2026:7", "12 2026", "x\ny"] {
            assert_eq!(Window::parse(text).newest, [text]);
        }
    }
}
