//! Documents that are written for one reader, from then until it has read them: few bytes of them are in memory at the same
//! time (I11). A reader that does not read keeps its document until the listener disconnects it.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::http::Problem;

/// The most bytes of them: six of the largest documents, beside the caches in a memory of 256 MiB.
const ROOM: usize = 48 * 1024 * 1024;

/// The largest document that is not counted, in bytes: with one for each of 10,000 connections it is less.
const SMALL: usize = 4 * 1024;

/// The room for them.
#[derive(Debug, Clone)]
pub(in crate::feed) struct Unread(Arc<Semaphore>);

impl Default for Unread {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(ROOM)))
    }
}

/// A document, which gives its room back once it is written to the connection.
struct Held {
    bytes: Bytes,
    _room: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Unread {
    /// Returns the same bytes, which take room until they are dropped; a `503` if there is none.
    pub(super) fn hold(&self, bytes: Bytes) -> Result<Bytes, Problem> {
        if bytes.len() <= SMALL {
            return Ok(bytes);
        }
        let wanted = u32::try_from(bytes.len().min(ROOM)).unwrap_or(u32::MAX);
        match Arc::clone(&self.0).try_acquire_many_owned(wanted) {
            Ok(_room) => Ok(Bytes::from_owner(Held { bytes, _room })),
            Err(_) => Err(Problem::unavailable(
                "too many documents with data wait for readers that do not read them",
            )),
        }
    }
}
