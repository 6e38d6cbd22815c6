//! Gives committed events their numbers, and keeps the newest cursor in memory.
//!
//! Any instance may run it; instances that run it together take turns. Readers of the feed see
//! numbered events only, so who has seen `k` can have seen all before `k` (I2).

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use tokio::sync::{Mutex, Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::database::Database;
use crate::database::timeout::STATEMENT;
use crate::event::Sequence;
use crate::store::Backend;
use crate::store::listen::News;
use crate::store::publish::{CHANNEL, Head, Look, Numbered, Quarantined};
use crate::trace::{self, Kind, of_event};

/// How late an instance may be that was told nothing: the bound on the delay of an event whose
/// publisher died between its commit and its numbering.
const TICK: Duration = Duration::from_millis(250);

/// How late an instance may be that is asked. One that was frozen, or does not reach its database, would
/// else say "nothing new" of what others have published meanwhile (I4).
const LATE: Duration = Duration::from_secs(1);

/// Rows in quarantine that one look logs; the next one goes on.
const REPORTED: i64 = 100;

/// Events numbered in one transaction; bounds how long the head is locked.
const BATCH: i64 = 1_000;

/// How soon numbering may follow numbering. An event that comes alone is numbered at once; of many,
/// those of this while share one transaction, and readers one new head.
const PACE: Duration = Duration::from_millis(10);

/// How soon to look again after another instance was found at work, and twice as late each time up to the
/// longest: it may be a stranger who holds the head.
const BUSY_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_BUSY_PAUSE: Duration = Duration::from_millis(50);

/// The head of one feed, as far as this instance knows it, and what moves it.
#[derive(Debug)]
pub(crate) struct Sequencer<B: Backend> {
    database: Database<B>,
    head: watch::Sender<Head>,
    /// When the head was read last, in milliseconds since `begun`.
    looked: AtomicU64,
    begun: Instant,
    /// The head is read, or moved, one at a time, so that a later look never reports less than an
    /// earlier one.
    looking: Mutex<()>,
    committed: Notify,
    /// Goes up when the database turns out to hold other events under numbers that were known: it was put
    /// back to an older state. What was read of it before counts no more.
    history: AtomicU64,
    /// Up to where events have been shown in their traces.
    traced: AtomicI64,
    /// Up to where rows in quarantine have been logged.
    reported: AtomicI64,
}

impl<B: Backend> Sequencer<B> {
    pub(crate) async fn new(database: Database<B>) -> sqlx::Result<Self> {
        let head = database
            .within(STATEMENT, B::look(database.reader()))
            .await?
            .head;
        Ok(Self {
            database,
            traced: AtomicI64::new(head.sequence),
            head: watch::Sender::new(head),
            looked: AtomicU64::new(0),
            begun: Instant::now(),
            looking: Mutex::new(()),
            committed: Notify::new(),
            history: AtomicU64::new(0),
            reported: AtomicI64::new(0),
        })
    }

    /// The newest head this instance knows. Costs no query.
    pub(crate) fn head(&self) -> Head {
        self.head.borrow().clone()
    }

    /// The newest head, as it was a moment ago at most. Costs no query while [`Sequencer::run`] runs.
    pub(crate) async fn recent(&self) -> sqlx::Result<Head> {
        if !self.is_late() {
            return Ok(self.head());
        }
        let _one_at_a_time = self.looking.lock().await;
        // Of many who come at once, the first has looked.
        if self.is_late() {
            self.look_locked().await?;
        }
        Ok(self.head())
    }

    fn is_late(&self) -> bool {
        let looked = Duration::from_millis(self.looked.load(Ordering::Relaxed));
        self.begun.elapsed().saturating_sub(looked) > LATE
    }

    /// Is told when the head's cursor moves.
    pub(crate) fn watch(&self) -> watch::Receiver<Head> {
        self.head.subscribe()
    }

    /// Says that a transaction with events has committed.
    pub(crate) fn committed(&self) {
        self.committed.notify_one();
    }

    /// Reads the head from the database, for a reader who knows of more than we do.
    pub(crate) async fn look(&self) -> sqlx::Result<Look> {
        let _one_at_a_time = self.looking.lock().await;
        self.look_locked().await
    }

    async fn look_locked(&self) -> sqlx::Result<Look> {
        let asked = self.begun.elapsed();
        let look = self
            .database
            .within(STATEMENT, B::look(self.database.reader()))
            .await?;
        self.learn(&look.head, asked).await?;
        self.report_quarantined(look.quarantined).await;
        Ok(look)
    }

    /// Logs what has been put into quarantine since the last time, each row once. `newest` is the last one.
    async fn report_quarantined(&self, newest: i64) {
        let known = self.reported.load(Ordering::Relaxed);
        if newest <= known {
            return;
        }
        let rows = B::quarantined(self.database.reader(), known, REPORTED);
        match self.database.within(STATEMENT, rows).await {
            Ok(rows) => {
                for row in rows {
                    let Quarantined {
                        position,
                        id,
                        reason,
                        sequence,
                        ..
                    } = row;
                    error!(
                        event.id = format!("urn:uuid:{id}"),
                        event.subject = row.subject,
                        sequence,
                        position,
                        "event {id} is in quarantine, and all others go on: {reason}; correct or delete it \
                         (feed_quarantine)",
                    );
                    self.reported.store(position, Ordering::Relaxed);
                }
            }
            Err(error) => warn!(
                error = &error as &dyn std::error::Error,
                "the log does not name what is in quarantine"
            ),
        }
    }

    /// Numbers what has committed, until nothing is left.
    pub(crate) async fn number_all(&self) -> sqlx::Result<Look> {
        let mut busy = BUSY_PAUSE;
        loop {
            let looking = self.looking.lock().await;
            let asked = self.begun.elapsed();
            let look = match self
                .database
                .within(STATEMENT, B::number(self.database.numbering(), BATCH))
                .await?
            {
                Numbered::Done(look) => {
                    self.learn(&look.head, asked).await?;
                    self.report_quarantined(look.quarantined).await;
                    look
                }
                Numbered::AtCommit => self.look_locked().await?,
                Numbered::Busy => {
                    drop(looking);
                    tokio::time::sleep(busy).await;
                    busy = (busy * 2).min(LONGEST_BUSY_PAUSE);
                    self.look().await?
                }
            };
            if !look.unnumbered {
                return Ok(look);
            }
        }
    }

    /// Takes a head from the database, `asked` for then. Only who has locked `looking` knows that it is
    /// the newest.
    async fn learn(&self, head: &Head, asked: Duration) -> sqlx::Result<()> {
        let known = self.head();
        if known.epoch == head.epoch {
            self.confirm(&known, head).await?;
        }
        let asked = u64::try_from(asked.as_millis()).unwrap_or(u64::MAX);
        self.looked.store(asked, Ordering::Relaxed);
        self.head.send_if_modified(|known| {
            let moved = !known.is_same(head);
            known.clone_from(head);
            moved
        });
        Ok(())
    }

    /// Finds out whether `head` goes on from the one that is known.
    async fn confirm(&self, known: &Head, head: &Head) -> sqlx::Result<()> {
        if head.revision != known.revision {
            info!(revision = head.revision, "a published event was corrected");
            self.history.fetch_add(1, Ordering::Relaxed);
        }
        let found = match head.sequence.cmp(&known.sequence) {
            std::cmp::Ordering::Less => {
                error!(
                    known = known.sequence,
                    found = head.sequence,
                    "the feed went back from {} to {}: was the database restored?",
                    known.sequence,
                    head.sequence
                );
                self.history.fetch_add(1, Ordering::Relaxed);
                return Ok(());
            }
            std::cmp::Ordering::Equal => head.anchor,
            // What happens within a moment we see step by step. After a longer while the database may be
            // another one, and further.
            std::cmp::Ordering::Greater if self.is_late() && known.sequence > 0 => {
                self.database
                    .within(STATEMENT, B::id_at(self.database.reader(), known.sequence))
                    .await?
            }
            std::cmp::Ordering::Greater => return Ok(()),
        };
        if found != known.anchor {
            self.is_another_history(known.sequence);
        }
        Ok(())
    }

    /// Somebody has found another event in the database than was known there.
    pub(crate) fn is_another_history(&self, sequence: Sequence) {
        error!(
            sequence,
            "the feed took another way: its event {sequence} is not the one that was there: was the database \
             restored?"
        );
        self.history.fetch_add(1, Ordering::Relaxed);
    }

    /// Which history of the feed this is: what was read under another number counts no more.
    pub(crate) fn history(&self) -> u64 {
        self.history.load(Ordering::Relaxed)
    }

    /// Runs until `shutdown`; then numbers what is left, so that nothing waits for another
    /// instance.
    pub(crate) async fn run(&self, shutdown: CancellationToken) {
        let mut news = News::<B>::on(CHANNEL);
        news.listen(&self.database);
        let (mut next, mut paced) = (Instant::now(), Instant::now());
        let (mut committed, mut failing) = (false, false);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = self.committed.notified(), if !committed => {
                    committed = true;
                    continue;
                }
                () = tokio::time::sleep_until(paced), if committed => {
                    paced = Instant::now() + PACE;
                }
                () = tokio::time::sleep_until(next) => {}
                said = news.heard() => {
                    // Mostly our own word.
                    let sequence = said.and_then(|said| said.parse().ok());
                    if sequence.is_some_and(|sequence: i64| sequence <= self.head().sequence) {
                        continue;
                    }
                }
            }
            let begun = SystemTime::now();
            match self.step(std::mem::take(&mut committed)).await {
                Ok(pause) => {
                    self.trace_published(begun).await;
                    if failing {
                        info!("the database answers again");
                        failing = false;
                    }
                    next = Instant::now() + pause;
                }
                Err(error) => {
                    if !failing {
                        error!(
                            error = &error as &dyn std::error::Error,
                            "cannot number events"
                        );
                        failing = true;
                    }
                    next = Instant::now() + TICK;
                }
            }
            if !failing {
                news.listen(&self.database);
            }
        }
        if let Err(error) = self.number_all().await {
            warn!(
                error = &error as &dyn std::error::Error,
                "left events without a number"
            );
        }
    }

    /// One step; returns how long the next one may wait if nobody says anything.
    async fn step(&self, committed: bool) -> sqlx::Result<Duration> {
        let mut look = if committed {
            self.number_all().await?
        } else {
            self.look().await?
        };
        if look.unnumbered {
            look = self.number_all().await?;
        }
        if look.head.is_closed() {
            return Ok(TICK);
        }
        // One second more: whoever takes a date from a clock, and not from us, has a later one.
        let left = end_of_second(look.head.updated) + TimeDelta::seconds(1) - look.now;
        if left > TimeDelta::zero() {
            return Ok(left.to_std().unwrap_or(TICK).min(TICK));
        }
        let closing = B::close_second(self.database.numbering(), look.head.sequence);
        self.database.within(STATEMENT, closing).await?;
        self.look().await?;
        Ok(TICK)
    }
}

impl<B: Backend> Sequencer<B> {
    /// Shows in the traces of new events that they are in the feed now.
    async fn trace_published(&self, since: SystemTime) {
        if !trace::is_on() {
            return;
        }
        let newest = self.head().sequence;
        let traced = self.traced.swap(newest, Ordering::Relaxed);
        let first = (traced + 1).max(newest - BATCH + 1);
        if first > newest {
            return;
        }
        match B::events(self.database.reader(), first, newest).await {
            Ok(events) => {
                for event in events {
                    let (id, parent) = (event.entry.id.urn(), event.traceparent.as_deref());
                    let span = of_event("feed.publish", Kind::Internal, &id, parent, since);
                    span.set("event.sequence", &event.entry.sequence.to_string());
                }
            }
            Err(error) => warn!(
                error = &error as &dyn std::error::Error,
                "traces do not show that events were published"
            ),
        }
    }
}

/// The first instant after the second of `instant`.
pub(crate) fn end_of_second(instant: DateTime<Utc>) -> DateTime<Utc> {
    instant
        .duration_trunc(TimeDelta::seconds(1))
        .unwrap_or(instant)
        + TimeDelta::seconds(1)
}
