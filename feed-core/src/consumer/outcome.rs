//! How a round ends.

use crate::consumer::progress::position::InvalidPosition;
use crate::consumer::source::fetch_error::FetchError;
use crate::consumer::source::walk::WalkError;

/// How a round ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Polled {
    /// New events were taken, this many with their effect committed now.
    Applied(usize),
    /// There is nothing new.
    UpToDate {
        /// True if the server held the request back until it was sure of that, or was not asked to,
        /// or could not since we had no tag yet: then the next request may follow at once.
        waited: bool,
    },
    /// All partitions are other instances'.
    LeasedElsewhere,
    /// The subscription is halted until a person decides.
    Halted,
    /// Somebody asked for something else meanwhile.
    Interrupted,
}

/// Why a round failed. Nothing is lost: the next one begins where this one did.
#[derive(Debug, thiserror::Error)]
pub enum PollError {
    /// The feed could not be read.
    #[error("cannot read the feed")]
    Fetch(#[from] FetchError),
    /// Our own database failed.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    /// The address is that of a page, which has an end.
    #[error("{0} is a part of a feed, not its head: FEED_URL is to be the address of the feed")]
    NotTheHead(url::Url),
    /// The feed is not what it was.
    #[error("the feed has no sequence any more: is {0} still the same feed?")]
    NotSequenced(url::Url),
    /// A walk through the feed comes back to where it was.
    #[error("the feed's pages lead in a circle: {0} comes twice")]
    Cycle(url::Url),
    /// A walk through the feed does not come to an end within our bounds.
    #[error("nothing known within {documents} documents and {bytes} bytes of the feed")]
    TooLong {
        /// Documents read.
        documents: usize,
        /// Bytes they had.
        bytes: usize,
    },
}

impl From<WalkError> for PollError {
    fn from(error: WalkError) -> Self {
        match error {
            WalkError::Fetch(error) => Self::Fetch(error),
            WalkError::NotSequenced(url) => Self::NotSequenced(url),
            WalkError::Cycle(url) => Self::Cycle(url),
            WalkError::TooLong { documents, bytes } => Self::TooLong { documents, bytes },
        }
    }
}

impl From<InvalidPosition> for PollError {
    fn from(error: InvalidPosition) -> Self {
        Self::Database(sqlx::Error::Protocol(error.to_string()))
    }
}
