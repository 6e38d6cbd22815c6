//! The batch transaction: lock the partitions, claim the events, apply their effects, move the
//! cursor; commit. A crash at any point repeats the batch and has no second effect (I5).

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use sqlx::Transaction;
use tracing::{Instrument, debug, info, warn};

use super::batch_size::{BatchSize, SMALLEST};
use super::call_effect::{EffectCaller, PassedOver};
use super::failure::{Failure, Stopped, describe, run_detached};
use super::instance::Instance;
use super::parked::{erase_parked, park};
use super::renewal::TERM;
use crate::consumer::effect::{Effect, EffectError};
use crate::consumer::measured::counts::Counts;
use crate::consumer::progress::position::{moves, position_at};
use crate::consumer::received::Received;
use crate::consumer::sanitize::printable;
use crate::consumer::source::content::Arrival;
use crate::database::timeout::TRANSACTION;
use crate::partition::partition_of;
use crate::reached::Mark;
use crate::store::Backend;
use crate::store::consume::{Claim, Held, Position};
use crate::trace::TransactionSpans;

/// The outcome of a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Applied {
    /// Events whose effect was committed now.
    pub(crate) events: usize,
    /// True if another instance has taken partitions over.
    pub(crate) fenced: bool,
}

/// The input of one transaction.
struct Attempt {
    held: Vec<Held>,
    arrivals: Vec<Arrival>,
    to: Position,
    /// If set, the transaction parks the one event for this reason instead of applying it.
    failure: Option<EffectError>,
}

/// A batch whose events are claimed and not applied yet.
struct Begun<B: Backend> {
    tx: Transaction<'static, B>,
    guard: B::Guard,
    /// The partitions that this instance still holds.
    kept: Vec<i64>,
    /// The number of events that are new to these partitions, and the number claimed now.
    arrived: usize,
    won: usize,
    /// The events to apply now.
    ready: Vec<Arrival>,
    spans: TransactionSpans,
}

/// Applies events.
#[derive(Debug)]
pub(crate) struct Applier<B: Backend, E> {
    pub(crate) caller: Arc<EffectCaller<B, E>>,
    counts: Arc<Counts>,
    batch_size: Mutex<BatchSize>,
}

impl<B: Backend, E: Effect<B>> Applier<B, E> {
    pub(crate) fn new(instance: Arc<Instance<B>>, effect: E, counts: Arc<Counts>) -> Self {
        Self {
            caller: Arc::new(EffectCaller::new(instance, effect)),
            counts,
            batch_size: Mutex::default(),
        }
    }

    /// Returns the number of events that a transaction may have now.
    pub(crate) fn batch_size(&self) -> usize {
        self.size().next().min(self.caller.most_events())
    }

    fn size(&self) -> MutexGuard<'_, BatchSize> {
        (self.batch_size.lock()).unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies `arrivals`, which are in sequence, and moves the cursors of `held` to `to`.
    pub(crate) async fn apply(
        self: &Arc<Self>,
        held: &mut [Held],
        arrivals: &[Arrival],
        to: &Position,
    ) -> Result<Applied, Stopped> {
        self.apply_by(None, held, arrivals, to).await
    }

    /// Applies `arrivals` in transactions of at most `size` events, or else of as many as a
    /// transaction may have when it begins.
    async fn apply_by(
        self: &Arc<Self>,
        size: Option<usize>,
        held: &mut [Held],
        arrivals: &[Arrival],
        to: &Position,
    ) -> Result<Applied, Stopped> {
        let mut total = Applied::default();
        let mut rest = arrivals;
        loop {
            let size = size.unwrap_or_else(|| self.batch_size());
            let (chunk, after) = rest.split_at(size.min(rest.len()));
            let end = match after {
                [] => to.clone(),
                _ => position_at(chunk, to),
            };
            let applied = self.apply_chunk(held, chunk, &end).await?;
            total.events += applied.events;
            total.fenced |= applied.fenced;
            if after.is_empty() || total.fenced {
                return Ok(total);
            }
            rest = after;
        }
    }

    /// Applies all of `chunk` in one transaction. If an event makes that fail, applies the events in
    /// smaller batches, and then one by one: a parked event then affects no other, and the good case
    /// costs nothing more.
    async fn apply_chunk(
        self: &Arc<Self>,
        held: &mut [Held],
        chunk: &[Arrival],
        to: &Position,
    ) -> Result<Applied, Stopped> {
        let begun = Instant::now();
        let failure = match self.attempt(held, chunk, to, None).await {
            Ok(applied) => {
                let (time, limit) = (begun.elapsed(), self.caller.time_limit());
                self.size().succeeded(chunk.len(), time, limit);
                return Ok(applied);
            }
            Err(Failure::Stopped(stopped)) => {
                // It may do fewer events in time.
                self.size().failed(chunk.len());
                return Err(stopped);
            }
            Err(Failure::Effect(error)) => error,
        };
        if let events @ 2.. = chunk.len() {
            Mark::BatchSplit.reached();
            self.size().failed(events);
            let size = if events > SMALLEST { SMALLEST } else { 1 };
            debug!(
                "a batch of {events} events failed; they are applied in batches of {size}: {failure}"
            );
            return Box::pin(self.apply_by(Some(size), held, chunk, to)).await;
        }
        match self.attempt(held, chunk, to, Some(failure)).await {
            Ok(applied) => Ok(applied),
            Err(Failure::Stopped(stopped)) => Err(stopped),
            Err(Failure::Effect(error)) => Err(sqlx::Error::Protocol(error.to_string()).into()),
        }
    }

    /// Runs one transaction in a task of its own, so that a caller that stops waiting does not
    /// interrupt it.
    async fn attempt(
        self: &Arc<Self>,
        held: &mut [Held],
        chunk: &[Arrival],
        to: &Position,
        failure: Option<EffectError>,
    ) -> Result<Applied, Failure> {
        let batch = Attempt {
            held: held
                .iter()
                .filter(|held| moves(&held.position, to))
                .cloned()
                .collect(),
            arrivals: chunk.to_vec(),
            to: to.clone(),
            failure,
        };
        if batch.held.is_empty() {
            return Ok(Applied::default());
        }
        let asked = batch.held.len();
        let applier = Arc::clone(self);
        let transactions = &self.caller.instance.transactions;
        let transact = async move { applier.transact(batch).await };
        let (kept, events) = run_detached(transactions, transact).await?;
        for held in held
            .iter_mut()
            .filter(|held| kept.contains(&held.partition))
        {
            held.position = held.position.moved_to(to);
        }
        let fenced = kept.len() < asked;
        if fenced {
            Mark::FencedBatch.reached();
        }
        Ok(Applied { events, fenced })
    }

    /// Returns the partitions that this instance still holds, and the number of applied events.
    async fn transact(&self, batch: Attempt) -> Result<(Vec<i64>, usize), Failure> {
        let (failure, instance) = (batch.failure, &self.caller.instance);
        let applies = failure.is_none();
        let begun = self.begin_batch(&batch.held, batch.arrivals, &batch.to, applies);
        let Begun {
            mut tx,
            guard,
            kept,
            arrived,
            won,
            ready,
            spans,
        } = instance.database.within(TRANSACTION, begun).await?;
        let (mut applied, mut passed_over) = (Vec::new(), PassedOver::new());
        match (failure, ready.as_slice()) {
            (_, []) => self.caller.commit(tx, guard, &[]).await?,
            (Some(failure), [one]) => {
                let reason = describe(&failure);
                spans.fail(&reason);
                let parked = self.park(&mut tx, one, Some(&failure));
                instance.database.statement(parked).await?;
                self.caller.commit(tx, guard, &[]).await?;
                let id = &one.event.id;
                warn!(
                    event.id = id,
                    event.subject = one.event.subject,
                    "parked event {}: {reason}",
                    printable(id)
                );
            }
            (_, all) => {
                if let Some(missing) = all.iter().find_map(|arrival| arrival.missing.clone()) {
                    return Err(Failure::Effect(missing.into()));
                }
                applied.extend(ready.into_iter().map(|arrival| arrival.event));
                passed_over = self.caller.call(tx, guard, &applied).await?;
            }
        }
        self.counts.committed(arrived, won);
        spans.committed();
        let count = applied.len();
        // Log after the commit, since the message is not true before. Log beside the next batch,
        // since a hundred lines take as long as some of its statements.
        tokio::spawn(async move { log_applied(&applied, &passed_over) }.in_current_span());
        Ok((kept, count))
    }

    /// Begins the transaction: moves the cursors of the partitions that are still held, claims new
    /// events, and parks those that follow a parked event. If it `applies` the others, skips of earlier events of
    /// their subjects can no longer be undone (I6).
    async fn begin_batch(
        &self,
        held: &[Held],
        arrivals: Vec<Arrival>,
        to: &Position,
        applies: bool,
    ) -> sqlx::Result<Begun<B>> {
        let instance = &self.caller.instance;
        let (_, s, me) = instance.scope();
        let mut tx = instance.database.begin().await?;
        let effects = !arrivals.is_empty();
        let (kept, guard) = B::advance(&mut tx, s, me, held, to, TERM, effects).await?;
        let any_decided = kept.iter().any(|(_, decided)| *decided);
        let kept: Vec<i64> = kept.into_iter().map(|(partition, _)| partition).collect();
        let ours: HashMap<i64, i64> = held
            .iter()
            .filter(|held| kept.contains(&held.partition))
            .map(|held| (held.partition, held.position.sequence))
            .collect();
        let arrivals: Vec<Arrival> = arrivals
            .into_iter()
            .filter(|arrival| {
                let seen = ours.get(&partition_of(&arrival.event.subject));
                seen.is_some_and(|seen| arrival.event.sequence.is_none_or(|new| new > *seen))
            })
            .collect();
        let arrived = arrivals.len();
        let arrivals = self.claim(&mut tx, arrivals, !any_decided).await?;
        let won = arrivals.len();
        if won < arrived {
            Mark::ClaimedBefore.reached();
        }
        let spans = TransactionSpans::new(arrivals.iter().map(Arrival::applying));
        let (waiting, ready) = match any_decided {
            true => self.split_blocked(&mut tx, arrivals, applies).await?,
            false => (Vec::new(), arrivals),
        };
        for arrival in &waiting {
            Mark::Waiting.reached();
            self.park(&mut tx, arrival, None).await?;
        }
        Ok(Begun {
            tx,
            guard,
            kept,
            arrived,
            won,
            ready,
            spans,
        })
    }

    /// Claims the arrivals, and keeps those that were not claimed before. `is_last`: the effect comes next.
    async fn claim(
        &self,
        tx: &mut Transaction<'_, B>,
        arrivals: Vec<Arrival>,
        is_last: bool,
    ) -> sqlx::Result<Vec<Arrival>> {
        if arrivals.is_empty() {
            return Ok(arrivals);
        }
        let claims: Vec<Claim<'_>> = arrivals
            .iter()
            .map(|arrival| Claim {
                event_id: &arrival.event.id,
                sequence: arrival.event.sequence,
                subject: &arrival.event.subject,
            })
            .collect();
        let won = B::claim(tx, &self.caller.instance.subscription, &claims, is_last).await?;
        // An id that stands twice in one document is claimed once.
        let mut won: HashSet<String> = won.into_iter().collect();
        Ok(arrivals
            .into_iter()
            .filter(|arrival| won.remove(&arrival.event.id))
            .collect())
    }

    /// Parks an event. One that erases earlier events erases what is kept of them before its own effect succeeds.
    async fn park(
        &self,
        tx: &mut Transaction<'_, B>,
        arrival: &Arrival,
        failure: Option<&EffectError>,
    ) -> sqlx::Result<()> {
        let s = &self.caller.instance.subscription;
        if self.caller.erases(&arrival.event) {
            erase_parked(tx, s, arrival).await?;
        }
        park(tx, s, arrival, failure).await
    }

    /// Splits off the arrivals whose subject has a parked event: they wait for that event (I6). Ends the undo of skips
    /// before the others, if those are applied.
    async fn split_blocked(
        &self,
        tx: &mut Transaction<'_, B>,
        arrivals: Vec<Arrival>,
        applies: bool,
    ) -> sqlx::Result<(Vec<Arrival>, Vec<Arrival>)> {
        if arrivals.is_empty() {
            return Ok((Vec::new(), arrivals));
        }
        let subjects: Vec<&str> = arrivals
            .iter()
            .map(|arrival| arrival.event.subject.as_str())
            .collect();
        let s = &self.caller.instance.subscription;
        if applies {
            B::end_undo(tx, s, &subjects).await?;
        }
        let blocked = B::blocked(tx, s, &subjects).await?;
        Ok(arrivals
            .into_iter()
            .partition(|arrival| blocked.contains(&arrival.event.subject)))
    }
}

/// Logs the applied events: one line for all, and one line for each at DEBUG.
fn log_applied(applied: &[Received], passed_over: &PassedOver) {
    let Some(last) = applied.last() else { return };
    for (index, event) in applied.iter().enumerate() {
        let Received { id, subject, .. } = event;
        let (shown, about) = (printable(id), printable(subject));
        match passed_over.get(&index) {
            None => debug!(
                event.id = id,
                event.subject = subject,
                "applied event {shown} of {about}"
            ),
            Some(reason) => debug!(
                event.id = id,
                event.subject = subject,
                "passed over event {shown} of {about}: {reason}"
            ),
        }
    }
    let ids: Vec<&str> = applied.iter().map(|event| event.id.as_str()).collect();
    let events = applied.len();
    let noun = if events == 1 { "event" } else { "events" };
    // Name the ids, so that a search for one of them finds this line.
    info!(
        events,
        passed_over = passed_over.len(),
        sequence = last.sequence,
        event.ids = ids.join(" "),
        "applied {events} {noun}, up to {} of {}",
        printable(&last.id),
        printable(&last.subject)
    );
}
