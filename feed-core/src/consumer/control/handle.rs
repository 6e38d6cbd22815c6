//! Shows a subscription to operators and their programs, with or without a running consumer.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use chrono::{DateTime, Utc};
#[cfg(feature = "schemars")]
use schemars::JsonSchema;
use serde::Serialize;
use tracing::warn;
use url::Url;
use uuid::Uuid;
use uuid::fmt::Hyphenated;

use super::reconcile::report::Reconciliation;
use super::selection::Selection;
use super::status::{Status, status_of};
use crate::consumer::measured::counts::Counts;
use crate::consumer::progress::leases::Leases;
use crate::consumer::received::Received;
use crate::consumer::source::redact::redact_url;
use crate::consumer::subscription::Subscription;
use crate::database::Database;
use crate::event::Sequence;
use crate::http::with_causes;
use crate::partition::PARTITIONS;
use crate::store::consume::CHANNEL;
use crate::store::decide::{Cause, Decided};
use crate::store::operate::{Attempt, ParkedEvent, SkippedEvent, TakenEvent};
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
        let subscribed = B::subscribe(database.writing(), &subscription.name, PARTITIONS);
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
        database
            .statement(B::subscriptions(database.reader()))
            .await
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

    /// Notifies the instances of a decision that is stored: that succeeds also if the notification fails, since they
    /// look by themselves when they renew their leases.
    pub(super) async fn notify_instances(&self) {
        if let Some(leases) = &self.leases {
            leases.look_now();
        }
        let notified = B::notify(self.database.writing(), CHANNEL);
        if let Err(error) = self.database.statement(notified).await {
            self.database.learn_from(&error);
            let s = &self.subscription.name;
            warn!(
                error = with_causes(&error),
                "cannot notify the instances of {s} of a decision; they find it within seconds"
            );
        }
    }

    /// Returns the state of the subscription.
    ///
    /// # Errors
    ///
    /// Returns the error of the database.
    pub async fn status(&self) -> sqlx::Result<Status> {
        let state = B::subscription_state(self.database.reader(), &self.subscription.name);
        let mut state = self.database.statement(state).await?;
        let ours = redact_url(&self.subscription.feed_url);
        // The state in this process is newer than the row of the last renewal.
        if let Some(leases) = &self.leases {
            let own = leases.heartbeat(|heartbeat| heartbeat.clone());
            state.reported.add(&own);
            state.last_error = own.last_error.or(state.last_error);
            state.feed = Some(ours.clone());
        }
        let feed = state.feed.take().unwrap_or(ours);
        Ok(status_of(state, feed))
    }

    /// Returns why the subscription is halted, if it is: in less time than the whole [`status`](Handle::status).
    ///
    /// # Errors
    ///
    /// Returns the error of the database.
    pub async fn halted(&self) -> sqlx::Result<Option<String>> {
        let halted = B::halted(self.database.reader(), &self.subscription.name);
        self.database.statement(halted).await
    }

    /// Returns true if nothing was ever taken, parked or resumed. The subscription may then begin at the newest event, by
    /// [`ResumeFrom::Now`](super::decision::ResumeFrom::Now).
    ///
    /// # Errors
    ///
    /// Returns the error of the database.
    pub async fn is_new(&self) -> sqlx::Result<bool> {
        let is_new = B::is_new(self.database.reader(), &self.subscription.name);
        self.database.statement(is_new).await
    }

    /// Returns the oldest `limit` parked events.
    ///
    /// # Errors
    ///
    /// Returns the error of the database.
    pub async fn parked(&self, limit: u32) -> sqlx::Result<Vec<ParkedEvent>> {
        let (pool, s) = (self.database.reader(), &self.subscription.name);
        let parked = B::parked(pool, s, limit.into());
        self.database.statement(parked).await
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
            Some(about) => self.taken_about(about, None, limit).await,
            None => {
                let taken = B::taken(pool, s, limit.into());
                self.database.statement(taken).await
            }
        }
    }

    /// Returns the `limit` events below that sequence that were taken, by sequence, highest first: so all of them can be
    /// listed, part by part; with an event's id or a subject, those of it. Events of a feed without sequences are not
    /// among them.
    ///
    /// # Errors
    ///
    /// Returns the error of the database.
    pub async fn events_before(
        &self,
        about: Option<&str>,
        before: Sequence,
        limit: u32,
    ) -> sqlx::Result<Vec<TakenEvent>> {
        let (pool, s) = (self.database.reader(), &self.subscription.name);
        match about {
            Some(about) => self.taken_about(about, Some(before), limit).await,
            None => {
                let taken = B::taken_before(pool, s, before, limit.into());
                self.database.statement(taken).await
            }
        }
    }

    pub(super) async fn taken_about(
        &self,
        about: &str,
        before: Option<Sequence>,
        limit: u32,
    ) -> sqlx::Result<Vec<TakenEvent>> {
        let forms = forms(about);
        let forms: Vec<&str> = forms.iter().map(AsRef::as_ref).collect();
        let (pool, s) = (self.database.reader(), &self.subscription.name);
        let taken = B::taken_about(pool, s, &forms, before, limit.into());
        self.database.statement(taken).await
    }

    /// Returns the first parked events with this id or subject.
    pub(super) async fn parked_about(
        &self,
        about: &str,
        limit: i64,
    ) -> sqlx::Result<Vec<ParkedEvent>> {
        let forms = forms(about);
        let forms: Vec<&str> = forms.iter().map(AsRef::as_ref).collect();
        let (pool, s) = (self.database.reader(), &self.subscription.name);
        let parked = B::parked_about(pool, s, &forms, limit);
        self.database.statement(parked).await
    }

    /// Returns the event that has failed and that has this id, or of this subject: as it was
    /// received, with what was tried, and what waits for it. `None` if none is parked.
    ///
    /// # Errors
    ///
    /// Returns the error of the database.
    pub async fn failed_event(&self, about: &str) -> sqlx::Result<Option<FailedEvent>> {
        let (database, s) = (&self.database, &self.subscription.name);
        let pool = database.reader();
        let mut rows = self.parked_about(about, 1).await?;
        let Some(mut event) = rows.pop().filter(|event| event.reason.is_some()) else {
            return Ok(None);
        };
        let subject = [&*event.subject];
        let waiting = B::parked_about(pool, s, &subject, WAITING);
        let mut waiting = database.statement(waiting).await?;
        waiting.retain(|other| other.reason.is_none());
        let received = database.statement(B::received(pool, s, &event.id)).await?;
        let received: Received = match received.map(|text| serde_json::from_str(&text)) {
            Some(Ok(received)) => received,
            // A newer version has written it, or it was applied just now.
            _ => Received::default(),
        };
        event.event_type = event.event_type.or(received.event_type);
        Ok(Some(FailedEvent {
            time: received.time,
            data: received.data,
            attempts: database.statement(B::attempts(pool, s, &event.id)).await?,
            waiting,
            event,
        }))
    }

    /// Returns the decisions about these events, newest first: about one of them alone, about many, if it has skipped one of
    /// them or was the last to retry one that is still parked, and the undo of those.
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
        let ids: Vec<&str> = events.iter().map(|event| event.id.as_str()).collect();
        let (pool, s) = (self.database.reader(), &self.subscription.name);
        let decided = B::decisions_of(pool, s, &texts, &ids);
        self.database.statement(decided).await
    }

    /// Returns the newest `limit` events without an effect.
    ///
    /// # Errors
    ///
    /// Returns the error of the database.
    pub async fn skipped(&self, limit: u32) -> sqlx::Result<Vec<SkippedEvent>> {
        let (pool, s) = (self.database.reader(), &self.subscription.name);
        let skipped = B::skipped(pool, s, limit.into());
        self.database.statement(skipped).await
    }

    /// Returns the newest `limit` decisions.
    ///
    /// # Errors
    ///
    /// Returns the error of the database.
    pub async fn decisions(&self, limit: u32) -> sqlx::Result<Vec<Decided>> {
        let (pool, s) = (self.database.reader(), &self.subscription.name);
        let decided = B::decisions(pool, s, limit.into());
        self.database.statement(decided).await
    }

    /// Returns the `limit` most frequent causes for which events have failed, with their numbers.
    ///
    /// # Errors
    ///
    /// Returns the error of the database.
    pub async fn causes(&self, limit: u32) -> sqlx::Result<Vec<Cause>> {
        let (pool, s) = (self.database.reader(), &self.subscription.name);
        let all = Selection::default();
        let causes = B::causes(pool, s, &all, limit.into());
        self.database.statement(causes).await
    }

    /// Returns the result of the last reconciliation, if there was one; of an earlier one with differences, if those of a
    /// part since then had none.
    ///
    /// # Errors
    ///
    /// Returns the error of the database.
    pub async fn reconciliation(&self) -> sqlx::Result<Option<Reconciliation>> {
        let stored = B::reconciled(self.database.reader(), &self.subscription.name);
        let stored = self.database.statement(stored).await?;
        // Ignore a result that another version stored in another form.
        Ok(stored.and_then(|text| serde_json::from_str(&text).ok()))
    }
}

/// Waiting events that are shown with the one that they wait for.
const WAITING: i64 = 1000;

/// A parked event that has failed itself.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(JsonSchema))]
pub struct FailedEvent {
    /// The event.
    #[serde(flatten)]
    pub event: ParkedEvent,
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

/// Returns what may name an event or a subject: the text, and its id as our feeds have it. The id of a CloudEvent and the address
/// of the data are without `urn:uuid:`, and a UUID may have capital letters (RFC 9562).
pub(super) fn forms(about: &str) -> Vec<Cow<'_, str>> {
    const URN: &str = "urn:uuid:";
    let is_urn = |start: &str| start.eq_ignore_ascii_case(URN);
    let uuid = match about.split_at_checked(URN.len()) {
        Some((start, uuid)) if is_urn(start) => uuid,
        _ => about,
    };
    let mut forms = vec![Cow::from(about)];
    if uuid.len() == Hyphenated::LENGTH && Uuid::try_parse(uuid).is_ok() {
        let urn = format!("{URN}{}", uuid.to_ascii_lowercase());
        if urn != about {
            forms.push(urn.into());
        }
    }
    forms
}

#[cfg(test)]
mod tests {
    use super::forms;

    #[test]
    fn an_id_has_several_forms() {
        let urn = "urn:uuid:0190a000-0000-7000-8000-00000000000a";
        let bare = &urn["urn:uuid:".len()..];
        for form in [bare, &bare.to_uppercase(), &urn.to_uppercase()] {
            assert_eq!(forms(form), [form, urn]);
        }
        for alone in [
            urn,
            "order/17",
            "",
            "urn:uuid:",
            "urn:isbn:x",
            "\u{fc}rn:uuid:",
        ] {
            assert_eq!(forms(alone), [alone]);
        }
    }
}
