//! Between two rounds: how long to leave the feed alone, and what is done meanwhile.

use std::time::Duration;

use tokio::time::Instant;

use super::effect::Effect;
use super::outcome::{PollError, Polled};
use super::prepare::prepare;
use super::round::follower::Follower;
use super::source::fetch_error::FetchError;
use crate::store::Backend;

/// How long a pause lasts at most when our own database has failed in it.
const REST: Duration = Duration::from_secs(30);

/// How long a pause lasts in which only a change elsewhere can help.
const IDLE: Duration = Duration::from_secs(3);

/// Waits between two rounds. What is to be done here is done meanwhile, and the feed is left
/// alone, but for the data of parked events: a server that asks for a pause gets it.
/// Who is `idle` goes on as soon as there is something to do.
pub(super) async fn pause<B: Backend, E: Effect<B>>(
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
            // The next round meets it again, and tells; what is to be done here is no reason to ask the
            // feed sooner.
            Err(PollError::Fetch(_)) => return rest(follower, until).await,
            Err(_) => return rest(follower, until.min(Instant::now() + REST)).await,
        }
    }
}

/// How long to wait before the next round.
pub(super) fn pause_after<B: Backend, E>(
    follower: &Follower<B, E>,
    round: &Result<Polled, PollError>,
) -> Duration {
    let interval = follower.subscription.poll_interval;
    match round {
        Ok(Polled::Interrupted) => Duration::ZERO,
        // The rest does not come from the head, so it does not matter how long that is fresh.
        Ok(Polled::Applied(_)) if follower.more => Duration::ZERO,
        // What is fresh is not asked for again (RFC 9111, 4.2).
        Ok(Polled::Applied(_) | Polled::UpToDate { waited: true }) => follower.fresh,
        // Spread out by a fifth, so that consumers do not ask all at the same moment.
        Ok(Polled::UpToDate { waited: false }) => {
            let interval = interval.mul_f64(0.9 + fastrand::f64() / 5.0);
            interval.max(follower.fresh)
        }
        Ok(Polled::LeasedElsewhere | Polled::Halted) => IDLE,
        Err(PollError::Fetch(FetchError::Status {
            retry_after: Some(wait),
            ..
        })) => {
            // Zero, or a date in the past, is no leave to ask without a pause.
            let wait = wait.mul_f64(1.0 + fastrand::f64() / 5.0);
            wait.max(back_off(follower.leases.failures()))
        }
        Err(_) => back_off(follower.leases.failures()),
    }
}

/// Waits until `until`, or something is to be done before: but for the decision that was `tried`.
async fn wait<B: Backend, E: Effect<B>>(follower: &Follower<B, E>, until: Instant) -> Pause {
    let mut signals = follower.leases.signals.subscribe();
    let leases = signals.borrow().leases;
    tokio::select! {
        () = rest(follower, until) => Pause::Over,
        _ = signals.wait_for(|signals| {
            let decided = signals.decision.is_some() && signals.decision != follower.tried;
            signals.leases != leases || decided || signals.due
        }) => Pause::Work,
    }
}

/// Waits until `until`, or somebody wants the feed to be asked.
async fn rest<B: Backend, E: Effect<B>>(follower: &Follower<B, E>, until: Instant) {
    tokio::select! {
        () = tokio::time::sleep_until(until) => {}
        () = follower.shutdown.cancelled() => {}
        () = follower.leases.wake.notified() => {}
    }
}

/// How a pause ended.
enum Pause {
    /// The feed may be asked again.
    Over,
    /// There is something to do here.
    Work,
}

/// How long to stay away after `failures` rounds failed in a row: doubling, bounded, and spread
/// out so that instances do not come back together.
fn back_off(failures: u32) -> Duration {
    let longest = Duration::from_millis(250 << failures.min(7)).min(Duration::from_secs(30));
    longest.mul_f64(0.5 + fastrand::f64() / 2.0)
}
