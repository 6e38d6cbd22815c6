//! The steps, and their descriptions.

use std::fmt;

use super::state::Session;

/// A step of a writer, an instance or a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// `outbox::append`
    Insert(usize),
    /// Without a number: a sequencer follows.
    Commit(usize),
    /// By the client.
    RollBack(usize),
    /// The client sends COMMIT; `feed_number_at_commit` runs before the transaction ends.
    BeginCommit(usize),
    /// The first statement of `feed_number`: `SELECT … FOR UPDATE SKIP LOCKED`.
    Lock(Session),
    /// In one statement, the snapshot is older than the lock.
    TakeSnapshot(Session),
    /// Its second statement.
    Number(Session),
    /// Its `COMMIT`.
    Publish(Session),
    /// The connection is lost: the database rolls back.
    Die(Session),
    /// `Publish::entries`: a page of what is newer than the cursor.
    Read(usize),
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Insert(w) => write!(f, "writer {w} inserts event {w}"),
            Self::Commit(w) => write!(f, "writer {w} commits"),
            Self::BeginCommit(w) => write!(f, "writer {w} sends COMMIT"),
            Self::RollBack(w) => write!(f, "writer {w} rolls back"),
            Self::Lock(s) => write!(f, "{s} locks the head"),
            Self::TakeSnapshot(s) => write!(f, "{s} takes a snapshot of what has no number"),
            Self::Number(s) => write!(f, "{s} numbers it"),
            Self::Publish(s) => write!(f, "{s} commits"),
            Self::Die(s) => write!(f, "{s} dies in its transaction"),
            Self::Read(r) => write!(f, "reader {r} takes what is newer than its cursor"),
        }
    }
}
