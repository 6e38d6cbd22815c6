//! What people ask of a subscription: to look at it, to decide, and to have decisions carried out.

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
    /// The person; `None`: the effect itself.
    pub(crate) skipped_by: Option<String>,
    pub(crate) skipped_at: DateTime<Utc>,
}

/// An event that was taken, and what became of it.
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

/// What a person has decided.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewDecision<'a> {
    pub(crate) decision: &'a str,
    pub(crate) reason: Option<&'a str>,
    pub(crate) decided_by: &'a str,
    /// What came of it, if it is done already.
    pub(crate) outcome: Option<&'a str>,
}

/// The operations behind status pages and commands that each database does in its own way. `s` is the
/// subscription's name.
pub(crate) trait NativeOperate: sqlx::Database {
    /// Records events without an effect.
    fn skip(
        tx: &mut Transaction<'_, Self>,
        s: &str,
        skips: &[Skip<'_>],
        skipped_by: Option<&str>,
    ) -> impl Answer<()>;

    /// Locks a partition against its owner's transactions, whoever that is.
    fn lock_partition(tx: &mut Transaction<'_, Self>, s: &str, partition: i64) -> impl Answer<()>;

    /// Moves the partitions that are at `from` or later to `to`, and fences off what is in flight. Locks
    /// all of them: one that is before `from` may be about to pass it.
    fn reposition(
        tx: &mut Transaction<'_, Self>,
        s: &str,
        from: Sequence,
        to: &Position,
    ) -> impl Answer<u64>;

    /// Removes up to `limit` claims that are further than `margin` below the lowest cursor, and
    /// instances that are long gone; returns how many claims.
    fn sweep(pool: &Pool<Self>, s: &str, margin: i64, limit: i64) -> impl Answer<u64>;
}

/// Those whose statements are the same but for a clock or a list.
pub(crate) trait Operate: sqlx::Database {
    /// How the subscription stands.
    fn standing(pool: &Pool<Self>, s: &str) -> impl Answer<Standing>;

    /// The first `limit` parked events, oldest first; only that one if an id is given.
    fn parked(
        pool: &Pool<Self>,
        s: &str,
        event_id: Option<&str>,
        limit: i64,
    ) -> impl Answer<Vec<ParkedRow>>;

    /// The newest `limit` events that were taken; only that one if an id is given.
    fn taken(
        pool: &Pool<Self>,
        s: &str,
        event_id: Option<&str>,
        limit: i64,
    ) -> impl Answer<Vec<TakenRow>>;

    /// The newest `limit` events without an effect.
    fn skipped(pool: &Pool<Self>, s: &str, limit: i64) -> impl Answer<Vec<SkipRow>>;

    /// The newest `limit` decisions.
    fn decisions(pool: &Pool<Self>, s: &str, limit: i64) -> impl Answer<Vec<DecisionRow>>;

    /// Has the failed event tried again as soon as may be; all failed ones without an id. Returns
    /// how many.
    fn hasten(tx: &mut Transaction<'_, Self>, s: &str, event_id: Option<&str>) -> impl Answer<u64>;

    /// Writes down a decision; returns its position.
    fn decide(
        tx: &mut Transaction<'_, Self>,
        s: &str,
        decision: &NewDecision<'_>,
    ) -> impl Answer<i64>;

    /// The oldest decision that is not carried out.
    fn open_decision(pool: &Pool<Self>, s: &str) -> impl Answer<Option<DecisionRow>>;

    /// Says what came of a decision; false if somebody else has said so already.
    fn close_decision(
        tx: &mut Transaction<'_, Self>,
        position: i64,
        outcome: &str,
    ) -> impl Answer<bool>;

    /// Ends a halt; notes where the subscription begins now, if that is another place.
    fn unhalt(tx: &mut Transaction<'_, Self>, s: &str, begins: Option<Sequence>)
    -> impl Answer<()>;

    /// Drops claims, parked events and the effect's own skips from `from` on, so that these events
    /// come again; of all events if `from` is 1. Returns how many claims.
    fn forget(tx: &mut Transaction<'_, Self>, s: &str, from: Sequence) -> impl Answer<u64>;

    /// Claims what is parked or was skipped, of which the claims may have been swept: where events come
    /// again, these have been decided about.
    fn claim_decided(tx: &mut Transaction<'_, Self>, s: &str) -> impl Answer<()>;

    /// Which of these events have no effect since they are parked or were skipped.
    fn without_effect(pool: &Pool<Self>, s: &str, ids: &[&str]) -> impl Answer<Vec<String>>;

    /// Keeps the result of a comparison.
    fn set_reconciled(pool: &Pool<Self>, s: &str, result: &str) -> impl Answer<()>;

    /// The result of the last comparison.
    fn reconciled(pool: &Pool<Self>, s: &str) -> impl Answer<Option<String>>;
}
