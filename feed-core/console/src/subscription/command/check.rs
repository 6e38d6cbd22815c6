//! Checks a decision against the current state of the subscription. A mistyped decision must not
//! skip events, or replay them into a halted subscription.

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
}

/// Returns whether a pause can be ended: one who resumes a halted subscription has to say from where.
pub(in crate::subscription) async fn check_pause<B: Backend>(
    handle: &Handle<B>,
) -> sqlx::Result<Result<(), Refused>> {
    let status = handle.status().await?;
    Ok(match status.halted.is_some() && status.paused.is_none() {
        true => Err(Refused::HowToResume),
        false => Ok(()),
    })
}

/// Returns the state of the subscription, if it allows `decision`.
pub(in crate::subscription) async fn check<B: Backend>(
    handle: &Handle<B>,
    decision: Decision,
) -> sqlx::Result<Result<Status, Refused>> {
    let status = handle.status().await?;
    // A subscription without events may be moved to the newest event.
    let new = status.epoch.is_none() && status.sequence == 0;
    Ok(match decision {
        Decision::Resume(ResumeFrom::Now) if new => Ok(status),
        Decision::Resume(_) if status.halted.is_none() => Err(Refused::NotHalted),
        Decision::Replay(_) if status.halted.is_some() => Err(Refused::Halted),
        Decision::Replay(_) if status.paused.is_some() => Err(Refused::Paused),
        // A feed without sequences is replayed as a whole.
        Decision::Replay(from) if from > status.head.max(1) => Err(Refused::NotTaken(status.head)),
        _ => Ok(status),
    })
}
