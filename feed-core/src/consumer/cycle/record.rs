//! Records the outcome of rounds in the log, in the status and in metrics.

use std::time::Duration;

use chrono::Utc;

use crate::consumer::measured::counts::Counts;
use crate::consumer::outcome::{PollError, Polled};
use crate::consumer::progress::leases::Leases;
use crate::consumer::sanitize::sanitize;
use crate::consumer::source::fetch_error::FetchError;
use crate::http::with_causes;

/// Records the outcome of a round, and logs it if it differs from the one before.
pub(in crate::consumer) fn record_outcome(
    round: &Result<Polled, PollError>,
    name: &str,
    leases: &Leases,
    counts: &Counts,
) {
    counts.polled(round);
    let progressed = counts.has_progressed();
    let (failures, is_news) = leases.heartbeat(|heartbeat| {
        // A webhook that is busy now and then must not slow down a backlog ever more.
        let before = match round {
            Err(_) if progressed => 0,
            _ => heartbeat.failures,
        };
        // An interrupted round shows nothing about the feed.
        if matches!(round, Ok(Polled::Interrupted)) {
            return (before, false);
        }
        heartbeat.failures = if round.is_err() { before + 1 } else { 0 };
        // Together with its error: a feed that has failed must not count as in contact any longer.
        if matches!(round, Err(PollError::Fetch(_))) {
            heartbeat.quiet_until = None;
        }
        let error = round
            .as_ref()
            .err()
            .map(|error| sanitize(&with_causes(error)));
        let is_news = heartbeat.last_error != error;
        heartbeat.last_error = error;
        (before, is_news)
    });
    // Repeat from time to time, so that the log of each hour contains it.
    let again = failures % 100 == 99;
    match round {
        // This error does not pass by itself, and may follow one that would have.
        Err(error @ PollError::Fetch(FetchError::Refused { .. })) if is_news || again => {
            tracing::error!(
                error = with_causes(error),
                attempts = failures + 1,
                "{name} rejected our credentials; an operator has to replace them"
            );
        }
        // The feed answers: what the effect needs does not.
        Err(error @ PollError::Later { .. }) if is_news || again => tracing::warn!(
            error = with_causes(error),
            attempts = failures + 1,
            "cannot apply the events of {name}; trying again until it works"
        ),
        Err(error) if is_news || again => tracing::warn!(
            error = with_causes(error),
            attempts = failures + 1,
            "cannot follow {name}; trying again until it works"
        ),
        Err(error) => tracing::debug!(error = with_causes(error), "still failing"),
        Ok(Polled::Halted | Polled::Paused | Polled::Interrupted) => {}
        Ok(_) if failures > 0 => tracing::info!("following {name} again"),
        Ok(_) => {}
    }
}

/// Records how long the feed is left alone. Its answer counts as contact until then: it is fresh,
/// the poll interval is not over, or what the effect needs is out of reach, for which the feed is not the cause.
pub(in crate::consumer) fn record_pause(
    round: &Result<Polled, PollError>,
    pause: Duration,
    leases: &Leases,
) {
    if matches!(
        round,
        Ok(Polled::Applied(_) | Polled::UpToDate { .. } | Polled::Paused)
            | Err(PollError::Later { .. })
    ) {
        leases.heartbeat(|heartbeat| heartbeat.quiet_until = Some(Utc::now() + pause));
    }
}
