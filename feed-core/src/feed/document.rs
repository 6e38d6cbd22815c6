//! What a feed document says, before it is written.

use chrono::{DateTime, Utc};
use url::Url;

use super::view::PageWriter;
use crate::cursor::Cursor;
use crate::event::Entry;

/// The media type of the events of a document with their data.
pub const BATCH: &str = "application/cloudevents-batch+json";

/// A link of a document; it stands in the document and in the `Link` header (RFC 8288).
#[derive(Debug, Clone)]
pub(super) struct Link {
    pub(super) rel: &'static str,
    pub(super) href: Url,
    pub(super) media_type: Option<&'static str>,
}

impl Link {
    /// A link to another feed document.
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
    /// What writes the document as a page for people, if anything does.
    pub(super) page: Option<&'a PageWriter>,
    pub(super) updated: DateTime<Utc>,
    /// Where a reader is who has read this document.
    pub(super) cursor: Cursor,
    pub(super) links: Vec<Link>,
    /// True for a page: its set of entries is final (RFC 5005, section 4).
    pub(super) archive: bool,
    /// In sequence; written newest first.
    pub(super) entries: &'a [Entry],
}

impl Document<'_> {
    /// Where the link with that relation leads.
    pub(super) fn link(&self, rel: &str) -> Option<&Url> {
        let link = self.links.iter().find(|link| link.rel == rel);
        link.map(|link| &link.href)
    }
}
