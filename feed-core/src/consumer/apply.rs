//! The batch transaction: lock the partitions, claim the events, apply their effects, move the
//! cursor; commit. A crash at any point repeats the batch and has no second effect (I5).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use sqlx::Transaction;
use tracing::{debug, info, warn};

use super::lease::partition_of;
use super::{Context, Effect, EffectError, PassedOver, Received};
use crate::store::Backend;
use crate::store::consume::{Claim, Held, Parking, Position};
use crate::store::operate::Skip;

/// Events of one transaction.
pub(super) const BATCH: usize = 100;

/// Attempts after which a failing event is left to a person.
const ATTEMPTS: i64 = 8;

/// The pause before the first retry; it doubles with each attempt.
const FIRST_RETRY: i64 = 2;

/// The longest pause between retries, in seconds.
const LONGEST_RETRY: i64 = 300;

/// Characters of a reason.
const LONGEST_REASON: usize = 500;

/// An event that has arrived: with its data, or with the reason why it has none.
#[derive(Debug, Clone)]
pub(super) struct Arrival {
    pub(super) event: Received,
    pub(super) missing: Option<String>,
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Applied {
    /// Events whose effect was committed now.
    pub(super) events: usize,
    /// True if partitions had been lost to another instance.
    pub(super) fenced: bool,
}

/// Why a transaction was rolled back.
pub(super) enum Failure {
    /// The events are to blame, or one of them.
    Effect(EffectError),
    /// Nothing that the events did: they come again.
    Database(sqlx::Error),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

/// What is asked of one transaction.
struct Batch {
    held: Vec<Held>,
    arrivals: Vec<Arrival>,
    to: Position,
    /// The one event is parked for this reason instead of applied.
    verdict: Option<EffectError>,
}

impl<B: Backend, E: Effect<B>> Context<B, E> {
    /// Applies a batch if there is one.
    pub(super) async fn apply_batch(
        self: &Arc<Self>,
        held: &mut [Held],
        batch: Option<Vec<Arrival>>,
        to: &Position,
    ) -> sqlx::Result<Option<Applied>> {
        match batch {
            Some(batch) => self.apply(held, batch, to).await.map(Some),
            None => Ok(None),
        }
    }

    /// Applies `arrivals`, which are in sequence, and moves `held` to `to`.
    pub(super) async fn apply(
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
                Some(_) => position_at(chunk, to),
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
                "parked event {}: {failure}",
                one.event.id
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
                position_at(one, to)
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
        let Batch {
            held,
            arrivals,
            to,
            verdict,
        } = batch;
        let (_, s, me) = self.names();
        let mut tx = self.database.begin().await?;
        let kept = B::advance(&mut tx, s, me, &held, &to).await?;
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
        let arrivals = self.claim(&mut tx, arrivals).await?;
        let (waiting, ready) = match any_parked {
            true => self.split_blocked(&mut tx, arrivals).await?,
            false => (Vec::new(), arrivals),
        };
        for arrival in &waiting {
            self.park(&mut tx, arrival, None).await?;
        }
        let mut applied = Vec::new();
        match (verdict, ready.as_slice()) {
            (_, []) => {}
            (Some(verdict), [one]) => self.park(&mut tx, one, Some(&verdict)).await?,
            (_, ready) => {
                if let Some(reason) = ready.iter().find_map(|arrival| arrival.missing.clone()) {
                    return Err(Failure::Effect(EffectError::Park(reason)));
                }
                applied.extend(ready.iter().map(|arrival| arrival.event.clone()));
                self.effect(&mut tx, &applied).await?;
            }
        }
        tx.commit().await?;
        // Said only now: before the commit it was not true.
        for event in &applied {
            let Received { id, subject, .. } = event;
            info!(
                event.id = id,
                event.subject = subject,
                "applied event {id} of {subject}"
            );
        }
        Ok((kept, applied.len()))
    }

    /// Calls the effect and sorts its errors: the event's fault or not.
    pub(super) async fn effect(
        &self,
        tx: &mut Transaction<'_, B>,
        events: &[Received],
    ) -> Result<(), Failure> {
        match self.effect.apply(tx, events).await {
            Ok(passed_over) => self.pass_over(tx, events, &passed_over).await,
            Err(EffectError::Database(error)) if !blames_the_event(&error) => {
                Err(Failure::Database(error))
            }
            Err(error) => Err(Failure::Effect(error)),
        }
    }

    /// Records the events that the effect had nothing to do for.
    async fn pass_over(
        &self,
        tx: &mut Transaction<'_, B>,
        events: &[Received],
        passed_over: &[PassedOver],
    ) -> Result<(), Failure> {
        let skips: Vec<Skip<'_>> = passed_over
            .iter()
            .filter_map(|passed| {
                let event = events.iter().find(|event| event.id == passed.event_id)?;
                Some(Skip {
                    event_id: &event.id,
                    subject: &event.subject,
                    event_type: event.event_type.as_deref(),
                    sequence: event.sequence,
                    reason: &passed.reason,
                })
            })
            .collect();
        if !skips.is_empty() {
            B::skip(tx, &self.subscription.name, &skips, None).await?;
        }
        Ok(())
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
        let reason = verdict.map(describe).or(arrival.missing.clone());
        let parking = Parking {
            event_id: &event.id,
            partition: partition_of(&event.subject),
            subject: &event.subject,
            sequence: event.sequence,
            event: serde_json::to_string(event)
                .map_err(|error| sqlx::Error::Encode(Box::new(error)))?,
            reason: reason.as_deref(),
            retry_in: verdict.and_then(|verdict| retry_in(verdict, 1)),
        };
        B::park(tx, &self.subscription.name, &parking).await
    }
}

/// True if a partition at `from` has something to do on the way to `to`. One that is ahead stays
/// where it is; what comes is not new to it. Without sequences only the claims can tell.
fn moves(from: &Position, to: &Position) -> bool {
    from.sequence < to.sequence
        || from.sequence == to.sequence && (to.epoch.is_none() || from != to)
}

/// Runs a transaction to its end, whatever becomes of the one who waits for it. An effect that
/// panics counts as one that will not work.
pub(super) async fn in_own_task<T: Send + 'static>(
    work: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::spawn(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => {
            let panic = error.into_panic();
            let text = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("no message");
            Err(Failure::Effect(EffectError::Park(format!(
                "the effect panicked: {text}"
            ))))
        }
        Err(_) => Err(Failure::Database(sqlx::Error::WorkerCrashed)),
    }
}

/// The seconds until attempt `attempts` is followed by the next one; `None`: a person decides.
pub(super) fn retry_in(error: &EffectError, attempts: i64) -> Option<i64> {
    let retry = matches!(error, EffectError::Retry(_)) && attempts < ATTEMPTS;
    let exponent = u32::try_from(attempts - 1).unwrap_or(0);
    retry.then(|| {
        let pause = (FIRST_RETRY << exponent.min(20)).min(LONGEST_RETRY);
        // Spread out, so that what failed together does not come back together.
        pause + fastrand::i64(0..=pause / 2)
    })
}

/// The reason with its causes, for the person who reads it on the status page; bounded, since it
/// may quote what was received.
pub(super) fn describe(error: &EffectError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    match text.char_indices().nth(LONGEST_REASON) {
        Some((end, _)) => format!("{} …", &text[..end]),
        None => text,
    }
}

/// Where a reader is after the last of `chunk`, on the way to `to`. Without sequences there is no
/// place between: the claims alone say what is done.
fn position_at(chunk: &[Arrival], to: &Position) -> Position {
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

/// True for what another attempt with the same event would meet again: a constraint, or a value
/// that does not fit. A lost connection, a deadlock or a full disk is nobody's fault.
fn blames_the_event(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(error) = error else {
        return false;
    };
    let code = error.code().unwrap_or_default();
    if error
        .try_downcast_ref::<sqlx::postgres::PgDatabaseError>()
        .is_some()
    {
        // Classes 22, data exception, and 23, integrity constraint violation.
        code.starts_with("22") || code.starts_with("23")
    } else {
        // SQLITE_TOOBIG, SQLITE_CONSTRAINT, SQLITE_MISMATCH; the low byte is the primary code.
        let code: i32 = code.parse().unwrap_or(0);
        matches!(code & 0xff, 18..=20)
    }
}
