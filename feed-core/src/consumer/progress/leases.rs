//! Which share of the events is this instance's. Leases spread the partitions over the live
//! instances and are for efficiency only: what keeps a late owner from committing is the check of
//! its lease epoch in the batch transaction.

use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::Utc;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::consumer::{Context, Effect};
use crate::database::patience::{TRANSACTION, within};
use crate::store::Backend;
use crate::store::consume::{CHANNEL, Heartbeat};
use crate::store::listen::News;

/// Shares of a subscription's subjects. Fixed: the share of a subject must never change while
/// its events are on their way.
pub(crate) const PARTITIONS: i64 = 16;

/// How long a lease lasts without being renewed. Longer than the slowest batch in a healthy
/// system; short enough that a crash is not felt as an outage.
const TERM: i64 = 10;

/// How often it is renewed: three times before it ends.
const RENEWAL: Duration = Duration::from_secs(3);

/// The partition of a subject: FNV-1a of its bytes. Our own, since a library's hash may change
/// with its version, and with it the order of events.
pub(crate) fn partition_of(subject: &str) -> i64 {
    let hash = subject
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
    // The low bits of FNV-1a depend on few bits of short keys; folding mixes the high ones in.
    let folded = hash ^ (hash >> 32);
    i64::from((folded % 16) as u8)
}

/// What the keeper of the leases tells the poller.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Orders {
    /// Goes up whenever the set of our partitions may have changed.
    pub(crate) leases: u64,
    /// The sum of the lease epochs of our partitions.
    epochs: i64,
    /// Why the subscription is halted, if it is.
    pub(crate) halted: Option<String>,
    /// The decision that is to be carried out.
    pub(crate) decision: Option<i64>,
    /// True if a parked event of ours is to be tried again.
    pub(crate) due: bool,
}

/// The leases of this instance as its tasks see them.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    pub(crate) orders: watch::Sender<Orders>,
    pub(crate) heartbeat: Mutex<Heartbeat>,
    /// Ends a pause or a wait at the server: somebody asked for a poll.
    pub(crate) wake: Notify,
    /// True if that was a person: then no cache is to answer.
    pub(crate) asked: AtomicBool,
    /// Has the keeper look before the next renewal: a lease or a decision may have changed.
    pub(crate) look: Notify,
    /// Held by who renews: two at once would each take the other's doing for news.
    tending: tokio::sync::Mutex<()>,
    /// When the leases were renewed last; `None`: they are to be looked at now.
    tended: Mutex<Option<Instant>>,
}

impl Leases {
    /// Has the leases and decisions looked at now.
    pub(crate) fn look_now(&self) {
        *self.tended.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.look.notify_one();
    }

    fn is_due(&self) -> bool {
        let tended = *self.tended.lock().unwrap_or_else(PoisonError::into_inner);
        tended.is_none_or(|tended| tended.elapsed() > 2 * RENEWAL)
    }

    /// Reads or changes what this instance says of itself.
    pub(crate) fn heartbeat<T>(&self, with: impl FnOnce(&mut Heartbeat) -> T) -> T {
        let heartbeat = self.heartbeat.lock();
        let mut heartbeat = heartbeat.unwrap_or_else(PoisonError::into_inner);
        heartbeat.keep_contact(Utc::now());
        with(&mut heartbeat)
    }
}

impl<B: Backend, E: Effect<B>> Context<B, E> {
    /// Renews the leases until `shutdown`, and looks when somebody says that they have changed.
    pub(crate) async fn keep_leases(&self) {
        let mut failing = false;
        let mut news = News::<B>::on(CHANNEL);
        loop {
            if !failing {
                news.listen(self.database.reader());
            }
            // That it listens is news, too: partitions may have come free before it did.
            tokio::select! {
                () = self.shutdown.cancelled() => return,
                () = tokio::time::sleep(RENEWAL) => {}
                () = self.leases.look.notified() => {}
                _ = news.heard() => {}
            }
            match within(TRANSACTION, self.tend()).await {
                Ok(()) => failing = false,
                Err(error) if !failing => {
                    failing = true;
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "cannot renew leases: other instances may take over"
                    );
                }
                Err(_) => {}
            }
        }
    }

    /// Renews the leases if nobody else has: for those who poll without a keeper.
    pub(crate) async fn tend_if_due(&self) -> sqlx::Result<()> {
        match self.leases.is_due() {
            true => within(TRANSACTION, self.tend()).await,
            false => Ok(()),
        }
    }

    /// Renews, then takes or gives back partitions until this instance has its fair share.
    pub(crate) async fn tend(&self) -> sqlx::Result<()> {
        let _one_at_a_time = self.leases.tending.lock().await;
        let (pool, s, me) = self.names();
        let heartbeat = self.leases.heartbeat(|heartbeat| heartbeat.clone());
        let census = B::renew(pool, s, me, &heartbeat, TERM).await?;
        let tended = self.leases.tended.lock();
        *tended.unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        // Rounded up, so that no partition is left over.
        let share = (PARTITIONS + census.instances - 1) / census.instances;
        let moved = match census.held - share {
            spare @ 1.. => {
                let released = B::release(pool, s, me, spare).await?;
                B::notify(pool, CHANNEL).await?;
                released
            }
            missing if missing < 0 && census.free > 0 => {
                B::acquire(pool, s, me, -missing, TERM).await?
            }
            _ => 0,
        };
        // What we have just moved is no news the next time: it would end a wait at the server.
        let census = match moved {
            0 => census,
            _ => B::renew(pool, s, me, &heartbeat, TERM).await?,
        };
        self.leases.orders.send_if_modified(|orders| {
            let known = orders.clone();
            orders.halted = census.halted;
            orders.decision = census.decision;
            orders.due = census.due;
            // Others move our cursors too, when they carry out a decision: a lease epoch tells.
            if moved > 0 || orders.epochs != census.epochs {
                orders.leases += 1;
            }
            orders.epochs = census.epochs;
            *orders != known
        });
        Ok(())
    }

    /// Gives all partitions back, so that others need not wait for the leases to end.
    pub(crate) async fn leave(&self) -> sqlx::Result<()> {
        let (pool, s, me) = self.names();
        B::leave(pool, s, me).await
    }

    pub(crate) fn names(&self) -> (&sqlx::Pool<B>, &str, &str) {
        let pool = self.database.writer();
        (pool, &self.subscription.name, &self.instance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_spread_over_all_partitions_and_stay_there() {
        // Golden: a change here reorders events of a running system.
        assert_eq!(partition_of("order/1"), GOLDEN[0]);
        assert_eq!(partition_of("order/17"), GOLDEN[1]);
        assert_eq!(partition_of(""), GOLDEN[2]);
        let mut sizes = [0_u32; PARTITIONS as usize];
        for id in 1..=16_000 {
            let partition = partition_of(&format!("order/{id}"));
            sizes[usize::try_from(partition).expect("not negative")] += 1;
        }
        assert!(
            sizes.iter().all(|size| (800..1200).contains(size)),
            "{sizes:?}"
        );
    }

    const GOLDEN: [i64; 3] = [4, 2, 1];
}
