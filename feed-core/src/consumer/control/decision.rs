//! What a person can decide: to try an event again, to skip it, to go on after a halt, to go back.
//!
//! A retry and a skip are done at once, under the lock of the event's partition. What needs the
//! feed is written down, and the next instance that looks carries it out.

use std::fmt;
use std::str::FromStr;

use tracing::warn;

use super::handle::Handle;
use crate::consumer::received::Received;
use crate::event::{LAST_SEQUENCE, Sequence};
use crate::store::Backend;
use crate::store::operate::{NewDecision, Skip};

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

impl<B: Backend> Handle<B> {
    /// Has a failed event tried again at once, and the later ones of its subject after it; all
    /// failed events without an id. Returns how many are to be tried.
    ///
    /// # Errors
    ///
    /// The event is not parked or waits for another one, `by` is empty, or the database failed.
    pub async fn retry(&self, id: Option<&str>, by: &str) -> Result<u64, DecideError> {
        let by = given(by, "the name of who decides")?;
        if let Some(id) = id {
            self.failed(id).await?;
        }
        let mut tx = self.database.begin().await?;
        let events = B::hasten(&mut tx, &self.subscription, id).await?;
        let decision = match id {
            Some(id) => format!("retry {id}"),
            None => "retry all".to_owned(),
        };
        let outcome = format!("{events} to be tried again");
        let decided = NewDecision {
            decision: &decision,
            reason: None,
            decided_by: by,
            outcome: Some(&outcome),
        };
        B::decide(&mut tx, &self.subscription, &decided).await?;
        tx.commit().await?;
        self.call().await?;
        Ok(events)
    }

    /// Skips a failed event for ever, so that the later ones of its subject go on. It is recorded
    /// who did it, and why.
    ///
    /// # Errors
    ///
    /// The event is not parked or waits for another one, `reason` or `by` is empty, or the
    /// database failed.
    pub async fn skip(&self, id: &str, reason: &str, by: &str) -> Result<(), DecideError> {
        let by = given(by, "the name of who decides")?;
        let reason = given(reason, "the reason")?;
        let s = &self.subscription;
        let parked = self.failed(id).await?;
        let event: Option<Received> = serde_json::from_str(&parked.event).ok();
        let mut tx = self.database.begin().await?;
        // Its owner may be trying it at this moment: one of us comes first.
        B::lock_partition(&mut tx, s, parked.partition).await?;
        if !B::unpark(&mut tx, s, id).await? {
            return Err(DecideError::NotParked(id.to_owned()));
        }
        let skip = Skip {
            event_id: id,
            subject: &parked.subject,
            event_type: event.as_ref().and_then(|event| event.event_type.as_deref()),
            sequence: parked.sequence,
            reason,
        };
        B::skip(&mut tx, s, &[skip], Some(by)).await?;
        let decided = NewDecision {
            decision: &format!("skip {id}"),
            reason: Some(reason),
            decided_by: by,
            outcome: Some("skipped"),
        };
        B::decide(&mut tx, s, &decided).await?;
        tx.commit().await?;
        warn!(
            event.id = id,
            event.subject = parked.subject,
            "{by} skipped event {id}: {reason}"
        );
        self.call().await?;
        Ok(())
    }

    /// Writes a decision down, which a running instance carries out; returns its position among
    /// the [decisions](Handle::decisions).
    ///
    /// # Errors
    ///
    /// `by` is empty, or the database failed.
    pub async fn decide(&self, decision: Decision, by: &str) -> Result<i64, DecideError> {
        let by = given(by, "the name of who decides")?;
        let mut tx = self.database.begin().await?;
        let decided = NewDecision {
            decision: &decision.to_string(),
            reason: None,
            decided_by: by,
            outcome: None,
        };
        let position = B::decide(&mut tx, &self.subscription, &decided).await?;
        tx.commit().await?;
        self.call().await?;
        Ok(position)
    }

    /// The parked event with that id, if it failed itself.
    async fn failed(&self, id: &str) -> Result<crate::store::consume::ParkedRow, DecideError> {
        let pool = self.database.reader();
        let mut rows = B::parked(pool, &self.subscription, Some(id), 1).await?;
        match rows.pop() {
            None => Err(DecideError::NotParked(id.to_owned())),
            Some(row) if row.reason.is_none() => Err(DecideError::Waits(row.event_id, row.subject)),
            Some(row) => Ok(row),
        }
    }
}

/// What was typed, if it is more than blanks.
fn given<'a>(text: &'a str, what: &'static str) -> Result<&'a str, DecideError> {
    match text.trim() {
        "" => Err(DecideError::Missing(what)),
        text => Ok(text),
    }
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
