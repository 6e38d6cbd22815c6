//! Requests the head of the feed, and takes its new events.

use std::sync::atomic::Ordering;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::backfill::take_unnumbered;
use super::catch_up::{catch_up, contradiction};
use super::follower::Follower;
use crate::consumer::effect::Effect;
use crate::consumer::outcome::{PollError, Polled};
use crate::consumer::progress::leases::Leases;
use crate::consumer::progress::position::{discontinuity, position_after, position_at};
use crate::consumer::source::content::arrivals;
use crate::consumer::source::entry::InvalidDocument;
use crate::consumer::source::fetch::{NewHead, Validators};
use crate::consumer::source::fetch_error::FetchError;
use crate::consumer::source::redact::redact_url;
use crate::cursor::Cursor;
use crate::http::with_causes;
use crate::reached::Mark;
use crate::store::Backend;
use crate::store::consume::Position;

/// Requests the head, and takes its new events. An error that no other round can fix halts the
/// subscription.
pub(in crate::consumer) async fn poll<B: Backend, E: Effect<B>>(
    follower: &mut Follower<B, E>,
) -> Result<Polled, PollError> {
    match ask(follower).await {
        Err(PollError::Fetch(
            ref error @ FetchError::Document {
                cause: InvalidDocument::Filtered(_),
                ..
            },
        )) => follower.halt(&with_causes(error)).await,
        Err(PollError::StoredCursor(reason)) => {
            let reason = format!("{reason}; `resume --from-start` or `--from-now` replaces it");
            follower.halt(&reason).await
        }
        round => round,
    }
}

async fn ask<B: Backend, E: Effect<B>>(follower: &mut Follower<B, E>) -> Result<Polled, PollError> {
    if let Some(reason) = contradiction(follower).await? {
        Mark::AheadContradicted.reached();
        return follower.halt(&reason).await;
    }
    let (leases, due) = {
        let signals = follower.leases.signals.borrow();
        // Leases that have changed since the cursors were read end the wait: it would be for the partitions of before.
        let known = follower.cursors.leases.unwrap_or(signals.leases);
        (known, signals.due)
    };
    let asked = follower.leases.asked.swap(false, Ordering::Relaxed);
    let bypasses = asked || follower.cursors.trust.must_bypass_caches(Instant::now());
    if bypasses {
        follower.source.recheck_configured_url().await?;
    }
    let known = follower.leases.known_head();
    let is_below = known.is_none_or(|head| follower.cursors.seen.sequence < head);
    if std::mem::take(&mut follower.has_more) && is_below {
        return catch_up(follower).await;
    }
    let seen = match bypasses {
        // No cache answers `?after=` with data. One that ignores `Vary` may have entries without data,
        // a few seconds old: nothing is lost then.
        true if follower.cursors.seen.epoch.is_some() => return catch_up(follower).await,
        true => Validators::default(),
        false => follower.cursors.validators(),
    };
    let store_by = follower.cursors.store_by();
    // A held-back answer would leave the operator without a status: first find out whether the feed
    // answers. Retries that are due do not wait for it either.
    let wait = follower.leases.is_in_contact() && !due;
    let head = tokio::select! {
        head = follower.source.head(&seen, wait, follower.cursors.seen.epoch.is_some()) => head?,
        () = interrupted(&follower.leases, leases, due, &follower.shutdown) => return Ok(Polled::Interrupted),
        () = sleep_until(store_by) => return Ok(Polled::Interrupted),
    };
    follower.fresh_for = head.fresh;
    follower.leases.heard(None);
    let Some(new) = head.new else {
        follower.cursors.trust.trust_304();
        return Ok(Polled::UpToDate {
            waited: head.waited || !wait && follower.source.holds_back() != Some(false),
        });
    };
    let url = || redact_url(&follower.subscription.feed_url);
    if new.document.is_no_head() {
        let setting = follower.subscription.names.feed_url;
        return Err(PollError::NotTheHead(url(), setting));
    }
    match new.document.cursor.clone() {
        Some(cursor) => {
            // A head below the cursor contains nothing new: it may come from a cache.
            let seen = follower.cursors.seen.sequence;
            if follower.stale.is_news(&cursor, seen, Instant::now()) {
                warn!(
                    sequence = seen,
                    head = cursor.sequence,
                    "the head at {} is more than a minute old: it ends at event {}, and event {seen} has been taken; a cache \
                     or an instance of the publisher there is out of date",
                    url(),
                    cursor.sequence
                );
            }
            follower.leases.heard(Some(cursor.sequence));
            take_head(follower, new, &cursor).await
        }
        None if follower.cursors.seen.epoch.is_some() => Err(PollError::NotSequenced(url())),
        None => {
            follower.cursors.trust.answered();
            let new = match new.delta {
                true => follower.source.whole_head().await?.unwrap_or(new),
                false => new,
            };
            take_unnumbered(follower, new).await
        }
    }
}

/// Requests the head of a paused subscription, so that its status shows how far the feed is. Takes no event.
pub(in crate::consumer) async fn poll_head_only<B: Backend, E: Effect<B>>(
    follower: &mut Follower<B, E>,
) -> Result<Polled, PollError> {
    let leases = follower.leases.signals.borrow().leases;
    let seen = follower.cursors.validators();
    let head = tokio::select! {
        head = follower.source.head(&seen, false, false) => head?,
        () = interrupted(&follower.leases, leases, false, &follower.shutdown) => return Ok(Polled::Interrupted),
    };
    follower.fresh_for = head.fresh;
    follower.leases.heard(None);
    if let Some(NewHead { document, .. }) = head.new
        && let Some(cursor) = &document.cursor
    {
        follower.leases.heartbeat(|own| {
            match own.head_sequence {
                // The decision of an operator that another instance has executed, or an answer of a cache.
                Some(known) if cursor.sequence < known => own.forget_head(),
                Some(known) if own.is_caught_up => {
                    if let Some(oldest) = document.oldest_after(known) {
                        own.record_lag_since(oldest);
                    }
                }
                _ => {}
            }
            own.head_sequence = Some(cursor.sequence);
        });
    }
    Ok(Polled::Paused)
}

/// Takes the new events of a head that continues from the cursor; otherwise catches up first.
async fn take_head<B: Backend, E: Effect<B>>(
    follower: &mut Follower<B, E>,
    new: NewHead,
    end: &Cursor,
) -> Result<Polled, PollError> {
    let NewHead {
        document,
        validators,
        delta,
    } = new;
    let seen = follower.cursors.seen.clone();
    // A head that begins right after the cursor does not confirm the event at the cursor; the feed
    // itself checks `?after=`.
    let shows_it = seen.sequence == 0 || document.at(seen.sequence).is_some();
    if !(delta || shows_it) || discontinuity(&seen, &document, end).is_some() {
        Mark::HeadBeyond.reached();
        return catch_up(follower).await;
    }
    follower
        .leases
        .record_lag_since(document.oldest_after(seen.sequence));
    let (had_tag, before) = (seen.etag.is_some(), seen.sequence);
    let has_news = end.sequence > before;
    follower.cursors.trust.head(has_news);
    let to = Position {
        etag: validators.etag,
        last_modified: validators.last_modified,
        ..position_after(&seen, &document, end)
    };
    let first_tag = !had_tag && to.etag.is_some();
    let new = follower.cursors.share().new_of(&document.entries);
    let applied = if new.is_empty() && !follower.cursors.holds_all() {
        follower.cursors.see(to);
        0
    } else {
        let arrivals = arrivals(&follower.source, &document, &new).await?;
        // The next round takes the rest; it begins where this one ends.
        let more = arrivals.len() < new.len();
        let to = match more {
            true => position_at(&arrivals, &to),
            false => to,
        };
        match follower.apply(arrivals, to).await? {
            Some(events) => {
                follower.has_more = more;
                events
            }
            None => return Ok(Polled::Interrupted),
        }
    };
    Ok(match has_news {
        true => Polled::Applied(applied),
        false => Polled::UpToDate { waited: first_tag },
    })
}

/// Returns when a wait at the server must end: for other work than that which was `due` before, a requested poll, or
/// shutdown.
async fn interrupted(leases: &Leases, known: u64, due: bool, shutdown: &CancellationToken) {
    let mut signals = leases.signals.subscribe();
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = leases.wake.notified() => {}
        _ = signals.wait_for(|signals| {
            signals.leases != known
                || signals.halted.is_some()
                || signals.decision.is_some()
                || signals.due && !due
        }) => {}
    }
}

async fn sleep_until(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
