//! Keeps the leases of this instance: renews them, and acquires or releases partitions until it
//! holds its fair share.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::failure::is_lock_timeout;
use super::instance::Instance;
use crate::consumer::progress::leases::{Leases, Rebalance, Signals, rebalance};
use crate::database::notifications::Notifications;
use crate::database::timeout::TRANSACTION;
use crate::http::{cannot_store, with_causes};
use crate::reached::Mark;
use crate::store::Backend;
use crate::store::consume::CHANNEL;

/// How long a lease lasts without renewal. Longer than the slowest batch in a healthy system; short
/// enough that a crash causes no outage.
pub(super) const TERM: i64 = 10;

/// The renewal interval: a third of the term.
const RENEWAL: Duration = Duration::from_secs(3);

/// How long partitions without a lease cannot be acquired before that is logged, and logged again.
const LOCKED: Duration = Duration::from_secs(20);

/// Renews the leases until `shutdown`, and at once when a notification says that they have changed.
pub(crate) async fn keep_leases<B: Backend>(
    instance: &Instance<B>,
    leases: &Leases,
    shutdown: &CancellationToken,
) {
    let (mut failing, mut is_full) = (false, false);
    let mut notifications = Notifications::<B>::on(CHANNEL);
    loop {
        match failing {
            true => notifications.end_suspect(&instance.database),
            false => notifications.listen(&instance.database),
        }
        // Renew also when listening begins: partitions may have become free before.
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(RENEWAL) => {}
            () = leases.renew_early.notified() => {}
            _ = notifications.next() => {}
        }
        match renew(instance, leases).await {
            Ok(()) => {
                failing = false;
                // A renewal needs no space, as a rule: it proves that there is some only where another one has found none.
                if std::mem::take(&mut is_full) {
                    instance.database.health().note_stored();
                }
            }
            Err(error) => {
                instance.database.learn_from(&error);
                is_full |= cannot_store(&error);
                if !std::mem::replace(&mut failing, true) {
                    tracing::error!(
                        error = with_causes(&error),
                        "cannot renew leases: other instances may take over"
                    );
                }
            }
        }
    }
}

/// Renews the leases if no other task has: for callers that poll without [`keep_leases`], and after a batch that
/// locked some of them.
pub(crate) async fn renew_if_due<B: Backend>(
    instance: &Instance<B>,
    leases: &Leases,
) -> sqlx::Result<()> {
    match leases.are_due(RENEWAL) {
        true => renew(instance, leases).await,
        false => Ok(()),
    }
}

/// Renews, then acquires or releases partitions.
pub(crate) async fn renew<B: Backend>(instance: &Instance<B>, leases: &Leases) -> sqlx::Result<()> {
    instance.database.check_addresses()?;
    let rebalanced = rebalanced(instance, leases);
    instance.database.within(TRANSACTION, rebalanced).await
}

async fn rebalanced<B: Backend>(instance: &Instance<B>, leases: &Leases) -> sqlx::Result<()> {
    let mut locked_since = leases.renewing.lock().await;
    let (writer, (_, s, me)) = (instance.database.writing(), instance.scope());
    let heartbeat = leases.heartbeat(|heartbeat| heartbeat.clone());
    let census = B::renew(writer, s, me, &heartbeat, TERM).await?;
    leases.are_renewed(!census.locked);
    leases.signals.borrow().compare(&census);
    let change = rebalance(&census);
    let moved = match change {
        Rebalance::Release(spare) => match B::release(writer, s, me, spare).await {
            Ok(released) => {
                Mark::Released.reached();
                B::notify(writer, CHANNEL).await?;
                released
            }
            // A batch of ours lasts longer: try again after the next renewal.
            Err(error) if is_lock_timeout(&error) => 0,
            Err(error) => return Err(error),
        },
        Rebalance::Acquire(missing) => B::acquire(writer, s, me, missing, TERM).await?,
        Rebalance::Keep => 0,
    };
    // Other instances acquire what is free within a renewal.
    let begun = matches!(change, Rebalance::Acquire(_)) && moved == 0;
    *locked_since = begun.then(|| locked_since.unwrap_or_else(Instant::now));
    if locked_since.is_some_and(|since| since.elapsed() > LOCKED) {
        *locked_since = None;
        warn!(
            "no instance of {s} takes {} of its partitions: another session, or a prepared transaction, locks their rows \
             in feed_partition; their events wait until it ends",
            census.free
        );
    }
    // Count our own moves as known: otherwise the next renewal would end a wait at the server.
    let census = match moved {
        0 => census,
        _ => B::renew(writer, s, me, &heartbeat, TERM).await?,
    };
    leases.signals.send_if_modified(|signals| {
        let known = signals.clone();
        signals.take(census, moved);
        log_decisions(s, &known, signals);
        *signals != known
    });
    Ok(())
}

/// Logs what operators have decided since the last renewal.
fn log_decisions(s: &str, before: &Signals, now: &Signals) {
    if before.paused != now.paused {
        match &now.paused {
            Some(paused) => warn!("the subscription {s} is paused by {paused}; `resume` ends it"),
            None => warn!("the subscription {s} is resumed after a pause"),
        }
    }
    if let (None, Some(by)) = (&before.retired_by, &now.retired_by) {
        warn!(
            "{by} has retired this instance of {s}: it takes no events until its process is restarted"
        );
    }
}

/// Releases all partitions, so that other instances need not wait for the leases to end.
pub(crate) async fn give_back<B: Backend>(instance: &Instance<B>) -> sqlx::Result<()> {
    let (_, s, me) = instance.scope();
    let left = B::leave(instance.database.writing(), s, me);
    instance.database.statement(left).await
}
