//! The consumer: polls a feed, claims each event in its own database, and commits its effect in the
//! same transaction.
//!
//! Each module uses those above it, and none below:
//!
//! | module | responsibility |
//! |---|---|
//! | `source` | the feed: requests, documents, data, and the walk through them; no database |
//! | `progress` | the cursors, and the partitions that this instance holds: state without I/O |
//! | `measured` | what this process counts and samples, for metrics and charts; in memory |
//! | `apply` | the consumer's database: the batch transaction, parking, retries, leases |
//! | `round` | one round: the three above in order |
//! | `control` | operators: a [`Handle`] on a subscription, decisions, [`fn@reconcile`] |
//! | `cycle` | what comes before a round and after it: local work, the record of the outcome, the pause |
//! | `tail` | programs that read a feed and store nothing |
//!
//! A service provides an [`Effect`] and a [`Subscription`]. A [`Consumer`] is the loop of rounds. The files beside these
//! modules are its vocabulary.

mod batch;
mod effect;
mod outcome;
mod received;
mod sanitize;
mod subscription;

mod source;

mod progress;

mod measured;

mod apply;

mod round;

mod control;

mod cycle;

mod tail;

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
use tokio_util::task::TaskTracker;

use apply::batch::Applier;
use apply::instance::Instance;
use apply::refetch::Refetch;
use apply::renewal::{give_back, keep_leases, renew};
use apply::sweep::sweep_claims;
use control::pace::keep_samples;
use cycle::{pause, prepare, record};
use measured::counts::Counts;
use progress::cursors::Cursors;
use progress::leases::Leases;
use progress::stale::StaleHead;
use round::follower::Follower;
use source::fetch::Source;

use crate::database::Database;
use crate::database::timeout::TRANSACTION;
use crate::http::with_causes;
use crate::partition::PARTITIONS;
use crate::store::consume::CHANNEL;
use crate::store::{Backend, DatabaseError};

pub use batch::Batch;
pub use control::decide::Undone;
pub use control::decision::{
    DecideError, Decision, InvalidDecision, LONGEST_NAME, LONGEST_REASON, NoUndo, ResumeFrom,
    TextError, check_name, check_reason,
};
pub use control::handle::{FailedEvent, Handle};
pub use control::reconcile::{
    Bound, Cited, Compared, Difference, Kind, Period, Reconcile, ReconcileError, Reconciliation,
    Sum, Totals, reconcile,
};
pub use control::selection::{Preview, Selection};
pub use control::status::{Lag, Paused, Status};
pub use effect::{Effect, EffectError};
pub use measured::samples::{Pace, Sample};
pub use outcome::{PollError, Polled};
pub use received::Received;
pub use sanitize::{printable, without_value};
pub use source::charset::{Undecodable, decode};
pub use source::client::FeedClient;
pub use source::credentials::{FeedCredentials, InvalidCredentials};
pub use source::entry::InvalidDocument;
pub use source::fetch_error::FetchError;
pub use source::header::retry_after;
pub use source::link::RefusedLink;
pub use source::option_names::FeedOptionNames;
pub use source::proxy::{FeedProxy, InvalidProxy, in_environment as proxies_in_environment};
pub use source::redact::redact_url;
pub use subscription::Subscription;
pub use tail::{Tail, TailError, TailFrom, Tailed};

pub use crate::store::decide::{Cause, Decided, TypeCount};
pub use crate::store::operate::{
    Attempt, InstanceStatus, Outcome, ParkedEvent, SkippedEvent, TakenEvent,
};

/// One instance of a consumer.
#[derive(Debug)]
pub struct Consumer<B: Backend, E> {
    follower: Follower<B, E>,
    counts: Arc<Counts>,
}

impl<B: Backend, E: Effect<B>> Consumer<B, E> {
    /// Opens the subscription in `database`; a new one begins at the start of the feed.
    ///
    /// # Errors
    ///
    /// Returns an error if the database is unreachable, or if the [name](Subscription::name) is blank or has a byte 0.
    pub async fn open(
        database: Database<B>,
        subscription: Subscription,
        effect: E,
        shutdown: CancellationToken,
    ) -> Result<Self, DatabaseError> {
        let Subscription {
            name, if_halted, ..
        } = &subscription;
        if name.trim().is_empty() || name.contains('\0') {
            return Err(DatabaseError::SubscriptionName);
        }
        let subscribed = B::subscribe(database.writing(), name, PARTITIONS);
        database.statement(subscribed).await?;
        let instance = Arc::new(Instance {
            subscription: name.clone(),
            name: format!("{}-{:08x}", subscription.instance, fastrand::u32(..)),
            transactions: TaskTracker::new(),
            database,
        });
        let leases = Arc::new(Leases::default());
        leases.heartbeat(|heartbeat| {
            heartbeat.feed = redact_url(&subscription.feed_url);
            heartbeat.version.clone_from(&subscription.version);
        });
        renew(&instance, &leases).await?;
        // Notify instances that now hold more than their share.
        let notified = B::notify(instance.database.writing(), CHANNEL);
        instance.database.statement(notified).await?;
        if let Some(reason) = &leases.signals.borrow().halted {
            tracing::error!("the subscription {name} is still halted: {reason}; {if_halted}");
        }
        let counts = Arc::new(Counts::default());
        let (owner, counted) = (Arc::clone(&instance), Arc::clone(&counts));
        let follower = Follower {
            applier: Arc::new(Applier::new(owner, effect, counted)),
            source: Source::new(&subscription),
            refetch: Refetch::default(),
            subscription,
            instance,
            leases,
            cursors: Cursors::new(),
            shutdown,
            fresh_for: Duration::ZERO,
            has_more: false,
            logged: None,
            stale: StaleHead::default(),
            failed_decision: None,
        };
        Ok(Self { follower, counts })
    }

    /// Returns a handle that shows the subscription and wakes the consumer.
    #[must_use]
    pub fn handle(&self) -> Handle<B> {
        let follower = &self.follower;
        Handle {
            database: follower.instance.database.clone(),
            subscription: follower.subscription.clone(),
            leases: Some(Arc::clone(&follower.leases)),
            counts: Arc::clone(&self.counts),
        }
    }

    /// Returns the token that stops the consumer.
    #[must_use]
    pub fn shutdown(&self) -> CancellationToken {
        self.follower.shutdown.clone()
    }

    /// Runs one round, and keeps the partitions for the next one, until [`leave`](Consumer::leave).
    ///
    /// # Errors
    ///
    /// Returns an error if the feed cannot be read or the database failed. The cursor has not
    /// moved.
    pub async fn poll_once(&mut self) -> Result<Polled, PollError> {
        let round = match prepare::prepare(&mut self.follower).await {
            Ok(None) => round::head::poll(&mut self.follower).await,
            Ok(Some(Polled::Paused)) => round::head::poll_head_only(&mut self.follower).await,
            Ok(Some(ended)) => Ok(ended),
            Err(error) => Err(error),
        };
        let (leases, seen) = (&self.follower.leases, &self.follower.cursors.seen);
        match round {
            Ok(Polled::Applied(_) | Polled::UpToDate { .. }) => leases.reach(seen.sequence),
            Ok(Polled::Halted) | Err(_) => {
                leases.mark_unknown();
                self.follower.source.start_over();
            }
            Ok(_) => {}
        }
        round
    }

    /// Polls until `shutdown`, then finishes the current batch and releases the partitions, within twenty seconds. A
    /// batch that takes longer is rolled back when the process ends, and comes again.
    ///
    /// Spawn it, or wait for it, and let the process live until it has ended.
    pub async fn run(mut self) {
        let stop = self.follower.shutdown.clone();
        // These tasks end with this future, also when it is dropped: leases that are kept without a
        // poller would look alive.
        let ended = CancellationToken::new();
        let mut beside = self.spawn_beside(&ended);
        while !stop.is_cancelled() {
            // A dropped round or pause leaves no transaction open: transactions run in tasks of their own.
            let round = async {
                let database = self.follower.instance.database.clone();
                let round = match self.poll_once().await {
                    Err(PollError::Database(error)) => Err(database.explained(error).await.into()),
                    round => round,
                };
                self.pause_after(&round).await;
            };
            tokio::select! {
                () = round => {}
                () = stop.cancelled() => break,
                Some(Err(failed)) = beside.join_next() => {
                    // Without these tasks the consumer would look healthy until its leases end, and
                    // then do nothing. The end of the runtime cancels them.
                    assert!(failed.is_cancelled(), "a task of the consumer has ended: {failed:?}");
                    break;
                }
            }
        }
        // The leases are kept until the last transaction has ended: without them it would be rolled back.
        let transactions = &self.follower.instance.transactions;
        transactions.close();
        let _ = tokio::time::timeout(TRANSACTION, transactions.wait()).await;
        ended.cancel();
        while beside.join_next().await.is_some() {}
        if let Err(error) = self.leave().await {
            tracing::warn!(error = with_causes(&error), "left leases behind");
        }
    }

    /// Spawns the tasks that keep the leases, sweep the claims, and sample the progress.
    fn spawn_beside(&self, ended: &CancellationToken) -> JoinSet<()> {
        let Follower {
            instance, leases, ..
        } = &self.follower;
        let mut beside = JoinSet::new();
        let (of, kept, stop) = (Arc::clone(instance), Arc::clone(leases), ended.clone());
        beside.spawn(async move { keep_leases(&of, &kept, &stop).await });
        let (of, known, stop) = (Arc::clone(instance), Arc::clone(leases), ended.clone());
        beside.spawn(async move { sweep_claims(&of, &known, &stop).await });
        beside.spawn(keep_samples(self.handle(), ended.clone()));
        beside
    }

    /// Records the outcome of a round, and waits for the next one.
    async fn pause_after(&mut self, round: &Result<Polled, PollError>) {
        let (follower, counts) = (&mut self.follower, &self.counts);
        let name = &follower.subscription.name;
        if let Err(PollError::Database(error)) = round {
            follower.instance.database.learn_from(error);
        }
        record::record_outcome(round, name, &follower.leases, counts);
        let pause = pause::pause_after(follower, round);
        record::record_pause(round, pause, &follower.leases);
        let idle = matches!(
            round,
            Ok(Polled::LeasedElsewhere | Polled::Halted | Polled::Paused)
        );
        pause::pause(follower, pause, idle).await;
    }

    /// Stores the cursors and releases all partitions, so that other instances need not wait until the leases have ended.
    /// [`run`](Consumer::run) does this by itself; a caller of [`poll_once`](Consumer::poll_once) does it at the end.
    ///
    /// # Errors
    ///
    /// Returns an error if the database failed. Other instances then wait for the leases to end.
    pub async fn leave(&mut self) -> Result<(), PollError> {
        let cursors = &self.follower.cursors;
        if cursors.store_by().is_some() && !cursors.is_forgotten() {
            self.follower.store_cursors().await?;
        }
        Ok(give_back(&self.follower.instance).await?)
    }
}
