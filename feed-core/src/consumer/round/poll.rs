//! One round: ask the feed, find what continues our sequence, have it applied.

use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::Utc;
use tokio::time::Instant;
use tracing::error;

use super::catch_up::{discontinuity, position};
use crate::consumer::sanitize::sanitize;
use crate::consumer::source::fetch::{FetchError, New};
use crate::consumer::{Consumer, Context, Effect, WHAT_TO_DO};
use crate::cursor::Cursor;
use crate::database::patience::{STATEMENT, within};
use crate::store::Backend;
use crate::store::consume::{Heartbeat, Position};

use crate::consumer::apply::batch::{Applied, position_at};

/// How long a pause lasts at most when our own database has failed in it.
const REST: Duration = Duration::from_secs(30);

/// How long a pause lasts in which only a change elsewhere can help.
const IDLE: Duration = Duration::from_secs(3);

/// Why a subscription halts whose instances have begun with different feeds at the same moment.
const TWO_FEEDS: &str =
    "events of two feeds have been taken: is FEED_URL the same for all instances?";

/// How a round ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Polled {
    /// New events were taken, this many with their effect committed now.
    Applied(usize),
    /// There is nothing new.
    UpToDate {
        /// True if the server held the request back until it was sure of that, or was not asked to,
        /// or could not since we had no tag yet: then the next request may follow at once.
        waited: bool,
    },
    /// All partitions are other instances'.
    LeasedElsewhere,
    /// The subscription is halted until a person decides.
    Halted,
    /// Somebody asked for something else meanwhile.
    Interrupted,
}

/// Why a round failed. Nothing is lost: the next one begins where this one did.
#[derive(Debug, thiserror::Error)]
pub enum PollError {
    /// The feed could not be read.
    #[error("cannot read the feed")]
    Fetch(#[from] FetchError),
    /// Our own database failed.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    /// The address is that of a page, which has an end.
    #[error("{0} is a part of a feed, not its head: FEED_URL is to be the address of the feed")]
    NotTheHead(url::Url),
    /// The feed is not what it was.
    #[error("the feed has no sequence any more: is {0} still the same feed?")]
    NotSequenced(url::Url),
    /// A walk through the feed comes back to where it was.
    #[error("the feed's pages lead in a circle: {0} comes twice")]
    Cycle(url::Url),
    /// A walk through the feed does not come to an end within our bounds.
    #[error("nothing known within {documents} documents and {bytes} bytes of the feed")]
    TooLong {
        /// Documents read.
        documents: usize,
        /// Bytes they had.
        bytes: usize,
    },
}

impl<B: Backend, E: Effect<B>> Consumer<B, E> {
    /// Does one round.
    ///
    /// # Errors
    ///
    /// The feed could not be read or the database failed. The cursor is where it was.
    pub async fn poll_once(&mut self) -> Result<Polled, PollError> {
        let round = match self.prepare().await {
            Ok(None) => self.ask().await,
            Ok(Some(ended)) => Ok(ended),
            Err(error) => Err(error),
        };
        if matches!(round, Ok(Polled::Halted) | Err(_)) {
            self.source.return_home();
        }
        round
    }

    /// Does what is to be done here, without the feed: decisions, leases, retries. Returns how the
    /// round ends if there is nothing to ask the feed for.
    pub(crate) async fn prepare(&mut self) -> Result<Option<Polled>, PollError> {
        self.context.tend_if_due().await?;
        let orders = self.context.leases.orders.borrow().clone();
        if orders.decision.is_some() {
            self.carry_out().await?;
            return Ok(Some(Polled::Interrupted));
        }
        if orders.halted.is_some() {
            return Ok(Some(Polled::Halted));
        }
        if !self.place.is_known_under(orders.leases) {
            let (pool, s, me) = self.context.names();
            let before = self.place.seen.epoch.clone();
            let held = within(STATEMENT, B::held(pool, s, me)).await?;
            let mut epochs = within(STATEMENT, B::epochs(pool, s)).await?;
            if epochs.len() > 1 {
                return Ok(Some(self.halt(TWO_FEEDS).await?));
            }
            self.place.load(held, epochs.pop(), orders.leases);
            if before != self.place.seen.epoch {
                // How far another feed had got says nothing of this one.
                let forget = |heartbeat: &mut Heartbeat| heartbeat.head_sequence = None;
                self.context.leases.heartbeat(forget);
            }
        }
        if orders.due {
            // What falls due from here on is seen with the next look at the leases.
            self.context
                .leases
                .orders
                .send_modify(|orders| orders.due = false);
            self.context
                .retry_due(&self.source, &self.place.held)
                .await?;
        }
        let store_by = self.place.store_by();
        if store_by.is_some_and(|by| by <= Instant::now()) {
            self.store_place().await?;
        }
        Ok(self
            .place
            .held
            .is_empty()
            .then_some(Polled::LeasedElsewhere))
    }

    /// Asks the head, and takes what is new.
    async fn ask(&mut self) -> Result<Polled, PollError> {
        if let Some(reason) = self.contradiction().await? {
            return self.halt(&reason).await;
        }
        let leases = self.context.leases.orders.borrow().leases;
        let asked = self.context.leases.asked.swap(false, Ordering::Relaxed);
        let doubts = asked || self.place.doubts(Instant::now());
        if doubts {
            self.source.find_again().await?;
        }
        if std::mem::take(&mut self.more) {
            return self.catch_up().await;
        }
        let seen = match doubts {
            // `?after=` is answered by the feed itself, never by a cache.
            true if self.place.seen.epoch.is_some() => return self.catch_up().await,
            true => crate::consumer::source::fetch::Validators::default(),
            false => self.place.validators(),
        };
        let store_by = self.place.store_by();
        // An answer that is held back would leave people without one: is the feed there?
        let wait = self.context.is_in_contact();
        let head = tokio::select! {
            head = self.source.head(&seen, wait, self.place.seen.epoch.is_some()) => head?,
            () = self.context.interrupted(leases) => return Ok(Polled::Interrupted),
            () = sleep_until(store_by) => return Ok(Polled::Interrupted),
        };
        self.fresh = head.fresh;
        self.context.heard(None);
        let Some(new) = head.new else {
            self.place.believe();
            return Ok(Polled::UpToDate {
                waited: head.waited || !wait,
            });
        };
        let url = || self.context.subscription.feed_url.clone();
        if new.document.is_no_head() {
            return Err(PollError::NotTheHead(url()));
        }
        match new.document.cursor.clone() {
            Some(cursor) => {
                // A head that shows less than we have says nothing new: it may be a cache's.
                self.context.heard(Some(cursor.sequence));
                self.take_head(new, &cursor).await
            }
            None if self.place.seen.epoch.is_some() => Err(PollError::NotSequenced(url())),
            None => {
                self.place.answered();
                let new = match new.delta {
                    true => self.source.whole_head().await?.unwrap_or(new),
                    false => new,
                };
                self.take_unnumbered(new).await
            }
        }
    }

    /// Takes what is new in a head that goes on from our place; else goes forward first.
    async fn take_head(&mut self, new: New, end: &Cursor) -> Result<Polled, PollError> {
        let New {
            document,
            validators,
            delta,
        } = new;
        let seen = self.place.seen.clone();
        // A head that begins right after our place does not show that it is the place we have
        // seen; `?after=` is checked by the feed itself.
        let shows_it = seen.sequence == 0 || document.at(seen.sequence).is_some();
        if !(delta || shows_it) || discontinuity(&seen, &document, end).is_some() {
            return self.catch_up().await;
        }
        let (had_tag, before) = (seen.etag.is_some(), seen.sequence);
        self.place.shown(end.sequence);
        let to = Position {
            etag: validators.etag,
            last_modified: validators.last_modified,
            ..position(&seen, &document, end)
        };
        let first_tag = !had_tag && to.etag.is_some();
        let new = self.place.ours().new_of(&document.entries);
        let applied = if new.is_empty() && !self.holds_all() {
            self.place.see(to);
            0
        } else {
            let arrivals = self.source.arrivals(&document, &new).await?;
            // The rest comes with the next round, which begins where this one ends.
            let more = arrivals.len() < new.len();
            let to = match more {
                true => position_at(&arrivals, &to),
                false => to,
            };
            let taken = self
                .context
                .apply(&mut self.place.held, arrivals, &to)
                .await;
            match self.settle(taken, to)? {
                Some(events) => {
                    self.more = more;
                    events
                }
                None => return Ok(Polled::Interrupted),
            }
        };
        Ok(match end.sequence > before {
            true => Polled::Applied(applied),
            false => Polled::UpToDate { waited: first_tag },
        })
    }

    /// Notes what became of a batch that ended at `to`: how many effects were committed; `None` if
    /// another instance has taken partitions over.
    pub(crate) fn settle(
        &mut self,
        taken: sqlx::Result<Applied>,
        to: Position,
    ) -> Result<Option<usize>, PollError> {
        match taken {
            Ok(applied) if !applied.fenced => {
                self.place.reach(to);
                Ok(Some(applied.events))
            }
            // What we hold, or how far it has got, may not be what we think: read it again.
            Ok(_) => {
                self.place.forget();
                Ok(None)
            }
            Err(error) => {
                self.place.forget();
                Err(error.into())
            }
        }
    }

    /// Stores how far we have come, where there was nothing of ours on the way.
    pub(crate) async fn store_place(&mut self) -> Result<(), PollError> {
        let to = self.place.seen.clone();
        let stored = self
            .context
            .apply(&mut self.place.held, Vec::new(), &to)
            .await;
        self.settle(stored, to).map(drop)
    }

    /// Stops the subscription until a person decides (I8).
    pub(crate) async fn halt(&mut self, reason: &str) -> Result<Polled, PollError> {
        let name = &self.context.subscription.name;
        let reason = sanitize(reason);
        error!("the subscription {name} is halted: {reason}; {WHAT_TO_DO}");
        let (pool, s, _) = self.context.names();
        within(STATEMENT, B::halt(pool, s, &reason)).await?;
        let orders = &self.context.leases.orders;
        orders.send_modify(|orders| orders.halted = Some(reason));
        self.place.forget();
        Ok(Polled::Halted)
    }

    /// True if no other instance has a share.
    fn holds_all(&self) -> bool {
        self.place.held.len() as i64 == crate::consumer::progress::leases::PARTITIONS
    }

    /// Waits between two rounds. What is to be done here is done meanwhile, and the feed is left
    /// alone, but for the data of parked events: a server that asks for a pause gets it.
    /// Who is `idle` goes on as soon as there is something to do.
    pub(crate) async fn pause(&mut self, pause: Duration, mut idle: bool) {
        let until = Instant::now() + pause;
        while !pause.is_zero() && matches!(self.context.pause(until, self.tried).await, Pause::Work)
        {
            match self.prepare().await {
                Ok(None) if idle => return,
                Ok(None) => {}
                Ok(Some(Polled::Interrupted)) => return,
                Ok(Some(_)) => idle = true,
                // The next round meets it again, and tells; what is to be done here is no reason to ask the
                // feed sooner.
                Err(PollError::Fetch(_)) => return self.context.rest(until).await,
                Err(_) => return self.context.rest(until.min(Instant::now() + REST)).await,
            }
        }
    }

    /// How long to wait before the next round.
    pub(crate) fn pause_after(&mut self, round: &Result<Polled, PollError>) -> Duration {
        let interval = self.context.subscription.poll_interval;
        match round {
            Ok(Polled::Interrupted) => Duration::ZERO,
            // The rest does not come from the head, so it does not matter how long that is fresh.
            Ok(Polled::Applied(_)) if self.more => Duration::ZERO,
            // What is fresh is not asked for again (RFC 9111, 4.2).
            Ok(Polled::Applied(_) | Polled::UpToDate { waited: true }) => self.fresh,
            // Spread out by a fifth, so that consumers do not ask all at the same moment.
            Ok(Polled::UpToDate { waited: false }) => {
                let interval = interval.mul_f64(0.9 + fastrand::f64() / 5.0);
                interval.max(self.fresh)
            }
            Ok(Polled::LeasedElsewhere | Polled::Halted) => IDLE,
            Err(PollError::Fetch(FetchError::Status {
                retry_after: Some(wait),
                ..
            })) => {
                // Zero, or a date in the past, is no leave to ask without a pause.
                let wait = wait.mul_f64(1.0 + fastrand::f64() / 5.0);
                wait.max(back_off(self.context.failures()))
            }
            Err(_) => back_off(self.context.failures()),
        }
    }
}

impl<B: Backend, E: Effect<B>> Context<B, E> {
    /// Ends when somebody wants something else than to wait at the server.
    async fn interrupted(&self, leases: u64) {
        let mut orders = self.leases.orders.subscribe();
        tokio::select! {
            () = self.shutdown.cancelled() => {}
            () = self.leases.wake.notified() => {}
            _ = orders.wait_for(|orders| {
                orders.leases != leases
                    || orders.halted.is_some()
                    || orders.decision.is_some()
                    || orders.due
            }) => {}
        }
    }

    /// Waits until `until`, or something is to be done before: but for the decision that was `tried`.
    async fn pause(&self, until: Instant, tried: Option<i64>) -> Pause {
        let mut orders = self.leases.orders.subscribe();
        let leases = orders.borrow().leases;
        tokio::select! {
            () = self.rest(until) => Pause::Over,
            _ = orders.wait_for(|orders| {
                let decided = orders.decision.is_some() && orders.decision != tried;
                orders.leases != leases || decided || orders.due
            }) => Pause::Work,
        }
    }

    /// Waits until `until`, or somebody wants the feed to be asked.
    async fn rest(&self, until: Instant) {
        tokio::select! {
            () = tokio::time::sleep_until(until) => {}
            () = self.shutdown.cancelled() => {}
            () = self.leases.wake.notified() => {}
        }
    }

    /// Notes that the feed has answered, and how far it has got.
    pub(crate) fn heard(&self, sequence: Option<i64>) {
        self.leases.heartbeat(|heartbeat| {
            heartbeat.last_contact = Some(Utc::now());
            heartbeat.head_sequence = sequence.max(heartbeat.head_sequence);
        });
    }

    /// Which of these events somebody has claimed.
    pub(crate) async fn claimed(&self, ids: &[&str]) -> sqlx::Result<Vec<String>> {
        let (pool, s, _) = self.names();
        within(STATEMENT, B::claimed(pool, s, ids)).await
    }
}

/// How a pause ended.
enum Pause {
    /// The feed may be asked again.
    Over,
    /// There is something to do here.
    Work,
}

async fn sleep_until(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

/// How long to stay away after `failures` rounds failed in a row: doubling, bounded, and spread
/// out so that instances do not come back together.
fn back_off(failures: u32) -> Duration {
    let longest = Duration::from_millis(250 << failures.min(7)).min(Duration::from_secs(30));
    longest.mul_f64(0.5 + fastrand::f64() / 2.0)
}
