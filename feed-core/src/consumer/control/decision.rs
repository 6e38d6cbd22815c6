//! The decisions of an operator: retry an event, skip it, resume after a halt, replay.
//!
//! A retry and a skip take effect at once, under the lock of the event's partition. A decision that
//! needs the feed is stored, and the next instance that polls executes it.

use std::fmt;
use std::str::FromStr;

use super::status::Paused;
use crate::event::{LAST_SEQUENCE, Sequence};

/// A decision that an instance executes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Resume a halted subscription.
    Resume(ResumeFrom),
    /// Apply the events from this one on again. Business keys must prevent double effects.
    Replay(Sequence),
}

/// The position from which a halted subscription resumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResumeFrom {
    /// From the first event of the feed. Claimed events are not applied again. For events whose
    /// claims were swept, business keys must prevent double effects.
    Start,
    /// From the newest event on; earlier events are never taken.
    Now,
    /// From the stored cursor; the feed has been repaired.
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

/// A text that cannot be parsed as a decision.
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

/// Why a decision was rejected. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum DecideError {
    /// No such event is parked; it may have been applied meanwhile.
    #[error("{0} is not parked: `events` shows what is known of it")]
    NotParked(String),
    /// No event has failed for that cause; they may have been applied meanwhile.
    #[error("no event is parked for this cause: {0}")]
    NoSuchCause(String),
    /// The event did not fail itself.
    #[error("the event {0} waits for an earlier event of its subject {1}: decide about that one")]
    Waits(String, String),
    /// The subscription is paused already.
    #[error("the subscription is paused already, by {} since {}: {}", .0.by, .0.at.format("%Y-%m-%d %H:%M:%S UTC"), .0.reason)]
    Paused(Paused),
    /// The subscription is not paused.
    #[error("the subscription is not paused, so there is nothing to resume")]
    NotPaused,
    /// No live instance has that name.
    #[error("no instance is called {0}, or it has ended: `instances` lists those that run")]
    NoSuchInstance(String),
    /// The instance is retired already.
    #[error("the instance {0} is retired already, by {1}")]
    Retired(String, String),
    /// No other instance would take its events.
    #[error(
        "{0} is the last instance that takes events: start another one first, or pause the subscription"
    )]
    LastInstance(String),
    /// The skip has no reason or no name.
    #[error("{0} is missing: it is recorded with the decision")]
    Missing(&'static str),
    /// The consumer's database failed.
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
