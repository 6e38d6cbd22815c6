//! An event as a consumer receives it.

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
    /// The subject; the entry's id if the feed gives none.
    pub subject: String,
    /// The sequence, if the feed has sequences.
    pub sequence: Option<Sequence>,
    /// When it happened.
    pub time: DateTime<Utc>,
    /// The body: JSON text for feed-core's feeds, the entry's content for others.
    pub data: String,
    /// The W3C trace context of the request that caused it.
    pub traceparent: Option<String>,
}
