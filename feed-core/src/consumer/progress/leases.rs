//! The partitions of this instance. Leases distribute the partitions over the live instances and
//! serve efficiency only: the check of the lease epoch in the batch transaction fences a late
//! owner.

use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::event::Sequence;
use crate::partition::PARTITIONS;
use crate::reached::Mark;
use crate::store::consume::{Census, Heartbeat};

/// What the renewal of the leases reports to the poller.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Signals {
    /// Increases whenever the set of held partitions may have changed.
    pub(crate) leases: u64,
    /// The number of held partitions, and the sum of their lease epochs.
    held: (i64, i64),
    /// When the database server started.
    server: i64,
    /// Why the subscription is halted, if it is.
    pub(crate) halted: Option<String>,
    /// Who has paused the subscription and why, if it is.
    pub(crate) paused: Option<String>,
    /// The operator who has retired this instance.
    pub(crate) retired_by: Option<String>,
    /// The open decision.
    pub(crate) decision: Option<i64>,
    /// True if a parked event in a held partition is due.
    pub(crate) due: bool,
}

/// The leases of this instance, shared by its tasks.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    pub(crate) signals: watch::Sender<Signals>,
    pub(crate) heartbeat: Mutex<Heartbeat>,
    /// Ends a pause or a wait at the server, since a poll was requested.
    pub(crate) wake: Notify,
    /// True if the operator requested it: then no cache may answer.
    pub(crate) asked: AtomicBool,
    /// Makes the keeper renew early: a lease or a decision may have changed.
    pub(crate) renew_early: Notify,
    /// Held during a renewal: two at once would each take the other's changes for news. Since when partitions without a lease
    /// cannot be acquired.
    pub(crate) renewing: tokio::sync::Mutex<Option<Instant>>,
    /// When all leases were last renewed; `None` if they must be renewed now.
    renewed: Mutex<Option<Instant>>,
}

impl Leases {
    /// Renews the leases and reads the decisions now.
    pub(crate) fn look_now(&self) {
        *self.renewed.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.renew_early.notify_one();
    }

    /// Returns true if the leases were not renewed for twice this time.
    pub(crate) fn are_due(&self, renewal: Duration) -> bool {
        let renewed = *self.renewed.lock().unwrap_or_else(PoisonError::into_inner);
        renewed.is_none_or(|renewed| renewed.elapsed() > 2 * renewal)
    }

    /// Records that the leases are renewed: all, or all but those of locked partitions, which the next round renews.
    pub(crate) fn are_renewed(&self, all: bool) {
        *self.renewed.lock().unwrap_or_else(PoisonError::into_inner) = all.then(Instant::now);
    }

    /// Reads or changes the heartbeat of this instance.
    pub(crate) fn heartbeat<T>(&self, with: impl FnOnce(&mut Heartbeat) -> T) -> T {
        let heartbeat = self.heartbeat.lock();
        let mut heartbeat = heartbeat.unwrap_or_else(PoisonError::into_inner);
        heartbeat.keep_contact(Utc::now());
        with(&mut heartbeat)
    }

    /// Records that the feed has answered, and the sequence of its head. The first answer is stored
    /// at once: until then, other processes report that there was no contact.
    pub(crate) fn heard(&self, sequence: Option<Sequence>) {
        let last_contact = self.heartbeat(|heartbeat| {
            heartbeat.head_sequence = sequence.max(heartbeat.head_sequence);
            heartbeat.last_contact.replace(Utc::now())
        });
        if last_contact.is_none() {
            self.renew_early.notify_one();
        }
    }

    /// Counts the feed as in contact during `work`, which follows an answer of it: it is not asked meanwhile.
    pub(crate) async fn without_feed<T>(&self, work: impl Future<Output = T>) -> T {
        let suffices = |until| self.heartbeat(|own| own.quiet_until = until);
        suffices(Some(DateTime::<Utc>::MAX_UTC));
        let done = work.await;
        suffices(None);
        done
    }

    /// Records that a document shows events that are not taken, the oldest of which has that date.
    pub(crate) fn record_lag_since(&self, oldest: Option<DateTime<Utc>>) {
        if let Some(oldest) = oldest {
            self.heartbeat(|heartbeat| heartbeat.record_lag_since(oldest));
        }
    }

    /// Records that all events up to `sequence` are taken.
    pub(crate) fn reach(&self, sequence: Sequence) {
        self.heartbeat(|own| {
            own.is_caught_up = own.head_sequence.is_none_or(|head| sequence >= head)
        });
    }

    /// Records that the feed may have news that this instance does not know of.
    pub(crate) fn mark_unknown(&self) {
        self.heartbeat(|own| {
            own.is_caught_up = false;
            own.taken_until = own.taken_until.min(own.last_contact);
        });
    }

    /// Returns the newest sequence that this instance has seen in the feed.
    pub(crate) fn known_head(&self) -> Option<Sequence> {
        self.heartbeat(|heartbeat| heartbeat.head_sequence)
    }

    /// Returns true if the feed has answered this instance, and did so at the last request.
    pub(crate) fn is_in_contact(&self) -> bool {
        self.heartbeat(|heartbeat| heartbeat.last_contact.is_some() && heartbeat.failures == 0)
    }

    /// Returns the number of rounds that failed in a row.
    pub(crate) fn failures(&self) -> u32 {
        self.heartbeat(|heartbeat| heartbeat.failures)
    }
}

impl Signals {
    /// Marks what other instances have done with our partitions since the last renewal; `census` is from before our own moves.
    pub(crate) fn compare(&self, census: &Census) {
        let (held, epochs) = self.held;
        if census.held < held {
            Mark::LeaseLost.reached();
        } else if census.held == held && census.epochs != epochs {
            Mark::EpochChanged.reached();
        }
    }

    /// Takes the result of a renewal, after which `moved` partitions were acquired or released.
    pub(crate) fn take(&mut self, census: Census, moved: u64) {
        // Another instance moves our cursors when it executes a decision: the lease epoch then
        // changes.
        let held = (census.held, census.epochs);
        let pauses = self.paused.is_some() != census.paused.is_some();
        // A server that takes the place of another one may have lost its last commits, and with them our cursors' moves.
        let failover = self.server != census.server;
        if moved > 0 || self.held != held || pauses || failover {
            self.leases += 1;
        }
        (self.held, self.server) = (held, census.server);
        // While halted or paused, report nothing as due: it would end each pause at once.
        self.due = census.due && census.halted.is_none() && census.paused.is_none();
        self.halted = census.halted;
        self.paused = census.paused;
        self.retired_by = census.retired_by;
        self.decision = census.decision;
    }
}

/// What an instance does to reach its share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rebalance {
    /// Release so many partitions.
    Release(i64),
    /// Acquire so many partitions.
    Acquire(i64),
    Keep,
}

/// Returns what brings an instance nearer to its fair share.
pub(crate) fn rebalance(census: &Census) -> Rebalance {
    let share = match census.retired_by {
        Some(_) => 0,
        // Round up, so that no partition is left over.
        None => (PARTITIONS + census.instances - 1) / census.instances,
    };
    match census.held - share {
        spare @ 1.. => Rebalance::Release(spare),
        missing if missing < 0 && census.free > 0 => Rebalance::Acquire(-missing),
        _ => Rebalance::Keep,
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    /// By an early renewal: the next regular one is seconds away.
    #[test]
    fn the_first_contact_is_stored_at_once() {
        let leases = Leases::default();
        let renews = || leases.renew_early.notified().now_or_never().is_some();
        assert!(!renews());
        leases.heard(None);
        assert!(renews());
        leases.heard(Some(7));
        assert!(!renews());
    }

    #[tokio::test]
    async fn work_that_follows_an_answer_of_the_feed_is_no_silence() {
        let leases = Leases::default();
        let contact = || leases.heartbeat(|own| own.last_contact);
        let begun = Utc::now();
        let during = leases.without_feed(async { contact() }).await;
        assert!(during >= Some(begun));
        let end = contact();
        let later = Utc::now() + chrono::TimeDelta::hours(1);
        leases.heartbeat(|own| own.keep_contact(later));
        assert_eq!(contact(), end);
    }

    #[test]
    fn a_clock_that_was_ahead_hides_no_silence() {
        let (now, hour) = (Utc::now(), chrono::TimeDelta::hours(1));
        let mut heartbeat = Heartbeat {
            last_contact: Some(now + hour),
            taken_until: Some(now + hour),
            ..Heartbeat::default()
        };
        for later in [now, now + hour / 2] {
            heartbeat.keep_contact(later);
            let known = (heartbeat.last_contact, heartbeat.taken_until);
            assert_eq!(known, (Some(now), Some(now)));
        }
    }

    #[tokio::test]
    async fn an_event_that_is_dated_ahead_is_as_old_as_our_knowledge_of_it() {
        let leases = Leases::default();
        let seen = async || {
            let ahead = Utc::now() + chrono::TimeDelta::days(1);
            leases.record_lag_since(Some(ahead));
            tokio::time::sleep(Duration::from_millis(2)).await;
            leases.heartbeat(|own| own.taken_until)
        };
        leases.heard(Some(7));
        let first = seen().await;
        assert_eq!(seen().await, first);
        leases.mark_unknown();
        assert!(seen().await.is_some_and(|since| Some(since) <= first));
        leases.heartbeat(|own| own.has_taken = true);
        let second = seen().await;
        assert!(second > first);
        assert_eq!(seen().await, second);
        leases.reach(7);
        assert!(seen().await > second);
    }

    fn census(instances: i64, held: i64, free: i64) -> Census {
        Census {
            instances,
            held,
            epochs: 0,
            locked: false,
            server: 0,
            free,
            due: false,
            halted: None,
            paused: None,
            retired_by: None,
            decision: None,
        }
    }

    #[test]
    fn each_instance_comes_to_its_fair_share() {
        for (instances, held, free, expected) in [
            (1, 0, 16, Rebalance::Acquire(16)),
            (1, 16, 0, Rebalance::Keep),
            (2, 16, 0, Rebalance::Release(8)),
            (2, 0, 8, Rebalance::Acquire(8)),
            // The others have not released any yet.
            (2, 0, 0, Rebalance::Keep),
            (3, 6, 0, Rebalance::Keep),
            (3, 5, 1, Rebalance::Acquire(1)),
            (40, 2, 0, Rebalance::Release(1)),
        ] {
            assert_eq!(rebalance(&census(instances, held, free)), expected);
        }
    }

    #[test]
    fn a_retired_instance_releases_all_and_acquires_none() {
        let retired = |held, free| Census {
            retired_by: Some("Jo".to_owned()),
            ..census(1, held, free)
        };
        assert_eq!(rebalance(&retired(5, 11)), Rebalance::Release(5));
        assert_eq!(rebalance(&retired(0, 16)), Rebalance::Keep);
    }

    #[test]
    fn what_is_due_waits_while_nothing_is_taken() {
        let due = Census {
            due: true,
            ..census(1, 16, 0)
        };
        let mut signals = Signals::default();
        signals.take(due.clone(), 0);
        let leases = signals.leases;
        assert!(signals.due);
        let why = Some("why".to_owned());
        let halted = Census {
            halted: why.clone(),
            ..due.clone()
        };
        signals.take(halted, 0);
        assert!(!signals.due);
        let paused = Census {
            paused: why,
            ..due.clone()
        };
        signals.take(paused, 0);
        assert!(!signals.due);
        assert_eq!(signals.leases, leases + 1, "no cursor counts as held");
        signals.take(due, 0);
        assert!(signals.due);
        assert_eq!(
            signals.leases,
            leases + 2,
            "the cursors may have moved meanwhile"
        );
    }

    #[test]
    fn cursors_are_read_again_after_a_move_by_any_instance() {
        let mut signals = Signals::default();
        let known = |epochs| Census {
            epochs,
            ..census(1, 16, 0)
        };
        signals.take(known(16), 16);
        let leases = signals.leases;
        signals.take(known(16), 0);
        assert_eq!(signals.leases, leases, "nothing has changed");
        signals.take(known(17), 0);
        assert_eq!(signals.leases, leases + 1, "another instance has moved one");
        signals.take(known(17), 1);
        assert_eq!(signals.leases, leases + 2, "we have moved one");
        let fewer = Census {
            held: 15,
            ..known(17)
        };
        signals.take(fewer, 0);
        let expected = "one is lost while the others were moved";
        assert_eq!(signals.leases, leases + 3, "{expected}");
    }
}
