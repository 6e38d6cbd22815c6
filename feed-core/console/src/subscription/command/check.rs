//! Whether a decision fits how the subscription stands. What a person asks for by mistake must not
//! jump over events, or rebuild them on top of a halt.

use super::words::grouped;
use feed_core::Backend;
use feed_core::Sequence;
use feed_core::consumer::{Decision, Handle, ResumeFrom, Status};

/// Why a decision does not fit. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// It goes on by itself.
    #[error("the subscription is not halted, so there is nothing to resume")]
    NotHalted,
    /// First things first.
    #[error("the subscription is halted: decide first how it goes on (resume)")]
    Halted,
    /// There is nothing to take again.
    #[error("only events up to {} have been taken, so there is nothing to replay", grouped(*.0))]
    NotTaken(Sequence),
}

/// How the subscription stands, if `decision` fits that.
pub(in crate::subscription) async fn check<B: Backend>(
    handle: &Handle<B>,
    decision: Decision,
) -> sqlx::Result<Result<Status, Refused>> {
    let status = handle.status().await?;
    // One that has taken nothing may be sent to the newest event before it begins.
    let new = status.epoch.is_none() && status.sequence == 0;
    Ok(match decision {
        Decision::Resume(ResumeFrom::Now) if new => Ok(status),
        Decision::Resume(_) if status.halted.is_none() => Err(Refused::NotHalted),
        Decision::Replay(_) if status.halted.is_some() => Err(Refused::Halted),
        // A feed without numbers is taken again as a whole.
        Decision::Replay(from) if from > status.head.max(1) => Err(Refused::NotTaken(status.head)),
        _ => Ok(status),
    })
}
