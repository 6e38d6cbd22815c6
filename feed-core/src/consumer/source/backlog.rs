//! The documents that a walk back through a feed without sequences has read: which of their entries
//! are new, and which version of an entry is the latest.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use tracing::warn;

use super::document::{Document, is_deleted};
use super::entry::FoundEntry;
use super::redact::redact_url;
use super::window::{Window, ids_of};

/// Documents, newest first.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    pub(crate) documents: Vec<Document>,
    /// The ids of entries that were taken before.
    known: HashSet<String>,
    /// For each id the document with its latest version, and the version's date; of equal ones the
    /// newer document wins (RFC 5005, section 4.2).
    latest: HashMap<String, (usize, DateTime<Utc>)>,
    /// When entries were deleted, which may still be in another document.
    deleted: HashMap<String, DateTime<Utc>>,
}

impl Backlog {
    /// Adds the next older document, of whose entries those with the ids `known` were taken before. A warning that newer
    /// entries appear outside of the head names the `setting` with the feed's address.
    pub(crate) fn add(
        &mut self,
        mut document: Document,
        known: impl IntoIterator<Item = String>,
        setting: &str,
    ) {
        for entry in &document.entries {
            let this = (self.documents.len(), entry.updated);
            let latest = self.latest.entry(entry.id.clone()).or_insert(this);
            if entry.updated > latest.1 {
                *latest = this;
            }
        }
        if let Some(head) = self.documents.first()
            && is_newer(&document, head)
        {
            warn!(
                "the pages after {0} have newer entries than it has: what appears there later is not \
                 seen. {setting} must point to the document with the newest entries, and `next` lead to \
                 older ones",
                redact_url(head.address())
            );
        }
        for (id, when) in document.deleted.drain() {
            let last = self.deleted.entry(id).or_insert(when);
            *last = when.max(*last);
        }
        self.known.extend(known);
        self.documents.push(document);
    }

    /// Returns the ids of `document` that are in none of the documents.
    pub(crate) fn further_in<'a>(&self, document: &'a Document) -> HashSet<&'a str> {
        let is_further = |id: &&str| !self.latest.contains_key(*id);
        ids_of(document).filter(is_further).collect()
    }

    /// Returns the ids of all entries, of the newest document first.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &str> {
        self.documents.iter().flat_map(ids_of)
    }

    /// Returns the window of the newest document with entries. It remembers those of all documents.
    pub(crate) fn window(&self) -> Option<Window> {
        Window::of(&self.documents)
    }

    /// Returns the new entries of one document that `holds` selects, and of which no document has a later version or a
    /// deletion.
    pub(crate) fn new_in(
        &self,
        index: usize,
        holds: impl Fn(&FoundEntry) -> bool,
    ) -> Vec<&FoundEntry> {
        let mut taken = HashSet::new();
        // Of two versions with one date, the last one here is newer.
        let entries = self.documents[index].entries.iter().rev();
        let mut new: Vec<&FoundEntry> = entries
            .filter(|entry| holds(entry) && !self.known.contains(&entry.id))
            .filter(|entry| self.latest.get(&entry.id) == Some(&(index, entry.updated)))
            .filter(|entry| !is_deleted(entry, &self.deleted))
            .filter(|entry| taken.insert(&entry.id))
            .collect();
        new.reverse();
        new
    }
}

/// Returns true if all of a further document is newer than all of the head: new entries then appear
/// outside of the head.
fn is_newer(further: &Document, head: &Document) -> bool {
    let newest = head.entries.iter().map(|entry| entry.published).max();
    let oldest = further.entries.iter().map(|entry| entry.published).min();
    newest.is_some() && oldest > newest
}
