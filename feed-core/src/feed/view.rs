//! A feed document for whoever writes a page of it for people.

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
    /// A writer that does so by `write`. The same document has to become the same page: its `ETag` stands
    /// for the bytes.
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

/// A feed document, with all that a page of it shows.
#[derive(Debug)]
pub struct View<'a> {
    document: &'a Document<'a>,
    addresses: &'a Addresses,
}

/// An event in a [`View`].
#[derive(Debug)]
pub struct ViewEntry<'a> {
    /// Its place in the feed.
    pub sequence: Sequence,
    /// What happened, for people.
    pub title: &'a str,
    /// The `CloudEvents` type.
    pub event_type: &'a str,
    /// When it happened.
    pub time: DateTime<Utc>,
    /// The page of what it is about.
    pub about: Url,
    /// Where its data is.
    pub data: Url,
}

impl<'a> View<'a> {
    pub(super) fn of(document: &'a Document<'a>, addresses: &'a Addresses) -> Self {
        Self {
            document,
            addresses,
        }
    }

    /// The address of the feed's head.
    #[must_use]
    pub fn feed(&self) -> Url {
        self.addresses.head()
    }

    /// The address of the head that is Atom for everybody, browsers as well.
    #[must_use]
    pub fn atom(&self) -> Url {
        self.addresses.base_url().join("feed.atom")
    }

    /// Where a reader is who has read this document.
    #[must_use]
    pub fn cursor(&self) -> &Cursor {
        &self.document.cursor
    }

    /// Where the document's link with that relation leads, such as `self` or `prev-archive`.
    #[must_use]
    pub fn link(&self, rel: &str) -> Option<&Url> {
        self.document.link(rel)
    }

    /// The events, newest first.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = ViewEntry<'_>> {
        let entry = |entry: &'a Entry| ViewEntry {
            sequence: entry.sequence,
            title: &entry.title,
            event_type: &entry.event_type,
            time: entry.time,
            about: self.addresses.link(&entry.link),
            data: self.addresses.event(entry.id),
        };
        self.document.entries.iter().rev().map(entry)
    }
}
