//! Prepares a round without the feed: leases, decisions, retries, stored cursors.

use tokio::time::Instant;

use crate::consumer::apply::renewal::{renew, renew_if_due};
use crate::consumer::apply::retry::retry_due;
use crate::consumer::control::execute_decision::execute_decision;
use crate::consumer::effect::Effect;
use crate::consumer::outcome::{PollError, Polled};
use crate::consumer::round::follower::Follower;
use crate::store::Backend;
use crate::store::consume::Heartbeat;

/// Executes decisions, renews leases, retries events. Returns the outcome of the round if there is
/// nothing to ask the feed for.
pub(in crate::consumer) async fn prepare<B: Backend, E: Effect<B>>(
    follower: &mut Follower<B, E>,
) -> Result<Option<Polled>, PollError> {
    // An event that were taken now would be taken again after the file is restored.
    follower.instance.database.check_file()?;
    follower.instance.database.check_addresses()?;
    renew_if_due(&follower.instance, &follower.leases).await?;
    let signals = follower.leases.signals.borrow().clone();
    if signals.decision.is_some() {
        execute_decision(follower).await?;
        return Ok(Some(Polled::Interrupted));
    }
    if signals.halted.is_some() {
        return Ok(Some(Polled::Halted));
    }
    if signals.paused.is_some() {
        return Ok(Some(Polled::Paused));
    }
    if !follower.cursors.is_known_under(signals.leases) {
        let (pool, s, me) = follower.instance.scope();
        let database = &follower.instance.database;
        let before = follower.cursors.seen.epoch.clone();
        let held = database.statement(B::held(pool, s, me)).await?;
        if held.is_empty() && !follower.cursors.held.is_empty() {
            // None is held while the subscription is stopped, which this instance may not know yet.
            renew(&follower.instance, &follower.leases).await?;
            let now = follower.leases.signals.borrow();
            if now.paused.is_some() || now.decision.is_some() {
                return Ok(Some(Polled::Interrupted));
            }
        }
        let mut epochs = database.statement(B::epochs(pool, s)).await?;
        let two_feeds = epochs.len() > 1;
        let moved_back = held.is_empty() || follower.cursors.are_ahead_of(&held);
        follower.cursors.load(held, epochs.pop(), signals.leases);
        if moved_back || before != follower.cursors.seen.epoch {
            // The head of another feed, or of this one before it was restored, is unrelated. One without partitions
            // follows none.
            follower.has_more = false;
            follower.leases.heartbeat(Heartbeat::forget_head);
        }
        if two_feeds && !follower.cursors.held.is_empty() {
            // Instances have begun with different feeds at the same moment.
            let setting = follower.subscription.names.feed_url;
            let reason = format!(
                "events of two feeds have been taken: is {setting} the same for all instances?"
            );
            return Ok(Some(follower.halt(&reason).await?));
        }
    }
    if signals.due {
        // The next renewal of the leases finds those that become due from now on.
        let consumed = &follower.leases.signals;
        consumed.send_modify(|signals| signals.due = false);
        let (caller, held) = (&follower.applier.caller, &follower.cursors.held);
        if retry_due(caller, &follower.source, &mut follower.refetch, held).await? {
            consumed.send_modify(|signals| signals.due = true);
        }
    }
    let store_by = follower.cursors.store_by();
    if store_by.is_some_and(|by| by <= Instant::now()) {
        follower.store_cursors().await?;
    }
    Ok(follower
        .cursors
        .held
        .is_empty()
        .then_some(Polled::LeasedElsewhere))
}
