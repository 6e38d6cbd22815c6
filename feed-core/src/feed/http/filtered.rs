//! Serves `/feed?type=…` and `/feed?subject=…`: views for people and simple tools, by paged
//! relations (RFC 5005, section 3). They are not for consumers: a walk through them is neither
//! complete nor consistent.

use axum::http::HeaderMap;
use axum::response::Response;

use super::answer::{HEAD, Metadata};
use crate::cursor::Cursor;
use crate::event::Sequence;
use crate::feed::Inner;
use crate::feed::document::{Document, Link, LinkHeaders};
use crate::feed::form::Form;
use crate::http::Problem;
use crate::http::conditional::Outcome;
use crate::store::Backend;
use crate::store::publish::Filter;

impl<B: Backend> Inner<B> {
    /// Serves the newest events that match, or the newest of those before a sequence.
    pub(super) async fn filtered(
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
        let newest = entries.last();
        let cursor = Cursor {
            epoch: head.epoch,
            sequence: newest.map_or(0, |entry| entry.sequence),
            anchor: newest.map(|entry| entry.id),
        };
        let view = |before| self.documents.addresses.filtered(filter, before);
        let mut links = vec![
            Link::feed("self", view(before)),
            Link::feed("first", view(None)),
        ];
        links.extend(newer);
        if let Some(oldest) = entries.first().filter(|_| more) {
            links.push(Link::feed("next", view(Some(oldest.sequence))));
        }
        let link_headers = LinkHeaders::new(&links);
        let name = name(filter);
        let document = Document {
            id: format!("{}#{name}", head.feed_id.urn()),
            title: &format!("{}: {name}", self.documents.title),
            author: &self.documents.author,
            updated: newest.map_or(head.created, |entry| entry.updated),
            cursor,
            links,
            archive: false,
            omitted: None,
            events: &[],
            entries: &entries,
        };
        let body = self.documents.write(form, &document);
        let metadata = Metadata {
            media_type: form.media_type(),
            caching: HEAD,
            validators: Some(body.validators(form.media_type())),
            links: link_headers,
            vary: "Accept, Accept-Encoding",
        };
        match metadata.evaluate(request)? {
            Outcome::NotModified => Ok(metadata.not_modified()),
            _ => metadata.ok(request, &body),
        }
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

/// Returns a filter as ids and titles contain it.
fn name(filter: &Filter) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    if let Some(event_type) = &filter.event_type {
        query.append_pair("type", event_type);
    }
    if let Some(subject) = &filter.subject {
        query.append_pair("subject", subject);
    }
    query.finish()
}
