//! The other side: polls a feed, claims each event in its own database, and commits its effect in
//! the same transaction.

mod apply;
mod control;
mod progress;
mod round;
mod source;

mod effect;
mod received;
mod sanitize;
mod subscription;

pub mod command;
mod http;
mod measure;

#[cfg(any(test, feature = "fuzz"))]
#[doc(hidden)]
pub mod fuzz;

#[cfg(feature = "bench")]
#[doc(hidden)]
pub mod bench;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use apply::call_effect::Suspects;
use measure::Counts;
use progress::cursors::Cursors;
use progress::leases::{Leases, PARTITIONS};
use source::fetch::Source;

use crate::database::Database;
use crate::database::patience::{STATEMENT, TRANSACTION, within};
use crate::store::consume::CHANNEL;
use crate::store::{Backend, DatabaseError};

pub(crate) use command::WHAT_TO_DO;
pub use control::decision::{DecideError, Decision, InvalidDecision, ResumeFrom};
pub use control::handle::{
    Decided, Handle, Lag, Outcome, ParkedEvent, SkippedEvent, Status, TakenEvent,
};
pub use control::reconcile::{
    Cited, Difference, Reconcile, ReconcileError, Reconciliation, reconcile,
};
pub use effect::{Effect, EffectError, PassedOver};
pub use http::{describe, router};
pub use received::Received;
pub use round::poll::{PollError, Polled};
pub use sanitize::without_value;
pub use source::charset::Undecodable;
pub use source::credentials::FeedCredentials;
pub use source::document::InvalidDocument;
pub use source::fetch_error::FetchError;
pub use source::link::RefusedLink;
pub use source::proxy::{FeedProxy, InvalidProxy};
pub(crate) use source::proxy::{SEES_CREDENTIALS, in_environment};
pub use subscription::Subscription;

// As `http` and `command` call them until they move out.
use ResumeFrom as From;
use control::{handle, reconcile};

/// One instance of a consumer.
#[derive(Debug)]
pub struct Consumer<B: Backend, E> {
    context: Arc<Context<B, E>>,
    source: Source,
    place: Cursors,
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
    leases: Arc<Leases>,
    counts: Arc<Counts>,
    suspects: Mutex<Suspects>,
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
        let subscribed = B::subscribe(database.writer(), name, PARTITIONS);
        within(STATEMENT, subscribed).await?;
        let instance = format!("{}-{:08x}", subscription.instance, fastrand::u32(..));
        let source = Source::new(
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
            place: Cursors::new(),
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
            let name = &consumer.context.subscription.name;
            tracing::error!("the subscription {name} is still halted: {reason}; {WHAT_TO_DO}");
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
