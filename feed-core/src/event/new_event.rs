//! An event before and after it is published.

use chrono::{DateTime, Utc};

use super::{EventId, LONGEST_NAME, Sequence};
use crate::data::{self, InvalidData};

/// The longest title, summary or link of an event, in bytes. A head of 199 entries with every
/// character escaped is then within a consumer's limit for an answer.
pub(crate) const LONGEST_TEXT: usize = 2_000;

/// The characters of a title that nobody has set, as in the SQL of `feed_outbox`: each has at most four bytes.
const DEFAULT_TITLE: usize = LONGEST_TEXT / 4;

/// Why an event cannot be published: it would block the numbering of other events, or its readers.
///
/// The constraints of `feed_outbox` enforce the same limits for other programs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidEvent {
    /// Its type or subject is empty or too long.
    #[error("an event's type and subject have 1 to {LONGEST_NAME} bytes")]
    Name,
    /// XML parsers drop white space around a name, which would change the subject.
    #[error("an event's type or subject has white space around")]
    WhiteSpace,
    /// XML 1.0, section 2.2: in Atom the type or subject would be another one than in JSON.
    #[error("an event's type or subject has a character that XML does not have")]
    Character,
    /// RFC 3339 has four digits for the year, and several languages begin with year 1.
    #[error("an event's time is not in the years 1 to 9999")]
    Time,
    /// Its title, summary or link is too long.
    #[error("an event's title, summary and link have at most {LONGEST_TEXT} bytes each")]
    Text,
    /// PostgreSQL stores no text with it. Other characters that XML does not have become U+FFFD in Atom.
    #[error("an event's title, summary or link has a byte 0, which cannot be stored")]
    Zero,
    /// Its data is not what consumers can take.
    #[error("consumers cannot read the event's data")]
    Data(#[from] InvalidData),
}

/// An event to append to the outbox.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// The `CloudEvents` type, in the past tense: `order.placed`. 1 to 2,000 bytes, without
    /// surrounding white space and without characters that XML does not have.
    pub event_type: String,
    /// The subject: `order/17`. Events of one subject are applied in sequence. The limits are those
    /// of the type.
    pub subject: String,
    /// When it happened: in the years 1 to 9999, to the millisecond. A leap second is stored as the second after it.
    pub time: DateTime<Utc>,
    /// One line for people who read the feed, of at most 2,000 bytes, none of them 0. It must not contain
    /// personal data, since it cannot be erased.
    pub title: String,
    /// The same in a sentence, with the limits of the title. It must not contain personal data either.
    pub summary: String,
    /// The page about the subject: `order/17`, which is appended to the service's public base URL, or
    /// an absolute `http:` or `https:` address. So `/orders/17` is not below the root of the host, but
    /// has two slashes, and `#` is part of the path. The limits are those of the title.
    pub link: String,
    /// The body: JSON text of at most 1 MiB. Readers get it byte for byte, without the white space around it: sign
    /// what is left without that. Arrays and objects are nested at most 100 deep, numbers fit into a double, and no
    /// string has half a surrogate pair ([`InvalidData`]).
    pub data: String,
    /// The W3C trace context of the request that caused the event. A malformed one is dropped.
    pub traceparent: Option<String>,
}

impl NewEvent {
    /// Creates an event that happens now, with the first 500 characters of type and subject as its title.
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
        let title: String = title.chars().take(DEFAULT_TITLE).collect();
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

    /// Returns an error if readers cannot process the event.
    pub(crate) fn check(&self) -> Result<(), InvalidEvent> {
        self.check_texts()?;
        Ok(data::check(&self.data)?)
    }

    /// Returns an error if a document with the event would be unreadable.
    pub(crate) fn check_texts(&self) -> Result<(), InvalidEvent> {
        for name in [&self.event_type, &self.subject] {
            check_name(name)?;
        }
        // A leap second counts into the second after it.
        if !(FIRST_INSTANT..=LAST_INSTANT).contains(&self.time.timestamp_millis()) {
            return Err(InvalidEvent::Time);
        }
        let texts = [&self.title, &self.summary, &self.link];
        if texts.iter().any(|text| text.len() > LONGEST_TEXT) {
            return Err(InvalidEvent::Text);
        }
        if texts.iter().any(|text| text.contains('\0')) {
            return Err(InvalidEvent::Zero);
        }
        Ok(())
    }
}

/// Returns an error if no event can have this type or subject.
pub(crate) fn check_name(name: &str) -> Result<(), InvalidEvent> {
    let is_in_xml = |c| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..);
    if name.is_empty() || name.len() > LONGEST_NAME {
        return Err(InvalidEvent::Name);
    }
    if name.trim() != name {
        return Err(InvalidEvent::WhiteSpace);
    }
    match name.chars().all(is_in_xml) {
        true => Ok(()),
        false => Err(InvalidEvent::Character),
    }
}

/// The first millisecond of the year 1 and the last one of the year 9999, since 1970.
const FIRST_INSTANT: i64 = -62_135_596_800_000;
const LAST_INSTANT: i64 = 253_402_300_799_999;

/// The part of an event in a feed document: everything except its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) id: EventId,
    pub(crate) sequence: Sequence,
    pub(crate) event_type: String,
    pub(crate) subject: String,
    /// When it happened (`atom:published`).
    pub(crate) time: DateTime<Utc>,
    /// When it was numbered (`atom:updated`); never earlier than for the event before.
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
