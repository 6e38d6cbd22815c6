//! What a person can decide: to try an event again, to skip it, to go on after a halt, to go back.
//!
//! A retry and a skip are done at once, under the lock of the event's partition. What needs the
//! feed is written down, and the next instance that looks carries it out.

use std::fmt;
use std::str::FromStr;

use crate::event::{LAST_SEQUENCE, Sequence};

/// A decision that an instance carries out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Go on after a halt, from there.
    Resume(ResumeFrom),
    /// Take the events from this one on again. Business keys keep effects from doubling.
    Replay(Sequence),
}

/// From where a halted subscription goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResumeFrom {
    /// From the first event of the feed. What is claimed already is not applied again; of what was
    /// claimed so long ago that it was swept, business keys keep effects from doubling.
    Start,
    /// From the newest event on; what came before is never taken.
    Now,
    /// From where it is: the feed was mended.
    Kept,
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resume(ResumeFrom::Start) => f.write_str("resume from-start"),
            Self::Resume(ResumeFrom::Now) => f.write_str("resume from-now"),
            Self::Resume(ResumeFrom::Kept) => f.write_str("resume keep"),
            Self::Replay(from) => write!(f, "replay {from}"),
        }
    }
}

/// A text that is no decision.
#[derive(Debug, thiserror::Error)]
#[error("a decision is `resume from-start`, `resume from-now`, `resume keep` or `replay NUMBER`")]
pub struct InvalidDecision;

impl FromStr for Decision {
    type Err = InvalidDecision;

    fn from_str(text: &str) -> Result<Self, InvalidDecision> {
        match text.split_once(' ') {
            Some(("resume", "from-start")) => Ok(Self::Resume(ResumeFrom::Start)),
            Some(("resume", "from-now")) => Ok(Self::Resume(ResumeFrom::Now)),
            Some(("resume", "keep")) => Ok(Self::Resume(ResumeFrom::Kept)),
            Some(("replay", from)) => match from.parse() {
                Ok(from @ 1..=LAST_SEQUENCE) => Ok(Self::Replay(from)),
                _ => Err(InvalidDecision),
            },
            _ => Err(InvalidDecision),
        }
    }
}

/// Why a decision cannot be taken. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum DecideError {
    /// There is no such parked event: perhaps it was applied meanwhile.
    #[error("the event {0} is not parked")]
    NotParked(String),
    /// It did not fail itself.
    #[error("the event {0} waits for an earlier event of its subject {1}: decide about that one")]
    Waits(String, String),
    /// A skip without a reason, or without a name.
    #[error("{0} is missing: it is recorded with the decision")]
    Missing(&'static str),
    /// Our own database failed.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decisions_survive_their_text() {
        for decision in [
            Decision::Resume(ResumeFrom::Start),
            Decision::Resume(ResumeFrom::Now),
            Decision::Resume(ResumeFrom::Kept),
            Decision::Replay(17),
        ] {
            let read: Decision = decision.to_string().parse().expect("a decision");
            assert_eq!(read, decision);
        }
        for wrong in [
            "",
            "resume",
            "replay",
            "replay 0",
            "replay -1",
            "resume from-here",
        ] {
            assert!(wrong.parse::<Decision>().is_err(), "{wrong}");
        }
    }
}
