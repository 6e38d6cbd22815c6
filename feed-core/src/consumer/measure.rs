//! What a subscription shows at `/metrics`: how far it is behind, and what became of polls and events.

use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;

use super::source::fetch_error::FetchError;
use super::source::wait::SILENCE;
use super::{Handle, PollError, Polled};
use crate::database::Turns;
use crate::http::metrics::{Counter, Histogram, Labels, Measured, Metric};
use crate::store::Backend;
use crate::store::measure::Progress;

/// Events of one transaction, up to the largest.
const SIZES: &[u64; 7] = &[1, 2, 5, 10, 20, 50, 100];

/// What this process has counted.
#[derive(Debug)]
pub(super) struct Counts {
    begun: DateTime<Utc>,
    polls: [Counter; OUTCOMES.len()],
    won: Counter,
    lost: Counter,
    batches: Histogram<{ SIZES.len() }>,
    /// When we last saw that all was taken that there was.
    caught_up: Mutex<Option<DateTime<Utc>>>,
    turns: Turns,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            begun: Utc::now(),
            polls: Default::default(),
            won: Counter::default(),
            lost: Counter::default(),
            batches: Histogram::new(SIZES),
            caught_up: Mutex::default(),
            turns: Turns::default(),
        }
    }
}

/// How a round can end.
const OUTCOMES: [&str; 9] = [
    "applied",
    "unchanged",
    "interrupted",
    "leased_elsewhere",
    "halted",
    "unreachable",
    "refused",
    "unreadable",
    "database_failed",
];

fn outcome(round: &Result<Polled, PollError>) -> &'static str {
    match round {
        Ok(Polled::Applied(_)) => "applied",
        Ok(Polled::UpToDate { .. }) => "unchanged",
        Ok(Polled::Interrupted) => "interrupted",
        Ok(Polled::LeasedElsewhere) => "leased_elsewhere",
        Ok(Polled::Halted) => "halted",
        Err(PollError::Fetch(
            FetchError::Unreachable { .. } | FetchError::Late { .. } | FetchError::Proxy { .. },
        )) => "unreachable",
        Err(PollError::Fetch(FetchError::Status { .. } | FetchError::Redirect { .. })) => "refused",
        Err(PollError::Database(_)) => "database_failed",
        Err(_) => "unreadable",
    }
}

impl Counts {
    /// Counts a round.
    pub(super) fn polled(&self, round: &Result<Polled, PollError>) {
        let outcome = outcome(round);
        let counted = OUTCOMES.iter().zip(&self.polls);
        for (_, polls) in counted.filter(|(name, _)| **name == outcome) {
            polls.increment();
        }
    }

    /// Counts a transaction that has committed: of `arrived` events `won` were claimed by it, the
    /// others before.
    pub(super) fn committed(&self, arrived: usize, won: usize) {
        if arrived > 0 {
            self.won.add(won as u64);
            self.lost.add((arrived - won) as u64);
            self.batches.observe(won as u64);
        }
    }

    fn metrics(&self, subscription: (&'static str, &str)) -> Vec<Metric> {
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

    /// Seconds since all was taken that there was, as far as is known.
    fn lag(&self, progress: &Progress, now: DateTime<Utc>) -> f64 {
        let mut caught_up = self
            .caught_up
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let heard = progress.last_contact.unwrap_or(self.begun);
        let seconds = |since: DateTime<Utc>| (now - since).as_seconds_f64().max(0.0);
        if progress.head.is_some_and(|head| head > progress.sequence) {
            // The oldest event that is not taken is younger than the last one that is, and than the
            // moment at which there was none.
            let since = progress.updated.max(*caught_up);
            return seconds(since.unwrap_or(self.begun));
        }
        *caught_up = progress.last_contact;
        // There may be news that nobody has told us.
        match seconds(heard) {
            silent if silent > SILENCE.as_secs_f64() => silent,
            _ => 0.0,
        }
    }
}

impl<B: Backend> Measured for Handle<B> {
    fn measure(&self) -> BoxFuture<'_, Vec<Metric>> {
        Box::pin(async {
            let subscription = ("subscription", self.subscription.as_str());
            let mut metrics = Vec::new();
            if let Some(progress) = self.progress().await {
                metrics.extend(shared(subscription, &progress));
                metrics.push(Metric::gauge(
                    "subscription_lag_seconds",
                    "Time since all events were taken that there were; it grows while the feed is out \
                     of reach.",
                    &[subscription],
                    self.counts.lag(&progress, Utc::now()),
                ));
            }
            metrics.extend(self.counts.metrics(subscription));
            metrics
        })
    }
}

impl<B: Backend> Handle<B> {
    async fn progress(&self) -> Option<Progress> {
        let pool = self.database.reader().clone();
        let name = self.subscription.clone();
        let progress = async move { B::progress(&pool, &name).await };
        let mut progress = self.counts.turns.ask(&self.database, progress).await?;
        // What we know ourselves is newer than what we wrote with the last renewal.
        if let Some(leases) = &self.leases {
            let own = leases.heartbeat(|heartbeat| heartbeat.clone());
            progress.head = progress.head.max(own.head_sequence);
            progress.last_contact = progress.last_contact.max(own.last_contact);
        }
        Some(progress)
    }
}

/// What all instances know together.
fn shared(subscription: (&'static str, &str), progress: &Progress) -> Vec<Metric> {
    let labels: &Labels<'_> = &[subscription];
    let mut metrics = Vec::new();
    let mut gauge = |name, help, value| metrics.push(Metric::gauge(name, help, labels, value));
    // A feed that does not number its events does not say how many there are.
    if let Some(head) = progress.head {
        gauge(
            "subscription_lag_events",
            "Events that the feed has shown and that are not taken yet.",
            (head - progress.sequence).max(0) as f64,
        );
    }
    gauge(
        "subscription_halted",
        "1: nothing moves until a person decides.",
        f64::from(u8::from(progress.halted)),
    );
    gauge(
        "subscription_parked_events",
        "Events that failed and wait for a retry or a person, up to 10,000.",
        progress.parked as f64,
    );
    gauge(
        "subscription_waiting_events",
        "Later events of their subjects, which wait for them; up to 10,000 together.",
        progress.waiting as f64,
    );
    gauge(
        "subscription_last_contact_timestamp_seconds",
        "When the feed last answered any instance, or an answer of it was still fresh; 0: never.",
        progress
            .last_contact
            .map_or(0.0, |at| at.timestamp_millis() as f64 / 1000.0),
    );
    gauge(
        "subscription_instances",
        "Instances that work on it.",
        progress.instances as f64,
    );
    metrics
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;

    #[test]
    fn lag_grows_while_nothing_is_known() {
        let counts = Counts::default();
        let begun = counts.begun;
        let after = |seconds| begun + TimeDelta::seconds(seconds);
        let progress = |sequence, head, contact: Option<i64>| Progress {
            sequence,
            // The last event was days ago: that is no lag.
            updated: Some(after(-200_000)),
            head,
            last_contact: contact.map(after),
            instances: 1,
            parked: 0,
            waiting: 0,
            halted: false,
        };
        // Never reached.
        let lag = |progress: &Progress, now| counts.lag(progress, after(now)).round();
        assert_eq!(lag(&progress(0, None, None), 1), 0.0);
        assert_eq!(lag(&progress(0, None, None), 100), 100.0);
        // Reached, and nothing is missing.
        assert_eq!(lag(&progress(7, Some(7), Some(100)), 120), 0.0);
        // Two events came after that.
        assert_eq!(lag(&progress(7, Some(9), Some(121)), 125), 25.0);
        assert_eq!(lag(&progress(8, Some(9), Some(126)), 130), 30.0);
        assert_eq!(lag(&progress(9, Some(9), Some(131)), 131), 0.0);
        // All is taken that we know of, but the feed does not answer any more.
        assert_eq!(lag(&progress(9, Some(9), Some(131)), 200), 69.0);
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
