//! Shows a subscription to operators and their programs, with or without a running consumer.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

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
use crate::store::operate::{Decided, NewDecision, ParkedEvent, Skip, SkippedEvent, TakenEvent};
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
    async fn notify_instances(&self) -> sqlx::Result<()> {
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

    /// Returns the newest `limit` events that were taken; with an id, that event, if its claim
    /// still exists.
    ///
    /// # Errors
    ///
    /// Returns the error of the database.
    pub async fn events(&self, id: Option<&str>, limit: u32) -> sqlx::Result<Vec<TakenEvent>> {
        let id = id.map(in_full);
        let id = id.as_deref();
        let pool = self.database.reader();
        B::taken(pool, &self.subscription.name, id, limit.into()).await
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

    /// Retries a failed event now, and then the later events of its subject; without an id, retries
    /// all failed events. Returns the number of events to retry.
    ///
    /// # Errors
    ///
    /// Returns an error if the event is not parked or waits for another one, if `by` is empty, or
    /// if the database failed.
    pub async fn retry(&self, id: Option<&str>, by: &str) -> Result<u64, DecideError> {
        let by = given(by, "the operator's name")?;
        let id = id.map(in_full);
        let id = id.as_deref();
        if let Some(id) = id {
            self.failed(id).await?;
        }
        let mut tx = self.database.begin().await?;
        let events = B::retry_now(&mut tx, &self.subscription.name, id).await?;
        let decision = match id {
            Some(id) => format!("retry {id}"),
            None => "retry all".to_owned(),
        };
        let outcome = format!("{events} to be tried again");
        let decided = NewDecision {
            decision: &decision,
            reason: None,
            decided_by: by,
            outcome: Some(&outcome),
        };
        B::decide(&mut tx, &self.subscription.name, &decided).await?;
        tx.commit().await?;
        self.notify_instances().await?;
        Ok(events)
    }

    /// Skips a failed event for ever and releases the later events of its subject. Records the
    /// reason and the operator.
    ///
    /// # Errors
    ///
    /// Returns an error if the event is not parked or waits for another one, if `reason` or `by` is
    /// empty, or if the database failed.
    pub async fn skip(&self, id: &str, reason: &str, by: &str) -> Result<(), DecideError> {
        let by = given(by, "the operator's name")?;
        let reason = given(reason, "the reason")?;
        let id = &*in_full(id);
        let s = &self.subscription.name;
        let parked = self.failed(id).await?;
        let event: Option<Received> = serde_json::from_str(&parked.event).ok();
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

    /// Returns the parked event with that id, if it failed itself.
    async fn failed(&self, id: &str) -> Result<ParkedEvent, DecideError> {
        let pool = self.database.reader();
        let mut rows = B::parked(pool, &self.subscription.name, Some(id), 1).await?;
        match rows.pop() {
            None => Err(DecideError::NotParked(id.to_owned())),
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

/// Returns an event's id as Atom has it. The id of a CloudEvent and the address of the data are without `urn:uuid:`.
fn in_full(id: &str) -> Cow<'_, str> {
    match id.len() == Hyphenated::LENGTH && Uuid::try_parse(id).is_ok() {
        true => format!("urn:uuid:{}", id.to_ascii_lowercase()).into(),
        false => id.into(),
    }
}

/// Returns the text without surrounding blanks, unless it is empty.
fn given<'a>(text: &'a str, what: &'static str) -> Result<&'a str, DecideError> {
    match text.trim() {
        "" => Err(DecideError::Missing(what)),
        text => Ok(text),
    }
}
