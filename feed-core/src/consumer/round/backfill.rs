//! The way through a feed that numbers nothing: back from its head, document by document, to what was
//! shown before; then forward again, oldest first. Which entries are new, the claims alone can tell.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use tracing::warn;

use super::follower::Follower;
use super::outcome::{PollError, Polled};
use crate::consumer::apply::instance::Instance;
use crate::consumer::effect::Effect;
use crate::consumer::progress::cursors::Share;
use crate::consumer::source::content::arrivals;
use crate::consumer::source::document::Document;
use crate::consumer::source::entry::FoundEntry;
use crate::consumer::source::fetch::NewHead;
use crate::consumer::source::redact::redact_url;
use crate::consumer::source::walk::{Limits, Walk};
use crate::consumer::source::window::Window;
use crate::database::timeout::STATEMENT;
use crate::store::Backend;
use crate::store::consume::Position;

/// Documents of one walk, and the bytes they may have together (I11).
const LIMITS: Limits = Limits {
    documents: 1_000,
    bytes: 64 * 1024 * 1024,
};

/// What a walk back has brought.
#[derive(Default)]
pub(in crate::consumer) struct Backlog {
    /// Newest first.
    pub(in crate::consumer) documents: Vec<Document>,
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

/// Takes what is new behind a head without numbers.
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
        // The feed shows only its newest entries, and has gone further than that (I8).
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
        anchor: match shown {
            Some(window) => Some(window),
            None if apart => return Ok(Polled::UpToDate { waited: false }),
            None => backlog.common.clone(),
        },
        etag: validators.etag,
        last_modified: validators.last_modified,
        ..Position::default()
    };
    if apart {
        // Should the walk be cut off, it begins again where all of them have been.
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
                // In between the claims alone say what is done.
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

/// Reads back until nothing can be missing: to a document that continues what was shown before, or
/// one of which all is known; or to the end. Our partitions take what is new oldest first, so
/// that what is older than there is known. Those that are apart are looked for one by one.
pub(in crate::consumer) async fn walk_back<B: Backend, E: Effect<B>>(
    follower: &Follower<B, E>,
    head: Document,
) -> Result<Backlog, PollError> {
    let anchors = follower.cursors.anchors();
    let level = anchors.len() == 1;
    let begins = anchors.is_empty() || anchors.contains(&None);
    let mut sought: Vec<String> = anchors.into_iter().flatten().collect();
    let mut backlog = Backlog {
        common: sought.first().filter(|_| !begins).cloned(),
        all_known: true,
        ..Backlog::default()
    };
    let mut walk = Walk::back(&follower.source, head, LIMITS);
    while let Some(document) = walk.next().await? {
        let ids: Vec<&str> = document
            .entries
            .iter()
            .map(|entry| entry.id.as_str())
            .collect();
        let claimed = claimed(&follower.instance, &ids).await?;
        let known: HashSet<&str> = claimed.iter().map(String::as_str).collect();
        let all_known = level && !ids.is_empty() && ids.iter().all(|id| known.contains(id));
        backlog.all_known &= all_known || ids.is_empty();
        sought.retain(|anchor| {
            let found = all_known || Window::parse(anchor).continues_in(&document, &known);
            if found && !begins {
                backlog.common = Some(anchor.clone());
            }
            !found
        });
        backlog.known.extend(claimed);
        backlog.add(document);
        if sought.is_empty() && !begins {
            return Ok(backlog);
        }
    }
    let mut documents = backlog.documents.iter();
    let shown = documents.any(|one| !one.entries.is_empty());
    backlog.lost = sought
        .first()
        .filter(|_| shown)
        .map(|text| Window::parse(text));
    Ok(backlog)
}

/// Which of these events somebody has claimed.
async fn claimed<B: Backend>(instance: &Instance<B>, ids: &[&str]) -> sqlx::Result<Vec<String>> {
    let (pool, s, _) = instance.names();
    instance
        .database
        .within(STATEMENT, B::claimed(pool, s, ids))
        .await
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

impl Backlog {
    fn add(&mut self, document: Document) {
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
                 seen. FEED_URL must point to the document with the newest entries, and `next` lead to \
                 older ones",
                redact_url(head.address())
            );
        }
        self.documents.push(document);
    }

    /// What is kept of the window that `document` shows. One that shows nothing but old entries, and none of
    /// the newest, is a late cache's, or has lost the others for a moment: then it stays as it was.
    fn window(&self, document: &Document) -> Option<String> {
        let known = self.common.as_deref().filter(|_| self.all_known);
        match known.map(|text| (text, Window::parse(text))) {
            Some((text, before)) if !before.is_shown_in(document) => Some(text.to_owned()),
            _ => Window::of(document).map(|window| window.to_string()),
        }
    }

    /// The entries of one document that are in `share`, that nobody has claimed, and of which no
    /// other document has a later version.
    fn new_in(&self, index: usize, share: &Share) -> Vec<&FoundEntry> {
        let mut taken = HashSet::new();
        // Of two versions with one date the one that comes last here is the newer.
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
