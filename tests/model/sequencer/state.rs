//! What is in the database, and what its clients know of it.

pub(super) const WRITERS: usize = 3;
pub(super) const RIVALS: usize = 2;
pub(super) const READERS: usize = 2;

/// Events a reader takes at a time.
pub(super) const PAGE: usize = 2;

/// A writer's transaction. Each has one event; those of the first two are about one subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Writing {
    NotYet,
    Open,
    Committed,
    RolledBack,
}

/// Where an instance is in `Sequencer::number_all`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Numbering {
    Idle,
    /// It has the lock, and no snapshot yet.
    Locked,
    /// In one statement: it has a snapshot with these events, and no lock yet.
    HasSnapshot(Vec<usize>),
    /// Others see these numbers only after the commit.
    Done(Vec<(usize, u8)>),
}

/// A reader of the feed: the events that it has seen, with their numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Reader {
    pub(super) seen: Vec<(usize, u8)>,
}

impl Reader {
    pub(super) fn cursor(&self) -> u8 {
        self.seen.last().map_or(0, |(_, number)| *number)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct State {
    pub(super) writers: [Writing; WRITERS],
    /// `feed_outbox.position` of each event, in the order of insertion.
    pub(super) inserted: Vec<usize>,
    /// The order of the commits.
    pub(super) committed: Vec<usize>,
    /// `feed_event.sequence` of each event, as others see it.
    pub(super) numbers: [Option<u8>; WRITERS],
    /// `feed_head.sequence`, and the instance that has locked that row.
    pub(super) head: u8,
    pub(super) lock: Option<usize>,
    pub(super) rivals: [Numbering; RIVALS],
    pub(super) readers: [Reader; READERS],
    pub(super) deaths: u8,
}

impl State {
    /// The events that are committed and have no number, in the order of insertion.
    pub(super) fn unnumbered(&self) -> Vec<usize> {
        let waiting = self.inserted.iter().copied();
        waiting
            .filter(|event| self.writers[*event] == Writing::Committed)
            .filter(|event| self.numbers[*event].is_none())
            .collect()
    }

    /// What the feed shows, by number.
    pub(super) fn published(&self) -> Vec<(usize, u8)> {
        let visible = (0..WRITERS).filter(|event| self.writers[*event] == Writing::Committed);
        let numbered = visible.filter_map(|event| Some((event, self.numbers[event]?)));
        let mut published: Vec<_> = numbered.collect();
        published.sort_by_key(|(_, number)| *number);
        published
    }

    /// The next page of a reader.
    pub(super) fn page(&self, reader: usize) -> Vec<(usize, u8)> {
        let cursor = self.readers[reader].cursor();
        let newer = self.published().into_iter();
        newer
            .filter(|(_, number)| *number > cursor)
            .take(PAGE)
            .collect()
    }

    /// True if another writer changes the same order.
    pub(super) fn subject_is_locked(&self, writer: usize) -> bool {
        let about = |writer| usize::from(writer == 2);
        (0..WRITERS)
            .any(|other| about(other) == about(writer) && self.writers[other] == Writing::Open)
    }
}
