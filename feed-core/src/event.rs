//! What an event is: a fact that happened to one subject, and never changes, but for its data where a
//! person is erased.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The identity of an event: a UUID, the same for ever and on every replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventId(pub Uuid);

impl EventId {
    /// A new id. Version 7, so that ids made one after the other lie together in an index.
    #[must_use]
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }

    /// The event's `atom:id`: an absolute IRI that names no host (RFC 4287, 4.2.6).
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

/// The number of an event in its feed: 1, 2, 3 … without holes, in commit order.
/// Zero stands for the place before the first event.
pub type Sequence = i64;

/// The last number there can be: the largest that every reader of JSON holds exactly, and far from
/// where sums overflow.
pub(crate) const LAST_SEQUENCE: Sequence = 1 << 53;

/// The longest id, type or subject of an event, in bytes: PostgreSQL refuses what has more than 2,704
/// in an index.
pub(crate) const LONGEST_NAME: usize = 2_000;

/// An event about to be written to the outbox.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// The `CloudEvents` type, in the past tense: `order.placed`. 1 to 2,000 bytes, and no
    /// white space around.
    pub event_type: String,
    /// What the event is about: `order/17`. Events of one subject are applied in sequence. Of the
    /// same form as the type.
    pub subject: String,
    /// When it happened.
    pub time: DateTime<Utc>,
    /// One line for a person who reads the feed. Names nobody: it can not be erased.
    pub title: String,
    /// The same in a sentence. Names nobody either.
    pub summary: String,
    /// The page about the subject, relative to the service's public base URL: `order/17`.
    pub link: String,
    /// The body: JSON text, kept byte for byte.
    pub data: String,
    /// The W3C trace context of the request that caused the event.
    pub traceparent: Option<String>,
}

impl NewEvent {
    /// An event that has just happened, with a title that says no more than its type and subject.
    ///
    /// ```
    /// use feed_core::NewEvent;
    ///
    /// let placed = NewEvent {
    ///     title: "Order 17 placed: 3 lines".into(),
    ///     ..NewEvent::new("order.placed", "order/17", r#"{"id":17}"#)
    /// };
    /// assert_eq!(placed.link, "order/17");
    /// ```
    #[must_use]
    pub fn new(
        event_type: impl Into<String>,
        subject: impl Into<String>,
        data: impl Into<String>,
    ) -> Self {
        let (event_type, subject) = (event_type.into(), subject.into());
        let title = format!("{event_type}: {subject}");
        Self {
            event_type,
            link: subject.clone(),
            subject,
            time: Utc::now(),
            summary: title.clone(),
            title,
            data: data.into(),
            traceparent: None,
        }
    }
}

/// What a feed document says of an event: all but its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) id: EventId,
    pub(crate) sequence: Sequence,
    pub(crate) event_type: String,
    pub(crate) subject: String,
    /// When it happened (`atom:published`).
    pub(crate) time: DateTime<Utc>,
    /// When it was numbered (`atom:updated`); never earlier than that of the event before.
    pub(crate) updated: DateTime<Utc>,
    pub(crate) title: String,
    pub(crate) summary: String,
    /// The page about the subject, relative to the public base URL.
    pub(crate) link: String,
}

/// A numbered event with its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) entry: Entry,
    /// JSON text.
    pub(crate) data: String,
    pub(crate) traceparent: Option<String>,
}
