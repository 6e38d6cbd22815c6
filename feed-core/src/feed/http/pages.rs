//! Serves `/feed/{epoch}/{page}`: a fixed range of the sequence, whose bytes are final once its
//! successor is sealed (I3).

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use lru::LruCache;

use super::answer::{IMMUTABLE, LinkHeaders, Metadata, SEALED};
use super::{another_epoch, canonical, no_parameters, unreadable_path};
use crate::cursor::{Cursor, Epoch};
use crate::database::timeout::STATEMENT;
use crate::feed::body::{Body, Coding};
use crate::feed::document::{Document, Link};
use crate::feed::form::Form;
use crate::feed::page::State as PageState;
use crate::feed::{Feed, Inner};
use crate::http::Problem;
use crate::http::conditional::{Outcome, Validators};
use crate::http::metrics::Counter;
use crate::sequencer::end_of_second;
use crate::store::Backend;
use crate::store::publish::Head;

/// Pages kept in memory: some 6 MiB, for consumers that catch up at the same time. Rarely requested
/// pages are read again from the database.
const KEPT: NonZeroUsize = NonZeroUsize::new(64).expect("not zero");

/// Written pages, in each state that was requested.
#[derive(Debug)]
pub(in crate::feed) struct PageCache {
    pages: Mutex<LruCache<Key, Written>>,
    hits: Counter,
    misses: Counter,
}

/// The entries of a page never change within one history of the feed, and its links follow from its state.
type Key = (Epoch, u64, i64, PageState, Form);

/// A written page, and its date.
#[derive(Debug, Clone)]
struct Written {
    body: Arc<Body>,
    validators: Validators,
    links: LinkHeaders,
    updated: DateTime<Utc>,
}

impl Default for PageCache {
    fn default() -> Self {
        Self {
            pages: Mutex::new(LruCache::new(KEPT)),
            hits: Counter::default(),
            misses: Counter::default(),
        }
    }
}

impl PageCache {
    fn get(&self, key: &Key) -> Option<Written> {
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        let page = pages.get(key).cloned();
        match page {
            Some(_) => self.hits.increment(),
            None => self.misses.increment(),
        }
        page
    }

    fn put(&self, key: Key, page: Written) {
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        pages.put(key, page);
    }

    /// Returns the numbers of cache hits and of misses.
    pub(in crate::feed) fn asked(&self) -> (u64, u64) {
        (self.hits.get(), self.misses.get())
    }
}

/// Serves a page, sealed or immutable; an open page has no address.
pub(super) async fn page<B: Backend>(
    State(feed): State<Feed<B>>,
    path: Result<Path<(String, String)>, PathRejection>,
    // The whole request: an extractor would copy its headers.
    request: Request,
) -> Result<Response, Problem> {
    let Path((epoch, page)) = path.map_err(unreadable_path)?;
    let feed = &feed.inner;
    no_parameters(request.uri().query())?;
    let request = request.headers();
    let missing = || Problem::not_found(format!("there is no page {page} in epoch {epoch} yet"));
    let number = canonical(&page).ok_or_else(missing)?;
    let known: Epoch = epoch.parse().map_err(|_| missing())?;
    let head = feed
        .head_where(|head| Inner::<B>::layout(head).state(number) != PageState::Open)
        .await?;
    if known != head.epoch {
        return Err(another_epoch(&known, &head));
    }
    let state = Inner::<B>::layout(&head).state(number);
    if state == PageState::Open {
        return Err(missing());
    }
    let form = feed.wanted(request);
    // Pages for people are never final: an upgrade changes what surrounds the entries.
    let is_final = state == PageState::Immutable && form == Form::Atom;
    let page = feed.written(form, &head, number, state).await?;
    let metadata = Metadata {
        media_type: form.media_type(),
        caching: if is_final { IMMUTABLE } else { SEALED },
        validators: Some(Validators {
            // A page that is not final has no date: a date would hide its last change.
            last_modified: closed(page.updated.max(head.presented.unwrap_or_default()), &head)
                .filter(|_| is_final && feed.is_presented(&head)),
            ..page.validators
        }),
        links: page.links,
        vary: "Accept, Accept-Encoding",
    };
    if metadata.evaluate(request)? == Outcome::NotModified {
        return Ok(metadata.not_modified());
    }
    metadata.ok(request, &page.body)
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
        let history = self.sequencer.history();
        let key = (head.epoch, history, number, state, form);
        if let Some(page) = self.pages.get(&key) {
            return Ok(page);
        }
        let page = self.write_page(form, head, number, state).await?;
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
        let range = Self::layout(head).range(number);
        let entries = B::entries(self.database.reader(), *range.start(), *range.end());
        let entries = self.database.within(STATEMENT, entries).await?;
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
            ..self.document(head, cursor, links, &entries)
        };
        let body = form.write(&document, &self.addresses);
        Ok(Written {
            validators: body.validators(form.media_type()),
            body: Arc::new(body),
            links: link_headers,
            updated: newest.updated,
        })
    }

    fn page_links(&self, head: &Head, number: i64, state: PageState) -> Vec<Link> {
        let page = |rel, number| Link::feed(rel, self.addresses.page(&head.epoch, number));
        let range = Self::layout(head).range(number);
        let mut links = vec![
            page("self", number),
            Link::feed("current", self.addresses.head()),
        ];
        links.extend((number > 1).then(|| page("prev-archive", number - 1)));
        // Link only to a page that has an address; then the bytes are final.
        links.extend((state == PageState::Immutable).then(|| page("next-archive", number + 1)));
        links.extend(self.batch_link(head, *range.start(), *range.end()));
        links
    }
}

/// Returns the date of a change, if its second is closed.
fn closed(updated: DateTime<Utc>, head: &Head) -> Option<SystemTime> {
    let closed = end_of_second(updated) <= head.closed_until?;
    closed.then(|| SystemTime::from(updated))
}
