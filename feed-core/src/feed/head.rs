//! The entries of the head, read once for all who ask: a thousand readers that were told of the
//! same event cost one query, and the documents they get are written once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::body::Body;
use super::form::Form;
use super::http::LinkHeaders;
use super::page::Pages;
use crate::event::{Entry, EventId, Sequence};
use crate::sequencer::Sequencer;
use crate::store::Backend;
use crate::store::publish::Head;

/// The entries of the head as they were at one cursor.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) head: Head,
    /// In sequence.
    pub(super) entries: Vec<Entry>,
    /// The documents written from them, by their form and the sequence they begin after.
    written: Mutex<HashMap<(Form, Sequence), Arc<Body>>>,
    /// The links beside them.
    links: OnceLock<LinkHeaders>,
}

impl Snapshot {
    /// The entries after `sequence`, or `None` if not all of them are here.
    pub(super) fn after(&self, sequence: Sequence) -> Option<&[Entry]> {
        let first = *Pages::new(self.head.page_size, self.head.sequence)
            .head()
            .start();
        let skip = usize::try_from(sequence + 1 - first).ok()?;
        self.entries.get(skip..)
    }

    /// True if a feed that was here may have gone on to `head`.
    fn leads_to(&self, head: &Head) -> bool {
        let (known, head) = (self.head.cursor(), head.cursor());
        known == head || known.epoch == head.epoch && known.sequence < head.sequence
    }

    /// The id of event `sequence`, if it is here.
    pub(super) fn anchor(&self, sequence: Sequence) -> Option<EventId> {
        let found = self
            .entries
            .binary_search_by_key(&sequence, |entry| entry.sequence);
        found.ok().map(|index| self.entries[index].id)
    }

    /// The links of the head, written by the first who asks.
    pub(super) fn links(&self, write: impl FnOnce() -> LinkHeaders) -> LinkHeaders {
        self.links.get_or_init(write).clone()
    }

    /// The document of the entries after `sequence`, written by the first who asks.
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
pub(super) struct HeadEntries {
    newest: tokio::sync::Mutex<Option<Arc<Snapshot>>>,
}

impl HeadEntries {
    /// The entries of the head as `sequencer` knows it.
    pub(super) async fn newest<B: Backend>(
        &self,
        sequencer: &Sequencer<B>,
        pool: &sqlx::Pool<B>,
    ) -> sqlx::Result<Arc<Snapshot>> {
        let mut newest = self.newest.lock().await;
        // Under the lock, so that no snapshot is older than the one before.
        let head = sequencer.head();
        let known = newest.take().filter(|known| known.leads_to(&head));
        if let Some(known) = known
            .as_ref()
            .filter(|known| known.head.sequence == head.sequence)
        {
            *newest = Some(Arc::clone(known));
            return Ok(Arc::clone(known));
        }
        let range = Pages::new(head.page_size, head.sequence).head();
        // Only what is new is read; the rest of the range is here already.
        let mut entries: Vec<Entry> = known
            .iter()
            .flat_map(|known| known.entries.iter())
            .filter(|entry| range.contains(&entry.sequence))
            .cloned()
            .collect();
        let first = entries
            .last()
            .map_or(*range.start(), |last| last.sequence + 1);
        entries.extend(B::entries(pool, first, *range.end()).await?);
        let snapshot = Arc::new(Snapshot {
            head,
            entries,
            written: Mutex::default(),
            links: OnceLock::new(),
        });
        *newest = Some(Arc::clone(&snapshot));
        Ok(snapshot)
    }
}
