//! The consuming side's interface to a database, and the rows it returns.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{Pool, Transaction};

use super::Writer;
use super::answer::Answer;
use crate::database::timeout::ConnectionHealth;
use crate::event::Sequence;

/// The position of a partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Position {
    /// The feed's epoch; `None` before the first event, and for feeds without sequences.
    pub(crate) epoch: Option<String>,
    pub(crate) sequence: Sequence,
    /// The `atom:id` of the event there; for feeds without sequences, what they showed. A partition that moves to a
    /// position without one keeps its own.
    pub(crate) anchor: Option<String>,
    /// When that event was published.
    pub(crate) updated: Option<DateTime<Utc>>,
    /// The head's validators, once all of its events are taken.
    pub(crate) etag: Option<String>,
    pub(crate) last_modified: Option<String>,
}

impl Position {
    /// Returns what tells this position from another one of the same sequence: in a feed without sequences, the anchor.
    pub(crate) fn mark(&self) -> &str {
        match self.sequence {
            0 => self.anchor.as_deref().unwrap_or_default(),
            _ => "",
        }
    }

    /// Returns what [`NativeConsume::advance`] makes of it.
    pub(crate) fn moved_to(&self, to: &Self) -> Self {
        Self {
            anchor: to.anchor.as_ref().or(self.anchor.as_ref()).cloned(),
            ..to.clone()
        }
    }
}

/// A partition that this instance works on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) partition: i64,
    pub(crate) lease_epoch: i64,
    pub(crate) position: Position,
}

/// What an instance reports when it renews its leases.
#[derive(Debug, Clone, Default)]
pub(crate) struct Heartbeat {
    pub(crate) last_contact: Option<DateTime<Utc>>,
    pub(crate) head_sequence: Option<Sequence>,
    /// All events that were published before are taken: the date of the oldest one that is not.
    pub(crate) taken_until: Option<DateTime<Utc>>,
    pub(crate) last_error: Option<String>,
    /// The address of the feed, without secrets.
    pub(crate) feed: String,
    /// The version of the program.
    pub(crate) version: String,
    /// Rounds that failed in a row; not stored.
    pub(crate) failures: u32,
    /// True if all events that are known are taken; not stored.
    pub(crate) is_caught_up: bool,
    /// True if events were taken since the oldest of the others was recorded; not stored.
    pub(crate) has_taken: bool,
    /// Until when the last answer suffices, since it is being applied, it is fresh, or the poll interval is
    /// not over; not stored.
    pub(crate) quiet_until: Option<DateTime<Utc>>,
}

impl Heartbeat {
    /// Counts as contact while the last answer suffices, and as level until the feed shows a new event. What is later than
    /// `now` was recorded by a clock that has been set back since, and would hide all silence until then.
    pub(crate) fn keep_contact(&mut self, now: DateTime<Utc>) {
        let contact = self.last_contact.max(self.quiet_until);
        self.last_contact = contact.map(|contact| contact.min(now));
        self.taken_until = match self.is_caught_up {
            true => Some(now),
            false => self.taken_until.map(|until| until.min(now)),
        };
    }

    /// The feed shows events that are not taken; the oldest was published at that time, by the publisher's clock. One that a
    /// clock has dated ahead is as old as our knowledge of it.
    pub(crate) fn record_lag_since(&mut self, oldest: DateTime<Utc>) {
        let now = Utc::now();
        let is_known = !self.is_caught_up && !self.has_taken;
        let known = self.taken_until.filter(|_| is_known && oldest > now);
        self.taken_until = Some(known.unwrap_or(oldest).min(now));
        (self.is_caught_up, self.has_taken) = (false, false);
    }

    /// Forgets the head: that of another feed, or of this one before it was restored, is unrelated.
    pub(crate) fn forget_head(&mut self) {
        self.head_sequence = None;
        self.taken_until = None;
        self.is_caught_up = false;
    }
}

/// What a renewal returns.
#[derive(Debug, Clone)]
pub(crate) struct Census {
    /// Live instances that are not retired, this one always included.
    pub(crate) instances: i64,
    /// Partitions that this instance holds.
    pub(crate) held: i64,
    /// The sum of their lease epochs: it changes when a lease changes or a partition is moved.
    pub(crate) epochs: i64,
    /// True if another transaction locks some of them, which are not renewed now.
    pub(crate) locked: bool,
    /// When the database server started, in microseconds: it changes when another server takes its place. A file has none.
    pub(crate) server: i64,
    /// Partitions without a lease.
    pub(crate) free: i64,
    /// True if a parked event in a held partition is due.
    pub(crate) due: bool,
    /// Why the subscription is halted, if it is.
    pub(crate) halted: Option<String>,
    /// Who has paused the subscription and why, if it is.
    pub(crate) paused: Option<String>,
    /// The operator who has retired this instance.
    pub(crate) retired_by: Option<String>,
    /// The oldest open decision, if there is one.
    pub(crate) decision: Option<i64>,
}

/// An event to claim.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claim<'a> {
    pub(crate) event_id: &'a str,
    pub(crate) sequence: Option<Sequence>,
    pub(crate) subject: &'a str,
}

/// An event to park, or to let wait for a parked one.
#[derive(Debug)]
pub(crate) struct Parking<'a> {
    pub(crate) event_id: &'a str,
    pub(crate) partition: i64,
    pub(crate) subject: &'a str,
    pub(crate) event_type: Option<&'a str>,
    pub(crate) sequence: Option<Sequence>,
    /// The event as JSON.
    pub(crate) event: String,
    /// Why; `None` if it waits for an earlier event of its subject.
    pub(crate) reason: Option<&'a str>,
    /// Seconds until the retry; `None` if it waits for the operator.
    pub(crate) retry_in: Option<i64>,
}

/// A parked event.
#[derive(Debug, Clone)]
pub(crate) struct Parked {
    pub(crate) event_id: String,
    pub(crate) event: String,
    pub(crate) attempts: i64,
    /// The last decision to retry it, or to take its skip back.
    pub(crate) decision: Option<i64>,
}

/// What the instances of a subscription have reported with their renewals, taken together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reported {
    /// The newest event that any of them has seen in the feed, if it has sequences.
    pub(crate) head: Option<Sequence>,
    /// All events that were published before are taken, as far as live instances know, or the last ones did.
    pub(crate) taken_until: Option<DateTime<Utc>>,
    /// Since when there is a partition, beside live instances, that none of them holds, or one without contact since its start.
    pub(crate) unknown_since: Option<DateTime<Utc>>,
    pub(crate) last_contact: Option<DateTime<Utc>>,
    /// When the first of the known instances started.
    pub(crate) started: Option<DateTime<Utc>>,
    /// Live instances that are not retired, and those that are.
    pub(crate) instances: i64,
    pub(crate) retired: i64,
}

impl Reported {
    /// Adds what an instance has seen since its last report, which is some seconds old.
    pub(crate) fn add(&mut self, own: &Heartbeat) {
        self.head = self.head.max(own.head_sequence);
        self.last_contact = self.last_contact.max(own.last_contact);
        // With one instance, its own report is current for all partitions that are held.
        if self.instances <= 1 {
            self.taken_until = own.taken_until.or(self.taken_until);
        }
    }

    /// Returns until when all events are taken, as far as is known.
    pub(crate) fn all_taken_until(&self) -> Option<DateTime<Utc>> {
        let known = [self.taken_until, self.unknown_since];
        known.into_iter().flatten().min()
    }
}

/// The state of a subscription.
#[derive(Debug, Clone)]
pub(crate) struct SubscriptionState {
    pub(crate) reported: Reported,
    pub(crate) epoch: Option<String>,
    /// The lowest cursor of all partitions, and when the event there was published.
    pub(crate) sequence: Sequence,
    pub(crate) updated: Option<DateTime<Utc>>,
    pub(crate) last_error: Option<String>,
    /// The feed that the latest instance follows, or has followed.
    pub(crate) feed: Option<String>,
    /// Failed events, which wait for a retry or the operator.
    pub(crate) parked: i64,
    /// Events that wait for a failed one.
    pub(crate) waiting: i64,
    /// Events without an effect.
    pub(crate) skipped: i64,
    pub(crate) halted: Option<String>,
    pub(crate) paused_at: Option<DateTime<Utc>>,
    pub(crate) paused_by: Option<String>,
    pub(crate) paused_because: Option<String>,
    /// Events up to this sequence were never taken.
    pub(crate) begins: Option<Sequence>,
    /// The open decision.
    pub(crate) decision: Option<String>,
    /// The highest cursor of all partitions.
    pub(crate) furthest: Sequence,
    /// The database's clock.
    pub(crate) now: DateTime<Utc>,
}

/// The channel that announces changes of leases or decisions. Each database has channels of its
/// own.
pub(crate) const CHANNEL: &str = "feed_subscription";

/// The moved partitions, each with whether it has parked events or skips that can be undone, and the guard.
pub(crate) type Advanced<B> = (Vec<(i64, bool)>, <B as NativeConsume>::Guard);

/// The operations that each database implements in its own way. `s` is the subscription's name,
/// `me` the instance's.
pub(crate) trait NativeConsume: sqlx::Database {
    /// Prevents an effect from ending its transaction.
    type Guard: Default + Send + Sync;

    /// Inserts the missing rows of a subscription.
    fn subscribe(writer: Writer<'_, Self>, s: &str, partitions: i64) -> impl Answer<()>;

    /// Records that this instance is alive, and renews its leases for `term` seconds, except for partitions that are
    /// locked: a batch of this instance has renewed them, and no other instance acquires them meanwhile.
    fn renew(
        writer: Writer<'_, Self>,
        s: &str,
        me: &str,
        heartbeat: &Heartbeat,
        term: i64,
    ) -> impl Answer<Census>;

    /// Releases all partitions, and removes the instance. What it has recorded about the feed
    /// stays.
    fn leave(writer: Writer<'_, Self>, s: &str, me: &str) -> impl Answer<()>;

    /// Locks the partitions that this instance still holds at their position, in order of number, moves them to `to`, and
    /// renews their leases for `term` seconds. One whose server has lost commits, as in a failover, is not at its position.
    /// Returns them, and which of them have parked events or skips that can be undone. Another instance handles the others
    /// (I5). No partition moves to another epoch than that of the others (I8), and none of a subscription
    /// that is paused or has an open decision moves.
    /// With `effects` the statement may also set the guard, so that the guard costs no statement of
    /// its own.
    fn advance(
        tx: &mut Transaction<'_, Self>,
        s: &str,
        me: &str,
        partitions: &[Held],
        to: &Position,
        term: i64,
        effects: bool,
    ) -> impl Answer<Advanced<Self>>;

    /// Claims events; returns the ids of those that were not claimed before. `is_last`: the effect that follows must
    /// see the role's planner settings.
    fn claim(
        tx: &mut Transaction<'_, Self>,
        s: &str,
        claims: &[Claim<'_>],
        is_last: bool,
    ) -> impl Answer<Vec<String>>;

    /// Sets the guard if it is not set, as the last statement before an effect (see
    /// [`claim`](NativeConsume::claim)): only [`commit`](NativeConsume::commit) can commit the transaction from here
    /// on. Where a statement cannot be [cancelled](NativeConsume::cancel), one that still runs after `limit` fails.
    fn begin_effect(
        tx: &mut Transaction<'_, Self>,
        guard: &mut Self::Guard,
        limit: Duration,
    ) -> impl Answer<()>;

    /// Commits; false if the effect has ended the transaction before. Fails where a statement has failed
    /// after which PostgreSQL would answer `COMMIT` with `ROLLBACK`.
    fn commit(
        tx: Transaction<'static, Self>,
        guard: Self::Guard,
        health: &ConnectionHealth,
    ) -> impl Answer<bool>;

    /// Cancels the statement that the server still runs for the effect; returns false if there is
    /// none.
    fn cancel(pool: &Pool<Self>, guard: &Self::Guard) -> impl Answer<bool>;
}

/// The operations whose statements differ at most by a clock or a list. `s` is the subscription's
/// name, `me` the instance's.
pub(crate) trait Consume: sqlx::Database {
    /// Acquires up to `limit` partitions that are free or whose lease is over; returns their
    /// number.
    fn acquire(
        writer: Writer<'_, Self>,
        s: &str,
        me: &str,
        limit: i64,
        term: i64,
    ) -> impl Answer<u64>;

    /// Releases `count` partitions; returns their number.
    fn release(writer: Writer<'_, Self>, s: &str, me: &str, count: i64) -> impl Answer<u64>;

    /// Returns the partitions that this instance holds; none while the subscription is paused or has an open decision.
    fn held(pool: &Pool<Self>, s: &str, me: &str) -> impl Answer<Vec<Held>>;

    /// Returns the epochs of all partitions: one, or none before the first event.
    fn epochs(pool: &Pool<Self>, s: &str) -> impl Answer<Vec<String>>;

    /// Halts the subscription until an operator decides. Returns false if it is halted already, or if this instance no
    /// longer holds the partition at its position: an operator may have decided about the reason since, or a server have
    /// lost commits.
    fn halt(
        writer: Writer<'_, Self>,
        s: &str,
        me: &str,
        held: &Held,
        reason: &str,
    ) -> impl Answer<bool>;

    /// Locks one partition; returns false if this instance no longer holds it, or the subscription is paused or has an open
    /// decision.
    fn lock(tx: &mut Transaction<'_, Self>, s: &str, me: &str, held: &Held) -> impl Answer<bool>;

    /// Returns which of these events are claimed.
    fn claimed(pool: &Pool<Self>, s: &str, ids: &[&str]) -> impl Answer<Vec<String>>;

    /// Which of these subjects have a parked event. The last statement before an effect, but for those that park
    /// what waits (see [`claim`](NativeConsume::claim)).
    fn blocked(
        tx: &mut Transaction<'_, Self>,
        s: &str,
        subjects: &[&str],
    ) -> impl Answer<Vec<String>>;

    /// Parks an event.
    fn park(tx: &mut Transaction<'_, Self>, s: &str, parking: &Parking<'_>) -> impl Answer<()>;

    /// Returns up to `limit` subjects of a partition whose first parked event is due, those due first before the others.
    fn due(pool: &Pool<Self>, s: &str, partition: i64, limit: i64) -> impl Answer<Vec<String>>;

    /// Returns the first parked event of a subject.
    fn first_parked(
        tx: &mut Transaction<'_, Self>,
        s: &str,
        subject: &str,
    ) -> impl Answer<Option<Parked>>;

    /// Returns the first `limit` parked or waiting events of a subject after position `after`:
    /// position, id, attempts, event.
    fn parked_of(
        tx: &mut Transaction<'_, Self>,
        s: &str,
        subject: &str,
        after: i64,
        limit: i64,
    ) -> impl Answer<Vec<(i64, String, i64, String)>>;

    /// Replaces a parked event by another one. If the parked event had failed, its reason and those of all attempts become
    /// `reason`, and it is due at once.
    fn replace_parked(
        tx: &mut Transaction<'_, Self>,
        s: &str,
        event_id: &str,
        event: &str,
        reason: &str,
    ) -> impl Answer<()>;

    /// Removes a parked event, since it was applied or skipped; returns false if it is not there.
    fn unpark(tx: &mut Transaction<'_, Self>, s: &str, event_id: &str) -> impl Answer<bool>;

    /// Removes a parked event, and records that it has no effect, and why. Returns false if it is not there, or if the
    /// operator has decided about it since the decision `seen`: then the transaction must be rolled back.
    fn pass_over(
        tx: &mut Transaction<'_, Self>,
        s: &str,
        event_id: &str,
        reason: &str,
        seen: Option<i64>,
    ) -> impl Answer<bool>;

    /// Records that another attempt failed, which has seen that decision. A newer one to retry it stays due.
    fn postpone(
        tx: &mut Transaction<'_, Self>,
        s: &str,
        event_id: &str,
        reason: &str,
        retry_in: Option<i64>,
        seen: Option<i64>,
    ) -> impl Answer<()>;
}
