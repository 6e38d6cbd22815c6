//! What a feed document says, before it is written.

use axum::http::HeaderMap;
use chrono::{DateTime, Utc};
use url::Url;

use super::address::Addresses;
use super::body::Body;
use super::{atom, html};
use crate::cursor::Cursor;
use crate::event::Entry;
use crate::problem::Problem;
use crate::service::negotiate;

/// The media type of the events of a document with their data.
pub(super) const BATCH: &str = "application/cloudevents-batch+json";

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

/// The forms a document comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Form {
    Atom,
    Html,
}

impl Form {
    /// What a reader may ask for, best first. XML in general is Atom here: some feed readers ask
    /// for nothing more exact.
    const OFFERS: [&'static str; 4] = [
        "application/atom+xml",
        "text/html",
        "application/xml",
        "text/xml",
    ];

    /// The form a reader likes best.
    pub(super) fn wanted(headers: &HeaderMap) -> Result<Self, Problem> {
        match negotiate(headers, &Self::OFFERS) {
            Some(1) => Ok(Self::Html),
            Some(_) => Ok(Self::Atom),
            None => Err(Problem::not_acceptable(&Self::OFFERS[..2])),
        }
    }

    pub(super) fn media_type(self) -> &'static str {
        match self {
            Self::Atom => "application/atom+xml; charset=utf-8",
            Self::Html => "text/html; charset=utf-8",
        }
    }

    /// The entity tag of what `state` names, in this form: each form has its own.
    pub(super) fn tag(self, state: impl std::fmt::Display) -> String {
        match self {
            Self::Atom => state.to_string(),
            Self::Html => format!("{state}.html"),
        }
    }

    pub(super) fn write(self, document: &Document<'_>, addresses: &Addresses) -> Body {
        Body::new(match self {
            Self::Atom => atom::write(document, addresses),
            Self::Html => html::write(document, addresses),
        })
    }
}

/// One feed document.
#[derive(Debug)]
pub(super) struct Document<'a> {
    pub(super) id: String,
    pub(super) title: &'a str,
    pub(super) author: &'a str,
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
