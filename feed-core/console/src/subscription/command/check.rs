//! Checks a decision against the current state of the subscription, and against what the service says of its effects.
//! A mistyped decision must not skip events, replay them into a halted subscription, or give events a second effect.

use super::words::grouped;
use feed_core::Backend;
use feed_core::Sequence;
use feed_core::consumer::{Decision, Handle, ResumeFrom, Status};

/// Why a decision was rejected. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The subscription is not halted.
    #[error("the subscription is not halted, so there is nothing to resume")]
    NotHalted,
    /// A resume is open: events of its choice may still come.
    #[error(
        "no instance has carried out `{0}` yet: wait for it (if none runs, start the service), or take it back \
         (`decisions`, `undo`)"
    )]
    Open(String),
    /// The subscription is halted: resume it first.
    #[error("the subscription is halted: resume it first")]
    Halted,
    /// The subscription is paused: resume it first.
    #[error("the subscription is paused: resume it first")]
    Paused,
    /// The subscription is halted, and it matters how it resumes.
    #[error("the subscription is halted, not paused: say from where it resumes")]
    HowToResume,
    /// There is no event to replay.
    #[error("only events up to {} have been taken, so there is nothing to replay", grouped(*.0))]
    NotTaken(Sequence),
    /// This process would have to read the feed, and its setting names another one.
    #[error(
        "no instance runs, so this command would take the events itself; but {given} is not the feed of the subscription, \
         which is {known}: give --feed-url {known} (FEED_URL), or, if that feed has moved, start the service with its new \
         address first"
    )]
    OtherFeed {
        /// The address in our settings.
        given: String,
        /// The address that the last instance has followed.
        known: String,
    },
    /// An event may get a second effect; the text says why, and what to do.
    #[error("{0}")]
    Doubles(&'static str),
}

/// What comes of an event that is taken again after its claim was dropped: by a replay, or by a resume from the start,
/// since claims far below the cursor are removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Again {
    /// Nothing: the effect has a unique key of its own, as [`Effect::apply`](feed_core::Effect::apply) asks for.
    #[default]
    Harmless,
    /// Perhaps a second effect, so no such decision is taken. The text says why, and what to do.
    Doubles(&'static str),
}

impl Again {
    /// Returns what comes of a resume from the start: no claim is removed of a feed without sequences, so nothing is
    /// applied again.
    pub(in crate::subscription) fn resumed_at_start(self, status: &Status) -> Self {
        match status.epoch {
            None => Self::Harmless,
            Some(_) => self,
        }
    }
}

/// Returns whether a pause can be ended. A halted subscription needs an explicit position to resume from.
pub(in crate::subscription) async fn check_pause<B: Backend>(
    handle: &Handle<B>,
) -> sqlx::Result<Result<(), Refused>> {
    let status = handle.status().await?;
    Ok(match status.halted.is_some() && status.paused.is_none() {
        true => Err(Refused::HowToResume),
        false => Ok(()),
    })
}

/// Returns the state of the subscription, if it allows `decision`, and so do the effects.
pub(in crate::subscription) async fn check<B: Backend>(
    handle: &Handle<B>,
    decision: Decision,
    again: Again,
) -> sqlx::Result<Result<Status, Refused>> {
    let status = handle.status().await?;
    let again = match decision {
        Decision::Replay(_) => again,
        Decision::Resume(ResumeFrom::Start) => again.resumed_at_start(&status),
        Decision::Resume(_) => Again::Harmless,
    };
    if let Again::Doubles(why) = again {
        return Ok(Err(Refused::Doubles(why)));
    }
    // Otherwise it would be carried out after the resume, in a state that the operator does not know.
    if let Some(open) = &status.decision
        && open.starts_with("resume ")
    {
        return Ok(Err(Refused::Open(open.clone())));
    }
    let may_resume = match decision {
        // One that has never taken an event may begin at the newest one.
        Decision::Resume(ResumeFrom::Now) => status.halted.is_some() || handle.is_new().await?,
        _ => status.halted.is_some(),
    };
    Ok(match decision {
        Decision::Resume(_) if !may_resume => Err(Refused::NotHalted),
        Decision::Replay(_) if status.halted.is_some() => Err(Refused::Halted),
        Decision::Replay(_) if status.paused.is_some() => Err(Refused::Paused),
        // A feed without sequences is replayed as a whole.
        Decision::Replay(from) if from > status.head.max(1) => Err(Refused::NotTaken(status.head)),
        _ => Ok(status),
    })
}
