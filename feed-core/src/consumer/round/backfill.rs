//! The way through a feed that numbers nothing: back from its head, document by document, to what was
//! shown before; then forward again, oldest first. Which entries are new, the claims alone can tell.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use tracing::warn;

use super::poll::{PollError, Polled};
use crate::consumer::progress::cursors::Ours;
use crate::consumer::source::document::{Document, FoundEntry};
use crate::consumer::source::fetch::{FetchError, New, shown as redacted};
use crate::consumer::source::window::Window;
use crate::consumer::{Consumer, Effect};
use crate::store::Backend;
use crate::store::consume::Position;

/// Documents of one walk, and the bytes they may have together (I11).
const DOCUMENTS: usize = 1_000;
const BYTES: usize = 64 * 1024 * 1024;

/// What a walk has brought.
#[derive(Default)]
pub(crate) struct Walk {
    /// Newest first.
    pub(crate) documents: Vec<Document>,
    /// The ids in them that somebody has claimed.
    known: HashSet<String>,
    /// For each id the document with its latest version, and that version; of equal ones the
    /// newer document counts (RFC 5005, section 4.2).
    latest: HashMap<String, (usize, DateTime<Utc>)>,
    /// What was shown before and was not found again: entries after it may be missing.
    lost: Option<Window>,
    /// What our partitions have in common: nothing of theirs is missing up to there.
    common: Option<String>,
    /// True if there is nothing new in the documents.
    all_known: bool,
}

impl<B: Backend, E: Effect<B>> Consumer<B, E> {
    /// Takes what is new behind a head without numbers.
    pub(crate) async fn take_unnumbered(&mut self, new: New) -> Result<Polled, PollError> {
        let New {
            document,
            validators,
            ..
        } = new;
        let walk = self.walk_back(document).await?;
        if let Some(lost) = &walk.lost {
            // The feed shows only its newest entries, and has gone further than that (I8).
            return self.halt(&missing_after(lost)).await;
        }
        let common = Position {
            anchor: walk.common.clone(),
            ..Position::default()
        };
        let shown = walk
            .documents
            .iter()
            .find_map(|document| walk.window(document));
        let apart = self.place.anchors().len() > 1;
        let to = Position {
            // A feed that is empty for a moment has shown nothing new.
            anchor: match shown {
                Some(window) => Some(window),
                None if apart => return Ok(Polled::UpToDate { waited: false }),
                None => walk.common.clone(),
            },
            etag: validators.etag,
            last_modified: validators.last_modified,
            ..Position::default()
        };
        if apart {
            // Should the walk be cut off, it begins again where all of them have been.
            let stored = (self.context).apply(&mut self.place.held, Vec::new(), &common);
            let stored = stored.await;
            if self.settle(stored, common.clone())?.is_none() {
                return Ok(Polled::Interrupted);
            }
        }
        let mut applied = 0;
        for index in (0..walk.documents.len()).rev() {
            let document = &walk.documents[index];
            let mut new = walk.new_in(index, &self.place.ours());
            while !new.is_empty() {
                let arrivals = self.source.arrivals(document, &new).await?;
                new.drain(..arrivals.len());
                let end = match (index, new.as_slice()) {
                    (0, []) => to.clone(),
                    // In between the claims alone say what is done.
                    _ => common.clone(),
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

    /// Reads back until nothing can be missing: to a document that continues what was shown before, or
    /// one of which all is known; or to the end. Our partitions take what is new oldest first, so
    /// that what is older than there is known. Those that are apart are looked for one by one.
    pub(crate) async fn walk_back(&self, head: Document) -> Result<Walk, PollError> {
        let anchors = self.place.anchors();
        let level = anchors.len() == 1;
        let begins = anchors.is_empty() || anchors.contains(&None);
        let mut sought: Vec<String> = anchors.into_iter().flatten().collect();
        let mut walk = Walk {
            common: sought.first().filter(|_| !begins).cloned(),
            all_known: true,
            ..Walk::default()
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
            let claimed = self.context.claimed(&ids).await?;
            let known: HashSet<&str> = claimed.iter().map(String::as_str).collect();
            let all_known = level && !ids.is_empty() && ids.iter().all(|id| known.contains(id));
            walk.all_known &= all_known || ids.is_empty();
            sought.retain(|anchor| {
                let found = all_known || Window::parse(anchor).continues_in(&document, &known);
                if found && !begins {
                    walk.common = Some(anchor.clone());
                }
                !found
            });
            walk.known.extend(claimed);
            bytes += document.size;
            for entry in &document.entries {
                let this = (walk.documents.len(), entry.updated);
                let latest = walk.latest.entry(entry.id.clone()).or_insert(this);
                if entry.updated > latest.1 {
                    *latest = this;
                }
            }
            if let Some(head) = walk.documents.first()
                && is_newer(&document, head)
            {
                warn!(
                    "the pages after {0} have newer entries than it has: what appears there later is not \
                     seen. FEED_URL must point to the document with the newest entries, and `next` lead to \
                     older ones",
                    redacted(head.address())
                );
            }
            let older = document.older();
            walk.documents.push(document);
            if sought.is_empty() && !begins {
                return Ok(walk);
            }
            let Some(older) = older.map_err(FetchError::from)? else {
                let shown = walk.documents.iter().any(|one| !one.entries.is_empty());
                walk.lost = sought
                    .first()
                    .filter(|_| shown)
                    .map(|text| Window::parse(text));
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
            // A redirect may lead there.
            seen.insert(document.address().clone());
        }
    }
}

/// True if all of a further document is newer than all of the head: new entries then appear where nobody
/// looks who asks for the head.
fn is_newer(further: &Document, head: &Document) -> bool {
    let newest = head.entries.iter().map(|entry| entry.published).max();
    let oldest = further.entries.iter().map(|entry| entry.published).min();
    newest.is_some() && oldest > newest
}

fn missing_after(lost: &Window) -> String {
    let newest = lost.newest.first().map_or("", String::as_str);
    format!(
        "the feed has moved on by more than it shows since {newest} was read: entries in between may be \
         missing; `resume --from-start` takes what it shows now, and nothing twice"
    )
}

impl Walk {
    /// What is kept of the window that `document` shows. One that shows nothing but old entries, and none of
    /// the newest, is a late cache's, or has lost the others for a moment: then it stays as it was.
    fn window(&self, document: &Document) -> Option<String> {
        let known = self.common.as_deref().filter(|_| self.all_known);
        match known.map(|text| (text, Window::parse(text))) {
            Some((text, before)) if !before.is_shown_in(document) => Some(text.to_owned()),
            _ => Window::of(document).map(|window| window.to_string()),
        }
    }

    /// The entries of one document that are in `ours`, that nobody has claimed, and of which no
    /// other document has a later version.
    fn new_in(&self, index: usize, ours: &Ours) -> Vec<&FoundEntry> {
        let mut taken = HashSet::new();
        // Of two versions with one date the one that comes last here is the newer.
        let entries = self.documents[index].entries.iter().rev();
        let mut new: Vec<&FoundEntry> = entries
            .filter(|entry| ours.holds(entry) && !self.known.contains(&entry.id))
            .filter(|entry| self.latest.get(&entry.id) == Some(&(index, entry.updated)))
            .filter(|entry| taken.insert(&entry.id))
            .collect();
        new.reverse();
        new
    }
}
