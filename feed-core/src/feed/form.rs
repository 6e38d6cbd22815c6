//! The forms of a document, and a reader's choice between them.

use axum::http::{HeaderMap, HeaderValue, header};

use super::document::BATCH;
use super::prefer::prefers_data;
use crate::http::negotiate;

/// Returns true for a browser: it gets the feed's documents as pages. Feed readers and other programs
/// do not, also where they accept HTML.
#[must_use]
pub fn prefers_pages(headers: &HeaderMap) -> bool {
    Form::wanted(headers) == Form::Html
}

/// The forms of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Form {
    /// Entries link to their data.
    Atom,
    Html,
    /// Entries contain their data.
    AtomWithData,
    /// `CloudEvents` with their data.
    Batch,
}

impl Form {
    /// What a reader may ask for, best first. Other feed formats, and XML in general, get Atom: a
    /// program that names them reads feeds, and cannot read a page for people.
    const OFFERS: [&'static str; 8] = [
        "application/atom+xml",
        "application/rss+xml",
        "application/rdf+xml",
        "application/feed+json",
        // For programs that name it, and not for those that take anything. No browser names it, so
        // it comes before what browsers take.
        BATCH,
        "text/html",
        "application/xml",
        "text/xml",
    ];

    /// The beginning of `java.net.URLConnection`'s `Accept`, whatever it reads: it is no browser.
    const JAVA: &'static [u8] = b"text/html, image/gif, image/jpeg, *";

    /// Returns the form that a reader prefers. A reader that accepts none gets Atom (RFC 9110,
    /// 12.5.1): many that read it ask for something else.
    pub(super) fn wanted(headers: &HeaderMap) -> Self {
        let offer = negotiate(headers, &Self::OFFERS).map(|offer| Self::OFFERS[offer]);
        let accept = headers.get(header::ACCEPT).map(HeaderValue::as_bytes);
        match (offer, accept) {
            (Some("text/html"), Some(accept)) if !accept.starts_with(Self::JAVA) => Self::Html,
            (Some(BATCH), _) => Self::Batch,
            _ if prefers_data(headers) => Self::AtomWithData,
            _ => Self::Atom,
        }
    }

    pub(super) fn has_data(self) -> bool {
        matches!(self, Self::AtomWithData | Self::Batch)
    }

    /// Returns the form of a document that never has data, such as a page, which is kept for ever.
    pub(super) fn without_data(self) -> Self {
        match self.has_data() {
            true => Self::Atom,
            false => self,
        }
    }

    /// Returns the media type without parameters.
    pub(super) fn essence(self) -> &'static str {
        match self {
            Self::Atom | Self::AtomWithData => "application/atom+xml",
            Self::Html => "text/html",
            Self::Batch => BATCH,
        }
    }

    pub(super) fn media_type(self) -> &'static str {
        match self {
            Self::Atom | Self::AtomWithData => "application/atom+xml; charset=utf-8",
            Self::Batch => BATCH,
            Self::Html => "text/html; charset=utf-8",
        }
    }
}
