//! The state of one instance that follows a feed, and the operations that all steps of a round
//! share.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::consumer::apply::batch::Applier;
use crate::consumer::apply::instance::Instance;
use crate::consumer::apply::refetch::Refetch;
use crate::consumer::effect::Effect;
use crate::consumer::outcome::{PollError, Polled};
use crate::consumer::progress::cursors::Cursors;
use crate::consumer::progress::leases::Leases;
use crate::consumer::progress::stale::StaleHead;
use crate::consumer::sanitize::sanitize;
use crate::consumer::source::content::Arrival;
use crate::consumer::source::fetch::Source;
use crate::consumer::subscription::Subscription;
use crate::store::Backend;
use crate::store::consume::Position;

/// One instance that follows a feed.
#[derive(Debug)]
pub(in crate::consumer) struct Follower<B: Backend, E> {
    pub(in crate::consumer) subscription: Subscription,
    pub(in crate::consumer) instance: Arc<Instance<B>>,
    pub(in crate::consumer) leases: Arc<Leases>,
    pub(in crate::consumer) applier: Arc<Applier<B, E>>,
    pub(in crate::consumer) source: Source,
    pub(in crate::consumer) refetch: Refetch,
    pub(in crate::consumer) cursors: Cursors,
    pub(in crate::consumer) shutdown: CancellationToken,
    /// How long the last head is fresh.
    pub(in crate::consumer) fresh_for: Duration,
    /// True if the last round ended before the feed did: the next one continues there.
    pub(in crate::consumer) has_more: bool,
    /// When the progress was last logged.
    pub(in crate::consumer) logged: Option<Instant>,
    pub(in crate::consumer) stale: StaleHead,
    /// The decision whose last execution failed.
    pub(in crate::consumer) failed_decision: Option<i64>,
}

impl<B: Backend, E: Effect<B>> Follower<B, E> {
    /// Applies a batch that ends at `to`. Returns the number of committed effects; `None` if
    /// another instance has taken partitions over.
    pub(super) async fn apply(
        &mut self,
        arrivals: Vec<Arrival>,
        to: Position,
    ) -> Result<Option<usize>, PollError> {
        // Effects may take long.
        let applied = self.applier.apply(&mut self.cursors.held, &arrivals, &to);
        match self.leases.without_feed(applied).await {
            Ok(applied) if !applied.fenced => {
                self.cursors.reach(to);
                self.leases
                    .heartbeat(|own| own.has_taken |= !arrivals.is_empty());
                Ok(Some(applied.events))
            }
            // The partitions or their cursors may have changed: read them again.
            Ok(_) => {
                self.cursors.forget();
                Ok(None)
            }
            Err(error) => {
                self.cursors.forget();
                Err(error.into())
            }
        }
    }

    /// Stores the cursors after events of other instances' partitions.
    pub(in crate::consumer) async fn store_cursors(&mut self) -> Result<(), PollError> {
        let to = self.cursors.seen.clone();
        self.apply(Vec::new(), to).await.map(drop)
    }

    /// Halts the subscription until an operator decides (I8). An instance that was frozen meanwhile, and whose partitions
    /// another one has, does not: its reason may have been decided about.
    pub(in crate::consumer) async fn halt(&mut self, reason: &str) -> Result<Polled, PollError> {
        self.cursors.forget();
        let Some(held) = self.cursors.held.first() else {
            return Ok(Polled::Interrupted);
        };
        let Subscription {
            name, if_halted, ..
        } = &self.subscription;
        let reason = sanitize(reason);
        let (_, s, me) = self.instance.scope();
        let halted = B::halt(self.instance.database.writing(), s, me, held, &reason);
        if !self.instance.database.statement(halted).await? {
            self.cursors.forget();
            self.leases.look_now();
            return Ok(Polled::Interrupted);
        }
        error!("the subscription {name} is halted: {reason}; {if_halted}");
        let signals = &self.leases.signals;
        signals.send_modify(|signals| signals.halted = Some(reason));
        Ok(Polled::Halted)
    }
}
