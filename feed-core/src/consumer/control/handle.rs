//! Shows a subscription to operators and their programs, with or without a running consumer.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use chrono::{DateTime, Utc};
#[cfg(feature = "schemars")]
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::Transaction;
use tracing::warn;
use url::Url;
use uuid::Uuid;
use uuid::fmt::Hyphenated;

use super::decision::{DecideError, Decision};
use super::reconcile::report::Reconciliation;
use super::status::{Status, status_of};
use crate::consumer::counts::Counts;
use crate::consumer::progress::leases::Leases;
use crate::consumer::received::Received;
use crate::consumer::source::redact::redact_url;
use crate::consumer::subscription::Subscription;
use crate::database::Database;
use crate::partition::PARTITIONS;
use crate::store::consume::CHANNEL;
use crate::store::operate::{
    Attempt, Cause, Decided, NewDecision, ParkedEvent, Skip, SkippedEvent, TakenEvent,
};
use crate::store::{Backend, DatabaseError};

/// A handle on a subscription: reads its state and records decisions, in an instance or without
/// one.
#[derive(Debug)]
pub struct Handle<B: Backend> {
    pub(in crate::consumer) database: Database<B>,
    pub(in crate::consumer) subscription: Subscription,
    /// The consumer in this process, if there is one.
    pub(in crate::consumer) leases: Option<Arc<Leases>>,
    pub(in crate::consumer) counts: Arc<Counts>,
}

impl<B: Backend> Clone for Handle<B> {
    fn clone(&self) -> Self {
        Self {
            database: self.database.clone(),
            subscription: self.subscription.clone(),
            leases: self.leases.clone(),
            counts: Arc::clone(&self.counts),
        }
    }
}

impl<B: Backend> Handle<B> {
    /// Opens a handle without a consumer in this process: for commands.
    ///
    /// # Errors
    ///
    /// Returns an error if the database is unreachable.
    pub async fn open(
        database: Database<B>,
        subscription: Subscription,
    ) -> Result<Self, DatabaseError> {
        let subscribed = B::subscribe(database.writer(), &subscription.name, PARTITIONS);
        database.statement(subscribed).await?;
        Ok(Self::to_read(database, subscription))
    }

    /// Returns a handle that only reads, for commands that show something: it waits for no lock, and works on a
    /// [database for reading](crate::DatabaseOptions::read_only).
    #[must_use]
    pub fn to_read(database: Database<B>, subscription: Subscription) -> Self {
        Self {
            database,
            subscription,
            leases: None,
            counts: Arc::default(),
        }
    }

    /// Returns the names of all subscriptions in a database, in alphabetical order.
    ///
    /// # Errors
    ///
    /// Returns the error of the database.
    pub async fn subscriptions(database: &Database<B>) -> sqlx::Result<Vec<String>> {
        B::subscriptions(database.reader()).await
    }

    /// Returns the address of the feed.
    #[must_use]
    pub fn feed_url(&self) -> &Url {
        &self.subscription.feed_url
    }

    /// Makes the consumer in this process, if there is one, poll at once, bypassing caches.
    pub fn poll_now(&self) {
        if let Some(leases) = &self.leases {
            leases.asked.store(true, Ordering::Relaxed);
            leases.wake.notify_one();
        }
    }

    /// Notifies the instances of a decision.
    pub(super) async fn notify_instances(&self) -> sqlx::Result<()> {
        if let Some(leases) = &self.leases {
            leases.look_now();
        }
        B::notify(self.database.writer(), CHANNEL).await
    }

    /// Returns the state of the subscription.
    ///
    /// # Errors
    ///
    /// Returns the error of the database.
    pub async fn status(&self) -> sqlx::Result<Status> {
        let mut standing = B::standing(self.database.reader(), &self.subscription.name).await?;
        let ours = redact_url(&self.subscription.feed_url);
        // The state in this process is newer than the row of the last renewal.
        if let Some(leases) = &self.leases {
            let own = leases.heartbeat(|heartbeat| heartbeat.clone());
            standing.head = standing.head.max(own.head_sequence);
            standing.last_contact = standing.last_contact.max(own.last_contact);
            standing.last_error = own.last_error.or(standing.last_error);
            standing.feed = Some(ours.clone());
        }
        let feed = standing.feed.take().unwrap_or(ours);
        Ok(status_of(standing, feed))
    }

    /// Returns the oldest `limit` parked events.
    ///
    /// # Errors
    ///
    /// Returns the error of the database.
    pub async fn parked(&self, limit: u32) -> sqlx::Result<Vec<ParkedEvent>> {
        let pool = self.database.reader();
        B::parked(pool, &self.subscription.name, None, limit.into()).await
    }

    /// Returns the newest `limit` events that were taken; with an event's id or a subject, those
    /// that are still known: claims far below the cursor are not.
    ///
    /// # Errors
    ///
    /// Returns the error of the database.
    pub async fn events(&self, about: Option<&str>, limit: u32) -> sqlx::Result<Vec<TakenEvent>> {
        let (pool, s) = (self.database.reader(), &self.subscription.name);
        match about {
            Some(about) => B::taken_about(pool, s, &in_full(about), limit.into()).await,
            None => B::taken(pool, s, limit.into()).await,
        }
    }

    /// Returns the event that has failed and that has this id, or of this subject: as it was
    /// received, with what was tried, and what waits for it. `None` if none is parked.
    ///
    /// # Errors
    ///
    /// Returns the error of the database.
    pub async fn failed_event(&self, about: &str) -> sqlx::Result<Option<FailedEvent>> {
        let (pool, s) = (self.database.reader(), &self.subscription.name);
        let mut rows = B::parked(pool, s, Some(&in_full(about)), 1).await?;
        let Some(event) = rows.pop().filter(|event| event.reason.is_some()) else {
            return Ok(None);
        };
        let mut waiting = B::parked(pool, s, Some(&event.subject), WAITING).await?;
        waiting.retain(|other| other.reason.is_none());
        let received = B::received(pool, s, &event.id).await?;
        let received: Received = match received.map(|text| serde_json::from_str(&text)) {
            Some(Ok(received)) => received,
            // A newer version has written it, or it was applied just now.
            _ => Received::default(),
        };
        Ok(Some(FailedEvent {
            event_type: received.event_type,
            time: received.time,
            data: received.data,
            attempts: B::attempts(pool, s, &event.id).await?,
            waiting,
            event,
        }))
    }

    /// Returns the decisions about these events alone, newest first.
    ///
    /// # Errors
    ///
    /// Returns the error of the database.
    pub async fn decisions_about(&self, events: &[TakenEvent]) -> sqlx::Result<Vec<Decided>> {
        let texts = events
            .iter()
            .flat_map(|event| ["retry", "skip"].map(|what| format!("{what} {}", event.id)));
        let texts: Vec<String> = texts.collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        B::decisions_of(self.database.reader(), &self.subscription.name, &texts).await
    }

    /// Returns the newest `limit` events without an effect.
    ///
    /// # Errors
    ///
    /// Returns the error of the database.
    pub async fn skipped(&self, limit: u32) -> sqlx::Result<Vec<SkippedEvent>> {
        let pool = self.database.reader();
        B::skipped(pool, &self.subscription.name, limit.into()).await
    }

    /// Returns the newest `limit` decisions.
    ///
    /// # Errors
    ///
    /// Returns the error of the database.
    pub async fn decisions(&self, limit: u32) -> sqlx::Result<Vec<Decided>> {
        let pool = self.database.reader();
        B::decisions(pool, &self.subscription.name, limit.into()).await
    }

    /// Retries a failed event now, by its id or by its subject, and then the later events of that
    /// subject; without either, retries all failed events. Returns the number of events to retry.
    ///
    /// # Errors
    ///
    /// Returns an error if the event is not parked or waits for another one, if `by` is empty, or
    /// if the database failed.
    pub async fn retry(&self, id: Option<&str>, by: &str) -> Result<u64, DecideError> {
        let by = given(by, "the operator's name")?;
        let id = match id {
            Some(about) => Some(self.failed(about).await?.id),
            None => None,
        };
        let id = id.as_deref();
        let mut tx = self.database.begin().await?;
        let events = B::retry_now(&mut tx, &self.subscription.name, id, None).await?;
        let decision = match id {
            Some(id) => format!("retry {id}"),
            None => "retry all".to_owned(),
        };
        self.retries(tx, events, &decision, by).await?;
        Ok(events)
    }

    /// Retries all events that have failed for that [cause](Handle::causes), and then the later events of their
    /// subjects. Returns the number of events to retry.
    ///
    /// # Errors
    ///
    /// Returns an error if no event has failed for it, if `by` is empty, or if the database failed.
    pub async fn retry_cause(&self, cause: &str, by: &str) -> Result<u64, DecideError> {
        let by = given(by, "the operator's name")?;
        let mut tx = self.database.begin().await?;
        let events = B::retry_now(&mut tx, &self.subscription.name, None, Some(cause)).await?;
        if events == 0 {
            return Err(DecideError::NoSuchCause(cause.to_owned()));
        }
        let decision = format!("retry all that failed for: {cause}");
        self.retries(tx, events, &decision, by).await?;
        Ok(events)
    }

    /// Records the decision to retry events, and commits it.
    async fn retries(
        &self,
        mut tx: Transaction<'static, B>,
        events: u64,
        decision: &str,
        by: &str,
    ) -> sqlx::Result<()> {
        let outcome = format!("{events} to be tried again");
        let decided = NewDecision {
            decision,
            reason: None,
            decided_by: by,
            outcome: Some(&outcome),
        };
        B::decide(&mut tx, &self.subscription.name, &decided).await?;
        tx.commit().await?;
        self.notify_instances().await
    }

    /// Returns the `limit` most frequent causes for which events have failed, with their numbers.
    ///
    /// # Errors
    ///
    /// Returns the error of the database.
    pub async fn causes(&self, limit: u32) -> sqlx::Result<Vec<Cause>> {
        B::causes(
            self.database.reader(),
            &self.subscription.name,
            limit.into(),
        )
        .await
    }

    /// Skips the events that have failed for that [cause](Handle::causes) for ever, a thousand at most, and releases
    /// the later events of their subjects. Records the reason and the operator. Returns the number of events.
    ///
    /// # Errors
    ///
    /// Returns an error if no event has failed for it, if `reason` or `by` is empty, or if the database failed.
    pub async fn skip_cause(
        &self,
        cause: &str,
        reason: &str,
        by: &str,
    ) -> Result<u64, DecideError> {
        let by = given(by, "the operator's name")?;
        let reason = given(reason, "the reason")?;
        let s = &self.subscription.name;
        let mut tx = self.database.begin().await?;
        let failed = B::failed_for(&mut tx, s, cause, SKIPPED_AT_ONCE).await?;
        let mut locked = None;
        let mut skips = Vec::new();
        for event in &failed {
            // In order of the partitions, as all transactions lock them. Their owners may be retrying these events.
            if locked != Some(event.partition) {
                B::lock_partition(&mut tx, s, event.partition).await?;
                locked = Some(event.partition);
            }
            if B::unpark(&mut tx, s, &event.id).await? {
                skips.push(Skip {
                    event_id: &event.id,
                    subject: &event.subject,
                    event_type: None,
                    sequence: event.sequence,
                    reason,
                });
            }
        }
        if skips.is_empty() {
            return Err(DecideError::NoSuchCause(cause.to_owned()));
        }
        B::skip(&mut tx, s, &skips, Some(by)).await?;
        let (events, outcome) = (skips.len() as u64, format!("{} skipped", skips.len()));
        let decided = NewDecision {
            decision: &format!("skip all that failed for: {cause}"),
            reason: Some(reason),
            decided_by: by,
            outcome: Some(&outcome),
        };
        B::decide(&mut tx, s, &decided).await?;
        tx.commit().await?;
        warn!("{by} skipped {events} events that had failed for {cause:?}: {reason}");
        self.notify_instances().await?;
        Ok(events)
    }

    /// Skips a failed event for ever, by its id or by its subject, and releases the later events of its subject. Records the
    /// reason and the operator.
    ///
    /// # Errors
    ///
    /// Returns an error if the event is not parked or waits for another one, if `reason` or `by` is
    /// empty, or if the database failed.
    pub async fn skip(&self, id: &str, reason: &str, by: &str) -> Result<(), DecideError> {
        let by = given(by, "the operator's name")?;
        let reason = given(reason, "the reason")?;
        let s = &self.subscription.name;
        let parked = self.failed(id).await?;
        let id = parked.id.as_str();
        let event = B::received(self.database.reader(), s, id).await?;
        let event: Option<Received> = event.and_then(|event| serde_json::from_str(&event).ok());
        let mut tx = self.database.begin().await?;
        // The owner of the partition may be retrying the event now: the lock orders both.
        B::lock_partition(&mut tx, s, parked.partition).await?;
        if !B::unpark(&mut tx, s, id).await? {
            return Err(DecideError::NotParked(id.to_owned()));
        }
        let skip = Skip {
            event_id: id,
            subject: &parked.subject,
            event_type: event.as_ref().and_then(|event| event.event_type.as_deref()),
            sequence: parked.sequence,
            reason,
        };
        B::skip(&mut tx, s, &[skip], Some(by)).await?;
        let decided = NewDecision {
            decision: &format!("skip {id}"),
            reason: Some(reason),
            decided_by: by,
            outcome: Some("skipped"),
        };
        B::decide(&mut tx, s, &decided).await?;
        tx.commit().await?;
        warn!(
            event.id = id,
            event.subject = parked.subject,
            "{by} skipped event {id}: {reason}"
        );
        self.notify_instances().await?;
        Ok(())
    }

    /// Stores a decision for a running instance to execute. Returns its position among the
    /// [decisions](Handle::decisions).
    ///
    /// # Errors
    ///
    /// Returns an error if `by` is empty or the database failed.
    pub async fn decide(&self, decision: Decision, by: &str) -> Result<i64, DecideError> {
        let by = given(by, "the operator's name")?;
        let mut tx = self.database.begin().await?;
        let decided = NewDecision {
            decision: &decision.to_string(),
            reason: None,
            decided_by: by,
            outcome: None,
        };
        let position = B::decide(&mut tx, &self.subscription.name, &decided).await?;
        tx.commit().await?;
        self.notify_instances().await?;
        Ok(position)
    }

    /// Returns the parked event with that id, or the first one of that subject, if it failed itself.
    async fn failed(&self, about: &str) -> Result<ParkedEvent, DecideError> {
        let about = in_full(about);
        let pool = self.database.reader();
        let mut rows = B::parked(pool, &self.subscription.name, Some(&about), 1).await?;
        match rows.pop() {
            None => Err(DecideError::NotParked(about.into_owned())),
            Some(row) if row.reason.is_none() => Err(DecideError::Waits(row.id, row.subject)),
            Some(row) => Ok(row),
        }
    }

    /// Returns the result of the last reconciliation, if there was one.
    ///
    /// # Errors
    ///
    /// Returns the error of the database.
    pub async fn reconciliation(&self) -> sqlx::Result<Option<Reconciliation>> {
        let stored = B::reconciled(self.database.reader(), &self.subscription.name).await?;
        // Ignore a result that another version stored in another form.
        Ok(stored.and_then(|text| serde_json::from_str(&text).ok()))
    }
}

/// The most events that one transaction skips.
const SKIPPED_AT_ONCE: i64 = 1000;

/// Waiting events that are shown with the one that they wait for.
const WAITING: i64 = 1000;

/// A parked event that has failed itself.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(JsonSchema))]
pub struct FailedEvent {
    /// The event.
    #[serde(flatten)]
    pub event: ParkedEvent,
    /// The `CloudEvents` type, if the feed gives one.
    #[serde(rename = "type")]
    pub event_type: Option<String>,
    /// When it happened.
    pub time: DateTime<Utc>,
    /// The body: JSON text for feed-core's feeds, the entry's content for others.
    pub data: String,
    /// The last attempts, newest first.
    #[serde(rename = "tried")]
    pub attempts: Vec<Attempt>,
    /// The later events of its subject, which wait for it.
    #[serde(rename = "waiting_for_it")]
    pub waiting: Vec<ParkedEvent>,
}

/// Returns an event's id as Atom has it. The id of a CloudEvent and the address of the data are without `urn:uuid:`.
fn in_full(id: &str) -> Cow<'_, str> {
    match id.len() == Hyphenated::LENGTH && Uuid::try_parse(id).is_ok() {
        true => format!("urn:uuid:{}", id.to_ascii_lowercase()).into(),
        false => id.into(),
    }
}

/// Returns the text without surrounding blanks, unless it is empty.
pub(super) fn given<'a>(text: &'a str, what: &'static str) -> Result<&'a str, DecideError> {
    match text.trim() {
        "" => Err(DecideError::Missing(what)),
        text => Ok(text),
    }
}
