//! The decisions of an operator: retry an event, skip it, resume after a halt, replay.
//!
//! A retry and a skip take effect at once, under the lock of the event's partition. A decision that
//! needs the feed is stored, and the next instance that polls executes it.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};

use super::status::Paused;
use crate::event::{LAST_SEQUENCE, Sequence};
use crate::http::{is_control, with_causes};

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

/// Why a decision was rejected. Nothing has changed, unless the error says so.
#[derive(Debug, thiserror::Error)]
pub enum DecideError {
    /// No such event is parked; it may have been applied meanwhile.
    #[error("{0} is not parked: `events` shows what is known of it")]
    NotParked(String),
    /// No failed event is selected; they may have been applied meanwhile.
    #[error("nothing is parked that is selected: {0}")]
    NoneSelected(String),
    /// Another operator was first.
    #[error("{about} is not parked any more: {by} decided at {}: {decision}", moment(*.at))]
    AlreadyDecided {
        /// The event or the selection.
        about: String,
        /// What was decided.
        decision: String,
        /// The operator.
        by: String,
        /// When.
        at: DateTime<Utc>,
    },
    /// An earlier event of the subject was skipped: the first one is not the one that the operator has seen.
    #[error("{by} skipped {event} at {}: name the next event, by its id, to skip it too", moment(*.at))]
    SkippedBefore {
        /// The event that was skipped.
        event: String,
        /// The operator.
        by: String,
        /// When.
        at: DateTime<Utc>,
    },
    /// So many selected events have failed again since the preview.
    #[error(
        "{selected}: {decided}{events} of them have failed since the preview: look at them again"
    )]
    FailedSince {
        /// What was selected.
        selected: String,
        /// Which operator has decided about it since, with a semicolon; empty if none has.
        decided: String,
        /// Their number.
        events: i64,
    },
    /// An instance has locked the event, or its partition.
    #[error(
        "an instance is trying the event now, or another one of its partition: decide again in some seconds"
    )]
    BeingTried,
    /// A part of the selected events is decided about, as `done` says. The others are as they were, for the reason in `error`.
    #[error("{done}; the others are as they were: {}", with_causes(&**.error))]
    Partly {
        /// What is done.
        done: String,
        /// Why that is not all.
        error: Box<DecideError>,
    },
    /// A skip of everything would be a mistake.
    #[error("a skip of many needs a cause, a type or a time")]
    Everything,
    /// The skip of many was taken back while it was executed; so many events were skipped before.
    #[error("the skip was taken back by another operator, after {0} events")]
    TakenBack(u64),
    /// A replay is open, which repeats events.
    #[error("a replay is open, which repeats events: decide again when it is done")]
    UnderWay,
    /// There is no such decision.
    #[error("there is no decision {0}: `decisions` lists them")]
    NoSuchDecision(i64),
    /// Nothing of that decision can be undone.
    #[error("decision {0} cannot be undone: {1}")]
    CannotUndo(i64, NoUndo),
    /// The event did not fail itself.
    #[error("the event {0} waits for an earlier event of its subject {1}: decide about that one")]
    Waits(String, String),
    /// The subscription is paused already.
    #[error("the subscription is paused already, by {} since {}: {}", .0.by, moment(.0.at), .0.reason)]
    Paused(Paused),
    /// The subscription is not paused.
    #[error("the subscription is not paused, so there is nothing to resume")]
    NotPaused,
    /// No instance that is known has that name.
    #[error("no instance is called {0}: `instances` lists those of the last hour")]
    NoSuchInstance(String),
    /// The instance is retired already.
    #[error("the instance {0} is retired already, by {1}")]
    Retired(String, String),
    /// The instance runs an older version, which would take events all the same.
    #[error("the instance {0} runs an older version, which cannot be retired: stop its process")]
    Older(String),
    /// No other instance would take its events.
    #[error("no instance but {0} takes events: start another one first, or pause the subscription")]
    LastInstance(String),
    /// The operator's name cannot be recorded.
    #[error("the operator's name {0}: it is recorded with the decision")]
    Name(TextError),
    /// The reason cannot be recorded.
    #[error("the reason {0}: it is recorded with the decision")]
    Reason(TextError),
    /// The consumer's database failed.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
}

/// Why a decision cannot be undone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoUndo {
    /// It is a retry.
    #[error(
        "a retry needs no undo, since what was applied is as it ought to be, and what fails again is parked"
    )]
    Retry,
    /// It is an undo.
    #[error("it is an undo itself: decide again")]
    Undo,
    /// It is a pause.
    #[error("`resume` ends a pause")]
    Pause,
    /// It is the retirement of an instance.
    #[error("an instance that was retired works again once its process is restarted")]
    Retire,
    /// This instance runs an older version, which would not notice that the event is parked again.
    #[error("the instance {0} runs an older version: update it first")]
    Older(String),
    /// An instance has executed a part of it.
    #[error("an instance has begun to carry it out")]
    UnderWay,
    /// An instance has executed it.
    #[error("an instance has carried it out, and {0}")]
    Executed(String),
    /// It is undone already.
    #[error("{by} has done so at {}", moment(*.at))]
    Undone {
        /// The operator.
        by: String,
        /// When.
        at: DateTime<Utc>,
    },
    /// Later events of the subjects have taken effect, a replay or an erasure came in between, or a week has passed.
    #[error(
        "a later event of the subject has taken effect, a replay or an erasure came in between, or a week has passed; \
         the event stays skipped"
    )]
    TooLate,
}

/// The longest name of an operator, in characters.
pub const LONGEST_NAME: usize = 200;

/// The longest reason, in characters.
pub const LONGEST_REASON: usize = 1000;

/// What is wrong with a text that would be recorded with a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// It is empty.
    #[error("is missing")]
    Missing,
    /// It is longer than this number of characters.
    #[error("is longer than {0} characters")]
    TooLong(usize),
    /// It has line breaks, tabs or others, which could forge a line of a log or a terminal.
    #[error("has control characters")]
    Control,
}

/// Returns an operator's name as it is recorded: without surrounding blanks.
///
/// # Errors
///
/// Returns an error if it is empty, longer than [`LONGEST_NAME`], or has control characters.
pub fn check_name(text: &str) -> Result<&str, TextError> {
    check(text, LONGEST_NAME)
}

/// Returns a reason as it is recorded: without surrounding blanks.
///
/// # Errors
///
/// Returns an error if it is empty, longer than [`LONGEST_REASON`], or has control characters.
pub fn check_reason(text: &str) -> Result<&str, TextError> {
    check(text, LONGEST_REASON)
}

fn check(text: &str, longest: usize) -> Result<&str, TextError> {
    match text.trim() {
        "" => Err(TextError::Missing),
        _ if text.contains(is_control) => Err(TextError::Control),
        text if text.chars().count() > longest => Err(TextError::TooLong(longest)),
        text => Ok(text),
    }
}

pub(super) fn moment(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
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

    #[test]
    fn a_recorded_text_is_one_line() {
        assert_eq!(check_name(" Zoë "), Ok("Zoë"));
        assert_eq!(check_name(" "), Err(TextError::Missing));
        for forged in ["eve\n", "a\tb", "\u{1b}[2J", "\u{202e}eve", "e\0"] {
            assert_eq!(check_name(forged), Err(TextError::Control), "{forged:?}");
            assert_eq!(check_reason(forged), Err(TextError::Control), "{forged:?}");
        }
        let longest = "ü".repeat(LONGEST_NAME);
        assert_eq!(check_name(&longest), Ok(longest.as_str()));
        let longer = longest + "ü";
        assert_eq!(check_name(&longer), Err(TextError::TooLong(200)));
        assert_eq!(check_reason(&longer), Ok(longer.as_str()));
        let longer = longer.repeat(5);
        assert_eq!(check_reason(&longer), Err(TextError::TooLong(1000)));
    }
}
