//! What all documents of this feed share: titles, addresses, links, and the form in which they are
//! written.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use axum::http::HeaderMap;
use url::Url;

use super::address::Addresses;
use super::atom;
use super::body::Body;
use super::cloudevents::{self, Origin};
use super::document::{BATCH, Document, Link};
use super::form::Form;
use super::page::Pages;
use super::view::{PageWriter, View};
use crate::cursor::Cursor;
use crate::event::{Entry, Event, Sequence};
use crate::store::publish::{Filter, Head};

/// The documents of one feed, as its settings present them.
#[derive(Debug)]
pub(super) struct Documents {
    pub(super) title: String,
    pub(super) subtitle: Option<String>,
    pub(super) author: String,
    pub(super) page: Option<PageWriter>,
    pub(super) addresses: Addresses,
    /// What the events have in common as `CloudEvents`.
    pub(super) origin: Origin,
}

impl Documents {
    /// Returns the form that a reader prefers; Atom instead of HTML, if no page writer is set.
    pub(super) fn form(&self, headers: &HeaderMap) -> Form {
        match Form::wanted(headers) {
            Form::Html if self.page.is_none() => Form::Atom,
            form => form,
        }
    }

    pub(super) fn write(&self, form: Form, document: &Document<'_>) -> Body {
        Body::new(match (form, &self.page) {
            (Form::Html, Some(page)) => page.write(&View::of(document, &self.addresses)),
            (Form::Batch, _) => cloudevents::batch_document(document.events, &self.origin).body,
            _ => atom::write(document, &self.addresses),
        })
    }

    /// Creates a document of the feed itself, with the feed's id and title. It has the data of
    /// `events`, and links to that of the `entries` after them.
    pub(super) fn document<'a>(
        &'a self,
        head: &Head,
        cursor: Cursor,
        links: Vec<Link>,
        events: &'a [Event],
        entries: &'a [Entry],
    ) -> Document<'a> {
        let newest = entries.last().or_else(|| Some(&events.last()?.entry));
        // The tag of an empty feed does not tell when its presentation changed last.
        let unchanged = match head.sequence {
            0 => head.created,
            _ => head.updated,
        };
        Document {
            id: head.feed_id.urn(),
            title: Cow::Borrowed(&self.title),
            subtitle: self.subtitle.as_deref(),
            author: &self.author,
            updated: newest.map_or(unchanged, |entry| entry.updated),
            cursor,
            links,
            filter: None,
            archive: false,
            events,
            entries,
            omitted: None,
        }
    }

    /// Returns `document` with the id and title of the events that match `filter`.
    pub(super) fn filtered<'a>(
        &self,
        document: Document<'a>,
        filter: &'a Filter,
        head: &Head,
    ) -> Document<'a> {
        let view = self.addresses.filtered(filter, None);
        let name = view.query().unwrap_or_default();
        let shown = [&filter.event_type, &filter.subject];
        let shown: Vec<&str> = shown.into_iter().flatten().map(String::as_str).collect();
        Document {
            id: format!("{}#{name}", head.feed_id.urn()),
            title: format!("{}: {}", self.title, shown.join(", ")).into(),
            filter: Some(filter),
            ..document
        }
    }

    /// Returns the link to the page for people at `href`, if there are such pages.
    pub(super) fn page_link(&self, href: Url) -> Option<Link> {
        self.page.as_ref().map(|_| Link::page(href))
    }

    /// Returns the links of a head with these events.
    pub(super) fn head_links(&self, head: &Head, events: RangeInclusive<Sequence>) -> Vec<Link> {
        let mut links = vec![Link::feed("self", self.addresses.head())];
        links.extend(self.page_link(self.addresses.head()));
        if let Some(page) = Pages::from(head).before_head() {
            let page = self.addresses.page(&head.epoch, page);
            links.push(Link::feed("prev-archive", page));
        }
        links.extend(self.batch_link(head, events));
        links
    }

    /// Returns the link to the batch document of these events, if there are any.
    pub(super) fn batch_link(&self, head: &Head, events: RangeInclusive<Sequence>) -> Option<Link> {
        let (first, last) = (*events.start(), *events.end());
        (first <= last).then(|| Link {
            rel: "related",
            href: self.addresses.batch(&head.epoch, first, last),
            media_type: Some(BATCH),
        })
    }
}
