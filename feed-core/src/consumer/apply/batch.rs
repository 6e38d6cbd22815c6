//! The batch transaction: lock the partitions, claim the events, apply their effects, move the
//! cursor; commit. A crash at any point repeats the batch and has no second effect (I5).

use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::SystemTime;

use sqlx::Transaction;
use tracing::{Instrument, debug, error, info, warn};

use super::failure::{Failure, describe, in_own_task, retry_in};
use super::parked;
use crate::consumer::progress::leases::partition_of;
use crate::consumer::source::content::Missing;
use crate::consumer::{Context, Effect, EffectError, PassedOver, Received};
use crate::database::patience::{STATEMENT, TRANSACTION, within};
use crate::store::Backend;
use crate::store::consume::{Claim, Held, Parking, Position};
use crate::trace::{Kind, Span, Work, of_event};

/// Events of one transaction.
pub(crate) const BATCH: usize = 100;

/// An event that has arrived: with its data, or with the reason why it has none.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    pub(crate) event: Received,
    pub(crate) missing: Option<Missing>,
    /// From when it was read to when it is applied.
    pub(crate) span: Span,
}

impl Arrival {
    fn applying(&self) -> Span {
        let parent = self.span.traceparent();
        let (id, now) = (&self.event.id, SystemTime::now());
        of_event("feed.apply", Kind::Internal, id, parent.as_deref(), now)
    }
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Applied {
    /// Events whose effect was committed now.
    pub(crate) events: usize,
    /// True if partitions had been lost to another instance.
    pub(crate) fenced: bool,
}

/// What is asked of one transaction.
struct Batch {
    held: Vec<Held>,
    arrivals: Vec<Arrival>,
    to: Position,
    /// The one event is parked for this reason instead of applied.
    verdict: Option<EffectError>,
}

/// A batch whose claims are made, and whose effect is not there yet.
struct Begun<B: Backend> {
    tx: Transaction<'static, B>,
    guard: B::Guard,
    /// The partitions that were still ours.
    kept: Vec<i64>,
    /// Events that are new to them, and those of them that were not claimed before.
    arrived: usize,
    won: usize,
    /// Those to be applied now.
    ready: Vec<Arrival>,
    work: Work,
}

impl<B: Backend, E: Effect<B>> Context<B, E> {
    /// Applies `arrivals`, which are in sequence, and moves `held` to `to`.
    pub(crate) async fn apply(
        self: &Arc<Self>,
        held: &mut [Held],
        arrivals: Vec<Arrival>,
        to: &Position,
    ) -> sqlx::Result<Applied> {
        let mut total = Applied::default();
        let mut chunks = arrivals.chunks(BATCH).peekable();
        loop {
            let chunk = chunks.next().unwrap_or_default();
            let end = match chunks.peek() {
                Some(_) => place_after(chunk, to, held),
                None => to.clone(),
            };
            let applied = self.apply_chunk(held, chunk, &end).await?;
            total.events += applied.events;
            total.fenced |= applied.fenced;
            if chunks.peek().is_none() || total.fenced {
                return Ok(total);
            }
        }
    }

    /// All of `chunk` in one transaction; if that fails by an event's fault, one by one, so that
    /// a parked one takes nothing with it and the good case pays nothing.
    async fn apply_chunk(
        self: &Arc<Self>,
        held: &mut [Held],
        chunk: &[Arrival],
        to: &Position,
    ) -> sqlx::Result<Applied> {
        let failure = match self.attempt(held, chunk, to, None).await {
            Ok(applied) => return Ok(applied),
            Err(Failure::Database(error)) => return Err(error),
            Err(Failure::Effect(error)) => error,
        };
        if let [one] = chunk {
            warn!(
                event.id = one.event.id,
                event.subject = one.event.subject,
                "parked event {}: {}",
                one.event.id,
                describe(&failure)
            );
            return match self.attempt(held, chunk, to, Some(failure)).await {
                Ok(applied) => Ok(applied),
                Err(Failure::Database(error)) => Err(error),
                Err(Failure::Effect(error)) => Err(sqlx::Error::Protocol(error.to_string())),
            };
        }
        debug!(
            "a batch of {} events failed, they go one by one: {failure}",
            chunk.len()
        );
        let mut total = Applied::default();
        for (index, one) in chunk.iter().enumerate() {
            let one = std::slice::from_ref(one);
            let end = if index + 1 == chunk.len() {
                to.clone()
            } else {
                place_after(one, to, held)
            };
            let applied = Box::pin(self.apply_chunk(held, one, &end)).await?;
            total.events += applied.events;
            total.fenced |= applied.fenced;
            if total.fenced {
                break;
            }
        }
        Ok(total)
    }

    /// One transaction, in a task of its own: whoever stops waiting for it does not stop it
    /// half-way.
    async fn attempt(
        self: &Arc<Self>,
        held: &mut [Held],
        chunk: &[Arrival],
        to: &Position,
        verdict: Option<EffectError>,
    ) -> Result<Applied, Failure> {
        let batch = Batch {
            held: held
                .iter()
                .filter(|held| moves(&held.position, to))
                .cloned()
                .collect(),
            arrivals: chunk.to_vec(),
            to: to.clone(),
            verdict,
        };
        if batch.held.is_empty() {
            return Ok(Applied::default());
        }
        let asked = batch.held.len();
        let context = Arc::clone(self);
        let (kept, events) = in_own_task(async move { context.transact(batch).await }).await?;
        for held in held
            .iter_mut()
            .filter(|held| kept.contains(&held.partition))
        {
            held.position = to.clone();
        }
        Ok(Applied {
            events,
            fenced: kept.len() < asked,
        })
    }

    /// Returns the partitions that were still ours, and how many events were applied.
    async fn transact(&self, batch: Batch) -> Result<(Vec<i64>, usize), Failure> {
        let verdict = batch.verdict;
        let begun = self.begin_batch(&batch.held, batch.arrivals, &batch.to);
        let Begun {
            mut tx,
            guard,
            kept,
            arrived,
            won,
            ready,
            work,
        } = within(TRANSACTION, begun).await?;
        let (mut applied, mut passed_over) = (Vec::new(), Vec::new());
        match (verdict, ready.as_slice()) {
            (_, []) => self.commit(tx, guard, &[]).await?,
            (Some(verdict), [one]) => {
                work.fail(&describe(&verdict));
                within(STATEMENT, self.park(&mut tx, one, Some(&verdict))).await?;
                self.commit(tx, guard, &[]).await?;
            }
            (_, all) => {
                if let Some(missing) = all.iter().find_map(|arrival| arrival.missing.clone()) {
                    return Err(Failure::Effect(missing.into()));
                }
                applied.extend(ready.into_iter().map(|arrival| arrival.event));
                passed_over = self.call_effect(tx, guard, &applied).await?;
            }
        }
        self.counts.committed(arrived, won);
        work.done();
        let count = applied.len();
        // Said only now: before the commit it was not true. And beside the next batch: a hundred
        // lines take as long as some of its statements.
        tokio::spawn(async move { tell(&applied, &passed_over) }.in_current_span());
        Ok((kept, count))
    }

    /// Begins the transaction: moves the cursors that are still ours, claims what is new, and parks what
    /// follows a parked event.
    async fn begin_batch(
        &self,
        held: &[Held],
        arrivals: Vec<Arrival>,
        to: &Position,
    ) -> sqlx::Result<Begun<B>> {
        let (_, s, me) = self.names();
        let mut tx = self.database.begin().await?;
        let effects = !arrivals.is_empty();
        let (kept, guard) = B::advance(&mut tx, s, me, held, to, effects).await?;
        let any_parked = kept.iter().any(|(_, parked)| *parked);
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
        let arrivals = self.claim(&mut tx, arrivals).await?;
        let won = arrivals.len();
        let work = Work::on(arrivals.iter().map(Arrival::applying));
        let (waiting, ready) = match any_parked {
            true => self.split_blocked(&mut tx, arrivals).await?,
            false => (Vec::new(), arrivals),
        };
        for arrival in &waiting {
            if arrival.missing.is_none() && self.erases(&arrival.event) {
                self.erase_parked(&mut tx, &arrival.event).await?;
            }
            self.park(&mut tx, arrival, None).await?;
        }
        Ok(Begun {
            tx,
            guard,
            kept,
            arrived,
            won,
            ready,
            work,
        })
    }

    /// Whether an event erases earlier ones. An effect that panics there must not stop all others: its own
    /// call comes later, and parks the event.
    fn erases(&self, event: &Received) -> bool {
        let erases = || self.effect.erases(event);
        catch_unwind(AssertUnwindSafe(erases)).unwrap_or_else(|_| {
            error!(
                event.id,
                event.subject,
                "the effect panicked at the question whether event {} erases earlier ones, which keep their data",
                event.id
            );
            false
        })
    }

    /// Keeps the arrivals that nobody has claimed before, claiming them.
    async fn claim(
        &self,
        tx: &mut Transaction<'_, B>,
        arrivals: Vec<Arrival>,
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
        let won = B::claim(tx, &self.subscription.name, &claims).await?;
        // An id that stands twice in one document is claimed once.
        let mut won: HashSet<String> = won.into_iter().collect();
        Ok(arrivals
            .into_iter()
            .filter(|arrival| won.remove(&arrival.event.id))
            .collect())
    }

    /// Splits off the arrivals whose subject has a parked event: they wait for it (I6).
    async fn split_blocked(
        &self,
        tx: &mut Transaction<'_, B>,
        arrivals: Vec<Arrival>,
    ) -> sqlx::Result<(Vec<Arrival>, Vec<Arrival>)> {
        if arrivals.is_empty() {
            return Ok((Vec::new(), arrivals));
        }
        let subjects: Vec<&str> = arrivals
            .iter()
            .map(|arrival| arrival.event.subject.as_str())
            .collect();
        let blocked = B::blocked(tx, &self.subscription.name, &subjects).await?;
        Ok(arrivals
            .into_iter()
            .partition(|arrival| blocked.contains(&arrival.event.subject)))
    }

    async fn park(
        &self,
        tx: &mut Transaction<'_, B>,
        arrival: &Arrival,
        verdict: Option<&EffectError>,
    ) -> sqlx::Result<()> {
        let event = &arrival.event;
        let reason = verdict.map(describe);
        let parking = Parking {
            event_id: &event.id,
            partition: partition_of(&event.subject),
            subject: &event.subject,
            sequence: event.sequence,
            event: parked::written(arrival)?,
            reason: reason.as_deref(),
            retry_in: verdict.and_then(|verdict| retry_in(verdict, 1)),
        };
        B::park(tx, &self.subscription.name, &parking).await
    }
}

/// Says which events were applied.
fn tell(applied: &[Received], passed_over: &[PassedOver]) {
    for event in applied {
        let Received { id, subject, .. } = event;
        match passed_over.iter().find(|passed| passed.event_id == *id) {
            None => {
                info!(
                    event.id = id,
                    event.subject = subject,
                    "applied event {id} of {subject}"
                );
            }
            Some(PassedOver { reason, .. }) => info!(
                event.id = id,
                event.subject = subject,
                "passed over event {id} of {subject}: {reason}"
            ),
        }
    }
}

/// True if a partition at `from` has something to do on the way to `to`. One that is ahead stays
/// where it is; what comes is not new to it. Without sequences only the claims can tell.
fn moves(from: &Position, to: &Position) -> bool {
    from.sequence < to.sequence
        || from.sequence == to.sequence && (to.epoch.is_none() || from != to)
}

/// Where a reader is after the last of `chunk`, on the way to `to`. Without sequences there is no
/// place between: the claims alone say what is done, and partitions stay where they are.
fn place_after(chunk: &[Arrival], to: &Position, held: &[Held]) -> Position {
    let is_numbered = chunk.iter().any(|arrival| arrival.event.sequence.is_some());
    match held.first() {
        Some(held) if !is_numbered => Position {
            anchor: held.position.anchor.clone(),
            ..Position::default()
        },
        _ => position_at(chunk, to),
    }
}

/// The place of the last of `chunk` in a feed with sequences, on the way to `to`.
pub(crate) fn position_at(chunk: &[Arrival], to: &Position) -> Position {
    let Some((event, sequence)) = chunk
        .last()
        .and_then(|arrival| Some((&arrival.event, arrival.event.sequence?)))
    else {
        return Position::default();
    };
    Position {
        epoch: to.epoch.clone(),
        sequence,
        anchor: Some(event.id.clone()),
        updated: Some(event.time),
        etag: None,
        last_modified: None,
    }
}
