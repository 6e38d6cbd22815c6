//! What is in the database, and what its clients know of it.

use std::fmt;

/// `feed_event.sequence`
pub(super) type Number = u32;

/// A writer's transaction. Each has one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Writing {
    NotYet,
    Open,
    /// The client has sent COMMIT, and can do nothing until the answer.
    Committing,
    Committed,
    RolledBack,
}

/// A session that numbers: that of an instance's sequencer, or that of a writer in its COMMIT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Session {
    /// The sequencer of an instance.
    Sequencer(usize),
    /// The writer of an event.
    Writer(usize),
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sequencer(s) => write!(f, "sequencer {s}"),
            Self::Writer(w) => write!(f, "writer {w}"),
        }
    }
}

/// How far a session is in `feed_number`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) enum Numbering {
    #[default]
    Idle,
    /// It has the lock, and no snapshot yet.
    Locked,
    /// In one statement: it has a snapshot with these events, and no lock yet.
    HasSnapshot(Vec<usize>),
    /// Others see these numbers only after the commit.
    Done(Vec<(usize, Number)>),
}

/// A reader of the feed: the events that it has seen, with their numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Reader {
    pub(super) seen: Vec<(usize, Number)>,
}

impl Reader {
    pub(super) fn cursor(&self) -> Number {
        self.seen.last().map_or(0, |(_, number)| *number)
    }
}

/// Everything.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    pub(super) writers: Vec<Writing>,
    /// `feed_outbox.position` of each event, in the order of insertion.
    pub(super) inserted: Vec<usize>,
    /// The order of the commits.
    pub(super) committed: Vec<usize>,
    /// `feed_event.sequence` of each event, as others see it.
    pub(super) numbers: Vec<Option<Number>>,
    /// `feed_head.sequence`, and the session that has locked that row.
    pub(super) head: Number,
    pub(super) lock: Option<Session>,
    pub(super) sequencers: Vec<Numbering>,
    pub(super) commits: Vec<Numbering>,
    pub(super) readers: Vec<Reader>,
    pub(super) deaths: u8,
}

impl State {
    pub(super) fn how_far(&self, session: Session) -> &Numbering {
        match session {
            Session::Sequencer(s) => &self.sequencers[s],
            Session::Writer(w) => &self.commits[w],
        }
    }

    pub(super) fn numbering(&mut self, session: Session) -> &mut Numbering {
        match session {
            Session::Sequencer(s) => &mut self.sequencers[s],
            Session::Writer(w) => &mut self.commits[w],
        }
    }

    /// True from its lock of the head until its transaction ends.
    pub(super) fn is_numbering(&self, session: Session) -> bool {
        self.lock == Some(session)
    }

    pub(super) fn commit(&mut self, writer: usize) {
        self.writers[writer] = Writing::Committed;
        self.committed.push(writer);
        self.commits[writer] = Numbering::Idle;
    }

    pub(super) fn roll_back(&mut self, session: Session) {
        *self.numbering(session) = Numbering::Idle;
        self.lock = self.lock.filter(|holder| *holder != session);
        if let Session::Writer(writer) = session {
            self.writers[writer] = Writing::RolledBack;
        }
    }

    /// The events that `session` sees and that have no number, in the order of insertion: those that
    /// are committed, and its own.
    pub(super) fn unnumbered(&self, session: Session) -> Vec<usize> {
        let waiting = self.inserted.iter().copied();
        waiting
            .filter(|event| {
                self.writers[*event] == Writing::Committed || session == Session::Writer(*event)
            })
            .filter(|event| self.numbers[*event].is_none())
            .collect()
    }

    /// What the feed shows, by number.
    pub(super) fn published(&self) -> Vec<(usize, Number)> {
        let visible =
            (0..self.writers.len()).filter(|event| self.writers[*event] == Writing::Committed);
        let numbered = visible.filter_map(|event| Some((event, self.numbers[event]?)));
        let mut published: Vec<_> = numbered.collect();
        published.sort_by_key(|(_, number)| *number);
        published
    }

    /// The next page of a reader.
    pub(super) fn page(&self, reader: usize, most: usize) -> Vec<(usize, Number)> {
        let cursor = self.readers[reader].cursor();
        let newer = self.published().into_iter();
        newer
            .filter(|(_, number)| *number > cursor)
            .take(most)
            .collect()
    }

    /// True if another writer changes what this one's event is about.
    pub(super) fn subject_is_locked(&self, subjects: &[usize], writer: usize) -> bool {
        let mut writers = 0..subjects.len();
        writers.any(|other| subjects[other] == subjects[writer] && self.is_open(other))
    }

    /// True while the writer's transaction has not ended.
    pub(super) fn is_open(&self, writer: usize) -> bool {
        matches!(self.writers[writer], Writing::Open | Writing::Committing)
    }
}
