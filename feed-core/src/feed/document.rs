//! The content of a feed document, independent of its form.

use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::sync::Arc;

use axum::http::HeaderValue;
use chrono::{DateTime, Utc};
use url::Url;

use crate::cursor::Cursor;
use crate::event::{Entry, Event, Sequence};
use crate::partition::Partitions;
use crate::store::publish::Filter;

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

    /// Creates a link to the page for people at `href`.
    pub(super) fn page(href: Url) -> Self {
        Self {
            rel: "alternate",
            href,
            media_type: Some("text/html"),
        }
    }
}

/// Links in the form of headers (RFC 8288), written once for each document.
#[derive(Debug, Clone, Default)]
pub(super) struct LinkHeaders(Arc<[HeaderValue]>);

/// The most bytes of all links of a document as headers. The addresses of a filtered view repeat its filter, and clients
/// read so many bytes of headers: Node 16 KiB, nginx 4 KiB by default.
const LARGEST_LINKS: usize = 3 * 1024;

impl LinkHeaders {
    /// Writes the links that fit. The others are in the document; `next` is always here, since a batch says nowhere else
    /// where it continues.
    pub(super) fn new(links: &[Link]) -> Self {
        let mut size = 0;
        let values = links.iter().filter_map(|link| {
            let media_type = match link.media_type {
                Some(media_type) => format!("; type=\"{media_type}\""),
                None => String::new(),
            };
            let value = format!("<{}>; rel=\"{}\"{media_type}", link.href, link.rel);
            size += value.len();
            if size > LARGEST_LINKS && link.rel != "next" {
                return None;
            }
            // An address is ASCII.
            HeaderValue::try_from(value).ok()
        });
        Self(values.collect())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &HeaderValue> {
        self.0.iter()
    }
}

/// One feed document.
#[derive(Debug)]
pub(super) struct Document<'a> {
    pub(super) id: String,
    pub(super) title: Cow<'a, str>,
    /// Never in a page: its bytes are final (I3), and this text may change.
    pub(super) subtitle: Option<&'a str>,
    pub(super) author: &'a str,
    pub(super) updated: DateTime<Utc>,
    /// The position of a reader after this document.
    pub(super) cursor: Cursor,
    pub(super) links: Vec<Link>,
    /// Which events it is of; `None` for the whole feed.
    pub(super) filter: Option<&'a Filter>,
    /// True for a page: its set of entries is final (RFC 5005, section 4).
    pub(super) archive: bool,
    /// The first entries, with their data in the document. Empty in most documents.
    pub(super) events: &'a [Event],
    /// The entries after them, which link to their data. In sequence; written newest first.
    pub(super) entries: &'a [Entry],
    /// What is left out of a document of some partitions.
    pub(super) omitted: Option<Omitted>,
}

/// Events up to the cursor that are not in a document, since its reader does not want them.
#[derive(Debug)]
pub(super) struct Omitted {
    /// The partitions whose events are all there.
    pub(super) share: Partitions,
    pub(super) events: Vec<RangeInclusive<Sequence>>,
}

impl Document<'_> {
    /// Returns the entries, newest first, and the data of those that have it in the document.
    pub(super) fn newest_first(&self) -> impl ExactSizeIterator<Item = (&Entry, Option<&Event>)> {
        let with_data = self.events.len();
        (0..with_data + self.entries.len())
            .rev()
            .map(move |index| match self.events.get(index) {
                Some(event) => (&event.entry, Some(event)),
                None => (&self.entries[index - with_data], None),
            })
    }

    /// Returns the target of the link with that relation.
    pub(super) fn link(&self, rel: &str) -> Option<&Url> {
        let link = self.links.iter().find(|link| link.rel == rel);
        link.map(|link| &link.href)
    }
}
