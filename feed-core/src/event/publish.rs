//! An event on its way into a feed, and as the feed has it.

use chrono::{DateTime, Utc};

use super::{EventId, LONGEST_NAME, Sequence};
use crate::data::{self, InvalidData};

/// The longest title, summary or link of an event, in bytes: a head of 199 entries, each character of them
/// escaped, is an answer that a consumer takes.
pub(crate) const LONGEST_TEXT: usize = 2_000;

/// Why an event cannot be published: it would stop the numbering of others, or its readers.
///
/// The limits are also those of `feed_outbox`: its constraints refuse what another program inserts.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidEvent {
    /// Its type or subject is empty or too long.
    #[error("an event's type and subject have 1 to {LONGEST_NAME} bytes")]
    Name,
    /// White space around a name is not kept by parsers of XML: it would be another subject.
    #[error("an event's type or subject has white space around")]
    WhiteSpace,
    /// RFC 3339 has four digits for the year, and several languages begin with year 1.
    #[error("an event's time is not in the years 1 to 9999")]
    Time,
    /// Its title, summary or link is too long.
    #[error("an event's title, summary and link have at most {LONGEST_TEXT} bytes each")]
    Text,
    /// Its data is not what consumers can take.
    #[error("consumers cannot read the event's data")]
    Data(#[from] InvalidData),
}

/// An event about to be written to the outbox.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// The `CloudEvents` type, in the past tense: `order.placed`. 1 to 2,000 bytes, and no
    /// white space around.
    pub event_type: String,
    /// What the event is about: `order/17`. Events of one subject are applied in sequence. Of the
    /// same form as the type.
    pub subject: String,
    /// When it happened: in the years 1 to 9999, to the millisecond.
    pub time: DateTime<Utc>,
    /// One line for a person who reads the feed, of at most 2,000 bytes. Names nobody: it can not be erased.
    pub title: String,
    /// The same in a sentence, of at most 2,000 bytes. Names nobody either.
    pub summary: String,
    /// The page about the subject: `order/17`, relative to the service's public base URL, or a whole `http:` or
    /// `https:` address. At most 2,000 bytes.
    pub link: String,
    /// The body: JSON text of at most 1 MiB, kept byte for byte. At most 100 arrays and objects are within each
    /// other, numbers fit into a double, and no string has half a surrogate pair ([`InvalidData`]).
    pub data: String,
    /// The W3C trace context of the request that caused the event. One that is malformed is left out.
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

    /// Fails if readers could not take it.
    pub(crate) fn check(&self) -> Result<(), InvalidEvent> {
        self.check_texts()?;
        Ok(data::check(&self.data)?)
    }

    /// Fails if a document of the feed could not be read with it.
    pub(crate) fn check_texts(&self) -> Result<(), InvalidEvent> {
        let names = [&self.event_type, &self.subject];
        if names
            .iter()
            .any(|name| name.is_empty() || name.len() > LONGEST_NAME)
        {
            return Err(InvalidEvent::Name);
        }
        if names.iter().any(|name| name.trim() != **name) {
            return Err(InvalidEvent::WhiteSpace);
        }
        // Of a leap second, too, which is counted into the second after it.
        if !(FIRST_INSTANT..=LAST_INSTANT).contains(&self.time.timestamp_millis()) {
            return Err(InvalidEvent::Time);
        }
        let texts = [&self.title, &self.summary, &self.link];
        if texts.iter().any(|text| text.len() > LONGEST_TEXT) {
            return Err(InvalidEvent::Text);
        }
        Ok(())
    }
}

/// The first millisecond of the year 1 and the last one of the year 9999, since 1970.
const FIRST_INSTANT: i64 = -62_135_596_800_000;
const LAST_INSTANT: i64 = 253_402_300_799_999;

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

/// True for a W3C trace context of version 00, the only one that there is.
pub(crate) fn is_traceparent(text: &str) -> bool {
    let lengths = text.split('-').map(str::len);
    let is_hex = |byte: u8| matches!(byte, b'-' | b'0'..=b'9' | b'a'..=b'f');
    text.starts_with("00-") && lengths.eq([2, 32, 16, 2]) && text.bytes().all(is_hex)
}
