//! An entry of a feed document, and the errors of a document.

use atom_syndication::Content;
use chrono::{DateTime, Utc};

use super::body::LARGEST;
use super::charset::Undecodable;
use crate::event::{EventId, Sequence};

/// The deepest nesting of elements.
pub(crate) const DEEPEST: usize = 64;

/// The most elements and attributes, without those inside of contents. Each takes many times the
/// memory of its text (I11): the worst document takes some 130 MiB. An entry of feed-core has 18. One of 16 bytes a part is
/// refused, and an entry has more than 20 bytes a part.
pub(crate) const MOST_PARTS: usize = LARGEST / 20;

/// What an entry counts beside its elements and attributes: it takes the memory of so many more.
pub(crate) const ENTRY_PARTS: usize = 3;

/// Why bytes are no feed document.
#[derive(Debug, thiserror::Error)]
pub enum InvalidDocument {
    /// The bytes are invalid in the declared charset.
    #[error(transparent)]
    Charset(#[from] Undecodable),
    /// It is not well-formed.
    #[error("it is not well-formed XML")]
    Xml(#[source] quick_xml::Error),
    /// It ends before its root element is closed.
    #[error("it is not well-formed XML: it ends too early")]
    Cut,
    /// It has no root element, or content outside of it.
    #[error("it is not one XML document")]
    Outside,
    /// The prefix of an element is undeclared.
    #[error("it is not well-formed XML: the prefix {0} is not declared")]
    Prefix(String),
    /// An element's attributes are wrong: the element, and what is wrong with them.
    #[error("it is not well-formed XML: an attribute of {0} {1}")]
    Attribute(String, &'static str),
    /// It is XML, but not Atom: the name of its root element.
    #[error("it is not an Atom feed: its root element is {0}, not feed in Atom's namespace")]
    NotAtom(String),
    /// It declares a document type. Entities could make it grow without bound.
    #[error("it has a document type declaration")]
    DocumentType,
    /// It has a character that XML forbids and no database can store.
    #[error("it is not well-formed XML: it has a byte 0")]
    Zero,
    /// It has more elements than any feed.
    #[error("it has more than {MOST_PARTS} elements and attributes")]
    TooManyParts,
    /// It is nested deeper than any feed.
    #[error("it is nested deeper than {DEEPEST} elements")]
    TooDeep,
    /// It is a view of some events of a feed with sequences. The text is what the operator calls
    /// [`Subscription::feed_url`](crate::Subscription::feed_url).
    #[error(
        "it has only some of the events of its feed, whose numbers cannot be followed there: {0} must \
         point to the whole feed, without `type` or `subject`"
    )]
    Filtered(&'static str),
    /// Its entries contradict each other.
    #[error("{0}")]
    Contradiction(String),
}

/// An entry of a document, without its fetched content.
#[derive(Debug, Clone, Default)]
pub(crate) struct FoundEntry {
    pub(crate) id: String,
    pub(crate) sequence: Option<Sequence>,
    pub(crate) subject: Option<String>,
    pub(crate) event_type: Option<String>,
    pub(crate) published: DateTime<Utc>,
    pub(crate) updated: DateTime<Utc>,
    /// Its index in the document.
    pub(crate) index: usize,
    /// Its `xml:base`.
    pub(crate) base: Option<String>,
    /// Its value is text, or elements as they were written.
    pub(crate) content: Option<Content>,
    /// The trace context of an event whose data is in the entry.
    pub(crate) traceparent: Option<String>,
    /// Why this entry cannot be read, although the others can.
    pub(crate) unreadable: Option<String>,
}

impl FoundEntry {
    /// Returns the subject; the entry's id if the feed gives none.
    pub(crate) fn subject(&self) -> &str {
        self.subject.as_deref().unwrap_or(&self.id)
    }

    /// Returns true if the entry links to its content.
    pub(crate) fn is_linked(&self) -> bool {
        self.linked().is_some()
    }

    /// Returns the content that the entry links to, and the link.
    pub(crate) fn linked(&self) -> Option<(&Content, &str)> {
        let content = self.content.as_ref()?;
        Some((content, content.src()?))
    }

    /// Returns the event id; `None` for an id that no feed of feed-core gives.
    pub(crate) fn event_id(&self) -> Option<EventId> {
        event_id(&self.id)
    }
}

/// Parses an `atom:id` as an event id.
pub(crate) fn event_id(id: &str) -> Option<EventId> {
    let id = id.strip_prefix("urn:uuid:")?;
    Some(EventId(id.parse().ok()?))
}
