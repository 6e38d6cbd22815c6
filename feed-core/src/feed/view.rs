//! A feed document as a page writer gets it.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use url::Url;

use super::address::Addresses;
use super::document::Document;
use crate::cursor::Cursor;
use crate::event::{Entry, Sequence};

/// Writes a feed document as an HTML page.
#[derive(Clone)]
pub struct PageWriter(Arc<dyn Fn(&View<'_>) -> String + Send + Sync>);

impl PageWriter {
    /// Creates a writer that calls `write`. It must be deterministic: the `ETag` identifies the
    /// bytes of the page.
    pub fn new(write: impl Fn(&View<'_>) -> String + Send + Sync + 'static) -> Self {
        Self(Arc::new(write))
    }

    pub(super) fn write(&self, view: &View<'_>) -> Bytes {
        (self.0)(view).into()
    }
}

impl fmt::Debug for PageWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PageWriter")
    }
}

/// A feed document, with everything that a page of it shows.
#[derive(Debug)]
pub struct View<'a> {
    document: &'a Document<'a>,
    addresses: &'a Addresses,
}

/// An event in a [`View`].
#[derive(Debug)]
pub struct ViewEntry<'a> {
    /// Its sequence.
    pub sequence: Sequence,
    /// What happened, for people.
    pub title: &'a str,
    /// The `CloudEvents` type.
    pub event_type: &'a str,
    /// When it happened.
    pub time: DateTime<Utc>,
    /// The page about its subject.
    pub about: Url,
    /// The address of its data.
    pub data: Url,
}

impl<'a> View<'a> {
    pub(super) fn of(document: &'a Document<'a>, addresses: &'a Addresses) -> Self {
        Self {
            document,
            addresses,
        }
    }

    /// Returns the address of the feed's head.
    #[must_use]
    pub fn feed(&self) -> Url {
        self.addresses.head()
    }

    /// Returns the address of the head that is Atom for every client, including browsers.
    #[must_use]
    pub fn atom(&self) -> Url {
        self.addresses.base_url().join("feed.atom")
    }

    /// Returns the type and the subject of the events in this document, each if it has no others.
    #[must_use]
    pub fn only(&self) -> (Option<&str>, Option<&str>) {
        self.document.filter.map_or((None, None), |filter| {
            (filter.event_type.as_deref(), filter.subject.as_deref())
        })
    }

    /// Returns the position of a reader after this document.
    #[must_use]
    pub fn cursor(&self) -> &Cursor {
        &self.document.cursor
    }

    /// Returns the target of the document's link with that relation, such as `self` or
    /// `prev-archive`.
    #[must_use]
    pub fn link(&self, rel: &str) -> Option<&Url> {
        self.document.link(rel)
    }

    /// Returns the events, newest first.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = ViewEntry<'_>> {
        let entry = |(entry, _): (&'a Entry, _)| ViewEntry {
            sequence: entry.sequence,
            title: &entry.title,
            event_type: &entry.event_type,
            time: entry.time,
            about: self.addresses.link(&entry.link),
            data: self.addresses.event(entry.id),
        };
        self.document.newest_first().map(entry)
    }
}
