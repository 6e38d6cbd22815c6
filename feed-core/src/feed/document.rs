//! The content of a feed document, independent of its form.

use chrono::{DateTime, Utc};
use url::Url;

use super::view::PageWriter;
use crate::cursor::Cursor;
use crate::event::Entry;

/// The media type of a batch document.
pub const BATCH: &str = "application/cloudevents-batch+json";

/// A link of a document, written in the document and in the `Link` header (RFC 8288).
#[derive(Debug, Clone)]
pub(super) struct Link {
    pub(super) rel: &'static str,
    pub(super) href: Url,
    pub(super) media_type: Option<&'static str>,
}

impl Link {
    /// Creates a link to another feed document.
    pub(super) fn feed(rel: &'static str, href: Url) -> Self {
        Self {
            rel,
            href,
            media_type: Some("application/atom+xml"),
        }
    }
}

/// One feed document.
#[derive(Debug)]
pub(super) struct Document<'a> {
    pub(super) id: String,
    pub(super) title: &'a str,
    pub(super) author: &'a str,
    /// Writes the document as a page for people, if set.
    pub(super) page: Option<&'a PageWriter>,
    pub(super) updated: DateTime<Utc>,
    /// The position of a reader after this document.
    pub(super) cursor: Cursor,
    pub(super) links: Vec<Link>,
    /// True for a page: its set of entries is final (RFC 5005, section 4).
    pub(super) archive: bool,
    /// In sequence; written newest first.
    pub(super) entries: &'a [Entry],
}

impl Document<'_> {
    /// Returns the target of the link with that relation.
    pub(super) fn link(&self, rel: &str) -> Option<&Url> {
        let link = self.links.iter().find(|link| link.rel == rel);
        link.map(|link| &link.href)
    }
}
