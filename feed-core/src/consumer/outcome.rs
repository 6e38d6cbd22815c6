//! The outcome of a round.

use std::time::Duration;

use crate::consumer::apply::failure::Stopped;
use crate::consumer::progress::position::InvalidPosition;
use crate::consumer::source::fetch_error::FetchError;
use crate::consumer::source::redact::redact_url;
use crate::consumer::source::walk::WalkError;

/// The outcome of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Polled {
    /// New events were taken; this many effects were committed now.
    Applied(usize),
    /// There is nothing new.
    UpToDate {
        /// True if the next request may follow at once: the server held this request back, was not
        /// asked to, or could not since there was no tag yet.
        waited: bool,
    },
    /// Other instances hold all partitions.
    LeasedElsewhere,
    /// The subscription is halted until an operator decides.
    Halted,
    /// An operator has paused the subscription: the feed was asked how far it is, and no event was taken.
    Paused,
    /// Something else was requested meanwhile.
    Interrupted,
}

/// Why a round failed. Nothing is lost: the next one begins at the same cursor.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PollError {
    /// The feed could not be read.
    #[error("cannot read the feed")]
    Fetch(#[from] FetchError),
    /// The consumer's database failed.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    /// The effect [needs something that is out of reach](crate::EffectError::Later).
    #[error("the events cannot be applied now: {reason}")]
    Later {
        /// What is out of reach.
        reason: String,
        /// The least pause, if one is known.
        after: Option<Duration>,
    },
    /// The address is that of a page, which ends. The text is what the operator calls
    /// [`Subscription::feed_url`](crate::Subscription::feed_url).
    #[error("{0} is a part of a feed, not its head: {1} must point to the head of the feed")]
    NotTheHead(String, &'static str),
    /// The stored cursor cannot be read. This halts the subscription.
    #[error("{0}")]
    StoredCursor(String),
    /// The feed has sequences no longer.
    #[error("the feed has no sequence any more: is {0} still the same feed?")]
    NotSequenced(String),
    /// A walk through the feed returns to a document that it has read.
    #[error("the feed's pages form a cycle: {0} occurs twice")]
    Cycle(String),
    /// A walk through the feed exceeds its limits.
    #[error("nothing known within {documents} documents and {bytes} bytes of the feed")]
    TooLong {
        /// Documents read.
        documents: usize,
        /// Bytes read.
        bytes: usize,
    },
}

impl From<WalkError> for PollError {
    fn from(error: WalkError) -> Self {
        match error {
            WalkError::Fetch(error) => Self::Fetch(error),
            WalkError::NotSequenced(url) => Self::NotSequenced(redact_url(&url)),
            WalkError::Cycle(url) => Self::Cycle(redact_url(&url)),
            WalkError::TooLong { documents, bytes } => Self::TooLong { documents, bytes },
        }
    }
}

impl From<Stopped> for PollError {
    fn from(stopped: Stopped) -> Self {
        match stopped {
            Stopped::Database(error) => Self::Database(error),
            Stopped::Later(reason, after) => Self::Later { reason, after },
        }
    }
}

impl From<InvalidPosition> for PollError {
    fn from(error: InvalidPosition) -> Self {
        Self::StoredCursor(error.to_string())
    }
}
