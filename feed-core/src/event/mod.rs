//! An event: a fact about one subject. It never changes, except for its data when a person is
//! erased.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[cfg(feature = "publish")]
mod new_event;

#[cfg(all(test, feature = "publish"))]
pub(crate) use new_event::LONGEST_TEXT;
#[cfg(feature = "publish")]
pub(crate) use new_event::{Entry, Event, check_name};
#[cfg(feature = "publish")]
pub use new_event::{InvalidEvent, NewEvent};

/// The identity of an event: a UUID, the same for ever and on every replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventId(pub Uuid);

impl EventId {
    /// Creates an id. Version 7, so that ids created one after the other are adjacent in an index.
    #[must_use]
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }

    /// Returns the event's `atom:id`: an absolute IRI that names no host (RFC 4287, 4.2.6).
    #[must_use]
    pub fn urn(self) -> String {
        self.0.urn().to_string()
    }
}

impl Default for EventId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of an event in its feed: 1, 2, 3 … without gaps, in commit order. Zero is the
/// position before the first event.
pub type Sequence = i64;

/// The largest sequence: every reader of JSON represents it exactly, and sums cannot overflow.
pub const LAST_SEQUENCE: Sequence = 1 << 53;

/// The longest id, type or subject of an event, in bytes: PostgreSQL rejects more than 2,704 in an
/// index.
pub(crate) const LONGEST_NAME: usize = 2_000;

/// Returns true for a W3C trace context of version 00, the only version. Its ids are not zero.
pub(crate) fn is_traceparent(text: &str) -> bool {
    let lengths = text.split('-').map(str::len);
    let is_hex = |byte: u8| matches!(byte, b'-' | b'0'..=b'9' | b'a'..=b'f');
    let is_zero = |id: &str| id.bytes().all(|byte| byte == b'0');
    text.starts_with("00-")
        && lengths.eq([2, 32, 16, 2])
        && text.bytes().all(is_hex)
        && !text.split('-').skip(1).take(2).any(is_zero)
}
