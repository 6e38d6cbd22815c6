//! Catches up in a feed with sequences: reads from the cursor forward, page by page, until the
//! head. Never past a gap (I8).
//!
//! It prefetches documents while it applies the one before, and collects events until they fill a
//! transaction: an instance with few partitions then needs no more statements per event than one
//! with all.

use std::time::Instant;

use tracing::info;

use super::follower::Follower;
use crate::consumer::effect::Effect;
use crate::consumer::outcome::{PollError, Polled};
use crate::consumer::progress::position::{cursor_at, discontinuity, position_after, position_at};
use crate::consumer::source::content::{Arrival, TOGETHER};
use crate::consumer::source::fetch_error::FetchError;
use crate::consumer::source::option_names::FeedOptionNames;
use crate::consumer::source::prefetch::{Prefetch, Step};
use crate::consumer::source::walk::{Walk, WalkError};
use crate::event::Sequence;
use crate::reached::Mark;
use crate::store::Backend;
use crate::store::consume::Position;

/// Documents read in one round; the next round continues there. Decisions and leases are handled in
/// between.
const DOCUMENTS: usize = 50;

/// Catches up from the cursor.
pub(super) async fn catch_up<B: Backend, E: Effect<B>>(
    follower: &mut Follower<B, E>,
) -> Result<Polled, PollError> {
    let signals = follower.leases.signals.borrow().clone();
    let names = follower.subscription.names;
    let begin = follower.cursors.seen.sequence;
    let known = follower.leases.known_head();
    // Collected events are not stored: if the next document fails, the cursor has not moved.
    let mut gathered = Vec::new();
    let mut at = follower.cursors.seen.clone();
    let mut applied = 0;
    let mut at_the_end = false;
    let share = follower.cursors.share();
    let walk =
        Walk::forward(&follower.source, cursor_at(&at)?).with_share(follower.cursors.partitions());
    let mut steps = Prefetch::start(walk, DOCUMENTS, move |entry| share.wants(entry));
    for n in 1..=DOCUMENTS {
        let Step {
            document,
            arrivals,
            end,
            whole,
        } = match steps.next().await {
            Err(WalkError::Fetch(error)) => match unknown_cursor(&error, names) {
                Some(reason) => {
                    let mark = match n {
                        1 => Mark::CursorGone,
                        _ => Mark::CursorGoneInWalk,
                    };
                    mark.reached();
                    return follower.halt(&reason).await;
                }
                None => return Err(error.into()),
            },
            step => match step? {
                Some(step) => step,
                None => break,
            },
        };
        let stands_still = document.is_part() && whole && end.sequence <= at.sequence;
        if let Some(reason) = discontinuity(&at, &document, &end) {
            return follower.halt(&reason).await;
        }
        follower.cursors.trust.answered();
        follower.leases.heard(Some(end.sequence));
        follower
            .leases
            .record_lag_since(document.oldest_after(at.sequence));
        // A document may repeat events that were seen.
        let new = |arrival: &Arrival| arrival.event.sequence > Some(at.sequence);
        gathered.extend(arrivals.into_iter().filter(new));
        at = position_after(&at, &document, &end);
        let interrupted = *follower.leases.signals.borrow() != signals;
        if interrupted {
            Mark::WalkInterrupted.reached();
        }
        // The feed has grown meanwhile: without a look at its head, the status would say that all is taken.
        let outgrown = known.is_some_and(|head| end.sequence >= head);
        at_the_end = !document.is_part() && whole || stands_still;
        let last = at_the_end || n == DOCUMENTS || interrupted || outgrown;
        let bytes: usize = gathered
            .iter()
            .map(|arrival| arrival.event.data.len())
            .sum();
        let size = Some(follower.applier.batch_size()).filter(|_| !last && bytes < TOGETHER);
        let (batch, to) = full_of(&mut gathered, &at, size);
        match batch {
            Some(batch) => match follower.apply(batch, to).await? {
                Some(events) => applied += events,
                None => return Ok(Polled::Interrupted),
            },
            None if gathered.is_empty() => follower.cursors.see(at.clone()),
            None => {}
        }
        log_progress(follower, begin);
        if last {
            break;
        }
    }
    // A cached head below the cursor must not make the consumer poll without a pause.
    if begin == follower.cursors.seen.sequence {
        return Ok(Polled::UpToDate { waited: false });
    }
    follower.has_more = !at_the_end;
    Ok(Polled::Applied(applied))
}

/// Returns how the feed contradicts the partitions that are ahead of the others, if it does.
pub(super) async fn contradiction<B: Backend, E: Effect<B>>(
    follower: &mut Follower<B, E>,
) -> Result<Option<String>, PollError> {
    let (cursors, source) = (&mut follower.cursors, &follower.source);
    while let Some(place) = cursors.unconfirmed.last() {
        let document = match source.position(cursor_at(place)?.as_ref()).await {
            Ok(document) => document,
            Err(error) => match unknown_cursor(&error, follower.subscription.names) {
                Some(reason) => return Ok(Some(reason)),
                None => return Err(error.into()),
            },
        };
        let end = document.cursor.as_ref();
        let broken = end.and_then(|end| discontinuity(place, &document, end));
        if broken.is_some() {
            return Ok(broken);
        }
        cursors.unconfirmed.pop();
    }
    Ok(None)
}

/// Logs the progress from time to time, if there is any since `begin`.
fn log_progress<B: Backend, E: Effect<B>>(follower: &mut Follower<B, E>, begin: Sequence) {
    let head = follower.leases.known_head().unwrap_or(0);
    let sequence = follower.cursors.seen.sequence;
    let logged = follower.logged;
    let soon = logged.is_some_and(|logged| logged.elapsed().as_secs() < 2);
    if sequence == begin || soon && sequence < head {
        return;
    }
    follower.logged = Some(Instant::now());
    let name = &follower.subscription.name;
    info!(
        sequence,
        head, "caught up to event {sequence} of {head} of {name}"
    );
}

/// Takes full transactions out of `gathered`, which ends at `at`, and returns where they end. The
/// rest waits for more events: a transaction for a few would double the statements. Without a
/// `size`, takes everything.
fn full_of(
    gathered: &mut Vec<Arrival>,
    at: &Position,
    size: Option<usize>,
) -> (Option<Vec<Arrival>>, Position) {
    let waiting = size.map_or(0, |size| gathered.len() % size);
    let count = gathered.len() - waiting;
    let rest = gathered.split_off(count);
    let full = std::mem::replace(gathered, rest);
    let to = match gathered.is_empty() {
        true => at.clone(),
        false => position_at(&full, at),
    };
    ((size.is_none() || count > 0).then_some(full), to)
}

/// Returns why to halt if the feed rejects the cursor as unknown, or takes no cursor.
fn unknown_cursor(error: &FetchError, names: FeedOptionNames) -> Option<String> {
    match error {
        FetchError::Status {
            status: 410,
            detail,
            ..
        } => Some(format!("the feed does not know the cursor: {detail}")),
        FetchError::Status {
            status: 400,
            detail,
            ..
        } => Some(format!(
            "the feed does not accept the cursor (400: {detail}): {} must point to the whole feed, \
             without `type` or `subject`",
            names.feed_url
        )),
        _ => None,
    }
}
