//! Backfill through a feed without sequences: read from the head back, document by document, to the window
//! that was shown last; then apply from oldest to newest. Only the claims tell which entries are new.

use std::collections::HashSet;

use super::follower::Follower;
use crate::consumer::apply::instance::Instance;
use crate::consumer::effect::Effect;
use crate::consumer::outcome::{PollError, Polled};
use crate::consumer::source::backlog::Backlog;
use crate::consumer::source::content::arrivals;
use crate::consumer::source::document::Document;
use crate::consumer::source::fetch::NewHead;
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

/// The documents that a backfill has read, and what they tell about the windows of the held partitions.
#[derive(Default)]
pub(in crate::consumer) struct Backfill {
    pub(in crate::consumer) backlog: Backlog,
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
        mut validators,
        ..
    } = new;
    let mut backfill = walk_back(follower, document).await?;
    if backfill.lost.is_some()
        && backfill.backlog.documents.len() > 1
        && let Some(again) = follower.source.unnumbered_head_again().await?
    {
        validators = again.validators;
        backfill = walk_back(follower, again.document).await?;
    }
    if let Some(lost) = &backfill.lost {
        // The feed shows only its newest entries, and older ones are gone (I8).
        Mark::WindowLost.reached();
        let reason = format!(
            "{}; `resume --from-start` takes what it shows now, and nothing twice",
            lost.missing_after()
        );
        return follower.halt(&reason).await;
    }
    let shown = backfill.window();
    let backlog = &backfill.backlog;
    // Partitions whose anchors differ stay where they are until all is applied: the next walk begins there if this one
    // is interrupted. In between, only the claims record what is done.
    let anchor = follower.cursors.seen.anchor.clone();
    let to = Position {
        // A feed that is empty for a moment has shown nothing new.
        anchor: match shown.filter(|_| !backfill.outdated) {
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
    let share = follower.cursors.share();
    let documents = 0..backlog.documents.len();
    let new = documents.flat_map(|index| backlog.new_in(index, |entry| share.holds(entry)));
    follower
        .leases
        .record_lag_since(new.map(|entry| entry.updated).min());
    let mut applied = 0;
    for index in (0..backlog.documents.len()).rev() {
        let document = &backlog.documents[index];
        let share = follower.cursors.share();
        let mut new = backlog.new_in(index, |entry| share.holds(entry));
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
) -> Result<Backfill, PollError> {
    let anchors = follower.cursors.anchors();
    let begins = anchors.is_empty() || anchors.contains(&None);
    let mut sought: Vec<Sought> = anchors.into_iter().flatten().map(Sought::new).collect();
    let mut backlog = Backlog::default();
    let (mut all_known, mut all_claimed) = (!begins, !begins);
    let mut walk = Walk::back(&follower.source, head, LIMITS);
    let mut is_needed = true;
    while let Some(document) = walk.next_if(is_needed).await? {
        follower.leases.heard(None);
        let ids: Vec<&str> = ids_of(&document).collect();
        let claimed = claimed(&follower.instance, &ids).await?;
        let known: HashSet<&str> = claimed.iter().map(String::as_str).collect();
        all_claimed &= ids.iter().all(|id| known.contains(id));
        let further = backlog.further_in(&document);
        for Sought { search, .. } in sought.iter_mut().filter(|one| !one.search.has_ended()) {
            let known = search.window.known_in(&document, &known);
            all_known &= ids.iter().all(|id| known.contains(id));
            search.look(backlog.documents.len(), &document, &known, &further);
        }
        backlog.add(document, claimed, follower.subscription.names.feed_url);
        if !begins && sought.iter().all(|one| one.search.has_ended()) {
            break;
        }
        is_needed = begins || sought.iter().any(|one| !one.search.needs_no_older());
    }
    let ends = sought.iter().map(|one| (one.search.end(), one));
    let oldest = ends
        .clone()
        .filter(|(end, _)| end.is_some())
        .max_by_key(|(end, _)| *end);
    let common = oldest
        .map(|(_, one)| one.anchor.clone())
        .filter(|_| !begins);
    let mut backfill = Backfill {
        common,
        ..Backfill::default()
    };
    if backlog.ids().next().is_some() {
        let lost = ends.clone().filter(|(end, _)| end.is_none());
        let lost: Vec<&Search> = lost.map(|(_, one)| &one.search).collect();
        backfill.outdated = match lost.as_slice() {
            [] => {
                all_known
                    && sought
                        .iter()
                        .any(|one| !one.search.window.is_shown_in(&backlog.documents))
            }
            // As long as it shows nothing else, nothing can be taken too early. Many entries may have been edited.
            lost => all_claimed && lost.iter().any(|search| !search.is_mostly_shown()),
        };
        let lost = lost.first().filter(|_| !all_claimed);
        backfill.lost = lost.map(|search| search.window.clone());
    }
    backfill.backlog = backlog;
    Ok(backfill)
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
    let (pool, s, _) = instance.scope();
    instance.database.statement(B::claimed(pool, s, ids)).await
}

impl Backfill {
    /// Returns the window to store.
    fn window(&self) -> Option<Window> {
        let window = self.backlog.window()?;
        Some(match &self.common {
            Some(before) => window.after(Window::parse(before)),
            None => window,
        })
    }
}
