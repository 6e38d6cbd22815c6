//! The operator's interface to a database: reads the state, records decisions, and executes them.

use chrono::{DateTime, SecondsFormat, Utc};
#[cfg(feature = "schemars")]
use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use sqlx::{Pool, Transaction};

use super::Writer;
use super::answer::Answer;
use super::consume::{Position, Reported, SubscriptionState};
use crate::event::Sequence;

/// The progress of a subscription: what metrics need, without reading more than some rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) reported: Reported,
    /// The lowest cursor of all partitions.
    pub(crate) sequence: Sequence,
    /// Failed events, and those that wait for one of them; each not above [`COUNTED`](super::COUNTED).
    pub(crate) parked: i64,
    pub(crate) waiting: i64,
    pub(crate) halted: bool,
    pub(crate) paused: bool,
}

/// An event that has no effect, and why.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Skip<'a> {
    pub(crate) event_id: &'a str,
    pub(crate) subject: &'a str,
    pub(crate) event_type: Option<&'a str>,
    pub(crate) sequence: Option<Sequence>,
    pub(crate) reason: &'a str,
}

/// A parked event.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(JsonSchema))]
pub struct ParkedEvent {
    /// The event's id.
    pub id: String,
    /// The event's subject.
    pub subject: String,
    /// The `CloudEvents` type; `null` if the feed gives none, or if an older version has parked it.
    #[serde(rename = "type")]
    pub event_type: Option<String>,
    /// Its sequence in the feed.
    pub sequence: Option<Sequence>,
    /// Why it failed; `null` if it waits for an earlier event of its subject.
    pub reason: Option<String>,
    /// The number of attempts.
    pub attempts: i64,
    /// When it was parked.
    #[serde(serialize_with = "moment")]
    pub parked_at: DateTime<Utc>,
    /// When it is retried; `null` if it waits for the operator, or for an earlier event of its subject.
    #[serde(serialize_with = "instant")]
    pub retry_at: Option<DateTime<Utc>>,
}

impl ParkedEvent {
    /// Returns its number, subject and id, as operators read it: `event 17 of order/4, urn:uuid:…`.
    #[must_use]
    pub fn name(&self) -> String {
        name(self.sequence, &self.subject, &self.id)
    }
}

impl SkippedEvent {
    /// Returns its number, subject and id, as [`ParkedEvent::name`] does.
    #[must_use]
    pub fn name(&self) -> String {
        name(self.sequence, &self.subject, &self.id)
    }
}

fn name(sequence: Option<Sequence>, subject: &str, id: &str) -> String {
    match sequence {
        Some(sequence) => format!("event {sequence} of {subject}, {id}"),
        None => format!("an event of {subject}, {id}"),
    }
}

/// An attempt to apply an event that is parked.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(JsonSchema))]
pub struct Attempt {
    /// Its number, from 1 on.
    pub attempt: i64,
    /// When it failed.
    #[serde(serialize_with = "moment")]
    pub tried_at: DateTime<Utc>,
    /// Why it failed.
    pub reason: String,
}

/// An event that was taken from the feed. Claims far below the cursor are no longer listed.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(JsonSchema))]
pub struct TakenEvent {
    /// The event's id.
    pub id: String,
    /// The event's subject; `null` for events taken by an older version.
    pub subject: Option<String>,
    /// Its sequence in the feed.
    pub sequence: Option<Sequence>,
    /// When it was claimed.
    #[serde(serialize_with = "moment")]
    pub claimed: DateTime<Utc>,
    /// What has happened to it.
    pub outcome: Outcome,
    /// Why it is parked, skipped or passed over.
    pub reason: Option<String>,
    /// The operator who skipped it.
    pub skipped_by: Option<String>,
}

/// What has happened to an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Its effect is committed.
    Applied,
    /// Its effect failed.
    Parked,
    /// It waits for a parked event of its subject.
    Waiting,
    /// An operator has skipped it.
    Skipped,
    /// The effect had nothing to do for it.
    PassedOver,
}

/// An event without an effect.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(JsonSchema))]
pub struct SkippedEvent {
    /// The event's id.
    pub id: String,
    /// The event's subject.
    pub subject: String,
    /// The `CloudEvents` type, if the feed gives one.
    pub event_type: Option<String>,
    /// Its sequence in the feed.
    pub sequence: Option<Sequence>,
    /// Why it has no effect.
    pub reason: String,
    /// The operator who skipped it; `null` if the effect had nothing to do, or cannot do without data that was
    /// erased.
    pub skipped_by: Option<String>,
    /// When it was skipped or passed over.
    #[serde(serialize_with = "moment")]
    pub skipped_at: DateTime<Utc>,
}

/// An instance that follows the feed, or did within the last hour.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(JsonSchema))]
pub struct InstanceStatus {
    /// Its name, unique for each start.
    pub instance: String,
    /// The version of its program; `null` for an older one that does not say.
    pub version: Option<String>,
    /// When it was started; `null` for an older version.
    #[serde(serialize_with = "instant")]
    pub started_at: Option<DateTime<Utc>>,
    /// True if it has renewed its leases in time. One that has ended, or has no access to the database, has not.
    pub alive: bool,
    /// Until when it counts as alive, unless it renews its leases; in the past if it is not.
    #[serde(serialize_with = "moment")]
    pub alive_until: DateTime<Utc>,
    /// When the feed last answered it.
    #[serde(serialize_with = "instant")]
    pub last_contact: Option<DateTime<Utc>>,
    /// The error of its last round; `null` if it succeeded.
    pub last_error: Option<String>,
    /// Since when it takes no events, since an operator has retired it; `null` if it works.
    #[serde(serialize_with = "instant")]
    pub retired_at: Option<DateTime<Utc>>,
    /// The operator who has retired it.
    pub retired_by: Option<String>,
    /// Why.
    pub retired_because: Option<String>,
    /// The number of partitions that it holds: its share of the subjects.
    pub partitions: i64,
    /// The last event taken in the partition that is furthest behind; `null` if it holds none.
    pub sequence: Option<Sequence>,
    /// The newest event that any instance has seen in the feed.
    pub head: Option<Sequence>,
}

impl InstanceStatus {
    /// The number of partitions that the instances of a subscription share.
    pub const PARTITIONS: i64 = crate::partition::PARTITIONS;

    /// Returns true if it takes events: it is alive and not retired.
    #[must_use]
    pub fn takes_events(&self) -> bool {
        self.alive && self.retired_at.is_none()
    }

    /// Returns true if it is alive and its program is of an older version, which knows neither pauses nor retirements.
    #[must_use]
    pub fn is_older(&self) -> bool {
        self.alive && self.version.is_none()
    }
}

/// Writes an instant with milliseconds.
pub(crate) fn instant<S: Serializer>(
    at: &Option<DateTime<Utc>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    at.as_ref().map(text).serialize(serializer)
}

/// Writes an instant with milliseconds.
pub(crate) fn moment<S: Serializer>(at: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    text(at).serialize(serializer)
}

fn text(at: &DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
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
    fn sweep(writer: Writer<'_, Self>, s: &str, margin: i64, limit: i64) -> impl Answer<u64>;
}

/// The operations whose statements differ at most by a clock or a list.
pub(crate) trait Operate: sqlx::Database {
    /// Returns the names of all subscriptions.
    fn subscriptions(pool: &Pool<Self>) -> impl Answer<Vec<String>>;

    /// Returns the state of the subscription.
    fn subscription_state(pool: &Pool<Self>, s: &str) -> impl Answer<SubscriptionState>;

    /// Returns why the subscription is halted.
    fn halted(pool: &Pool<Self>, s: &str) -> impl Answer<Option<String>>;

    /// Returns the progress of the subscription.
    fn progress(pool: &Pool<Self>, s: &str) -> impl Answer<Progress>;

    /// Returns the first `limit` parked events, oldest first.
    fn parked(pool: &Pool<Self>, s: &str, limit: i64) -> impl Answer<Vec<ParkedEvent>>;

    /// Returns the first `limit` parked events with one of these ids or subjects, oldest first.
    fn parked_about(
        pool: &Pool<Self>,
        s: &str,
        about: &[&str],
        limit: i64,
    ) -> impl Answer<Vec<ParkedEvent>>;

    /// Returns a parked event as it was received.
    fn received(pool: &Pool<Self>, s: &str, event_id: &str) -> impl Answer<Option<String>>;

    /// Returns the last attempts for a parked event, newest first.
    fn attempts(pool: &Pool<Self>, s: &str, event_id: &str) -> impl Answer<Vec<Attempt>>;

    /// Returns the newest `limit` events that were taken.
    fn taken(pool: &Pool<Self>, s: &str, limit: i64) -> impl Answer<Vec<TakenEvent>>;

    /// Returns `limit` events below that sequence that were taken, highest first.
    fn taken_before(
        pool: &Pool<Self>,
        s: &str,
        before: Sequence,
        limit: i64,
    ) -> impl Answer<Vec<TakenEvent>>;

    /// Returns the newest `limit` events that were taken and have one of these ids or subjects, below a sequence if one is
    /// given.
    fn taken_about(
        pool: &Pool<Self>,
        s: &str,
        about: &[&str],
        before: Option<Sequence>,
        limit: i64,
    ) -> impl Answer<Vec<TakenEvent>>;

    /// Returns the newest `limit` events without an effect.
    fn skipped(pool: &Pool<Self>, s: &str, limit: i64) -> impl Answer<Vec<SkippedEvent>>;

    /// Returns true if nothing was ever taken, parked or resumed: then the subscription may begin at the newest event.
    fn is_new(pool: &Pool<Self>, s: &str) -> impl Answer<bool>;

    /// Ends a halt, or lets a [new](Self::is_new) subscription begin; records where it begins now, if that changes. Returns
    /// false if it is neither halted nor new. Its decision must still be open: afterwards it is not new.
    fn unhalt(
        tx: &mut Transaction<'_, Self>,
        s: &str,
        begins: Option<Sequence>,
    ) -> impl Answer<bool>;

    /// Locks the subscription against other operators.
    fn lock_subscription(tx: &mut Transaction<'_, Self>, s: &str) -> impl Answer<()>;

    /// Pauses the subscription; returns false if it is paused already.
    fn pause(tx: &mut Transaction<'_, Self>, s: &str, reason: &str, by: &str) -> impl Answer<bool>;

    /// Ends a pause; returns false if there is none.
    fn unpause(tx: &mut Transaction<'_, Self>, s: &str) -> impl Answer<bool>;

    /// Returns the first `limit` instances, live ones first.
    fn instances(pool: &Pool<Self>, s: &str, limit: i64) -> impl Answer<Vec<InstanceStatus>>;

    /// Retires a live instance: it takes no partitions any more. Returns false if it is none, is retired already, or is
    /// the last one that takes any.
    fn retire(
        tx: &mut Transaction<'_, Self>,
        s: &str,
        instance: &str,
        reason: &str,
        by: &str,
    ) -> impl Answer<bool>;

    /// Fences transactions in flight, and instances that do not know of a decision yet.
    fn fence(tx: &mut Transaction<'_, Self>, s: &str) -> impl Answer<()>;

    /// Returns which of these events have no effect, since they are parked or were skipped.
    fn without_effect(pool: &Pool<Self>, s: &str, ids: &[&str]) -> impl Answer<Vec<String>>;

    /// Stores the result of a reconciliation.
    fn set_reconciled(writer: Writer<'_, Self>, s: &str, result: &str) -> impl Answer<()>;

    /// Returns the result of a reconciliation that is stored.
    fn reconciled(pool: &Pool<Self>, s: &str) -> impl Answer<Option<String>>;
}
