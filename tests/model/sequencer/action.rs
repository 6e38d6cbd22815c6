//! The steps, and their descriptions.

use std::fmt;

/// A step of a writer, an instance or a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Action {
    /// `outbox::append`
    Insert(usize),
    Commit(usize),
    RollBack(usize),
    /// The first statement of `feed_number`: `SELECT … FOR UPDATE SKIP LOCKED`.
    Lock(usize),
    /// In one statement, the snapshot is older than the lock.
    TakeSnapshot(usize),
    /// Its second statement.
    Number(usize),
    Publish(usize),
    /// The connection is lost: the database rolls back.
    Die(usize),
    /// `Publish::entries`: a page of what is newer than the cursor.
    Read(usize),
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Insert(w) => write!(f, "writer {w} inserts event {w}"),
            Self::Commit(w) => write!(f, "writer {w} commits"),
            Self::RollBack(w) => write!(f, "writer {w} rolls back"),
            Self::Lock(s) => write!(f, "sequencer {s} locks the head"),
            Self::TakeSnapshot(s) => {
                write!(f, "sequencer {s} takes a snapshot of what has no number")
            }
            Self::Number(s) => write!(f, "sequencer {s} numbers it"),
            Self::Publish(s) => write!(f, "sequencer {s} commits"),
            Self::Die(s) => write!(f, "sequencer {s} dies in its transaction"),
            Self::Read(r) => write!(f, "reader {r} takes what is newer than its cursor"),
        }
    }
}
