//! The other side: polls a feed, claims each event in its own database, and commits its effect in
//! the same transaction.
//!
//! In reading order. What a feed says: `fetch` asks it, within bounds, each time by a `request` with our
//! `credentials`, through a `proxy` if there is one; `wait` says how long the server may hold it back, `freshness` how
//! long its answer is enough; `body` and `charset` decode
//! the answer, `reader` and `document` read it; `address` resolves its links;
//! `content` gets the data. The way through it: a round
//! (`poll`) asks the head, and goes `forward` from our `place` where it numbers its events, or `back`
//! to what it showed before (`window`) where it does not. What becomes of events: `apply` is the batch transaction,
//! `effect` calls the effect, `verdict` says whose fault a failure was, `parked` keeps what failed, `retry`
//! tries it again. Beside it: `lease` knows which share is ours, `sweep` removes old claims, `note` says
//! how it goes, `measure` counts. People: they look and decide through a [`Handle`] (`handle`, `decide`), on pages (`http`) and from the command line ([`command`]);
//! `carry_out` does what needs the feed; [`fn@reconcile`] compares.

mod address;
mod ahead;
mod body;
mod charset;
mod content;
mod credentials;
mod document;
mod fetch;
mod fetch_error;
mod freshness;
mod media_type;
mod proxy;
mod reader;
mod request;
mod wait;

mod back;
mod forward;
mod place;
mod poll;
mod window;

mod apply;
mod effect;
mod parked;
mod retry;
mod verdict;

mod lease;
mod measure;
mod note;
mod sweep;

mod carry_out;
mod decide;
mod handle;
mod reconcile;

#[cfg(any(test, feature = "fuzz"))]
#[doc(hidden)]
pub mod fuzz;

#[cfg(feature = "bench")]
#[doc(hidden)]
pub mod bench;

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sqlx::Transaction;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::database::Database;
use crate::database::patience::{STATEMENT, TRANSACTION, within};
use crate::event::Sequence;
use crate::store::consume::CHANNEL;
use crate::store::{Backend, DatabaseError};

pub use address::RefusedLink;
pub use charset::Undecodable;
pub use credentials::FeedCredentials;
pub use decide::{DecideError, Decision, From, InvalidDecision};
pub use document::InvalidDocument;
pub use fetch::FetchError;
pub use handle::{Decided, Handle, Lag, Outcome, ParkedEvent, SkippedEvent, Status, TakenEvent};
pub use poll::{PollError, Polled};
pub use proxy::{FeedProxy, InvalidProxy, in_environment as proxies_in_environment};
pub use reconcile::{Cited, Difference, Reconcile, ReconcileError, Reconciliation, reconcile};
pub use verdict::without_value;

/// An event as it arrived from a feed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// The entry's `atom:id`; compared character by character (RFC 4287, 4.2.6.1).
    pub id: String,
    /// The `CloudEvents` type, if the feed gives one.
    pub event_type: Option<String>,
    /// What it is about; the entry's id where the feed does not say.
    pub subject: String,
    /// Its place in the feed, if the feed numbers its events.
    pub sequence: Option<Sequence>,
    /// When it happened.
    pub time: DateTime<Utc>,
    /// The body: JSON text for our own feeds, whatever the entry holds for others.
    pub data: String,
    /// The W3C trace context of the request that caused it.
    pub traceparent: Option<String>,
}

/// What a service does with the events of another one.
///
/// # Limits
///
/// One call may take [ten seconds](Effect::time_limit). After that it is cut off where it next waits, its statement is
/// cancelled, and its event is retried later. On SQLite it keeps all other writers waiting for as long as it runs.
///
/// The transaction is the consumer's, and holds the claims of the events: an effect must not end it. `COMMIT` is
/// refused, and so is, on SQLite, every statement after a `ROLLBACK`; on PostgreSQL such a statement is committed at
/// once, and again when the event is retried. `SET CONSTRAINTS ALL IMMEDIATE` is refused as well: name the constraints.
/// Savepoints are fine.
///
/// An effect returns the error of each statement that fails. After one that it hides, PostgreSQL cannot commit the
/// transaction, and the event counts as failed.
pub trait Effect<B: Backend>: Send + Sync + 'static {
    /// Applies `events`, in sequence, inside `tx`. Claims, effects and cursor commit together or
    /// not at all, so an effect stands once, however often it is tried (I5).
    ///
    /// Give the effect a second guard of its own, such as a unique order id.
    ///
    /// Returns the events that it had nothing to do for: of a type it does not know, or about
    /// something that is not here.
    ///
    /// # Errors
    ///
    /// A batch that fails is rolled back, and its events come again one by one; the [error](EffectError) of a
    /// single event decides what becomes of it. A panic parks it.
    fn apply(
        &self,
        tx: &mut Transaction<'_, B>,
        events: &[Received],
    ) -> impl Future<Output = Result<Vec<PassedOver>, EffectError>> + Send;

    /// The longest time for one call of [`apply`](Effect::apply), with a batch or with one event. At most ten
    /// seconds, which is the default; more counts as ten.
    fn time_limit(&self) -> Duration {
        effect::LONGEST_CALL
    }

    /// True for an event that says that the data of the earlier events of its subject is erased, as
    /// when a person is to be forgotten, and that holds what is left of it: its data takes the place
    /// of theirs where they are parked, and they are tried again with that.
    fn erases(&self, event: &Received) -> bool {
        let _ = event;
        false
    }
}

/// An event that an effect had nothing to do for. It is recorded with the reason, so that each
/// event has an effect or a record that says why not (I5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassedOver {
    /// The event's id, as received.
    pub event_id: String,
    /// Why: `an event of type order.painted, which is unknown here`.
    pub reason: String,
}

impl Received {
    /// Reads the data, which is JSON.
    ///
    /// ```
    /// # use feed_core::{EffectError, Received};
    /// #[derive(serde::Deserialize)]
    /// struct Order {
    ///     id: i64,
    /// }
    ///
    /// fn order_of(event: &Received) -> Result<i64, EffectError> {
    ///     Ok(event.json::<Order>()?.id)
    /// }
    /// # let (data, time) = ("{}".to_owned(), chrono::Utc::now());
    /// # let event = Received { id: "17".into(), event_type: None, subject: "17".into(),
    /// #     sequence: None, time, data, traceparent: None };
    /// # assert!(matches!(order_of(&event), Err(EffectError::Park(_))));
    /// ```
    ///
    /// # Errors
    ///
    /// It is not what `T` needs: the event is to be parked until somebody mends the cause.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, EffectError> {
        serde_json::from_str(&self.data).map_err(|error| {
            EffectError::Park(format!("cannot read the data: {}", without_value(&error)))
        })
    }

    /// Says that there is nothing to do for this event, and why.
    #[must_use]
    pub fn passed_over(&self, reason: impl Into<String>) -> PassedOver {
        PassedOver {
            event_id: self.id.clone(),
            reason: reason.into(),
        }
    }
}

/// Why an event could not be applied, and so what is to become of it. Either way later events of
/// its subject wait for it, and all others go on (I7).
#[derive(Debug, thiserror::Error)]
pub enum EffectError {
    /// It may work in a while: it is tried again with growing pauses, and then left to a person.
    #[error("{0}")]
    Retry(String),
    /// It will not work until somebody mends the cause.
    #[error("{0}")]
    Park(String),
    /// A statement failed, or its answer could not be used. It is the event's failure, unless the database says
    /// that it is the cause:
    ///
    /// | the error | what becomes of the event |
    /// |---|---|
    /// | SQLSTATE classes 40, 53, 57 (but 57014, 53400), 25006, 58000, 58030; SQLite's `BUSY`, `LOCKED`, `FULL`, `IOERR`, `READONLY`, `CANTOPEN`, `CORRUPT`, `NOTADB`, `NOMEM`, `PERM`, `PROTOCOL`, `NOLFS` | The round stops, and the same events come again. After twelve rounds in a row: retried. |
    /// | I/O, TLS, protocol, pool, class 08 | The same if the transaction's connection does not answer; else: retried. |
    /// | no row, a foreign key, a statement or lock timeout, all else | Retried, as with [`Retry`](Self::Retry). |
    /// | a value or column that cannot be decoded; classes 0A, 21, 22, 23, 42; SQLite's `ERROR`, `CONSTRAINT`, `MISMATCH`, `TOOBIG`, `RANGE` | Parked until a person decides, as with [`Park`](Self::Park). |
    #[error("the database refused the effect")]
    Database(#[from] sqlx::Error),
}

/// Which feed is consumed, and how.
#[derive(Debug, Clone)]
pub struct Subscription {
    /// The name of the subscription in the consumer's database: `order`.
    pub name: String,
    /// The address of the feed.
    pub feed_url: Url,
    /// What is shown to the feed, if it asks for credentials.
    pub credentials: Option<FeedCredentials>,
    /// The proxy through which the feed is read; `None`: there is none, whatever the environment says.
    pub proxy: Option<FeedProxy>,
    /// The pause after a poll that found nothing and could not wait at the server.
    pub poll_interval: Duration,
    /// The name of this instance; made unique for each start.
    pub instance: String,
    /// What the log says behind the reason of a halt: what to do.
    pub if_halted: &'static str,
}

impl Subscription {
    /// A subscription to the feed at `feed_url`, which asks once a second where it cannot wait at
    /// the server.
    #[must_use]
    pub fn new(name: impl Into<String>, feed_url: Url) -> Self {
        Self {
            name: name.into(),
            feed_url,
            credentials: None,
            proxy: None,
            poll_interval: Duration::from_secs(1),
            instance: "consumer".to_owned(),
            if_halted: "it goes on when an operator resumes it (Decision::Resume)",
        }
    }
}

/// One instance of a consumer.
#[derive(Debug)]
pub struct Consumer<B: Backend, E> {
    context: Arc<Context<B, E>>,
    source: fetch::Source,
    place: place::Place,
    /// How long the last head is fresh.
    fresh: Duration,
    /// True if the last round ended before the feed did: the next one goes on there.
    more: bool,
    /// When we said last how far we have come.
    said: Option<Instant>,
    /// The decision that was to be carried out last, and could not.
    tried: Option<i64>,
}

/// What one instance knows of itself, shared by its tasks.
#[derive(Debug)]
struct Context<B: Backend, E> {
    database: Database<B>,
    effect: E,
    subscription: Subscription,
    /// Unique for each start: the owner in leases.
    instance: String,
    leases: Arc<lease::Leases>,
    counts: Arc<measure::Counts>,
    suspects: Mutex<effect::Suspects>,
    shutdown: CancellationToken,
}

impl<B: Backend, E: Effect<B>> Consumer<B, E> {
    /// Opens the subscription in `database`, at the beginning of the feed where it is new.
    ///
    /// # Errors
    ///
    /// The database is out of reach.
    pub async fn open(
        database: Database<B>,
        subscription: Subscription,
        effect: E,
        shutdown: CancellationToken,
    ) -> Result<Self, DatabaseError> {
        let name = &subscription.name;
        let subscribed = B::subscribe(database.writer(), name, lease::PARTITIONS);
        within(STATEMENT, subscribed).await?;
        let instance = format!("{}-{:08x}", subscription.instance, fastrand::u32(..));
        let source = fetch::Source::new(
            subscription.feed_url.clone(),
            subscription.credentials.clone(),
            subscription.proxy.clone(),
        );
        let consumer = Self {
            context: Arc::new(Context {
                database,
                effect,
                subscription,
                instance,
                leases: Arc::default(),
                counts: Arc::default(),
                suspects: Mutex::default(),
                shutdown,
            }),
            source,
            place: place::Place::new(),
            fresh: Duration::ZERO,
            more: false,
            said: None,
            tried: None,
        };
        within(TRANSACTION, consumer.context.tend()).await?;
        // Those who have more than their share now need not find out by themselves.
        let notified = B::notify(consumer.context.database.writer(), CHANNEL);
        within(STATEMENT, notified).await?;
        let orders = consumer.context.leases.orders.borrow().clone();
        if let Some(reason) = orders.halted {
            let Subscription {
                name, if_halted, ..
            } = &consumer.context.subscription;
            tracing::error!("the subscription {name} is still halted: {reason}; {if_halted}");
        }
        Ok(consumer)
    }

    /// What people and their programs look at, and what wakes the consumer up.
    #[must_use]
    pub fn handle(&self) -> Handle<B> {
        Handle::of(&self.context)
    }

    /// What stops it when cancelled.
    #[must_use]
    pub fn shutdown(&self) -> CancellationToken {
        self.context.shutdown.clone()
    }

    /// Polls until `shutdown`, then finishes the batch in hand and gives its partitions back.
    pub async fn run(mut self) {
        let (keeper, sweeper) = (Arc::clone(&self.context), Arc::clone(&self.context));
        // They end with this future, also where it is dropped: leases that are kept without
        // anybody at work would look alive.
        let mut beside = JoinSet::new();
        beside.spawn(async move { keeper.keep_leases().await });
        beside.spawn(async move { sweeper.sweep_claims().await });
        let stop = self.context.shutdown.clone();
        while !stop.is_cancelled() {
            // A round that is left behind leaves no transaction: those run in tasks of their own,
            // and closing the database waits for them.
            let round = tokio::select! {
                round = self.poll_once() => round,
                () = stop.cancelled() => break,
                Some(ended) = beside.join_next() => {
                    // Without them we would look fine until the leases are over, and stand still.
                    assert!(stop.is_cancelled(), "a task of the consumer has ended: {ended:?}");
                    break;
                }
            };
            self.context.note(&round);
            let pause = self.pause_after(&round);
            self.context.is_quiet(&round, pause);
            let idle = matches!(round, Ok(Polled::LeasedElsewhere | Polled::Halted));
            self.pause(pause, idle).await;
        }
        while beside.join_next().await.is_some() {}
        if let Err(error) = self.leave().await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "left leases behind"
            );
        }
    }

    /// Stores how far we are and gives all partitions back, so that others need not wait.
    async fn leave(&mut self) -> Result<(), PollError> {
        if self.place.store_by().is_some() && !self.place.is_forgotten() {
            self.store_place().await?;
        }
        Ok(self.context.leave().await?)
    }
}
