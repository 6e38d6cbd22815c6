//! What people and their programs see of a consumer, and what wakes it up.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Serialize, Serializer};

use super::{Context, Effect, PollError, Polled};
use crate::event::Sequence;
use crate::store::Backend;
use crate::store::consume::{ParkedRow, Standing};

/// Parked events shown at once.
const SHOWN: i64 = 100;

/// How a subscription stands.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// The address of the feed.
    pub feed: String,
    /// The feed's incarnation; `null` before the first event.
    pub epoch: Option<String>,
    /// The last event taken, in the partition that has got least far.
    pub sequence: Sequence,
    /// The newest event seen in the feed.
    pub head: Sequence,
    /// How far behind we are.
    pub lag: Lag,
    /// Events that failed and wait for a retry or a person.
    pub parked: i64,
    /// Later events of their subjects, which wait for them.
    pub waiting: i64,
    /// Why nothing moves until a person decides; `null`: all is well.
    pub halted: Option<String>,
    /// When the feed last answered any instance.
    #[serde(serialize_with = "instant")]
    pub last_contact: Option<DateTime<Utc>>,
    /// What went wrong in the last round; `null`: nothing.
    pub last_error: Option<String>,
    /// Instances alive.
    pub instances: i64,
}

/// How far a subscription is behind its feed.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Lag {
    /// Events not yet taken.
    pub events: i64,
    /// The age of the last event taken, while there are newer ones: at least that of the oldest
    /// one not yet taken. Zero if there are none.
    pub seconds: i64,
}

/// A parked event.
#[derive(Debug, Clone, Serialize)]
pub struct ParkedEvent {
    /// The event's id.
    pub id: String,
    /// What it is about.
    pub subject: String,
    /// Its place in the feed.
    pub sequence: Option<Sequence>,
    /// Why it failed; `null`: it waits for an earlier event of its subject.
    pub reason: Option<String>,
    /// How often it was tried.
    pub attempts: i64,
    /// Since when it is parked.
    #[serde(serialize_with = "moment")]
    pub parked_at: DateTime<Utc>,
    /// When it is tried again; `null`: when a person says so.
    #[serde(serialize_with = "instant")]
    pub retry_at: Option<DateTime<Utc>>,
}

fn instant<S: Serializer>(at: &Option<DateTime<Utc>>, serializer: S) -> Result<S::Ok, S::Error> {
    at.as_ref().map(text).serialize(serializer)
}

fn moment<S: Serializer>(at: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    text(at).serialize(serializer)
}

fn text(at: &DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// A handle on a running consumer.
#[derive(Clone)]
pub struct Handle(Arc<dyn Watched>);

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handle")
    }
}

type Answer<'a, T> = Pin<Box<dyn Future<Output = sqlx::Result<T>> + Send + 'a>>;

/// A consumer, whatever its backend and effect.
trait Watched: Send + Sync {
    fn poll_now(&self);
    fn status(&self) -> Answer<'_, Status>;
    fn parked(&self) -> Answer<'_, Vec<ParkedEvent>>;
}

impl Handle {
    pub(super) fn new<B: Backend, E: Effect<B>>(context: &Arc<Context<B, E>>) -> Self {
        Self(Arc::clone(context) as Arc<dyn Watched>)
    }

    /// Has the consumer poll at once.
    pub fn poll_now(&self) {
        self.0.poll_now();
    }

    /// How the subscription stands.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub async fn status(&self) -> sqlx::Result<Status> {
        self.0.status().await
    }

    /// The oldest hundred parked events.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub async fn parked(&self) -> sqlx::Result<Vec<ParkedEvent>> {
        self.0.parked().await
    }
}

impl<B: Backend, E: Effect<B>> Watched for Context<B, E> {
    fn poll_now(&self) {
        self.leases.wake.notify_one();
    }

    fn status(&self) -> Answer<'_, Status> {
        Box::pin(async {
            let pool = self.database.reader();
            let mut standing = B::standing(pool, &self.subscription.name).await?;
            // What we know ourselves is newer than what we wrote with the last renewal.
            let own = self.heartbeat(|heartbeat| heartbeat.clone());
            standing.head = standing.head.max(own.head_sequence);
            standing.last_contact = standing.last_contact.max(own.last_contact);
            standing.last_error = own.last_error.or(standing.last_error);
            Ok(status_of(standing, self.subscription.feed_url.to_string()))
        })
    }

    fn parked(&self) -> Answer<'_, Vec<ParkedEvent>> {
        Box::pin(async {
            let pool = self.database.reader();
            let rows = B::parked(pool, &self.subscription.name, SHOWN).await?;
            Ok(rows.into_iter().map(parked_of).collect())
        })
    }
}

impl<B: Backend, E: Effect<B>> Context<B, E> {
    /// Notes how a round ended, and logs it where it differs from the one before.
    pub(super) fn note(&self, round: &Result<Polled, PollError>) {
        let name = &self.subscription.name;
        let failures = self.heartbeat(|heartbeat| {
            let before = heartbeat.failures;
            heartbeat.failures = if round.is_err() { before + 1 } else { 0 };
            heartbeat.last_error = round.as_ref().err().map(|error| chain(error));
            before
        });
        match round {
            Err(error) if failures == 0 => tracing::warn!(
                error = error as &dyn std::error::Error,
                "cannot follow {name}; trying again until it works"
            ),
            Err(error) => tracing::debug!(error = error as &dyn std::error::Error, "still failing"),
            Ok(_) if failures > 0 => tracing::info!("following {name} again"),
            Ok(_) => {}
        }
    }

    /// Rounds that failed in a row.
    pub(super) fn failures(&self) -> u32 {
        self.heartbeat(|heartbeat| heartbeat.failures)
    }
}

/// An error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

fn status_of(standing: Standing, feed: String) -> Status {
    let head = standing.head.unwrap_or(0).max(standing.sequence);
    let events = head - standing.sequence;
    let behind = standing.updated.filter(|_| events > 0);
    Status {
        feed,
        epoch: standing.epoch,
        sequence: standing.sequence,
        head,
        lag: Lag {
            events,
            seconds: behind.map_or(0, |updated| (standing.now - updated).num_seconds().max(0)),
        },
        parked: standing.parked,
        waiting: standing.waiting,
        halted: standing.halted,
        last_contact: standing.last_contact,
        last_error: standing.last_error,
        instances: standing.instances,
    }
}

fn parked_of(row: ParkedRow) -> ParkedEvent {
    ParkedEvent {
        id: row.event_id,
        subject: row.subject,
        sequence: row.sequence,
        reason: row.reason,
        attempts: row.attempts,
        parked_at: row.parked_at,
        retry_at: row.retry_at,
    }
}
