//! Backfill through a feed without sequences: read from the head back, document by document, to a
//! known entry; then apply from oldest to newest. Only the claims tell which entries are new.

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
use crate::consumer::source::window::{Window, ids_of};
use crate::reached::Mark;
use crate::store::Backend;
use crate::store::consume::Position;

/// The limits of one walk: documents, and their bytes together (I11).
const LIMITS: Limits = Limits {
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
    /// The common anchor of the held partitions: none misses an entry up to there.
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
    let common = Position {
        anchor: backlog.common.clone(),
        ..Position::default()
    };
    let shown = backlog
        .documents
        .iter()
        .find_map(|document| backlog.window(document));
    let apart = follower.cursors.anchors().len() > 1;
    let to = Position {
        // A feed that is empty for a moment has shown nothing new.
        anchor: match shown.filter(|_| !backlog.outdated) {
            Some(window) => Some(window.to_string()),
            None if apart => return Ok(Polled::UpToDate { waited: false }),
            None => backlog.common.clone(),
        },
        etag: validators.etag,
        last_modified: validators.last_modified,
        ..Position::default()
    };
    if apart {
        // If the walk is interrupted, the next one begins at the common anchor.
        if follower.apply(Vec::new(), common.clone()).await?.is_none() {
            return Ok(Polled::Interrupted);
        }
    }
    let mut applied = 0;
    for index in (0..backlog.documents.len()).rev() {
        let document = &backlog.documents[index];
        let mut new = backlog.new_in(index, &follower.cursors.share());
        while !new.is_empty() {
            let arrivals = arrivals(&follower.source, document, &new).await?;
            new.drain(..arrivals.len());
            let end = match (index, new.as_slice()) {
                (0, []) => to.clone(),
                // In between, only the claims record what is done.
                _ => common.clone(),
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
    let newest: Vec<Window> = sought.iter().map(|one| one.window.clone()).collect();
    let mut backlog = Backlog {
        common: sought.first().filter(|_| !begins).map(Sought::anchor),
        ..Backlog::default()
    };
    let (mut all_known, mut all_claimed) = (!begins, !begins);
    let mut walk = Walk::back(&follower.source, head, LIMITS);
    while let Some(document) = walk.next().await? {
        let ids: Vec<&str> = ids_of(&document).collect();
        let claimed = claimed(&follower.instance, &ids).await?;
        let known: HashSet<&str> = claimed.iter().map(String::as_str).collect();
        all_claimed &= ids.iter().all(|id| known.contains(id));
        // Of the windows that end here, the oldest one knows fewest of the entries up to here.
        let mut fewest = usize::MAX;
        sought.retain_mut(|one| {
            let known = one.window.known_in(&document, &known);
            all_known &= ids.iter().all(|id| known.contains(id));
            one.known += known.len();
            let found = one.window.continues_in(&document, &known);
            if found && !begins && one.known <= fewest {
                fewest = one.known;
                backlog.common = Some(one.anchor());
            }
            !found
        });
        backlog.known.extend(claimed);
        backlog.add(document, follower.subscription.names.feed_url);
        if sought.is_empty() && !begins {
            break;
        }
    }
    let mut documents = backlog.documents.iter();
    if let Some(shown) = documents.find(|one| !one.entries.is_empty()) {
        backlog.outdated = match sought.is_empty() {
            true => all_known && newest.iter().any(|window| !window.is_shown_in(shown)),
            // As long as it shows nothing else, nothing can be taken too early.
            false => all_claimed,
        };
        let lost = sought.into_iter().next().map(|one| one.window);
        backlog.lost = lost.filter(|_| !backlog.outdated);
    }
    Ok(backlog)
}

/// A window that a walk looks for.
struct Sought {
    window: Window,
    /// The text that is stored of it.
    anchor: String,
    /// How many entries of the documents so far it knows.
    known: usize,
}

impl Sought {
    fn new(anchor: String) -> Self {
        Self {
            window: Window::parse(&anchor),
            anchor,
            known: 0,
        }
    }

    fn anchor(&self) -> String {
        self.anchor.clone()
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
