//! The operator's interface to a database: reads the state, records decisions, and executes them.

use chrono::{DateTime, Utc};
use sqlx::{Pool, Transaction};

use super::answer::Answer;
use super::consume::{ParkedRow, Position, Standing};
use crate::event::Sequence;

/// An event that has no effect, and why.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Skip<'a> {
    pub(crate) event_id: &'a str,
    pub(crate) subject: &'a str,
    pub(crate) event_type: Option<&'a str>,
    pub(crate) sequence: Option<Sequence>,
    pub(crate) reason: &'a str,
}

/// A record of such an event.
#[derive(Debug, Clone)]
pub(crate) struct SkipRow {
    pub(crate) event_id: String,
    pub(crate) subject: String,
    pub(crate) event_type: Option<String>,
    pub(crate) sequence: Option<Sequence>,
    pub(crate) reason: String,
    /// The operator; `None` if the effect had nothing to do.
    pub(crate) skipped_by: Option<String>,
    pub(crate) skipped_at: DateTime<Utc>,
}

/// An event that was taken, and its outcome.
#[derive(Debug, Clone)]
pub(crate) struct TakenRow {
    pub(crate) event_id: String,
    pub(crate) subject: Option<String>,
    pub(crate) sequence: Option<Sequence>,
    pub(crate) claimed: DateTime<Utc>,
    /// Why it is parked, or was skipped.
    pub(crate) reason: Option<String>,
    pub(crate) parked: bool,
    pub(crate) skipped: bool,
    pub(crate) skipped_by: Option<String>,
}

/// A decision.
#[derive(Debug, Clone)]
pub(crate) struct DecisionRow {
    pub(crate) position: i64,
    pub(crate) decision: String,
    pub(crate) reason: Option<String>,
    pub(crate) decided_by: String,
    pub(crate) decided_at: DateTime<Utc>,
    pub(crate) done_at: Option<DateTime<Utc>>,
    pub(crate) outcome: Option<String>,
}

/// A decision to record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewDecision<'a> {
    pub(crate) decision: &'a str,
    pub(crate) reason: Option<&'a str>,
    pub(crate) decided_by: &'a str,
    /// The outcome, if it is executed already.
    pub(crate) outcome: Option<&'a str>,
}

/// The operations behind status pages and commands that each database implements in its own way.
/// `s` is the subscription's name.
pub(crate) trait NativeOperate: sqlx::Database {
    /// Records events without an effect.
    fn skip(
        tx: &mut Transaction<'_, Self>,
        s: &str,
        skips: &[Skip<'_>],
        skipped_by: Option<&str>,
    ) -> impl Answer<()>;

    /// Locks a partition against the transactions of any owner.
    fn lock_partition(tx: &mut Transaction<'_, Self>, s: &str, partition: i64) -> impl Answer<()>;

    /// Moves the partitions at or above `from` to `to`, and fences transactions in flight. Locks
    /// all partitions: one below `from` may be about to pass it.
    fn reposition(
        tx: &mut Transaction<'_, Self>,
        s: &str,
        from: Sequence,
        to: &Position,
    ) -> impl Answer<u64>;

    /// Removes up to `limit` claims that are more than `margin` below the lowest cursor, and
    /// instances that ended long ago; returns the number of claims.
    fn sweep(pool: &Pool<Self>, s: &str, margin: i64, limit: i64) -> impl Answer<u64>;
}

/// The operations whose statements differ at most by a clock or a list.
pub(crate) trait Operate: sqlx::Database {
    /// Returns the state of the subscription.
    fn standing(pool: &Pool<Self>, s: &str) -> impl Answer<Standing>;

    /// Returns the first `limit` parked events, oldest first; with an id, only that one.
    fn parked(
        pool: &Pool<Self>,
        s: &str,
        event_id: Option<&str>,
        limit: i64,
    ) -> impl Answer<Vec<ParkedRow>>;

    /// Returns the newest `limit` events that were taken; with an id, only that one.
    fn taken(
        pool: &Pool<Self>,
        s: &str,
        event_id: Option<&str>,
        limit: i64,
    ) -> impl Answer<Vec<TakenRow>>;

    /// Returns the newest `limit` events without an effect.
    fn skipped(pool: &Pool<Self>, s: &str, limit: i64) -> impl Answer<Vec<SkipRow>>;

    /// Returns the newest `limit` decisions.
    fn decisions(pool: &Pool<Self>, s: &str, limit: i64) -> impl Answer<Vec<DecisionRow>>;

    /// Makes the failed event due now; without an id, all failed events. Returns their number.
    fn retry_now(
        tx: &mut Transaction<'_, Self>,
        s: &str,
        event_id: Option<&str>,
    ) -> impl Answer<u64>;

    /// Records a decision; returns its position.
    fn decide(
        tx: &mut Transaction<'_, Self>,
        s: &str,
        decision: &NewDecision<'_>,
    ) -> impl Answer<i64>;

    /// Returns the oldest open decision.
    fn open_decision(pool: &Pool<Self>, s: &str) -> impl Answer<Option<DecisionRow>>;

    /// Records the outcome of a decision; returns false if another transaction has done so already.
    fn close_decision(
        tx: &mut Transaction<'_, Self>,
        position: i64,
        outcome: &str,
    ) -> impl Answer<bool>;

    /// Ends a halt; records where the subscription begins now, if that changes.
    fn unhalt(tx: &mut Transaction<'_, Self>, s: &str, begins: Option<Sequence>)
    -> impl Answer<()>;

    /// Drops claims, parked events and the effect's own skips from `from` on, so that these events
    /// are applied again; of all events if `from` is 1. Returns the number of claims.
    fn forget(tx: &mut Transaction<'_, Self>, s: &str, from: Sequence) -> impl Answer<u64>;

    /// Claims parked and skipped events, whose claims may have been swept: when events are
    /// repeated, these are already decided.
    fn claim_decided(tx: &mut Transaction<'_, Self>, s: &str) -> impl Answer<()>;

    /// Returns which of these events have no effect, since they are parked or were skipped.
    fn without_effect(pool: &Pool<Self>, s: &str, ids: &[&str]) -> impl Answer<Vec<String>>;

    /// Stores the result of a reconciliation.
    fn set_reconciled(pool: &Pool<Self>, s: &str, result: &str) -> impl Answer<()>;

    /// Returns the result of the last reconciliation.
    fn reconciled(pool: &Pool<Self>, s: &str) -> impl Answer<Option<String>>;
}
