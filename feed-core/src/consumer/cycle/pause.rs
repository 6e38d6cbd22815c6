//! The pause between two rounds: its length, and the work during it.

use std::time::Duration;

use tokio::time::Instant;

use super::prepare::prepare;
use crate::consumer::effect::{Effect, LONGEST_PAUSE};
use crate::consumer::outcome::{PollError, Polled};
use crate::consumer::round::follower::Follower;
use crate::consumer::source::fetch_error::FetchError;
use crate::store::Backend;

/// The longest backoff.
const LONGEST: Duration = Duration::from_secs(30);

/// The longest backoff after the consumer's own database has failed: an attempt costs it one connection, and its
/// failover should not be followed by a pause that is longer than itself.
const LONGEST_AT_HOME: Duration = Duration::from_secs(5);

/// The pause while only a change elsewhere can help.
const IDLE: Duration = Duration::from_secs(3);

/// The pause between two requests of a paused subscription, which only show how far the feed is.
const LOOK: Duration = Duration::from_secs(10);

/// Waits between two rounds. Local work continues meanwhile. The feed gets no requests, except for
/// the data of parked events: a server that asks for a pause gets it. An `idle` consumer resumes as
/// soon as there is local work.
pub(in crate::consumer) async fn pause<B: Backend, E: Effect<B>>(
    follower: &mut Follower<B, E>,
    pause: Duration,
    mut idle: bool,
) {
    let until = Instant::now() + pause;
    while !pause.is_zero() && matches!(wait(follower, until).await, Pause::Work) {
        match prepare(follower).await {
            Ok(None) if idle => return,
            Ok(None) => {}
            Ok(Some(Polled::Interrupted)) => return,
            Ok(Some(_)) => idle = true,
            // The next round meets the error again and reports it; local work is no reason to ask
            // the feed sooner.
            Err(PollError::Fetch(_)) => return rest(follower, until).await,
            Err(_) => return rest(follower, until.min(Instant::now() + LONGEST_AT_HOME)).await,
        }
    }
}

/// Returns how long to wait before the next round.
pub(in crate::consumer) fn pause_after<B: Backend, E>(
    follower: &Follower<B, E>,
    round: &Result<Polled, PollError>,
) -> Duration {
    let interval = follower.subscription.interval();
    // Add a fifth of jitter, so that consumers do not poll at the same moment.
    let interval = interval.mul_f64(0.9 + fastrand::f64() / 5.0);
    // A server with errors is not asked more often than a healthy one.
    let healthy = match follower.source.holds_back() {
        Some(true) => Duration::ZERO,
        _ => interval,
    };
    let failures = follower.leases.failures();
    match round {
        Ok(Polled::Interrupted) => Duration::ZERO,
        // The rest does not come from the head, so the head's freshness does not matter.
        Ok(Polled::Applied(_)) if follower.has_more => Duration::ZERO,
        // Do not ask again for what is fresh (RFC 9111, 4.2).
        Ok(Polled::Applied(_) | Polled::UpToDate { waited: true }) => follower.fresh_for,
        Ok(Polled::UpToDate { waited: false }) => interval.max(follower.fresh_for),
        Ok(Polled::LeasedElsewhere | Polled::Halted) => IDLE,
        // Resumed while the feed was asked.
        Ok(Polled::Paused) if follower.leases.signals.borrow().paused.is_none() => Duration::ZERO,
        Ok(Polled::Paused) => LOOK
            .mul_f64(0.9 + fastrand::f64() / 5.0)
            .max(follower.fresh_for),
        Err(
            PollError::Fetch(FetchError::Status {
                retry_after: Some(wait),
                ..
            })
            | PollError::Later {
                after: Some(wait), ..
            },
        ) => {
            // A `Retry-After` of zero, or in the past, does not permit polling without a pause.
            let wait = (*wait)
                .min(LONGEST_PAUSE)
                .mul_f64(1.0 + fastrand::f64() / 5.0);
            let least = match round {
                Err(PollError::Later { .. }) => Duration::ZERO,
                _ => healthy,
            };
            wait.max(back_off(failures, LONGEST)).max(least)
        }
        Err(PollError::Database(_)) => back_off(failures, LONGEST_AT_HOME),
        Err(PollError::Later { .. }) => back_off(failures, LONGEST),
        Err(_) => back_off(failures, LONGEST).max(healthy),
    }
}

/// Waits until `until`, or until there is local work other than the decision that was `tried`.
async fn wait<B: Backend, E: Effect<B>>(follower: &Follower<B, E>, until: Instant) -> Pause {
    let mut signals = follower.leases.signals.subscribe();
    let leases = signals.borrow().leases;
    tokio::select! {
        () = rest(follower, until) => Pause::Over,
        _ = signals.wait_for(|signals| {
            let decided = signals.decision.is_some() && signals.decision != follower.failed_decision;
            signals.leases != leases || decided || signals.due
        }) => Pause::Work,
    }
}

/// Waits until `until`, or until a poll is requested.
async fn rest<B: Backend, E: Effect<B>>(follower: &Follower<B, E>, until: Instant) {
    tokio::select! {
        () = tokio::time::sleep_until(until) => {}
        () = follower.leases.wake.notified() => {}
    }
}

/// How a pause ended.
enum Pause {
    /// The feed may be asked again.
    Over,
    /// There is local work.
    Work,
}

/// Returns the backoff after `failures` failed rounds in a row: doubling, bounded, and with jitter,
/// so that instances do not return together.
fn back_off(failures: u32, longest: Duration) -> Duration {
    let longest = Duration::from_millis(250 << failures.min(7)).min(longest);
    longest.mul_f64(0.5 + fastrand::f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_backoff_grows_up_to_its_bound() {
        for (longest, failures) in [(LONGEST, 7), (LONGEST_AT_HOME, 5), (LONGEST_AT_HOME, 90)] {
            let pauses: Vec<_> = (0..200).map(|_| back_off(failures, longest)).collect();
            assert!(pauses.iter().all(|pause| *pause <= longest));
            assert!(pauses.iter().all(|pause| *pause >= longest / 2));
        }
        assert!(back_off(0, LONGEST) <= Duration::from_millis(250));
    }
}
