//! Reads the newest events once for all readers: a thousand readers that are notified of the same
//! event, and then request its data, cost one query; their documents are written once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::body::Body;
use super::document::LinkHeaders;
use super::form::Form;
use super::page::Pages;
use super::sizes::{LARGEST, fitting};
use crate::database::Database;
use crate::event::{Entry, Event, EventId, Sequence};
use crate::sequencer::Sequencer;
use crate::store::Backend;
use crate::store::publish::Head;

/// The entries of the head at one cursor.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) head: Head,
    /// See [`Sequencer::rewrites`].
    rewrites: u64,
    /// In sequence.
    pub(super) entries: Vec<Entry>,
    /// The events that were new in this snapshot, with their data: readers that were notified of
    /// them request it next. Data of earlier snapshots is not kept, since it may be erased, which
    /// moves the head.
    new: Vec<Event>,
    /// The documents written from the entries, by form and the sequence after which they begin.
    written: Mutex<HashMap<(Form, Sequence), Arc<Body>>>,
    /// The links of the documents.
    links: OnceLock<LinkHeaders>,
}

impl Snapshot {
    /// Returns the entries after `sequence`; `None` if the snapshot does not have them all.
    pub(super) fn after(&self, sequence: Sequence) -> Option<&[Entry]> {
        let first = *Pages::from(&self.head).head().start();
        // By their sequences: there may be a hole, which must hide no other entry.
        let known = self
            .entries
            .partition_point(|entry| entry.sequence <= sequence);
        (sequence + 1 >= first).then(|| &self.entries[known..])
    }

    /// Returns true if a feed at this snapshot may have continued to `head`.
    fn leads_to(&self, head: &Head) -> bool {
        let known = &self.head;
        known.is_same(head) || known.epoch == head.epoch && known.sequence < head.sequence
    }

    /// Returns the id of event `sequence`, if the snapshot has it.
    pub(super) fn anchor(&self, sequence: Sequence) -> Option<EventId> {
        let found = self
            .entries
            .binary_search_by_key(&sequence, |entry| entry.sequence);
        found.ok().map(|index| self.entries[index].id)
    }

    /// Returns the events from `first` to `last` with their data, if they were new in this
    /// snapshot.
    pub(super) fn events(&self, first: Sequence, last: Sequence) -> Option<&[Event]> {
        let [oldest, .., newest] = [self.new.first()?, self.new.last()?];
        if first < oldest.entry.sequence || last > newest.entry.sequence {
            return None;
        }
        let before = |sequence| {
            self.new
                .partition_point(|event| event.entry.sequence < sequence)
        };
        Some(&self.new[before(first)..before(last + 1)])
    }

    /// Returns the links of the head; the first request writes them.
    pub(super) fn links(&self, write: impl FnOnce() -> LinkHeaders) -> LinkHeaders {
        self.links.get_or_init(write).clone()
    }

    /// Returns the document of the entries after `sequence`, if a request has written it.
    pub(super) fn kept(&self, form: Form, after: Sequence) -> Option<Arc<Body>> {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.get(&(form, after)).map(Arc::clone)
    }

    /// Returns the document of the entries after `sequence`; the first request writes it.
    pub(super) fn written(
        &self,
        form: Form,
        after: Sequence,
        write: impl FnOnce() -> Body,
    ) -> Arc<Body> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        // At most one for each entry and form: bounded by the head's size.
        let body = written.entry((form, after));
        Arc::clone(body.or_insert_with(|| Arc::new(write())))
    }
}

/// The newest snapshot.
#[derive(Debug, Default)]
pub(super) struct Snapshots {
    newest: Mutex<Option<Arc<Snapshot>>>,
    /// Locked while one request reads for all: concurrent requests wait, later ones find the
    /// result.
    reading: tokio::sync::Mutex<()>,
}

impl Snapshots {
    /// Returns the last snapshot, if it is still the newest.
    pub(super) fn known(&self, head: &Head) -> Option<Arc<Snapshot>> {
        let newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let is_newest = |known: &&Arc<Snapshot>| known.head.is_same(head);
        newest.as_ref().filter(is_newest).map(Arc::clone)
    }

    /// Returns the entries of the head as `sequencer` knows it.
    pub(super) async fn newest<B: Backend>(
        &self,
        sequencer: &Sequencer<B>,
        database: &Database<B>,
    ) -> sqlx::Result<Arc<Snapshot>> {
        if let Some(known) = self.known(&sequencer.head()) {
            return Ok(known);
        }
        let _one_for_all = self.reading.lock().await;
        // Read both under the lock, so that no snapshot is older than the one before; the head first, since a
        // correction is counted before it is in the head.
        let (head, rewrites) = (sequencer.head(), sequencer.rewrites());
        if let Some(known) = self.known(&head) {
            return Ok(known);
        }
        let known = {
            let newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
            let leads_here =
                |known: &Arc<Snapshot>| known.rewrites == rewrites && known.leads_to(&head);
            newest.clone().filter(leads_here)
        };
        let range = Pages::from(&head).head();
        // Read only the new events; the last snapshot has the rest of the range.
        let mut entries: Vec<Entry> = known
            .iter()
            .flat_map(|known| known.entries.iter())
            .filter(|entry| range.contains(&entry.sequence))
            .cloned()
            .collect();
        let (mut new, pool) = (Vec::new(), database.reader());
        let missing: Vec<Sequence> = match entries.last() {
            // With the last one that is here: if it is another one now, so may be all before it.
            Some(last) => (last.sequence..=*range.end()).collect(),
            None => Vec::new(),
        };
        if fitting(database, &missing, LARGEST).await? < missing.len() {
            // Too much to keep for readers that may not ask.
            entries.clear();
        }
        if let Some(last) = entries.last() {
            let events = B::events(pool, last.sequence, *range.end());
            new = database.statement(events).await?;
            let same = new.first().is_some_and(|first| first.entry.id == last.id);
            if same {
                new.remove(0);
            } else {
                sequencer.report_divergence(last.sequence);
                entries.clear();
                new.clear();
            }
        }
        if entries.is_empty() {
            let all = B::entries(pool, *range.start(), *range.end());
            entries = database.statement(all).await?;
        }
        entries.extend(new.iter().map(|event| event.entry.clone()));
        let snapshot = Arc::new(Snapshot {
            head,
            rewrites,
            entries,
            new,
            written: Mutex::default(),
            links: OnceLock::new(),
        });
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        *newest = Some(Arc::clone(&snapshot));
        Ok(snapshot)
    }
}
