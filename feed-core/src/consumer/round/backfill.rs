//! Backfill through a feed without sequences: read from the head back, document by document, to the window
//! that was shown last; then apply from oldest to newest. Only the claims tell which entries are new.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use tracing::warn;

use super::follower::Follower;
use crate::consumer::apply::instance::Instance;
use crate::consumer::effect::Effect;
use crate::consumer::outcome::{PollError, Polled};
use crate::consumer::progress::cursors::Share;
use crate::consumer::source::content::arrivals;
use crate::consumer::source::document::Document;
use crate::consumer::source::entry::FoundEntry;
use crate::consumer::source::fetch::NewHead;
use crate::consumer::source::redact::redact_url;
use crate::consumer::source::walk::{Limits, Walk};
use crate::consumer::source::window::{Search, Window, ids_of};
use crate::reached::Mark;
use crate::store::Backend;
use crate::store::consume::Position;

/// The limits of one walk: documents, and their bytes together (I11).
pub(in crate::consumer) const LIMITS: Limits = Limits {
    documents: 1_000,
    bytes: 64 * 1024 * 1024,
};

/// The documents that a backfill has read.
#[derive(Default)]
pub(in crate::consumer) struct Backlog {
    /// Newest first.
    pub(in crate::consumer) documents: Vec<Document>,
    /// The ids that any instance has claimed.
    known: HashSet<String>,
    /// For each id the document with its latest version, and the version's date; of equal ones the
    /// newer document wins (RFC 5005, section 4.2).
    latest: HashMap<String, (usize, DateTime<Utc>)>,
    /// A window that was not found again: entries after it may be missing.
    lost: Option<Window>,
    /// The oldest anchor of the held partitions: none misses an entry up to there. `None` if one has none.
    common: Option<String>,
    /// True if the documents show less than was taken: they come from an outdated cache, or have lost
    /// newer entries for a moment. The window then stays as it was.
    outdated: bool,
}

/// Takes what is new behind a head without sequences.
pub(super) async fn take_unnumbered<B: Backend, E: Effect<B>>(
    follower: &mut Follower<B, E>,
    new: NewHead,
) -> Result<Polled, PollError> {
    let NewHead {
        document,
        validators,
        ..
    } = new;
    let backlog = walk_back(follower, document).await?;
    if let Some(lost) = &backlog.lost {
        // The feed shows only its newest entries, and older ones are gone (I8).
        Mark::WindowLost.reached();
        return follower.halt(&missing_after(lost)).await;
    }
    let shown = backlog
        .documents
        .iter()
        .find_map(|document| backlog.window(document));
    // Partitions whose anchors differ stay where they are until all is applied: the next walk begins there if this one
    // is interrupted. In between, only the claims record what is done.
    let anchor = follower.cursors.seen.anchor.clone();
    let to = Position {
        // A feed that is empty for a moment has shown nothing new.
        anchor: match shown.filter(|_| !backlog.outdated) {
            Some(window) => Some(window.to_string()),
            None => anchor.clone(),
        },
        etag: validators.etag,
        last_modified: validators.last_modified,
        ..Position::default()
    };
    let between = Position {
        anchor,
        ..Position::default()
    };
    let mut applied = 0;
    for index in (0..backlog.documents.len()).rev() {
        let document = &backlog.documents[index];
        let mut new = backlog.new_in(index, &follower.cursors.share());
        while !new.is_empty() {
            let arrivals = arrivals(&follower.source, document, &new).await?;
            new.drain(..arrivals.len());
            let end = match (index, new.as_slice()) {
                (0, []) => to.clone(),
                _ => between.clone(),
            };
            match follower.apply(arrivals, end).await? {
                Some(events) => applied += events,
                None => return Ok(Polled::Interrupted),
            }
        }
    }
    if follower.cursors.seen != to {
        follower.cursors.see(to);
    }
    Ok(match applied {
        0 => Polled::UpToDate { waited: false },
        events => Polled::Applied(events),
    })
}

/// Reads back until nothing can be missing: to a document that continues the known window, or to the
/// oldest. Windows of partitions that differ are looked for one by one.
pub(in crate::consumer) async fn walk_back<B: Backend, E: Effect<B>>(
    follower: &Follower<B, E>,
    head: Document,
) -> Result<Backlog, PollError> {
    let anchors = follower.cursors.anchors();
    let begins = anchors.is_empty() || anchors.contains(&None);
    let mut sought: Vec<Sought> = anchors.into_iter().flatten().map(Sought::new).collect();
    let mut backlog = Backlog::default();
    let (mut all_known, mut all_claimed) = (!begins, !begins);
    let mut walk = Walk::back(&follower.source, head, LIMITS);
    while let Some(document) = walk.next().await? {
        let ids: Vec<&str> = ids_of(&document).collect();
        let claimed = claimed(&follower.instance, &ids).await?;
        let known: HashSet<&str> = claimed.iter().map(String::as_str).collect();
        all_claimed &= ids.iter().all(|id| known.contains(id));
        let is_further = |id: &&str| !backlog.latest.contains_key(*id);
        let further: HashSet<&str> = ids.iter().copied().filter(is_further).collect();
        for Sought { search, .. } in sought.iter_mut().filter(|one| !one.search.has_ended()) {
            let known = search.window.known_in(&document, &known);
            all_known &= ids.iter().all(|id| known.contains(id));
            search.look(backlog.documents.len(), &document, &known, &further);
        }
        backlog.known.extend(claimed);
        backlog.add(document, follower.subscription.names.feed_url);
        if !begins && sought.iter().all(|one| one.search.has_ended()) {
            break;
        }
    }
    let ends = sought.iter().map(|one| (one.search.end(), one));
    let oldest = ends
        .clone()
        .filter(|(end, _)| end.is_some())
        .max_by_key(|(end, _)| *end);
    backlog.common = oldest
        .map(|(_, one)| one.anchor.clone())
        .filter(|_| !begins);
    let mut documents = backlog.documents.iter();
    if let Some(shown) = documents.find(|one| !one.entries.is_empty()) {
        let lost = ends.clone().find(|(end, _)| end.is_none());
        backlog.outdated = match lost {
            None => {
                all_known
                    && sought
                        .iter()
                        .any(|one| !one.search.window.is_shown_in(shown))
            }
            // As long as it shows nothing else, nothing can be taken too early.
            Some(_) => all_claimed,
        };
        let lost = lost.map(|(_, one)| one.search.window.clone());
        backlog.lost = lost.filter(|_| !backlog.outdated);
    }
    Ok(backlog)
}

/// The window of some partitions, and the text that is stored of it.
struct Sought {
    search: Search,
    anchor: String,
}

impl Sought {
    fn new(anchor: String) -> Self {
        Self {
            search: Search::new(Window::parse(&anchor)),
            anchor,
        }
    }
}

/// Returns which of these events any instance has claimed.
async fn claimed<B: Backend>(instance: &Instance<B>, ids: &[&str]) -> sqlx::Result<Vec<String>> {
    let (pool, s, _) = instance.names();
    instance.statement(B::claimed(pool, s, ids)).await
}

/// Returns true if all of a further document is newer than all of the head: new entries then appear
/// outside of the head.
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

impl Backlog {
    fn add(&mut self, document: Document, setting: &str) {
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
        self.documents.push(document);
    }

    /// Returns the window to store for `document`; `None` if it is empty.
    fn window(&self, document: &Document) -> Option<Window> {
        let window = Window::of(document)?.and_before(self.ids());
        Some(match &self.common {
            Some(before) => window.after(Window::parse(before)),
            None => window,
        })
    }

    /// Returns the ids of all entries, of the newest document first.
    pub(in crate::consumer) fn ids(&self) -> impl Iterator<Item = &str> {
        self.documents.iter().flat_map(ids_of)
    }

    /// Returns the entries of one document that are in `share` and unclaimed, and of which no other
    /// document has a later version.
    fn new_in(&self, index: usize, share: &Share) -> Vec<&FoundEntry> {
        let mut taken = HashSet::new();
        // Of two versions with one date, the last one here is newer.
        let entries = self.documents[index].entries.iter().rev();
        let mut new: Vec<&FoundEntry> = entries
            .filter(|entry| share.holds(entry) && !self.known.contains(&entry.id))
            .filter(|entry| self.latest.get(&entry.id) == Some(&(index, entry.updated)))
            .filter(|entry| taken.insert(&entry.id))
            .collect();
        new.reverse();
        new
    }
}
