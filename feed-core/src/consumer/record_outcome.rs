//! How rounds end, as people read it in the log, on the status page and in metrics.

use std::time::Duration;

use chrono::Utc;

use super::measure::Counts;
use super::progress::leases::Leases;
use super::round::outcome::{PollError, Polled};
use super::sanitize::sanitize;
use super::source::fetch_error::FetchError;
use crate::http::with_causes;

/// Records how a round ended, and logs it where it differs from the one before.
pub(super) fn record_outcome(
    round: &Result<Polled, PollError>,
    name: &str,
    leases: &Leases,
    counts: &Counts,
) {
    counts.polled(round);
    let (failures, is_news) = leases.heartbeat(|heartbeat| {
        let before = heartbeat.failures;
        // An interrupted round says nothing of the feed.
        if matches!(round, Ok(Polled::Interrupted)) {
            return (before, false);
        }
        heartbeat.failures = if round.is_err() { before + 1 } else { 0 };
        let error = round
            .as_ref()
            .err()
            .map(|error| sanitize(&with_causes(error)));
        let is_news = heartbeat.last_error != error;
        heartbeat.last_error = error;
        (before, is_news)
    });
    // Again from time to time: whoever reads the log of this hour is to see it.
    let again = failures % 100 == 99;
    match round {
        // This does not pass by itself, and may come after what would have.
        Err(error @ PollError::Fetch(FetchError::Refused { .. })) if is_news || again => {
            tracing::error!(
                error = error as &dyn std::error::Error,
                attempts = failures + 1,
                "not let in to follow {name}: somebody has to mend that"
            );
        }
        Err(error) if failures == 0 || again => tracing::warn!(
            error = error as &dyn std::error::Error,
            attempts = failures + 1,
            "cannot follow {name}; trying again until it works"
        ),
        Err(error) => tracing::debug!(error = error as &dyn std::error::Error, "still failing"),
        Ok(Polled::Halted | Polled::Interrupted) => {}
        Ok(_) if failures > 0 => tracing::info!("following {name} again"),
        Ok(_) => {}
    }
}

/// Records for how long the feed is not asked again. Its answer counts as contact until then: it is
/// fresh, or the poll interval is not over. A feed that has failed since must be seen.
pub(super) fn record_pause(round: &Result<Polled, PollError>, pause: Duration, leases: &Leases) {
    let until = match round {
        Ok(Polled::Applied(_) | Polled::UpToDate { .. }) => Some(Utc::now() + pause),
        Err(PollError::Fetch(_)) => None,
        _ => return,
    };
    leases.heartbeat(|heartbeat| heartbeat.quiet_until = until);
}
