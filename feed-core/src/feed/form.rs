//! The forms a document comes in, and which one a reader gets.

use axum::http::HeaderMap;

use super::address::Addresses;
use super::body::Body;
use super::document::Document;
use super::{atom, html};
use crate::problem::Problem;
use crate::service::negotiate;

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
