//! What this process has counted of a subscription: the outcomes of polls and events, and its lag.

use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, Utc};

use super::samples::Samples;
use crate::consumer::outcome::{PollError, Polled};
use crate::consumer::source::fetch_error::FetchError;
use crate::consumer::source::wait::SILENCE;
use crate::database::MetricsQueries;
use crate::http::metrics::{Counter, Histogram, Metric};
use crate::store::operate::Progress;

/// Buckets for the events of one transaction.
const SIZES: &[u64; 7] = &[1, 2, 5, 10, 20, 50, 100];

/// The counters of this process.
#[derive(Debug)]
pub(in crate::consumer) struct Counts {
    begun: DateTime<Utc>,
    polls: [Counter; OUTCOMES.len()],
    won: Counter,
    /// What `won` was at the end of the last round.
    won_before: AtomicU64,
    lost: Counter,
    batches: Histogram<{ SIZES.len() }>,
    pub(in crate::consumer) samples: Samples,
    pub(in crate::consumer) metrics_queries: MetricsQueries,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            begun: Utc::now(),
            polls: Default::default(),
            won: Counter::default(),
            won_before: AtomicU64::default(),
            lost: Counter::default(),
            batches: Histogram::new(SIZES),
            samples: Samples::default(),
            metrics_queries: MetricsQueries::default(),
        }
    }
}

/// The outcomes of a round.
const OUTCOMES: [&str; 11] = [
    "applied",
    "unchanged",
    "interrupted",
    "leased_elsewhere",
    "halted",
    "paused",
    "unreachable",
    "refused",
    "unreadable",
    "database_failed",
    "postponed",
];

fn outcome(round: &Result<Polled, PollError>) -> &'static str {
    match round {
        Ok(Polled::Applied(_)) => "applied",
        Ok(Polled::UpToDate { .. }) => "unchanged",
        Ok(Polled::Interrupted) => "interrupted",
        Ok(Polled::LeasedElsewhere) => "leased_elsewhere",
        Ok(Polled::Halted) => "halted",
        Ok(Polled::Paused) => "paused",
        Err(PollError::Fetch(
            FetchError::Unreachable { .. }
            | FetchError::Late { .. }
            | FetchError::Slow { .. }
            | FetchError::Proxy { .. },
        )) => "unreachable",
        Err(PollError::Fetch(
            FetchError::Status { .. } | FetchError::Refused { .. } | FetchError::Redirect { .. },
        )) => "refused",
        Err(PollError::Database(_)) => "database_failed",
        Err(PollError::Later { .. }) => "postponed",
        Err(_) => "unreadable",
    }
}

impl Counts {
    /// Counts a round.
    pub(in crate::consumer) fn polled(&self, round: &Result<Polled, PollError>) {
        let outcome = outcome(round);
        let counted = OUTCOMES.iter().zip(&self.polls);
        for (_, polls) in counted.filter(|(name, _)| **name == outcome) {
            polls.increment();
        }
    }

    /// Counts a committed transaction: of `arrived` events it claimed `won`; the others were
    /// claimed before.
    pub(in crate::consumer) fn committed(&self, arrived: usize, won: usize) {
        if arrived > 0 {
            self.won.add(won as u64);
            self.lost.add((arrived - won) as u64);
            self.batches.observe(won as u64);
        }
    }

    /// Returns true if events were claimed since the last call. One round at a time calls it, at its end.
    pub(in crate::consumer) fn has_progressed(&self) -> bool {
        let won = self.won.get();
        self.won_before.swap(won, Ordering::Relaxed) < won
    }

    pub(in crate::consumer) fn metrics(&self, subscription: (&'static str, &str)) -> Vec<Metric> {
        let mut metrics = Vec::new();
        for (outcome, polls) in OUTCOMES.iter().zip(&self.polls) {
            metrics.push(Metric::counter(
                "subscription_polls_total",
                "Rounds of this instance, by how they ended.",
                &[subscription, ("outcome", outcome)],
                polls.get() as f64,
            ));
        }
        for (result, claims) in [("won", &self.won), ("lost", &self.lost)] {
            metrics.push(Metric::counter(
                "subscription_claims_total",
                "Events of this instance: won, or lost since they were claimed before.",
                &[subscription, ("result", result)],
                claims.get() as f64,
            ));
        }
        metrics.push(Metric::histogram(
            "subscription_batch_events",
            "Events claimed in one transaction of this instance.",
            &[subscription],
            &self.batches,
            1.0,
        ));
        metrics
    }

    /// Returns the age of the oldest event that is not taken, as far as is known, in seconds. A feed that does not answer may
    /// have news.
    pub(in crate::consumer) fn lag(&self, progress: &Progress, now: DateTime<Utc>) -> f64 {
        let reported = &progress.reported;
        let heard = reported.last_contact.or(reported.started);
        let since = reported.all_taken_until().or(heard).unwrap_or(self.begun);
        let lag = (now - since).as_seconds_f64().max(0.0);
        match reported.head.is_some_and(|head| head > progress.sequence) {
            false if lag <= SILENCE.as_secs_f64() => 0.0,
            _ => lag,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::consume::Reported;
    use chrono::TimeDelta;

    #[test]
    fn lag_is_the_age_of_the_oldest_event_that_is_not_taken() {
        let counts = Counts::default();
        let begun = counts.begun;
        let after = |seconds| begun + TimeDelta::seconds(seconds);
        let progress = |sequence, head, until: Option<i64>| Progress {
            reported: Reported {
                head,
                taken_until: until.map(after),
                unknown_since: None,
                last_contact: None,
                started: Some(begun),
                instances: 1,
                retired: 0,
            },
            sequence,
            parked: 0,
            waiting: 0,
            halted: false,
            paused: false,
        };
        // The feed was never reached.
        let lag = |progress: &Progress, now| counts.lag(progress, after(now)).round();
        assert_eq!(lag(&progress(0, None, None), 1), 0.0);
        assert_eq!(lag(&progress(0, None, None), 100), 100.0);
        // The feed was reached, and nothing is missing.
        assert_eq!(lag(&progress(7, Some(7), Some(100)), 120), 0.0);
        // An event came after that, and another one.
        assert_eq!(lag(&progress(7, Some(9), Some(121)), 125), 4.0);
        assert_eq!(lag(&progress(8, Some(9), Some(124)), 126), 2.0);
        assert_eq!(lag(&progress(9, Some(9), Some(131)), 131), 0.0);
        // All known events are taken, but the feed no longer answers; or it has no sequences, and they are not.
        assert_eq!(lag(&progress(9, Some(9), Some(131)), 200), 69.0);
        assert_eq!(lag(&progress(0, None, Some(131)), 200), 69.0);
    }

    #[test]
    fn each_outcome_is_counted() {
        let counts = Counts::default();
        let rounds = [
            Ok(Polled::Applied(1)),
            Ok(Polled::UpToDate { waited: true }),
            Ok(Polled::Interrupted),
            Ok(Polled::LeasedElsewhere),
            Ok(Polled::Halted),
            Ok(Polled::Paused),
            Err(PollError::Database(sqlx::Error::PoolClosed)),
            Err(PollError::Fetch(FetchError::TooLarge {
                url: String::new(),
            })),
        ];
        for round in &rounds {
            counts.polled(round);
        }
        let counted: u64 = counts.polls.iter().map(Counter::get).sum();
        assert_eq!(counted, rounds.len() as u64);
    }
}
