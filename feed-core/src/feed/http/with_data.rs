//! Serves events together with their data, so that one request is one step of a consumer: after a
//! cursor, and in the head.

use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;

use super::answer::{Metadata, PRIVATE_NO_STORE};
use crate::cursor::Cursor;
use crate::event::{Event, Sequence};
use crate::feed::Inner;
use crate::feed::atom;
use crate::feed::body::Body;
use crate::feed::cloudevents;
use crate::feed::document::{Link, LinkHeaders, Omitted};
use crate::feed::form::Form;
use crate::feed::prefer::{EVENT_DATA, PREFERENCE_APPLIED, partitions};
use crate::feed::sizes::{LARGEST, fitting};
use crate::feed::snapshot::Snapshot;
use crate::http::Problem;
use crate::partition::Partitions;
use crate::store::Backend;
use crate::store::publish::{Filter, Head};

/// The most events after a cursor in one document.
pub(super) const MOST: usize = 1_000;

/// The most events that are looked at for those of some partitions.
const MOST_LOOKED_AT: i64 = 4_000;

/// The largest document of a head that is kept for other readers, in bytes.
pub(super) const LARGEST_KEPT: usize = 256 * 1024;

/// What a reader gets after its cursor.
pub(super) struct EventsAfter<'s> {
    pub(super) events: Cow<'s, [Event]>,
    /// The position of a reader who has them.
    pub(super) end: Cursor,
    pub(super) omitted: Option<Omitted>,
}

impl<B: Backend> Inner<B> {
    /// Serves the events after `cursor`, a position in this feed: as many as one document may have.
    /// After a wait, `newest` has what is new.
    pub(super) async fn after_with_data(
        &self,
        form: Form,
        cursor: &Cursor,
        head: &Head,
        newest: Option<&Snapshot>,
        request: &HeaderMap,
    ) -> Result<Response, Problem> {
        let first = cursor.sequence + 1;
        // CloudEvents have no place for what is omitted.
        let share = partitions(request).filter(|_| form == Form::AtomWithData);
        let share = share.filter(|share| !share.are_all());
        let found = match share {
            Some(share) => self.read_share(share, cursor, head).await?,
            None => {
                let events = self.first_events(newest, first, head.sequence).await?;
                let end = end_of(&events, head).unwrap_or_else(|| cursor.clone());
                EventsAfter {
                    events,
                    end,
                    omitted: None,
                }
            }
        };
        let all = Filter::default();
        let mut response = self.events_after(form, &all, cursor, head, found, request)?;
        if let Some(share) = share
            && let Ok(applied) =
                HeaderValue::try_from(format!("{EVENT_DATA}; partitions=\"{share}\""))
        {
            response.headers_mut().append(PREFERENCE_APPLIED, applied);
        }
        Ok(response)
    }

    /// Answers with what was found after `cursor`, and where to continue.
    pub(super) fn events_after(
        &self,
        form: Form,
        filter: &Filter,
        cursor: &Cursor,
        head: &Head,
        found: EventsAfter<'_>,
        request: &HeaderMap,
    ) -> Result<Response, Problem> {
        let addresses = &self.documents.addresses;
        let link = |rel, href| Link {
            rel,
            href,
            media_type: Some(form.essence()),
        };
        let mut links = vec![
            link("self", addresses.after(filter, cursor)),
            match filter.is_empty() {
                true => Link::feed("current", addresses.head()),
                // By this link a reader of the whole feed knows that it is not.
                false => Link::feed("first", addresses.filtered(filter, None)),
            },
        ];
        // In JSON nothing else tells where to continue. On a page for people it would be older events.
        let leads_on = match form {
            Form::Batch => true,
            Form::Html => false,
            _ => found.end.sequence < head.sequence,
        };
        if leads_on {
            links.insert(0, link("next", addresses.after(filter, &found.end)));
        }
        let metadata = Metadata {
            unread: Some(self.unread.clone()),
            ..with_data(form, LinkHeaders::new(&links), found.end.clone())
        };
        let (mut events, mut entries) = (found.events, Vec::new());
        if !form.has_data() {
            let found = std::mem::take(&mut events).into_owned();
            entries = found.into_iter().map(|event| event.entry).collect();
        }
        let mut document = self
            .documents
            .document(head, found.end, links, &events, &entries);
        document.omitted = found.omitted;
        if !filter.is_empty() {
            document = self.documents.filtered(document, filter, head);
        }
        metadata.ok(request, &self.documents.write(form, &document))
    }

    /// Returns the document of the head's entries after `seen`, or of all its entries, its links,
    /// and the position of a reader after it. Data that does not fit in it is linked; `CloudEvents`
    /// that do not fit are at `next`.
    pub(super) async fn head_with_data(
        &self,
        form: Form,
        snapshot: &Snapshot,
        seen: Sequence,
    ) -> sqlx::Result<(Arc<Body>, LinkHeaders, Cursor)> {
        let head = &snapshot.head;
        let entries = snapshot.after(seen).unwrap_or(&snapshot.entries);
        let first = entries
            .first()
            .map_or(head.sequence + 1, |entry| entry.sequence);
        let links = |end: &Cursor, linked: Sequence| match form {
            Form::Batch => vec![Link {
                rel: "next",
                href: self.documents.addresses.after(&Filter::default(), end),
                media_type: Some(form.essence()),
            }],
            _ => self.documents.head_links(head, linked..=head.sequence),
        };
        if let Some(body) = snapshot.kept(form, seen) {
            let end = head.cursor();
            let links = links(&end, head.sequence + 1);
            return Ok((body, LinkHeaders::new(&links), end));
        }
        let events = self
            .first_events(Some(snapshot), first, head.sequence)
            .await?;
        let end = match form {
            Form::Batch => end_of(&events, head).unwrap_or_else(|| head.cursor()),
            _ => head.cursor(),
        };
        let is_complete = events.len() == entries.len()
            && events
                .iter()
                .all(|event| cloudevents::data(event).is_some());
        // The batch document is of those whose data is not here.
        let with_data = events
            .last()
            .map_or(first - 1, |event| event.entry.sequence);
        // By their sequences: an event that was deleted since is in neither.
        let rest = &entries[entries.partition_point(|entry| entry.sequence <= with_data)..];
        let linked = rest
            .first()
            .map_or(head.sequence + 1, |entry| entry.sequence);
        let links = links(&end, linked);
        let headers = LinkHeaders::new(&links);
        let document = (self.documents).document(head, end.clone(), links, &events, rest);
        let body = self.documents.write(form, &document);
        // Only the database has an event that was corrected.
        let body = match is_complete && body.len() <= LARGEST_KEPT {
            true => snapshot.written(form, seen, || body),
            false => Arc::new(body),
        };
        Ok((body, headers, end))
    }

    /// Returns the first of these events, as many as a document may have; at least one, if there is
    /// one. Costs no query if they were new in `snapshot`.
    pub(super) async fn first_events<'s>(
        &self,
        snapshot: Option<&'s Snapshot>,
        first: Sequence,
        last: Sequence,
    ) -> sqlx::Result<Cow<'s, [Event]>> {
        match snapshot.and_then(|snapshot| snapshot.events(first, last)) {
            Some(events) => Ok(Cow::Borrowed(fitting_prefix(events, LARGEST))),
            None => self.read(first, last).await.map(Cow::Owned),
        }
    }

    /// Returns the events after `cursor` in the partitions of `share`, as many as a document may
    /// have; the position after the last event that was looked at; and the events before it that
    /// are in other partitions.
    async fn read_share(
        &self,
        share: Partitions,
        cursor: &Cursor,
        head: &Head,
    ) -> sqlx::Result<EventsAfter<'_>> {
        let first = cursor.sequence + 1;
        let last = head.sequence.min(first + MOST_LOOKED_AT - 1);
        let subjects = B::subjects(self.database.reader(), first, last);
        let mut looked_at = self.database.statement(subjects).await?;
        let wanted: Vec<Sequence> = looked_at
            .iter()
            // Readers go by the subject as they read it.
            .filter(|(.., subject)| share.contain(subject) || !atom::keeps(subject))
            .map(|(sequence, ..)| *sequence)
            .take(MOST)
            .collect();
        let events = self.events_at(None, &wanted).await?;
        // What is looked at behind a full document belongs to the next one.
        if events.len() < wanted.len() || wanted.len() == MOST {
            let last = events.last().map_or(0, |event| event.entry.sequence);
            looked_at.retain(|(sequence, ..)| *sequence <= last);
        }
        let end = looked_at.last().map(|(sequence, id, _)| Cursor {
            epoch: head.epoch,
            sequence: *sequence,
            anchor: Some(*id),
        });
        let others = looked_at.into_iter().map(|(sequence, ..)| sequence);
        let others = others.filter(|sequence| wanted.binary_search(sequence).is_err());
        let omitted = Omitted {
            share,
            events: ranges(others),
        };
        Ok(EventsAfter {
            events: Cow::Owned(events),
            end: end.unwrap_or_else(|| cursor.clone()),
            omitted: Some(omitted),
        })
    }

    /// Returns the first of the events with these ascending sequences, as many as a document may
    /// have. Costs no query for those that were new in `snapshot`.
    pub(super) async fn events_at(
        &self,
        snapshot: Option<&Snapshot>,
        sequences: &[Sequence],
    ) -> sqlx::Result<Vec<Event>> {
        let Some((first, last)) = sequences.first().zip(sequences.last()) else {
            return Ok(Vec::new());
        };
        let new = snapshot.and_then(|snapshot| snapshot.events(*first, *last));
        let mut events: Vec<Event> = match new {
            Some(new) => {
                let is_asked =
                    |event: &&Event| sequences.binary_search(&event.entry.sequence).is_ok();
                new.iter().filter(is_asked).cloned().collect()
            }
            None => {
                let fitting = fitting(&self.database, sequences, LARGEST).await?;
                let read = B::events_at(self.database.reader(), &sequences[..fitting]);
                self.database.statement(read).await?
            }
        };
        events.truncate(fitting_prefix(&events, LARGEST).len());
        Ok(events)
    }

    async fn read(&self, first: Sequence, last: Sequence) -> sqlx::Result<Vec<Event>> {
        let sequences: Vec<Sequence> = (first..=last).take(MOST).collect();
        let fitting = fitting(&self.database, &sequences, LARGEST).await?;
        let Some(last) = sequences[..fitting].last() else {
            return Ok(Vec::new());
        };
        let read = B::events(self.database.reader(), first, *last);
        let mut events = self.database.statement(read).await?;
        events.truncate(fitting_prefix(&events, LARGEST).len());
        Ok(events)
    }
}

/// Returns ascending sequences as ranges.
fn ranges(sequences: impl Iterator<Item = Sequence>) -> Vec<RangeInclusive<Sequence>> {
    let mut ranges: Vec<RangeInclusive<Sequence>> = Vec::new();
    for sequence in sequences {
        match ranges.last_mut() {
            Some(range) if *range.end() + 1 == sequence => *range = *range.start()..=sequence,
            _ => ranges.push(sequence..=sequence),
        }
    }
    ranges
}

/// Returns the metadata of a document that may have data, which no cache may store. A reader is at
/// `cursor` after it.
pub(super) fn with_data(form: Form, links: LinkHeaders, cursor: Cursor) -> Metadata {
    Metadata {
        links,
        cursor: form.has_data().then_some(cursor),
        ..Metadata::new(
            form.media_type(),
            PRIVATE_NO_STORE,
            "Accept, Accept-Encoding, A-IM, Prefer",
        )
    }
}

/// Returns the first events that have at most that size together as entries; at least one.
fn fitting_prefix(events: &[Event], bytes: usize) -> &[Event] {
    let mut size = 0;
    let fitting = events.iter().take_while(|event| {
        let first = size == 0;
        size += largest_entry(event);
        first || size <= bytes
    });
    &events[..fitting.count()]
}

/// Returns the size that an event has at most as an entry: one byte of text may become six.
fn largest_entry(Event { entry, data, .. }: &Event) -> usize {
    let texts = [
        &entry.title,
        &entry.summary,
        &entry.link,
        &entry.event_type,
        &entry.subject,
    ];
    let texts: usize = texts.into_iter().map(String::len).sum();
    1_024 + 6 * texts + data.len().div_ceil(3) * 4
}

/// Returns the position of a reader after `events`.
pub(super) fn end_of(events: &[Event], head: &Head) -> Option<Cursor> {
    let last = &events.last()?.entry;
    Some(Cursor {
        epoch: head.epoch,
        sequence: last.sequence,
        anchor: Some(last.id),
    })
}
