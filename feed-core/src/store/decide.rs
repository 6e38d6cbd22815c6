//! The decisions of operators in a database: about one event or many, and how they are taken back.

use std::fmt::Display;

use chrono::{DateTime, Utc};
#[cfg(feature = "schemars")]
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::{Pool, Transaction};

use super::Writer;
use super::answer::Answer;
use super::operate::{ParkedEvent, SkippedEvent, instant, moment};
use crate::consumer::Selection;

/// A decision of an operator.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(JsonSchema))]
pub struct Decided {
    /// The number of the decision, ascending.
    pub position: i64,
    /// The decision as text.
    pub decision: String,
    /// The reason, if the operator gave one.
    pub reason: Option<String>,
    /// The operator's name.
    pub decided_by: String,
    /// When the operator decided.
    #[serde(serialize_with = "moment")]
    pub decided_at: DateTime<Utc>,
    /// When an instance executed it; `null` if it is open.
    #[serde(serialize_with = "instant")]
    pub done_at: Option<DateTime<Utc>>,
    /// The outcome; `null` if it is open.
    pub outcome: Option<String>,
    /// Events of this retry that are still parked and that no later decision covers.
    pub still_parked: i64,
    /// True if it can be taken back now; false of an open one that an instance has begun to execute.
    pub can_be_undone: bool,
    /// The operator who has taken it back.
    pub undone_by: Option<String>,
    /// When it was taken back.
    #[serde(serialize_with = "instant")]
    pub undone_at: Option<DateTime<Utc>>,
}

/// What an operator has decided: the first word of a decision's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Retry,
    Skip,
    Undo,
    Pause,
    Retire,
    Resume,
    /// A replay, or one that only a later version knows.
    Other,
}

/// How the outcome of a decision begins that has changed nothing.
pub(crate) const NOT_CARRIED_OUT: &str = "not carried out: ";

/// Returns the outcome of a decision that has changed nothing.
pub(crate) fn not_carried_out(reason: impl Display) -> String {
    format!("{NOT_CARRIED_OUT}{reason}")
}

impl Decided {
    pub(crate) fn verb(&self) -> Verb {
        match self.decision.split(' ').next() {
            Some("retry") => Verb::Retry,
            Some("skip") => Verb::Skip,
            Some("undo") => Verb::Undo,
            Some("pause") => Verb::Pause,
            Some("retire") => Verb::Retire,
            Some("resume") => Verb::Resume,
            _ => Verb::Other,
        }
    }

    /// Returns true if it was executed and has changed nothing: the outcome says why.
    #[must_use]
    pub fn has_changed_nothing(&self) -> bool {
        let outcome = self.outcome.as_deref();
        outcome.is_some_and(|outcome| outcome.starts_with(NOT_CARRIED_OUT))
    }
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

/// Why events have failed, and how many.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(JsonSchema))]
pub struct Cause {
    /// What went wrong, as each of these events has it.
    pub cause: String,
    /// The number of failed events.
    pub events: i64,
    /// The subject of one of them.
    pub subject: String,
    /// When the first of them was parked.
    #[serde(serialize_with = "moment")]
    pub since: DateTime<Utc>,
}

/// Failed events of one type.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(JsonSchema))]
pub struct TypeCount {
    /// The `CloudEvents` type; `null` for events without one, and for those that an older version has parked.
    #[serde(rename = "type")]
    pub event_type: Option<String>,
    /// The number of failed events.
    pub events: i64,
}

/// A skip by an operator.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Skipping<'a> {
    pub(crate) reason: &'a str,
    pub(crate) by: &'a str,
    /// The position of the decision.
    pub(crate) decision: i64,
}

/// Statements on decisions. `s` is the subscription's name. A statement that removes, skips or parks events is executed under the
/// lock of their partition.
pub(crate) trait Decide: sqlx::Database {
    /// Returns the database's clock.
    fn now(pool: &Pool<Self>) -> impl Answer<DateTime<Utc>>;

    /// Records a decision; returns its position.
    fn decide(
        tx: &mut Transaction<'_, Self>,
        s: &str,
        decision: &NewDecision<'_>,
    ) -> impl Answer<i64>;

    /// Returns the oldest open decision.
    fn open_decision(pool: &Pool<Self>, s: &str) -> impl Answer<Option<Decided>>;

    /// Locks an open decision whose outcome so far is `known`, and records another one; returns false if another transaction
    /// was first.
    fn begin_decision(
        tx: &mut Transaction<'_, Self>,
        position: i64,
        known: Option<&str>,
        outcome: &str,
    ) -> impl Answer<bool>;

    /// Closes an open decision whose outcome so far is `known`; returns false if another transaction was first.
    fn close_decision(
        tx: &mut Transaction<'_, Self>,
        position: i64,
        known: Option<&str>,
        outcome: &str,
    ) -> impl Answer<bool>;

    /// Returns true if an instance has begun to execute an open decision.
    fn is_under_way(tx: &mut Transaction<'_, Self>, s: &str) -> impl Answer<bool>;

    /// Returns true if a replay is open, whether an instance has begun to execute it or not.
    fn is_replay_open(tx: &mut Transaction<'_, Self>, s: &str) -> impl Answer<bool>;

    /// Records how far a decision is executed; returns false if it was taken back meanwhile.
    fn set_outcome(
        tx: &mut Transaction<'_, Self>,
        position: i64,
        outcome: &str,
    ) -> impl Answer<bool>;

    /// Records that the decision at `undo` has taken this one back, if that is not recorded yet.
    fn set_undone(tx: &mut Transaction<'_, Self>, position: i64, undo: i64) -> impl Answer<()>;

    /// Returns the decision at that position.
    fn decision(pool: &Pool<Self>, s: &str, position: i64) -> impl Answer<Option<Decided>>;

    /// Returns the newest `limit` decisions.
    fn decisions(pool: &Pool<Self>, s: &str, limit: i64) -> impl Answer<Vec<Decided>>;

    /// Returns the decisions with one of these texts, those that have touched one of these events as far as that is
    /// known, and those that have taken them back; newest first.
    fn decisions_of(
        pool: &Pool<Self>,
        s: &str,
        texts: &[&str],
        ids: &[&str],
    ) -> impl Answer<Vec<Decided>>;

    /// Returns why the selected events have failed, the most frequent cause first.
    fn causes(
        pool: &Pool<Self>,
        s: &str,
        selection: &Selection,
        limit: i64,
    ) -> impl Answer<Vec<Cause>>;

    /// Returns the types of the selected events, the most frequent first.
    fn types(
        pool: &Pool<Self>,
        s: &str,
        selection: &Selection,
        limit: i64,
    ) -> impl Answer<Vec<TypeCount>>;

    /// Returns the number of selected events.
    fn count(pool: &Pool<Self>, s: &str, selection: &Selection) -> impl Answer<i64>;

    /// Returns the first `limit` selected events, oldest first.
    fn selected(
        pool: &Pool<Self>,
        s: &str,
        selection: &Selection,
        limit: i64,
    ) -> impl Answer<Vec<ParkedEvent>>;

    /// Returns the partitions with selected events, in order of number.
    fn partitions_of(pool: &Pool<Self>, s: &str, selection: &Selection) -> impl Answer<Vec<i64>>;

    /// Returns the ids of up to `limit` selected events in a partition.
    fn selected_in(
        tx: &mut Transaction<'_, Self>,
        s: &str,
        selection: &Selection,
        partition: i64,
        limit: i64,
    ) -> impl Answer<Vec<String>>;

    /// Makes the selected events of a partition due now; returns their number.
    fn retry_selected(
        tx: &mut Transaction<'_, Self>,
        s: &str,
        selection: &Selection,
        partition: i64,
        decision: i64,
    ) -> impl Answer<u64>;

    /// Skips failed events, and keeps them as they are for an undo; returns the number of those that were still parked.
    fn skip_parked(
        tx: &mut Transaction<'_, Self>,
        s: &str,
        ids: &[&str],
        skipping: &Skipping<'_>,
    ) -> impl Answer<u64>;

    /// Returns up to `limit` events whose skip by this decision can be undone, with their partitions, in order of those.
    fn kept(pool: &Pool<Self>, position: i64, limit: i64) -> impl Answer<Vec<(i64, String)>>;

    /// Parks events again as they were before they were skipped by that decision; returns the number of those for which that was
    /// still possible.
    fn unskip(
        tx: &mut Transaction<'_, Self>,
        s: &str,
        ids: &[&str],
        position: i64,
        undo: i64,
    ) -> impl Answer<u64>;

    /// Returns the last event of a subject whose skip can still be undone.
    fn skipped_before(
        pool: &Pool<Self>,
        s: &str,
        subject: &str,
    ) -> impl Answer<Option<SkippedEvent>>;

    /// Returns the number of events that are skipped by this decision.
    fn skipped_by(pool: &Pool<Self>, position: i64) -> impl Answer<i64>;

    /// Ends the undo of skips of these subjects that have no parked event: later events are applied now.
    fn end_undo(tx: &mut Transaction<'_, Self>, s: &str, subjects: &[&str]) -> impl Answer<()>;

    /// Ends the undo of skips of that subject that came before a parked event, which is applied now; of all, without one.
    fn end_undo_before(
        tx: &mut Transaction<'_, Self>,
        s: &str,
        subject: &str,
        event_id: Option<&str>,
    ) -> impl Answer<()>;

    /// Ends the undo of skips from that sequence on; of all if `from` is at most 1. Events before them come again.
    fn end_undo_from(tx: &mut Transaction<'_, Self>, s: &str, from: i64) -> impl Answer<()>;

    /// Ends the undo of skips that are older than so many seconds, `limit` at most; returns their number.
    fn sweep_undo(writer: Writer<'_, Self>, s: &str, age: i64, limit: i64) -> impl Answer<u64>;
}
