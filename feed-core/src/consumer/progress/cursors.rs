//! The cursors of this instance: as stored in the database, and as advanced since.
//!
//! The position in memory may be ahead of the stored cursors. Events of other instances' partitions
//! need no transaction here; otherwise the statements for an event would grow with the instances.
//! The stored cursors follow with the next event of this instance, or after a while.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::trust::Trust;
use crate::consumer::source::entry::FoundEntry;
use crate::consumer::source::fetch::Validators;
use crate::event::Sequence;
use crate::partition::{Partitions, partition_of};
use crate::reached::Mark;
use crate::store::consume::{Held, Position};

/// How long a stored cursor may lag behind the one in memory. Operators and other instances read
/// the stored one.
const BEHIND: Duration = Duration::from_secs(3);

/// The partitions of one instance, and their cursors.
#[derive(Debug)]
pub(crate) struct Cursors {
    /// The stored cursors.
    pub(crate) held: Vec<Held>,
    /// The position of all partitions: none is behind it, and none has events between its stored
    /// cursor and this position.
    pub(crate) seen: Position,
    /// The version of the leases under which `held` was read; `None` if it must be read again.
    pub(crate) leases: Option<u64>,
    /// Since when the stored cursors lag behind.
    behind_since: Option<Instant>,
    pub(crate) trust: Trust,
    /// The positions of partitions that are ahead of `seen`, each once. Confirming `seen` does not
    /// confirm these: the feed may have been restored to a state between them.
    pub(crate) unconfirmed: Vec<Position>,
}

impl Cursors {
    pub(crate) fn new() -> Self {
        Self {
            held: Vec::new(),
            seen: Position::default(),
            leases: None,
            behind_since: None,
            trust: Trust::default(),
            unconfirmed: Vec::new(),
        }
    }

    /// Returns true if `held` was read under these leases.
    pub(crate) fn is_known_under(&self, leases: u64) -> bool {
        self.leases == Some(leases)
    }

    /// Loads the partitions held under these leases, and the epoch of the subscription.
    pub(crate) fn load(&mut self, held: Vec<Held>, epoch: Option<String>, leases: u64) {
        let lowest = held.iter().min_by_key(|held| held.position.sequence);
        self.seen = lowest.map(|held| held.position.clone()).unwrap_or_default();
        if held.iter().any(|held| held.position != self.seen) {
            // The tag claims every event up to the position: true only if all partitions have them.
            self.seen.etag = None;
            self.seen.last_modified = None;
            if self.seen.epoch.is_none() {
                self.seen.anchor = None;
            }
            Mark::PartitionsApart.reached();
        }
        // A partition that has taken nothing begins in the feed that the others follow.
        self.seen.epoch = self.seen.epoch.take().or(epoch);
        self.unconfirmed = positions_beside(&self.seen, &held);
        // Without any, they are read again in each round: a pause that began and ended between two renewals of the
        // leases would leave no other trace.
        self.leases = (!held.is_empty()).then_some(leases);
        self.held = held;
        self.behind_since = None;
    }

    /// Returns true if `held` is behind what was read before: a decision of an operator has moved partitions back, also
    /// if another instance executed it.
    pub(crate) fn are_ahead_of(&self, held: &[Held]) -> bool {
        let is_back = |now: &Held| {
            let mut before = self.held.iter();
            let before = before.find(|held| held.partition == now.partition);
            before.is_some_and(|held| now.position.sequence < held.position.sequence)
        };
        held.iter().any(is_back)
    }

    /// Forgets the stored cursors, so that they are read again before the next round.
    pub(crate) fn forget(&mut self) {
        self.leases = None;
    }

    pub(crate) fn is_forgotten(&self) -> bool {
        self.leases.is_none()
    }

    /// Records that no partition has an event up to `to`; stores nothing yet.
    pub(crate) fn see(&mut self, to: Position) {
        self.behind_since.get_or_insert_with(Instant::now);
        self.seen = to;
    }

    /// Records that all partitions are stored at `to`, or were ahead of it.
    pub(crate) fn reach(&mut self, to: Position) {
        self.behind_since = None;
        self.seen = to;
    }

    /// Returns when the stored cursors must follow; `None` if they do not lag behind.
    pub(crate) fn store_by(&self) -> Option<Instant> {
        Some(self.behind_since? + BEHIND)
    }

    /// Returns the anchors of the partitions in a feed without sequences: one if all are equal;
    /// `None` for those that have taken nothing yet.
    pub(crate) fn anchors(&self) -> Vec<Option<String>> {
        if self.seen.anchor.is_some() {
            return vec![self.seen.anchor.clone()];
        }
        let stored = self.held.iter().map(|held| &held.position.anchor);
        let mut anchors: Vec<Option<String>> = stored.cloned().collect();
        anchors.sort_unstable();
        anchors.dedup();
        anchors
    }

    /// Returns the partitions held; `None` for all.
    pub(crate) fn partitions(&self) -> Option<Partitions> {
        let held = self.held.iter().map(|held| held.partition).collect();
        Some(held).filter(|held: &Partitions| !held.are_all())
    }

    /// Returns true if no other instance holds a partition.
    pub(crate) fn holds_all(&self) -> bool {
        self.partitions().is_none()
    }

    /// Returns the validators for a request of the head.
    pub(crate) fn validators(&self) -> Validators {
        Validators {
            etag: self.seen.etag.clone(),
            last_modified: self.seen.last_modified.clone(),
        }
    }

    /// Returns the current share.
    pub(crate) fn share(&self) -> Share {
        let held = self.held.iter();
        Share(
            held.map(|held| (held.partition, held.position.sequence))
                .collect(),
        )
    }
}

/// Returns the positions of `held` in a feed with sequences, except `seen`.
fn positions_beside(seen: &Position, held: &[Held]) -> Vec<Position> {
    let is_same = |one: &Position, other: &Position| {
        (one.sequence, &one.anchor, &one.epoch) == (other.sequence, &other.anchor, &other.epoch)
    };
    let mut places: Vec<Position> = Vec::new();
    for Held { position, .. } in held {
        let known = places.iter().any(|place| is_same(place, position));
        if position.sequence > 0 && !known && !is_same(seen, position) {
            places.push(position.clone());
        }
    }
    places
}

/// The partitions held at some moment, and their stored cursors then.
#[derive(Debug)]
pub(crate) struct Share(HashMap<i64, Sequence>);

impl Share {
    /// Returns true if an entry is in one of the partitions.
    pub(crate) fn holds(&self, entry: &FoundEntry) -> bool {
        self.0.contains_key(&partition_of(entry.subject()))
    }

    /// Returns true if an entry is in one of the partitions, and new to it.
    pub(crate) fn wants(&self, entry: &FoundEntry) -> bool {
        let stored = self.0.get(&partition_of(entry.subject()));
        stored.is_some_and(|stored| entry.sequence > Some(*stored))
    }

    /// Returns the entries that are in one of the partitions, and new to it.
    pub(crate) fn new_of<'a>(&self, entries: &'a [FoundEntry]) -> Vec<&'a FoundEntry> {
        entries.iter().filter(|entry| self.wants(entry)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(partition: i64, sequence: Sequence) -> Held {
        let numbered = sequence > 0;
        Held {
            partition,
            lease_epoch: 1,
            position: Position {
                epoch: numbered.then(|| "abcdefgh".to_owned()),
                sequence,
                anchor: numbered.then(|| format!("event {sequence}")),
                etag: Some(format!("tag {sequence}")),
                ..Position::default()
            },
        }
    }

    #[test]
    fn partitions_that_are_level_have_a_tag_in_common() {
        let mut cursors = Cursors::new();
        cursors.load(vec![held(0, 7), held(1, 7)], None, 1);
        assert!(cursors.is_known_under(1) && !cursors.is_known_under(2));
        assert_eq!(cursors.seen, held(0, 7).position);
        assert!(cursors.unconfirmed.is_empty());
        assert_eq!(cursors.store_by(), None);
    }

    #[test]
    fn partitions_that_are_level_have_one_anchor() {
        let anchored = |partition, anchor: Option<&str>| Held {
            partition,
            lease_epoch: 1,
            position: Position {
                anchor: anchor.map(str::to_owned),
                ..Position::default()
            },
        };
        let anchors = |held: Vec<Held>| {
            let mut cursors = Cursors::new();
            cursors.load(held, None, 1);
            cursors.anchors()
        };
        let (one, two) = (Some("one".to_owned()), Some("two".to_owned()));
        let level = vec![anchored(0, Some("one")), anchored(1, Some("one"))];
        assert_eq!(anchors(level), std::slice::from_ref(&one));
        let apart = vec![
            anchored(0, Some("two")),
            anchored(1, None),
            anchored(2, Some("one")),
            anchored(3, Some("two")),
        ];
        assert_eq!(anchors(apart), [None, one, two]);
        assert_eq!(anchors(vec![anchored(0, None)]), [None]);
    }

    #[test]
    fn partitions_that_were_moved_back_are_noticed() {
        let mut cursors = Cursors::new();
        cursors.load(vec![held(0, 7), held(1, 9)], None, 1);
        assert!(!cursors.are_ahead_of(&[held(0, 7), held(1, 12), held(2, 3)]));
        assert!(cursors.are_ahead_of(&[held(0, 7), held(1, 8)]));
    }

    #[test]
    fn no_partition_is_no_final_answer() {
        let mut cursors = Cursors::new();
        cursors.load(Vec::new(), None, 1);
        assert!(!cursors.is_known_under(1));
    }

    #[test]
    fn partitions_that_are_apart_begin_at_the_lowest_and_are_confirmed_each() {
        let mut cursors = Cursors::new();
        let apart = vec![held(0, 9), held(1, 7), held(2, 9), held(3, 8)];
        cursors.load(apart, None, 1);
        assert_eq!((cursors.seen.sequence, &cursors.seen.etag), (7, &None));
        let unconfirmed = cursors.unconfirmed.iter().map(|place| place.sequence);
        assert_eq!(unconfirmed.collect::<Vec<_>>(), [9, 8]);
        // A partition that has taken nothing begins in the feed that the others follow.
        cursors.load(vec![held(0, 0)], Some("abcdefgh".to_owned()), 2);
        assert_eq!(cursors.seen.epoch.as_deref(), Some("abcdefgh"));
    }

    #[test]
    fn what_is_seen_is_stored_after_a_while() {
        let mut cursors = Cursors::new();
        cursors.load(vec![held(0, 7)], None, 1);
        cursors.see(held(0, 8).position);
        let by = cursors.store_by().expect("it is behind");
        cursors.see(held(0, 9).position);
        assert_eq!(cursors.store_by(), Some(by), "since the first of them");
        cursors.reach(held(0, 9).position);
        assert_eq!(cursors.store_by(), None);
        assert!(!cursors.is_forgotten());
        cursors.forget();
        assert!(cursors.is_forgotten());
    }

    #[test]
    fn an_entry_is_wanted_where_it_is_ours_and_new() {
        let entry = |subject: &str, sequence| FoundEntry {
            subject: Some(subject.to_owned()),
            sequence: Some(sequence),
            ..FoundEntry::default()
        };
        let mut cursors = Cursors::new();
        let ours = partition_of("order/1");
        cursors.load(vec![held(ours, 7)], None, 1);
        let share = cursors.share();
        assert!(share.wants(&entry("order/1", 8)) && !share.wants(&entry("order/1", 7)));
        let others = (2..).map(|id| format!("order/{id}"));
        let other = others.into_iter().find(|one| partition_of(one) != ours);
        assert!(!share.wants(&entry(&other.expect("another"), 8)));
    }
}
