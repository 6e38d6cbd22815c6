//! The other side: polls a feed, claims each event in its own database, and commits its effect in
//! the same transaction.
//!
//! Each module knows those before it, and none after it:
//!
//! | module | what it owns |
//! |---|---|
//! | `source` | what a feed says: requests, documents, data, and the walk through them; no database |
//! | `progress` | how far we have got, and which share is ours: state without I/O |
//! | `apply` | what becomes of events in our database: the batch transaction, parking, retries, leases |
//! | `round` | one round: the three above, in the order in which they are needed |
//! | `control` | people: a [`Handle`] on a subscription, decisions, [`fn@reconcile`] |
//!
//! What a service brings along is an [`Effect`] for a [`Subscription`]. A [`Consumer`] is the loop around
//! it all: `prepare` does what can be done without the feed, a round asks it, `record_outcome` says how
//! that went, and `pause` waits for the next one.

mod batch;
mod effect;
mod received;
mod sanitize;
mod subscription;

mod source;

mod progress;

mod apply;

mod round;

mod control;

mod pause;
mod prepare;
mod record_outcome;

mod measure;

#[cfg(any(test, feature = "fuzz"))]
#[doc(hidden)]
pub mod fuzz;

#[cfg(feature = "bench")]
#[doc(hidden)]
pub mod bench;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use apply::batch::Applier;
use apply::instance::Instance;
use apply::renewal::{give_back, keep_leases, renew};
use apply::sweep::sweep_claims;
use measure::Counts;
use progress::cursors::Cursors;
use progress::leases::{Leases, PARTITIONS};
use round::follower::Follower;
use source::fetch::Source;

use crate::database::Database;
use crate::database::timeout::STATEMENT;
use crate::store::consume::CHANNEL;
use crate::store::{Backend, DatabaseError};

pub use batch::Batch;
pub use control::decision::{DecideError, Decision, InvalidDecision, ResumeFrom};
pub use control::handle::Handle;
pub use control::reconcile::{
    Cited, Difference, Reconcile, ReconcileError, Reconciliation, reconcile,
};
pub use control::status::{Decided, Lag, Outcome, ParkedEvent, SkippedEvent, Status, TakenEvent};
pub use effect::{Effect, EffectError};
pub use received::Received;
pub use round::outcome::{PollError, Polled};
pub use sanitize::without_value;
pub use source::charset::Undecodable;
pub use source::client::FeedClient;
pub use source::credentials::{FeedCredentials, InvalidCredentials};
pub use source::entry::InvalidDocument;
pub use source::fetch_error::FetchError;
pub use source::link::RefusedLink;
pub use source::proxy::{FeedProxy, InvalidProxy, in_environment as proxies_in_environment};
pub use subscription::Subscription;

/// One instance of a consumer.
#[derive(Debug)]
pub struct Consumer<B: Backend, E> {
    follower: Follower<B, E>,
    counts: Arc<Counts>,
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
        let Subscription {
            name, if_halted, ..
        } = &subscription;
        let subscribed = B::subscribe(database.writer(), name, PARTITIONS);
        database.within(STATEMENT, subscribed).await?;
        let instance = Arc::new(Instance {
            subscription: name.clone(),
            name: format!("{}-{:08x}", subscription.instance, fastrand::u32(..)),
            database,
        });
        let leases = Arc::new(Leases::default());
        renew(&instance, &leases).await?;
        // Those who have more than their share now need not find out by themselves.
        let notified = B::notify(instance.database.writer(), CHANNEL);
        instance.database.within(STATEMENT, notified).await?;
        if let Some(reason) = &leases.signals.borrow().halted {
            tracing::error!("the subscription {name} is still halted: {reason}; {if_halted}");
        }
        let counts = Arc::new(Counts::default());
        let (owner, counted) = (Arc::clone(&instance), Arc::clone(&counts));
        let follower = Follower {
            applier: Arc::new(Applier::new(owner, effect, counted)),
            source: Source::new(&subscription.source()),
            subscription,
            instance,
            leases,
            cursors: Cursors::new(),
            shutdown,
            fresh: Duration::ZERO,
            more: false,
            logged: None,
            tried: None,
        };
        Ok(Self { follower, counts })
    }

    /// What people and their programs look at, and what wakes the consumer up.
    #[must_use]
    pub fn handle(&self) -> Handle<B> {
        let Follower {
            subscription,
            instance,
            leases,
            ..
        } = &self.follower;
        let (leases, counts) = (Arc::clone(leases), Arc::clone(&self.counts));
        Handle::of(instance.database.clone(), subscription, leases, counts)
    }

    /// What stops it when cancelled.
    #[must_use]
    pub fn shutdown(&self) -> CancellationToken {
        self.follower.shutdown.clone()
    }

    /// Does one round.
    ///
    /// # Errors
    ///
    /// The feed could not be read or the database failed. The cursor is where it was.
    pub async fn poll_once(&mut self) -> Result<Polled, PollError> {
        let round = match prepare::prepare(&mut self.follower).await {
            Ok(None) => round::head::poll(&mut self.follower).await,
            Ok(Some(ended)) => Ok(ended),
            Err(error) => Err(error),
        };
        if matches!(round, Ok(Polled::Halted) | Err(_)) {
            self.follower.source.return_home();
        }
        round
    }

    /// Polls until `shutdown`, then finishes the batch in hand and gives its partitions back.
    pub async fn run(mut self) {
        let stop = self.follower.shutdown.clone();
        // They end with this future, also where it is dropped: leases that are kept without
        // anybody at work would look alive.
        let mut beside = self.spawn_beside();
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
            self.pause_after(&round).await;
        }
        while beside.join_next().await.is_some() {}
        if let Err(error) = self.leave().await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "left leases behind"
            );
        }
    }

    /// Keeps the leases, and the table of claims small.
    fn spawn_beside(&self) -> JoinSet<()> {
        let Follower {
            instance,
            leases,
            shutdown,
            ..
        } = &self.follower;
        let mut beside = JoinSet::new();
        let (of, kept, stop) = (Arc::clone(instance), Arc::clone(leases), shutdown.clone());
        beside.spawn(async move { keep_leases(&of, &kept, &stop).await });
        let (of, known, stop) = (Arc::clone(instance), Arc::clone(leases), shutdown.clone());
        beside.spawn(async move { sweep_claims(&of, &known, &stop).await });
        beside
    }

    /// Records how a round ended, and waits for the next one.
    async fn pause_after(&mut self, round: &Result<Polled, PollError>) {
        let (follower, counts) = (&mut self.follower, &self.counts);
        let name = &follower.subscription.name;
        if let Err(PollError::Database(error)) = round {
            follower.instance.database.learn_from(error);
        }
        record_outcome::record_outcome(round, name, &follower.leases, counts);
        let pause = pause::pause_after(follower, round);
        record_outcome::record_pause(round, pause, &follower.leases);
        let idle = matches!(round, Ok(Polled::LeasedElsewhere | Polled::Halted));
        pause::pause(follower, pause, idle).await;
    }

    /// Stores how far we are and gives all partitions back, so that others need not wait.
    async fn leave(&mut self) -> Result<(), PollError> {
        let cursors = &self.follower.cursors;
        if cursors.store_by().is_some() && !cursors.is_forgotten() {
            self.follower.store_cursors().await?;
        }
        Ok(give_back(&self.follower.instance).await?)
    }
}
