//! The way through a feed that numbers nothing: back from its head, document by document, until
//! what is there is known; then forward again, oldest first. Which entries are new, the claims
//! alone can tell.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};

use super::document::{Document, FoundEntry};
use super::fetch::{FetchError, New};
use super::place::Ours;
use super::poll::{PollError, Polled};
use super::{Consumer, Effect};
use crate::store::Backend;
use crate::store::consume::Position;

/// Documents of one walk, and the bytes they may have together (I11).
const DOCUMENTS: usize = 1_000;
const BYTES: usize = 64 * 1024 * 1024;

/// What a walk has brought.
pub(super) struct Walk {
    /// Newest first.
    pub(super) documents: Vec<Document>,
    /// The ids in them that somebody has claimed.
    known: HashSet<String>,
    /// For each id the document with its latest version, and that version; of equal ones the
    /// newer document counts (RFC 5005, section 4.2).
    latest: HashMap<String, (usize, DateTime<Utc>)>,
    /// True if it ended where there is nothing older.
    to_the_end: bool,
}

impl<B: Backend, E: Effect<B>> Consumer<B, E> {
    /// Takes what is new behind a head without numbers.
    pub(super) async fn take_unnumbered(&mut self, new: New) -> Result<Polled, PollError> {
        let New {
            document,
            validators,
            ..
        } = new;
        let walk = self.walk_back(document).await?;
        let newest = walk.documents[0]
            .entries
            .last()
            .map(|entry| entry.id.clone());
        if let Some(reason) = self.gap(&walk) {
            return self.halt(&reason).await;
        }
        let to = Position {
            anchor: newest,
            etag: validators.etag,
            last_modified: validators.last_modified,
            ..Position::default()
        };
        let mut applied = 0;
        for index in (0..walk.documents.len()).rev() {
            let document = &walk.documents[index];
            let mut new = walk.new_in(index, &self.place.ours());
            while !new.is_empty() {
                let arrivals = self.source.arrivals(document, &new).await?;
                new.drain(..arrivals.len());
                let end = match (index, new.as_slice()) {
                    (0, []) => to.clone(),
                    // In between the claims alone say what is done; whoever begins there anew looks
                    // at all of it.
                    _ => Position::default(),
                };
                let taken = self
                    .context
                    .apply(&mut self.place.held, arrivals, &end)
                    .await;
                match self.settle(taken, end)? {
                    Some(events) => applied += events,
                    None => return Ok(Polled::Interrupted),
                }
            }
        }
        if self.place.seen != to {
            self.place.see(to);
        }
        Ok(match applied {
            0 => Polled::UpToDate { waited: false },
            events => Polled::Applied(events),
        })
    }

    /// Reads back to where everything of ours is known, or to the end. Our partitions take what is
    /// new oldest first, so that what is older than a known entry is known; unless they have not
    /// come equally far: then all of it is looked at.
    pub(super) async fn walk_back(&self, head: Document) -> Result<Walk, PollError> {
        let ours = self.place.ours();
        let may_stop = self.place.seen.anchor.is_some();
        let mut walk = Walk {
            documents: Vec::new(),
            known: HashSet::new(),
            latest: HashMap::new(),
            to_the_end: false,
        };
        let mut seen = HashSet::from([head.address().clone()]);
        let mut bytes = 0;
        let mut document = head;
        loop {
            let ids: Vec<&str> = document
                .entries
                .iter()
                .map(|entry| entry.id.as_str())
                .collect();
            let known = self.context.claimed(&ids).await?;
            let is_known = is_known(&document, &ours, &known);
            walk.known.extend(known);
            let older = document.older().map_err(FetchError::from)?;
            bytes += document.size;
            for entry in &document.entries {
                let this = (walk.documents.len(), entry.updated);
                let latest = walk.latest.entry(entry.id.clone()).or_insert(this);
                if entry.updated > latest.1 {
                    *latest = this;
                }
            }
            walk.documents.push(document);
            if may_stop && is_known {
                return Ok(walk);
            }
            let Some(older) = older else {
                walk.to_the_end = true;
                return Ok(walk);
            };
            if !seen.insert(older.clone()) {
                return Err(PollError::Cycle(older));
            }
            if walk.documents.len() >= DOCUMENTS || bytes > BYTES {
                return Err(PollError::TooLong {
                    documents: walk.documents.len(),
                    bytes,
                });
            }
            document = self.source.document(older).await?;
        }
    }

    /// What is to be said if entries are missing: a feed that shows only its newest ones has gone
    /// further than that since we looked (I8).
    fn gap(&self, walk: &Walk) -> Option<String> {
        let anchor = self.place.seen.anchor.as_ref()?;
        let mut entries = walk
            .documents
            .iter()
            .flat_map(|document| &document.entries)
            .peekable();
        let missing = walk.to_the_end
            && walk.known.is_empty()
            && entries.peek().is_some()
            && entries.all(|entry| entry.id != *anchor);
        missing.then(|| {
            format!("nothing that the feed shows is known: what came after {anchor} may be missing")
        })
    }
}

/// True if the oldest entry of ours is known, and so what is older. Not any: one that was changed
/// stands among the newest again.
fn is_known(document: &Document, ours: &Ours, known: &[String]) -> bool {
    let mut ours = document.entries.iter().filter(|entry| ours.holds(entry));
    ours.next().is_some_and(|oldest| known.contains(&oldest.id))
}

impl Walk {
    /// The entries of one document that are in `ours`, that nobody has claimed, and of which no
    /// other document has a later version.
    fn new_in(&self, index: usize, ours: &Ours) -> Vec<&FoundEntry> {
        let entries = self.documents[index].entries.iter();
        entries
            .filter(|entry| ours.holds(entry) && !self.known.contains(&entry.id))
            .filter(|entry| self.latest.get(&entry.id) == Some(&(index, entry.updated)))
            .collect()
    }
}
