//! What the consuming side asks of a database, and the rows it gets.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{Pool, Transaction};

use super::answer::Answer;
use crate::database::timeout::Suspicion;
use crate::event::Sequence;

/// How far a partition has got.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Position {
    /// The feed's epoch; `None` before the first event, and for feeds without sequences.
    pub(crate) epoch: Option<String>,
    pub(crate) sequence: Sequence,
    /// The `atom:id` of the event there.
    pub(crate) anchor: Option<String>,
    /// When that event was published.
    pub(crate) updated: Option<DateTime<Utc>>,
    /// The head's validators, once all of it has been taken.
    pub(crate) etag: Option<String>,
    pub(crate) last_modified: Option<String>,
}

/// A partition that this instance works on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) partition: i64,
    pub(crate) lease_epoch: i64,
    pub(crate) position: Position,
}

/// What an instance says of itself when it renews its leases.
#[derive(Debug, Clone, Default)]
pub(crate) struct Heartbeat {
    pub(crate) last_contact: Option<DateTime<Utc>>,
    pub(crate) head_sequence: Option<Sequence>,
    pub(crate) last_error: Option<String>,
    /// Rounds that failed in a row; not stored.
    pub(crate) failures: u32,
    /// Until when the last answer is enough, since it is fresh or the poll interval is not over; not stored.
    pub(crate) quiet_until: Option<DateTime<Utc>>,
}

impl Heartbeat {
    /// Counts as contact that the last answer is still enough.
    pub(crate) fn keep_contact(&mut self, now: DateTime<Utc>) {
        let quiet = self.quiet_until.map(|until| until.min(now));
        self.last_contact = self.last_contact.max(quiet);
    }
}

/// What it learns in return.
#[derive(Debug, Clone)]
pub(crate) struct Census {
    /// Instances alive, this one included.
    pub(crate) instances: i64,
    /// Partitions this one holds.
    pub(crate) held: i64,
    /// The sum of their lease epochs: it changes when one of them is another lease, or was moved.
    pub(crate) epochs: i64,
    /// Partitions that nobody holds.
    pub(crate) free: i64,
    /// True if a parked event of ours is due.
    pub(crate) due: bool,
    /// Why the subscription is halted, if it is.
    pub(crate) halted: Option<String>,
    /// The decision that is to be carried out next, if there is one.
    pub(crate) decision: Option<i64>,
}

/// An event to be claimed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claim<'a> {
    pub(crate) event_id: &'a str,
    pub(crate) sequence: Option<Sequence>,
    pub(crate) subject: &'a str,
}

/// An event to be parked, or to wait for one that is.
#[derive(Debug)]
pub(crate) struct Parking<'a> {
    pub(crate) event_id: &'a str,
    pub(crate) partition: i64,
    pub(crate) subject: &'a str,
    pub(crate) sequence: Option<Sequence>,
    /// The event as JSON.
    pub(crate) event: String,
    /// Why; `None` if it waits for an earlier event of its subject.
    pub(crate) reason: Option<&'a str>,
    /// Seconds until it is tried again; `None`: when a person says so.
    pub(crate) retry_in: Option<i64>,
}

/// A parked event.
#[derive(Debug, Clone)]
pub(crate) struct Parked {
    pub(crate) event_id: String,
    pub(crate) event: String,
    pub(crate) attempts: i64,
}

/// How a subscription stands.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    pub(crate) epoch: Option<String>,
    /// The lowest cursor of all partitions, and when the event there was published.
    pub(crate) sequence: Sequence,
    pub(crate) updated: Option<DateTime<Utc>>,
    pub(crate) head: Option<Sequence>,
    pub(crate) last_contact: Option<DateTime<Utc>>,
    pub(crate) last_error: Option<String>,
    pub(crate) instances: i64,
    /// Events that failed and wait for a retry or a person.
    pub(crate) parked: i64,
    /// Events that wait for one of those.
    pub(crate) waiting: i64,
    /// Events without an effect.
    pub(crate) skipped: i64,
    pub(crate) halted: Option<String>,
    /// Events up to here were never taken.
    pub(crate) begins: Option<Sequence>,
    /// What a person has decided and no instance has carried out yet.
    pub(crate) decision: Option<String>,
    /// The highest cursor of all partitions.
    pub(crate) furthest: Sequence,
    /// The database's clock.
    pub(crate) now: DateTime<Utc>,
}

/// A parked event as people see it.
#[derive(Debug, Clone)]
pub(crate) struct ParkedRow {
    pub(crate) event_id: String,
    pub(crate) partition: i64,
    pub(crate) subject: String,
    pub(crate) sequence: Option<Sequence>,
    /// The event as JSON.
    pub(crate) event: String,
    pub(crate) reason: Option<String>,
    pub(crate) attempts: i64,
    pub(crate) parked_at: DateTime<Utc>,
    pub(crate) retry_at: Option<DateTime<Utc>>,
}

/// The channel that says "leases or decisions have changed". Channels are a database's own.
pub(crate) const CHANNEL: &str = "feed_subscription";

/// The partitions that were moved, each with whether it has parked events, and the guard.
pub(crate) type Advanced<B> = (Vec<(i64, bool)>, <B as NativeConsume>::Guard);

/// The operations that each database does in its own way. `s` is the subscription's name, `me` the instance's.
pub(crate) trait NativeConsume: sqlx::Database {
    /// Keeps an effect from ending its transaction.
    type Guard: Default + Send + Sync;

    /// Makes the rows of a subscription where there are none yet.
    fn subscribe(pool: &Pool<Self>, s: &str, partitions: i64) -> impl Answer<()>;

    /// Says that this instance is alive, and renews its leases for `term` seconds.
    fn renew(
        pool: &Pool<Self>,
        s: &str,
        me: &str,
        heartbeat: &Heartbeat,
        term: i64,
    ) -> impl Answer<Census>;

    /// Gives all partitions back, and is gone. What it has heard of the feed stays.
    fn leave(pool: &Pool<Self>, s: &str, me: &str) -> impl Answer<()>;

    /// Locks the partitions that are still ours at their position, in order of number, and moves
    /// them to `to`; returns which they are, and which of them have parked events. Of the others
    /// another instance takes care (I5). None moves to another epoch than the rest is in (I8). With
    /// `effects` the guard may be set on the way, so that it costs no statement of its own.
    fn advance(
        tx: &mut Transaction<'_, Self>,
        s: &str,
        me: &str,
        partitions: &[Held],
        to: &Position,
        effects: bool,
    ) -> impl Answer<Advanced<Self>>;

    /// Claims events; returns the ids of those that were not claimed before. `is_last`: the effect comes next, which
    /// is to find the planner as its role has set it.
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
        suspicion: &Suspicion,
    ) -> impl Answer<bool>;

    /// Cancels the statement that the server still runs for the effect; false if there is none.
    fn cancel(pool: &Pool<Self>, guard: &Self::Guard) -> impl Answer<bool>;
}

/// The operations whose statements are the same but for a clock or a list. `s` is the subscription's name, `me`
/// the instance's.
pub(crate) trait Consume: sqlx::Database {
    /// Takes up to `limit` partitions that are free or whose lease is over; returns how many.
    fn acquire(pool: &Pool<Self>, s: &str, me: &str, limit: i64, term: i64) -> impl Answer<u64>;

    /// Gives `count` partitions back; returns how many.
    fn release(pool: &Pool<Self>, s: &str, me: &str, count: i64) -> impl Answer<u64>;

    /// The partitions that this instance holds.
    fn held(pool: &Pool<Self>, s: &str, me: &str) -> impl Answer<Vec<Held>>;

    /// The epochs that the partitions are in, whoever holds them: one, or none before the first event.
    fn epochs(pool: &Pool<Self>, s: &str) -> impl Answer<Vec<String>>;

    /// Stops the subscription until a person decides.
    fn halt(pool: &Pool<Self>, s: &str, reason: &str) -> impl Answer<()>;

    /// Locks one partition; false if it is no longer ours.
    fn lock(tx: &mut Transaction<'_, Self>, s: &str, me: &str, held: &Held) -> impl Answer<bool>;

    /// Which of these events are claimed.
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

    /// The subjects, in partitions of this instance, whose first parked event is due.
    fn due(pool: &Pool<Self>, s: &str, me: &str, limit: i64) -> impl Answer<Vec<(i64, String)>>;

    /// The first parked event of a subject.
    fn first_parked(
        tx: &mut Transaction<'_, Self>,
        s: &str,
        subject: &str,
    ) -> impl Answer<Option<Parked>>;

    /// The first `limit` parked events of a subject after position `after`, and those that wait:
    /// position, id, event.
    fn parked_of(
        tx: &mut Transaction<'_, Self>,
        s: &str,
        subject: &str,
        after: i64,
        limit: i64,
    ) -> impl Answer<Vec<(i64, String, String)>>;

    /// Puts another event in the place of a parked one. If that had failed, for `reason` instead,
    /// and it is tried again as soon as may be.
    fn replace_parked(
        tx: &mut Transaction<'_, Self>,
        s: &str,
        event_id: &str,
        event: &str,
        reason: &str,
    ) -> impl Answer<()>;

    /// Removes a parked event, since its effect stands or a person has skipped it; false if it is
    /// not there.
    fn unpark(tx: &mut Transaction<'_, Self>, s: &str, event_id: &str) -> impl Answer<bool>;

    /// Notes that another attempt failed.
    fn postpone(
        tx: &mut Transaction<'_, Self>,
        s: &str,
        event_id: &str,
        reason: &str,
        retry_in: Option<i64>,
    ) -> impl Answer<()>;
}
