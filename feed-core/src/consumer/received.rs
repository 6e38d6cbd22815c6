//! An event as a consumer has it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::event::Sequence;

/// An event as it arrived from a feed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// The entry's `atom:id`; compared character by character (RFC 4287, 4.2.6.1).
    pub id: String,
    /// The `CloudEvents` type, if the feed gives one.
    pub event_type: Option<String>,
    /// What it is about; the entry's id where the feed does not say.
    pub subject: String,
    /// Its place in the feed, if the feed numbers its events.
    pub sequence: Option<Sequence>,
    /// When it happened.
    pub time: DateTime<Utc>,
    /// The body: JSON text for our own feeds, whatever the entry holds for others.
    pub data: String,
    /// The W3C trace context of the request that caused it.
    pub traceparent: Option<String>,
}
