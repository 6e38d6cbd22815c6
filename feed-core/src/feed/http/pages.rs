//! Serves `/feed/{epoch}/{page}`: a fixed range of the sequence, whose bytes are final once its
//! successor is sealed (I3).

use std::ops::RangeInclusive;
use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;

use super::answer::{IMMUTABLE, Metadata, SEALED};
use super::request::{another_epoch, canonical, unreadable_path};
use crate::cursor::{Cursor, Epoch};
use crate::event::Sequence;
use crate::feed::body::Coding;
use crate::feed::document::{Document, Link, LinkHeaders};
use crate::feed::form::Form;
use crate::feed::page::{Pages, State as PageState};
use crate::feed::page_cache::Written;
use crate::feed::{Feed, Inner};
use crate::http::{Problem, query};
use crate::store::Backend;
use crate::store::publish::Head;

/// Serves a page, sealed or immutable; an open page has no address.
pub(super) async fn page<B: Backend>(
    State(feed): State<Feed<B>>,
    path: Result<Path<(String, String)>, PathRejection>,
    // The whole request: an extractor would copy its headers.
    request: Request,
) -> Result<Response, Problem> {
    let Path((epoch, page)) = path.map_err(unreadable_path)?;
    let feed = &feed.inner;
    query::none(request.uri().query())?;
    // `%31` for `1` would be another address of the same bytes.
    let is_plain = (request.uri().path()).ends_with(&format!("/{epoch}/{page}"));
    let number = canonical(&page).filter(|_| is_plain).ok_or_else(|| {
        Problem::not_found(format!(
            "`{page}` is no number of a page: these are 1, 2, 3 and so on, in digits alone"
        ))
    })?;
    let known: Epoch = epoch.parse().map_err(|_| {
        Problem::not_found(format!(
            "there is no epoch {epoch}: this feed is of epoch {}",
            feed.sequencer.head().epoch
        ))
    })?;
    let request = request.headers();
    let head = feed
        .head_where(|head| Pages::from(head).state(number) != PageState::Open)
        .await?;
    if known != head.epoch {
        return Err(another_epoch(&known, &head));
    }
    let state = Pages::from(&head).state(number);
    if state == PageState::Open {
        return Err(Problem::not_found(format!(
            "there is no page {number} in epoch {epoch} yet"
        )));
    }
    let form = feed.documents.form(request).without_data();
    // Pages for people are never final: an upgrade changes what surrounds the entries.
    let is_final = state == PageState::Immutable && form == Form::Atom;
    let page = feed.written(form, &head, number, state).await?;
    let metadata = Metadata {
        // Without a date: that of a page's last event would hide the last change of the page, which is the link to the
        // next one, from a reader who sends the date of an answer.
        validators: Some(page.validators),
        links: page.links,
        ..Metadata::new(
            form.media_type(),
            if is_final { IMMUTABLE } else { SEALED },
            "Accept, Accept-Encoding",
        )
    };
    metadata.answer(request, &page.body)
}

/// Nothing but an operator deletes events.
fn gone(number: i64, events: &RangeInclusive<Sequence>) -> Problem {
    let (first, last) = (events.start(), events.end());
    let detail = format!(
        "all events of page {number}, {first} to {last}, were deleted from the database; a reader that \
         continues after {last} misses nothing else"
    );
    let title = "The events of this page are gone";
    Problem::new(StatusCode::GONE, "page-gone", title, detail)
}

impl<B: Backend> Inner<B> {
    /// Returns the page from memory, or from the database.
    async fn written(
        &self,
        form: Form,
        head: &Head,
        number: i64,
        state: PageState,
    ) -> Result<Written, Problem> {
        let rewrites = self.sequencer.rewrites();
        let key = (head.epoch, rewrites, number, state, form);
        if let Some(page) = self.pages.get(&key) {
            return Ok(page);
        }
        let page = self.write_page(form, head, number, state).await;
        let page = page.map_err(|error| match error {
            sqlx::Error::RowNotFound => gone(number, &Pages::from(head).range(number)),
            error => error.into(),
        })?;
        self.pages.put(key, page.clone());
        Ok(page)
    }

    /// Reads the bytes of a page, without caching them among the requested ones.
    pub(in crate::feed) async fn read_page(
        &self,
        form: Form,
        head: &Head,
        number: i64,
        state: PageState,
    ) -> sqlx::Result<Bytes> {
        let page = self.write_page(form, head, number, state).await?;
        Ok(page.body.coded(Coding::Identity).0)
    }

    async fn write_page(
        &self,
        form: Form,
        head: &Head,
        number: i64,
        state: PageState,
    ) -> sqlx::Result<Written> {
        let range = Pages::from(head).range(number);
        let entries = B::entries(self.database.reader(), *range.start(), *range.end());
        let entries = self.database.statement(entries).await?;
        let Some(newest) = entries.last() else {
            return Err(sqlx::Error::RowNotFound);
        };
        let cursor = Cursor {
            epoch: head.epoch,
            sequence: newest.sequence,
            anchor: Some(newest.id),
        };
        let links = self.page_links(head, number, state);
        let link_headers = LinkHeaders::new(&links);
        let document = Document {
            archive: true,
            ..self.documents.document(head, cursor, links, &[], &entries)
        };
        let body = self.documents.write(form, &document);
        Ok(Written {
            validators: body.validators(form.media_type()),
            body: Arc::new(body),
            links: link_headers,
        })
    }

    fn page_links(&self, head: &Head, number: i64, state: PageState) -> Vec<Link> {
        let addresses = &self.documents.addresses;
        let page = |rel, number| Link::feed(rel, addresses.page(&head.epoch, number));
        let mut links = vec![
            page("self", number),
            Link::feed("current", addresses.head()),
        ];
        links.extend((number > 1).then(|| page("prev-archive", number - 1)));
        // Link only to a page that has an address; then the bytes are final.
        links.extend((state == PageState::Immutable).then(|| page("next-archive", number + 1)));
        let events = Pages::from(head).range(number);
        links.extend(self.documents.batch_link(head, events));
        links
    }
}
