//! Serves `/feed?type=…` and `/feed?subject=…`: the events that match. The newest are a view for
//! people and simple tools, by paged relations (RFC 5005, section 3): a walk back through it is
//! neither complete nor consistent. With `after`, a reader gets each event that matches once, and in
//! sequence.

use std::borrow::Cow;

use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::Response;
use tokio::time::Instant;

use super::answer::Metadata;
use super::head::{applied, head_caching};
use super::with_data::{EventsAfter, MOST, end_of, with_data};
use crate::cursor::Cursor;
use crate::event::{Event, Sequence};
use crate::feed::Inner;
use crate::feed::document::{Document, Link, LinkHeaders};
use crate::feed::form::Form;
use crate::feed::prefer::wait;
use crate::feed::snapshot::Snapshot;
use crate::http::Problem;
use crate::store::Backend;
use crate::store::publish::Filter;

/// The most events that are searched for one document. The database has an index for the search; with
/// outdated statistics it may read each event instead, which takes a tenth of a second for so many.
const MOST_SEARCHED: i64 = 100_000;

impl<B: Backend> Inner<B> {
    /// Serves the newest events that match; or, without data, the newest of those before a sequence. A reader that asks
    /// to wait, and knows the newest, gets the answer when another one matches.
    pub(super) async fn filtered(
        &self,
        form: Form,
        filter: &Filter,
        before: Option<Sequence>,
        method: &Method,
        request: &HeaderMap,
    ) -> Result<Response, Problem> {
        let form = match before {
            None => form,
            Some(_) => form.without_data(),
        };
        let is_newest = before.is_none() && request.contains_key(header::IF_NONE_MATCH);
        let waits = wait(request).filter(|_| method == Method::GET && is_newest);
        let until = Instant::now() + waits.unwrap_or_default();
        let mut head = self.sequencer.recent().await?;
        let mut response = self.newest_filtered(form, filter, before, request).await?;
        while response.status() == StatusCode::NOT_MODIFIED
            && Instant::now() < until
            && !self.shutdown.is_cancelled()
        {
            self.wait_for_news(&head, until - Instant::now()).await?;
            let newest = self.entries.newest(&self.sequencer, &self.database).await?;
            let is_rewritten =
                newest.head.epoch != head.epoch || newest.head.revision != head.revision;
            let news = newest.after(head.sequence).filter(|_| !is_rewritten);
            if news.is_none_or(|entries| entries.iter().any(|entry| filter.matches(entry))) {
                response = self.newest_filtered(form, filter, before, request).await?;
            }
            head = newest.head.clone();
        }
        applied(&mut response, form, waits);
        Ok(response)
    }

    async fn newest_filtered(
        &self,
        form: Form,
        filter: &Filter,
        before: Option<Sequence>,
        request: &HeaderMap,
    ) -> Result<Response, Problem> {
        let head = self.sequencer.recent().await?;
        let bound = before.unwrap_or(i64::MAX).min(head.sequence + 1);
        let size = usize::try_from(head.page_size).unwrap_or(usize::MAX);
        // One more than is shown: it tells whether an older document exists.
        let pool = self.database.reader();
        let entries = B::filtered(pool, filter, bound, head.page_size + 1);
        let mut entries = self.database.statement(entries).await?;
        let more = entries.len() > size;
        entries.truncate(size);
        let newer = self.newer(filter, before, entries.first().map(|entry| entry.sequence));
        entries.reverse();
        let events = match form.has_data() {
            true => {
                let shown: Vec<_> = entries.iter().map(|entry| entry.sequence).collect();
                self.events_at(None, &shown).await?
            }
            false => Vec::new(),
        };
        let newest = entries.last();
        let cursor = match form {
            // What does not fit is at `next`, and else what is newer.
            Form::Batch => end_of(&events, &head)
                .filter(|_| events.len() < entries.len())
                .unwrap_or_else(|| head.cursor()),
            _ => Cursor {
                epoch: head.epoch,
                sequence: newest.map_or(0, |entry| entry.sequence),
                anchor: newest.map(|entry| entry.id),
            },
        };
        let addresses = &self.documents.addresses;
        let view = |before| addresses.filtered(filter, before);
        let links = if form == Form::Batch {
            vec![Link {
                rel: "next",
                href: addresses.after(filter, &cursor),
                media_type: Some(form.essence()),
            }]
        } else {
            let mut links = vec![
                Link::feed("self", view(before)),
                Link::feed("first", view(None)),
            ];
            links.extend(self.documents.page_link(view(before)));
            links.extend(newer);
            if let Some(oldest) = entries.first().filter(|_| more) {
                links.push(Link::feed("next", view(Some(oldest.sequence))));
            }
            links
        };
        let link_headers = LinkHeaders::new(&links);
        let rest = entries.get(events.len()..).unwrap_or_default();
        let whole = (self.documents).document(&head, cursor.clone(), links, &events, rest);
        let document = Document {
            // It changes only with what it shows.
            updated: newest.map_or(head.created, |entry| entry.updated),
            ..self.documents.filtered(whole, filter, &head)
        };
        let body = self.documents.write(form, &document);
        let validators = Some(body.validators(form.media_type()));
        let metadata = match form.has_data() {
            true => Metadata {
                validators,
                ..with_data(form, link_headers, cursor)
            },
            false => Metadata {
                validators,
                links: link_headers,
                ..Metadata::new(
                    form.media_type(),
                    head_caching(form, request),
                    "Accept, Accept-Encoding, Prefer",
                )
            },
        };
        metadata.answer(request, &body)
    }

    /// Serves the events after `cursor` that match. A reader that asks to wait gets the next one.
    pub(super) async fn filtered_after(
        &self,
        form: Form,
        filter: &Filter,
        cursor: Option<Cursor>,
        method: &Method,
        request: &HeaderMap,
    ) -> Result<Response, Problem> {
        let (cursor, _) = self.position(cursor).await?;
        let mut newest = self.newest_after(&cursor).await?;
        let mut found = self.matching(filter, &cursor, &newest).await?;
        let is_at_end = |found: &EventsAfter<'_>, newest: &Snapshot| {
            found.events.is_empty() && found.end == newest.head.cursor()
        };
        let waits = wait(request).filter(|_| method == Method::GET && is_at_end(&found, &newest));
        let until = Instant::now() + waits.unwrap_or_default();
        while is_at_end(&found, &newest) && Instant::now() < until && !self.shutdown.is_cancelled()
        {
            self.wait_for_news(&newest.head, until - Instant::now())
                .await?;
            newest = self.newest_after(&found.end).await?;
            found = self.matching(filter, &found.end, &newest).await?;
        }
        let mut response =
            self.events_after(form, filter, &cursor, &newest.head, found, request)?;
        applied(&mut response, form, waits);
        Ok(response)
    }

    /// Returns the first events after `cursor` that match, as many as a document may have, and the
    /// position up to which there are no others. Costs no query if the newest entries begin there.
    async fn matching(
        &self,
        filter: &Filter,
        cursor: &Cursor,
        newest: &Snapshot,
    ) -> sqlx::Result<EventsAfter<'static>> {
        let head = &newest.head;
        let mut last = head.sequence;
        let sequences: Vec<Sequence> = match newest.after(cursor.sequence) {
            Some(entries) => {
                let matching = entries.iter().filter(|entry| filter.matches(entry));
                matching.map(|entry| entry.sequence).take(MOST).collect()
            }
            None => {
                last = last.min(cursor.sequence + MOST_SEARCHED);
                let (first, most) = (cursor.sequence + 1, MOST.try_into().unwrap_or(i64::MAX));
                let matching = B::matching(self.database.reader(), filter, first, last, most);
                self.database.statement(matching).await?
            }
        };
        let events = self.events_at(Some(newest), &sequences).await?;
        let is_full = sequences.len() == MOST || events.len() < sequences.len();
        let end = match end_of(&events, head).filter(|_| is_full) {
            Some(end) => end,
            None if last == head.sequence => head.cursor(),
            None => {
                let id = B::id_at(self.database.reader(), last);
                Cursor {
                    epoch: head.epoch,
                    sequence: last,
                    anchor: self.database.statement(id).await?,
                }
            }
        };
        Ok(EventsAfter {
            events: Cow::<[Event]>::Owned(events),
            end,
            omitted: None,
        })
    }

    /// Returns the link to newer events, from a view that does not show the newest ones.
    fn newer(
        &self,
        filter: &Filter,
        before: Option<Sequence>,
        newest: Option<Sequence>,
    ) -> Option<Link> {
        let (before, size) = (before?, self.sequencer.head().page_size);
        // Matching events are at most as dense as all events, so this view begins at or before the
        // next newer one.
        let bound = newest.unwrap_or(before).max(before) + size;
        let newer = match bound > self.sequencer.head().sequence {
            true => self.documents.addresses.filtered(filter, None),
            false => self.documents.addresses.filtered(filter, Some(bound)),
        };
        Some(Link::feed("previous", newer))
    }
}
