//! Numbers committed events, and keeps the newest cursor in memory.
//!
//! Every instance may run it; a lock lets one of them number at a time. Readers of the feed see
//! numbered events only, so a reader that has seen `k` can have seen all before `k` (I2).

mod second;

use std::sync::PoisonError;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use crate::http::with_causes;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::OptionFuture;
use tokio::sync::{Mutex, Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use self::second::OpenSecond;
use crate::database::Database;
use crate::database::notifications::Notifications;
use crate::database::timeout::STATEMENT;
use crate::event::Sequence;
use crate::reached::Mark;
use crate::store::Backend;
use crate::store::publish::{CHANNEL, Head, HeadRead, Numbered, Quarantined};
use crate::trace::{self, Kind, of_event};

/// The poll interval when no notification arrives: the bound on the delay of an event whose
/// publisher died between its commit and its numbering.
const TICK: Duration = Duration::from_millis(250);

/// The greatest age of the head in an answer. An instance that was frozen, or cannot reach its
/// database, would otherwise answer "nothing new" after others have published (I4).
const LONGEST_AGE: Duration = Duration::from_secs(1);

/// Rows in quarantine that are logged at once; the next read continues there.
const REPORTED: i64 = 100;

/// The most events numbered in one transaction. Fewer are after that has failed, as it may for many large events at once: one
/// alone is not too large.
const MOST_NUMBERED: i64 = 1_000;

/// The shortest interval between two numberings. A single event is numbered at once; events within
/// this interval share one transaction, and readers one new head.
const PACE: Duration = Duration::from_millis(10);

/// The pause after another instance was found numbering. It doubles up to the longest one, since
/// another session may hold the lock on the head.
const BUSY_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_BUSY_PAUSE: Duration = Duration::from_millis(50);

/// How long one step waits for a locked head; a shutdown waits for the step.
const BUSY: Duration = Duration::from_secs(1);

/// How long events may wait for a locked head before the log says so.
const STUCK: Duration = Duration::from_secs(5);

/// What an instance may do to the database of its feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Write,
    /// The server is a copy that follows another one: it cannot be written to, nor listened to.
    Read,
}

/// The head of one feed as this instance knows it, and the numbering of its events.
#[derive(Debug)]
pub(crate) struct Sequencer<B: Backend> {
    database: Database<B>,
    access: Access,
    head: watch::Sender<Head>,
    /// When the head was read last, in milliseconds since `begun`.
    last_read: AtomicU64,
    begun: Instant,
    /// Held while the head is read or moved, so that a later read never reports less than an
    /// earlier one.
    reading: Mutex<()>,
    /// The most events to number at once.
    most: AtomicI64,
    committed: Notify,
    /// Increases when the database turns out to have other events under known sequences: one was
    /// corrected, or the database was restored. What was read before is then invalid.
    rewrites: AtomicU64,
    /// The last event whose publication was traced.
    traced: AtomicI64,
    /// The last row in quarantine that was logged.
    reported: AtomicI64,
    /// While committed events have no numbers: the newest number, and since when it has not moved.
    stuck: std::sync::Mutex<Option<(Sequence, Instant)>>,
}

impl<B: Backend> Sequencer<B> {
    pub(crate) async fn new(database: Database<B>, access: Access) -> sqlx::Result<Self> {
        let head = database
            .statement(B::read_head(database.reader()))
            .await?
            .head;
        Ok(Self {
            database,
            access,
            traced: AtomicI64::new(head.sequence),
            head: watch::Sender::new(head),
            last_read: AtomicU64::new(0),
            begun: Instant::now(),
            reading: Mutex::new(()),
            most: AtomicI64::new(MOST_NUMBERED),
            committed: Notify::new(),
            rewrites: AtomicU64::new(0),
            reported: AtomicI64::new(0),
            stuck: std::sync::Mutex::new(None),
        })
    }

    /// Returns true if the database is a copy that may be behind by any time.
    pub(crate) fn only_reads(&self) -> bool {
        self.access == Access::Read
    }

    /// Returns the newest head that this instance knows. Costs no query.
    pub(crate) fn head(&self) -> Head {
        self.head.borrow().clone()
    }

    /// Returns the newest head, at most a second old. Costs no query while [`Sequencer::run`] runs.
    pub(crate) async fn recent(&self) -> sqlx::Result<Head> {
        if !self.is_outdated() {
            return Ok(self.head());
        }
        let _one_at_a_time = self.reading.lock().await;
        // Of concurrent callers, the first has already read it.
        if self.is_outdated() {
            Mark::StaleHead.reached();
            self.refresh_locked().await?;
        }
        Ok(self.head())
    }

    fn is_outdated(&self) -> bool {
        let last_read = Duration::from_millis(self.last_read.load(Ordering::Relaxed));
        self.begun.elapsed().saturating_sub(last_read) > LONGEST_AGE
    }

    /// Returns a channel that is notified when the head's cursor moves.
    pub(crate) fn watch(&self) -> watch::Receiver<Head> {
        self.head.subscribe()
    }

    /// Reports that a transaction with events has committed.
    pub(crate) fn committed(&self) {
        self.committed.notify_one();
    }

    /// Reads the head from the database, for a reader who knows of a newer event.
    pub(crate) async fn refresh(&self) -> sqlx::Result<HeadRead> {
        let _one_at_a_time = self.reading.lock().await;
        self.refresh_locked().await
    }

    async fn refresh_locked(&self) -> sqlx::Result<HeadRead> {
        let asked = self.begun.elapsed();
        let read = B::read_head(self.database.reader());
        let read = self.database.statement(read).await?;
        self.adopt(&read, asked).await?;
        Ok(read)
    }

    /// Logs the rows put into quarantine since the last call, each once. `newest` is the last row.
    async fn report_quarantined(&self, newest: i64) {
        let known = self.reported.load(Ordering::Relaxed);
        if newest <= known {
            return;
        }
        let rows = B::quarantined(self.database.reader(), known, REPORTED);
        match self.database.statement(rows).await {
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
                        "event {id} is in quarantine, all others are published: {reason}; correct or delete \
                         it (feed_quarantine)",
                    );
                    self.reported.store(position, Ordering::Relaxed);
                }
            }
            Err(error) => warn!(
                error = with_causes(&error),
                "cannot list the rows in quarantine"
            ),
        }
    }

    /// Numbers committed events until none is left, or until another session has locked the head for `patience`.
    pub(crate) async fn number_all(&self, patience: Duration) -> sqlx::Result<HeadRead> {
        if self.access == Access::Read {
            return self.refresh().await;
        }
        let (mut busy, mut began) = (BUSY_PAUSE, Instant::now());
        loop {
            let reading = self.reading.lock().await;
            let asked = self.begun.elapsed();
            let most = self.most.load(Ordering::Relaxed);
            let numbered = B::number(self.database.numbering(), most);
            let numbered = self.database.statement(numbered).await;
            let took = self.begun.elapsed() - asked;
            let were_all = numbered.as_ref().map(Numbered::were_most);
            self.most
                .store(next_most(most, were_all, took), Ordering::Relaxed);
            let read = match numbered? {
                Numbered::Done(read, numbered) => {
                    if numbered == 0 && read.head.sequence > self.head().sequence {
                        Mark::NumberedBefore.reached();
                    }
                    self.adopt(&read, asked).await?;
                    began = Instant::now();
                    read
                }
                Numbered::AtCommit => self.refresh_locked().await?,
                Numbered::Busy => {
                    Mark::HeadLocked.reached();
                    drop(reading);
                    tokio::time::sleep(busy).await;
                    busy = (busy * 2).min(LONGEST_BUSY_PAUSE);
                    let read = self.refresh().await?;
                    if began.elapsed() >= patience {
                        return Ok(read);
                    }
                    read
                }
            };
            if !read.unnumbered {
                return Ok(read);
            }
        }
    }

    /// Takes what was read at `asked`. The caller must hold `reading`, which makes it the newest.
    async fn adopt(&self, read: &HeadRead, asked: Duration) -> sqlx::Result<()> {
        let (known, head) = (self.head(), &read.head);
        if known.epoch == head.epoch {
            self.check_history(&known, head).await?;
        }
        let asked = u64::try_from(asked.as_millis()).unwrap_or(u64::MAX);
        self.last_read.store(asked, Ordering::Relaxed);
        let has_moved = self.head.send_if_modified(|known| {
            let moved = !known.is_same(head);
            known.clone_from(head);
            moved
        });
        if has_moved {
            self.database.health().note_stored();
        }
        self.note_stuck(read);
        self.report_quarantined(read.quarantined).await;
        Ok(())
    }

    fn note_stuck(&self, read: &HeadRead) {
        let mut stuck = self.stuck.lock().unwrap_or_else(PoisonError::into_inner);
        let at = read.head.sequence;
        let since = stuck.filter(|(known, _)| *known == at);
        *stuck = read
            .unnumbered
            .then(|| since.unwrap_or((at, Instant::now())));
    }

    /// Returns for how long committed events have had no numbers, and the head has not moved. Needs no clock but this
    /// instance's: the events' own times may be any.
    pub(crate) fn stuck_for(&self) -> Duration {
        let stuck = self.stuck.lock().unwrap_or_else(PoisonError::into_inner);
        stuck.map_or(Duration::ZERO, |(_, since)| since.elapsed())
    }

    /// Checks whether `head` continues the known one.
    async fn check_history(&self, known: &Head, head: &Head) -> sqlx::Result<()> {
        if head.revision != known.revision {
            info!(
                revision = head.revision,
                "published data was corrected or erased"
            );
            self.rewrites.fetch_add(1, Ordering::Relaxed);
        }
        let found = match head.sequence.cmp(&known.sequence) {
            std::cmp::Ordering::Less => {
                Mark::HeadWentBack.reached();
                error!(
                    known = known.sequence,
                    found = head.sequence,
                    "the feed went back from {} to {}: was the database restored?",
                    known.sequence,
                    head.sequence
                );
                self.rewrites.fetch_add(1, Ordering::Relaxed);
                return Ok(());
            }
            std::cmp::Ordering::Equal => head.anchor,
            // Within a second this instance sees every step. After longer, the database may have been replaced by one
            // that is ahead.
            std::cmp::Ordering::Greater if self.is_outdated() => {
                let found = B::id_at(self.database.reader(), known.sequence);
                self.database.statement(found).await?
            }
            std::cmp::Ordering::Greater => return Ok(()),
        };
        if found != known.anchor {
            self.report_divergence(known.sequence);
        }
        Ok(())
    }

    /// Records that the database has another event under this sequence.
    pub(crate) fn report_divergence(&self, sequence: Sequence) {
        Mark::HistoryDiverged.reached();
        error!(
            sequence,
            "the feed history diverged at event {sequence}, which has another id than before: was the \
             database restored?"
        );
        self.rewrites.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns how often events under known sequences have changed. What was read under another
    /// number is invalid.
    pub(crate) fn rewrites(&self) -> u64 {
        self.rewrites.load(Ordering::Relaxed)
    }

    /// Runs until `shutdown`, then [finishes](Sequencer::finish).
    pub(crate) async fn run(&self, shutdown: CancellationToken) {
        let mut notifications = Notifications::<B>::on(CHANNEL);
        let listens = self.access == Access::Write;
        if listens {
            notifications.listen(&self.database);
        }
        let (mut next, mut paced) = (Instant::now(), Instant::now());
        let mut committed = false;
        let (mut failures, mut is_stuck) = (0_u32, false);
        let mut waited = false;
        let mut second = OpenSecond::default();
        let mut closing: Option<JoinHandle<sqlx::Result<()>>> = None;
        let mut closes_from = Instant::now();
        loop {
            let closed = OptionFuture::from(closing.as_mut());
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
                Some(closed) = closed => {
                    closing = None;
                    if let Ok(Err(error)) = closed {
                        self.database.learn_from(&error);
                        debug!(error = with_causes(&error), "cannot store the date of the newest event yet");
                        continue;
                    }
                }
                said = notifications.next() => {
                    // Usually this instance's own notification.
                    let sequence = said.and_then(|said| said.parse().ok());
                    if sequence.is_some_and(|sequence: i64| sequence <= self.head().sequence) {
                        continue;
                    }
                }
            }
            let begun = SystemTime::now();
            match self.step(std::mem::take(&mut committed), &mut second).await {
                Ok((pause, due)) => {
                    self.trace_published(begun).await;
                    if std::mem::take(&mut failures) > 0 {
                        info!("events are numbered again");
                    }
                    is_stuck = self.report_stuck(is_stuck);
                    // Beside the steps: on SQLite it may wait long for another writer.
                    if let (Some((head, until)), None) = (due, &closing)
                        && Instant::now() >= closes_from
                    {
                        closes_from = Instant::now() + TICK;
                        let database = self.database.clone();
                        closing = Some(tokio::spawn(async move {
                            let closing = B::close_second(database.numbering(), &head, until);
                            database.statement(closing).await
                        }));
                    }
                    next = Instant::now() + pause;
                }
                Err(error) => {
                    self.database.learn_from(&error);
                    let waits = matches!(error, sqlx::Error::PoolTimedOut);
                    let begins = waits && !waited;
                    waited = waits;
                    // Repeat from time to time, so that the log of each hour contains it. The first failure may be the end of
                    // a session, and the next one that there is no other.
                    if begins || failures % 100 == 0 {
                        let error = self.database.explained(error).await;
                        error!(error = with_causes(&error), "cannot number events");
                    }
                    failures += 1;
                    next = Instant::now() + TICK;
                }
            }
            if failures > 0 {
                notifications.end_suspect(&self.database);
            } else if listens {
                notifications.listen(&self.database);
            }
        }
        self.finish().await;
    }

    /// Numbers the rest, so that no event waits for another instance.
    pub(crate) async fn finish(&self) {
        match self.number_all(BUSY).await {
            Ok(read) if read.unnumbered => {
                warn!("left events without a number: the head is locked")
            }
            Ok(_) => {}
            Err(error) => warn!(error = with_causes(&error), "left events without a number"),
        }
    }

    /// Logs once that the numbering has stopped, and that it works again. Returns whether it has stopped.
    fn report_stuck(&self, was_stuck: bool) -> bool {
        let waited = self.stuck_for();
        let is_stuck = waited >= STUCK;
        match (was_stuck, is_stuck) {
            (false, true) => warn!(
                "committed events have been without a number for {} s, and no reader sees them: another session holds the row of \
                 feed_head; end its transaction",
                waited.as_secs()
            ),
            (true, false) => info!("committed events get their numbers again"),
            _ => {}
        }
        is_stuck
    }

    /// Does one step; returns how long to wait for the next one if no notification arrives, and the head whose second is
    /// due to be closed, with its end.
    async fn step(
        &self,
        committed: bool,
        second: &mut OpenSecond,
    ) -> sqlx::Result<(Duration, Option<(Head, DateTime<Utc>)>)> {
        self.database.check_file()?;
        self.database.check_addresses()?;
        let mut read = if committed {
            self.number_all(BUSY).await?
        } else {
            self.refresh().await?
        };
        if read.unnumbered {
            Mark::Unannounced.reached();
            read = self.number_all(BUSY).await?;
        }
        let until = second.closes_at(&read.head);
        if read.head.is_closed() || self.access == Access::Read {
            return Ok((TICK, None));
        }
        let left = until - read.head.read_at;
        if left > TimeDelta::zero() {
            return Ok((left.to_std().unwrap_or(TICK).min(TICK), None));
        }
        // Close only this exact head: a change that commits while the statement waits carries an earlier date.
        Ok((TICK, Some((read.head, until))))
    }
}

/// Returns how many events to number at once after an attempt at `most`. A failure of another cause costs a few small portions.
fn next_most(most: i64, were_all: Result<bool, &sqlx::Error>, took: Duration) -> i64 {
    let next = match were_all {
        // Twice as many might take too long.
        Ok(true) if took > STATEMENT / 2 => most,
        Ok(true) => most * 2,
        // Nothing was tried without a connection.
        Ok(false) | Err(sqlx::Error::PoolTimedOut) => most,
        Err(_) => most / 10,
    };
    next.clamp(1, MOST_NUMBERED)
}

impl<B: Backend> Sequencer<B> {
    /// Adds the publication to the traces of new events.
    async fn trace_published(&self, since: SystemTime) {
        if !trace::is_on() {
            return;
        }
        let newest = self.head().sequence;
        let traced = self.traced.swap(newest, Ordering::Relaxed);
        let first = (traced + 1).max(newest - MOST_NUMBERED + 1);
        if first > newest {
            return;
        }
        let events = B::events(self.database.reader(), first, newest);
        match self.database.statement(events).await {
            Ok(events) => {
                for event in events {
                    let (id, parent) = (event.entry.id.urn(), event.traceparent.as_deref());
                    let span = of_event("feed.publish", Kind::Internal, &id, parent, since);
                    span.set("event.sequence", &event.entry.sequence.to_string());
                }
            }
            Err(error) => warn!(
                error = with_causes(&error),
                "traces do not show that events were published"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fewer_events_are_numbered_at_once_after_a_failure_alone() {
        let attempt = |most, were_all: sqlx::Result<bool>, seconds| {
            next_most(
                most,
                were_all.as_ref().copied(),
                Duration::from_secs_f64(seconds),
            )
        };
        let fails = |most| attempt(most, Err(sqlx::Error::WorkerCrashed), 8.0);
        // Far from the server, all the time: neither that nor a lack of connections is a matter of size.
        for (were_all, seconds) in [(Ok(true), 3.9), (Ok(false), 1.1), (Ok(true), 7.0)] {
            assert_eq!(attempt(1_000, were_all, seconds), 1_000, "{seconds} s");
        }
        assert_eq!(attempt(1_000, Err(sqlx::Error::PoolTimedOut), 5.0), 1_000);
        // An outage there, and what comes after it.
        assert_eq!((0..5).fold(1_000, |most, _| fails(most)), 1);
        let again = (0..10).fold(1, |most, _| attempt(most, Ok(true), 1.1));
        assert_eq!(again, 1_000);
        // No more than there are, and none twice as slow.
        assert_eq!(attempt(100, Ok(false), 0.1), 100);
        assert_eq!(attempt(100, Ok(true), 4.1), 100);
        // Each event takes 50 ms, and all of 8 s is given up.
        let (mut most, mut failures) = (1_000, 0);
        for _ in 0..100 {
            most = match most as f64 * 0.05 {
                long if long >= 8.0 => {
                    failures += 1;
                    fails(most)
                }
                seconds => attempt(most, Ok(true), seconds),
            };
        }
        assert_eq!((most, failures), (100, 1));
    }

    #[cfg(feature = "sqlite")]
    #[tokio::test]
    async fn a_file_that_was_removed_is_noticed() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("feed.db");
        let url = format!("sqlite:{}", path.display());
        let database = Database::<sqlx::Sqlite>::open(&url);
        let database = database.await.expect("a database");
        let base = "http://localhost/".parse().expect("an address");
        let settings = crate::FeedSettings::new(base, "Orders");
        let stop = CancellationToken::new();
        let feed = crate::Feed::open(database.clone(), settings, stop).await;
        feed.expect("a feed");
        let sequencer = Sequencer::new(database, Access::Write).await;
        let sequencer = sequencer.expect("a head");
        let mut second = OpenSecond::default();
        sequencer
            .step(false, &mut second)
            .await
            .expect("it is there");
        let away = path.with_extension("away");
        std::fs::rename(&path, &away).expect("moved");
        let error = sequencer.step(false, &mut second).await.expect_err("away");
        let error = with_causes(&error);
        assert!(error.contains("file was removed"), "{error}");
        std::fs::rename(&away, &path).expect("moved back");
        sequencer
            .step(false, &mut second)
            .await
            .expect("it is back");
    }
}
