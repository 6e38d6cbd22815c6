//! Calls the effect inside the batch transaction and classifies a failure. Either the event caused
//! it and is parked, or the database caused it and the round stops.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::{Connection, Transaction};
use tracing::error;

use super::failure::{Cause, Failure, Misuse, Stopped, cause_of, misuse_of};
use super::instance::Instance;
use crate::consumer::batch::Batch;
use crate::consumer::effect::{Effect, EffectError, LONGEST_CALL};
use crate::consumer::received::Received;
use crate::consumer::sanitize::{printable, sanitize};
use crate::database::timeout::TRANSACTION;
use crate::reached::Mark;
use crate::store::Backend;
use crate::store::operate::Skip;

/// How long the connection may take to answer a ping after an effect has failed.
const ANSWER: Duration = Duration::from_secs(2);

/// SQLite's own time limit, which interrupts a statement, may have started this much before ours.
const EARLIER: Duration = Duration::from_millis(50);

/// How often the database may fail at the same event. After that, this event or another one of its
/// batch counts as the cause, and the batch is applied one by one.
const ROUNDS: u32 = EffectError::MOST_ROUNDS / 2 - 1;

/// How often what an effect needs may be out of reach at the same event. Higher than [`ROUNDS`]: a restarting server must not
/// park events.
const ROUNDS_OF_LATER: u32 = EffectError::MOST_ROUNDS;

/// The most events that are counted.
const MOST_SUSPECTS: usize = 1_000;

/// The reason to park an event whose effect has continued outside of its transaction.
const ENDED: &str = "the effect has ended the transaction that it was given, with COMMIT or ROLLBACK, or has \
                     gone on after an error with which SQLite ended it; on PostgreSQL also SET CONSTRAINTS \
                     ALL IMMEDIATE, which an effect must not use";

/// The reason to park an event whose effect returned success in a transaction that cannot be
/// committed.
const HIDDEN: &str = "the effect has not returned the error of a statement that failed, and the \
                      transaction cannot be committed after that";

/// The events at which something has failed that all events need, and how often.
#[derive(Debug, Default)]
struct Suspects {
    failures: HashMap<String, u32>,
    /// The events of the last failure.
    batch: HashSet<String>,
}

impl Suspects {
    /// Counts a failure at `events`. Returns true if one of them has had more than `rounds`, so that the database, or
    /// what else they need, does not count as the cause.
    fn count(&mut self, events: &[Received], rounds: u32) -> bool {
        if self.failures.len() > MOST_SUSPECTS {
            *self = Self::default();
        }
        let mut most = 0;
        for event in events {
            let failures = self.failures.entry(event.id.clone()).or_default();
            *failures += 1;
            most = most.max(*failures);
        }
        let proven = most > rounds;
        match events {
            [one] if proven => {
                self.failures.remove(&one.id);
                // This event is the cause; clear the others that failed with it.
                if self.batch.contains(&one.id) {
                    for id in std::mem::take(&mut self.batch) {
                        self.failures.remove(&id);
                    }
                }
            }
            [_] => {}
            _ => self.batch = events.iter().map(|event| event.id.clone()).collect(),
        }
        proven
    }
}

/// Why an effect had nothing to do for events, by their index in the batch.
pub(super) type PassedOver = BTreeMap<usize, String>;

/// The effect, and the counts of failures at its events.
#[derive(Debug)]
pub(crate) struct EffectCaller<B: Backend, E> {
    pub(super) instance: Arc<Instance<B>>,
    effect: E,
    suspects: Mutex<Suspects>,
}

impl<B: Backend, E: Effect<B>> EffectCaller<B, E> {
    pub(crate) fn new(instance: Arc<Instance<B>>, effect: E) -> Self {
        Self {
            instance,
            effect,
            suspects: Mutex::default(),
        }
    }

    /// Calls the effect, records the events that it passed over, and commits. Returns these events
    /// and why the effect had nothing to do.
    pub(super) async fn call(
        &self,
        mut tx: Transaction<'static, B>,
        mut guard: B::Guard,
        events: &[Received],
    ) -> Result<PassedOver, Failure> {
        let limit = self.time_limit();
        let begun = B::begin_effect(&mut tx, &mut guard, limit);
        self.instance.database.statement(begun).await?;
        let batch = Batch::new(events);
        let (ended, overran) = in_time(limit, self.effect.apply(&mut tx, &batch)).await;
        let passed_over = batch.into_reasons();
        let failed = match ended {
            None => self.out_of_time(&mut tx, &guard, limit, events).await,
            Some(Ok(())) => match self.pass_over(&mut tx, events, &passed_over).await {
                Ok(()) => match self.commit(tx, guard, events).await {
                    Ok(()) => return Ok(passed_over),
                    Err(failed) => failed,
                },
                Err(error) => self.judge(&mut tx, error, events).await,
            },
            Some(Err(EffectError::Database(error))) => self.judge(&mut tx, error, events).await,
            Some(Err(error @ EffectError::Later { .. }))
                if self.suspect(events, ROUNDS_OF_LATER) =>
            {
                Failure::Effect(error)
            }
            Some(Err(error)) => error.into(),
        };
        Err(match failed {
            // The timeout is the cause: the server has meanwhile ended the session, or SQLite the
            // statement.
            Failure::Stopped(Stopped::Database(_)) | Failure::Effect(EffectError::Database(_))
                if overran =>
            {
                took_longer_than(limit)
            }
            failed => failed,
        })
    }

    /// Returns how long one call of the effect may take.
    pub(super) fn time_limit(&self) -> Duration {
        self.effect.time_limit().min(LONGEST_CALL)
    }

    /// Returns how many events one call of the effect may have.
    pub(super) fn most_events(&self) -> usize {
        self.effect.most_events().max(1)
    }

    /// Returns true if an event erases earlier ones. A panic here must not stop the other events:
    /// the call for the event itself comes later, and parks it.
    pub(super) fn erases(&self, event: &Received) -> bool {
        let erases = || self.effect.erases(event);
        catch_unwind(AssertUnwindSafe(erases)).unwrap_or_else(|_| {
            error!(
                event.id,
                event.subject,
                "the effect panicked at the question whether event {} erases earlier ones, which keep their data",
                printable(&event.id)
            );
            false
        })
    }

    /// Commits `tx`, which contains the effects of `events`.
    pub(super) async fn commit(
        &self,
        tx: Transaction<'static, B>,
        guard: B::Guard,
        events: &[Received],
    ) -> Result<(), Failure> {
        let database = &self.instance.database;
        let committed = B::commit(tx, guard, database.health());
        match database.within(TRANSACTION, committed).await {
            Ok(true) => {
                database.health().note_stored();
                Ok(())
            }
            Ok(false) => Err(EffectError::Park(ENDED.to_owned()).into()),
            Err(error) if events.is_empty() => Err(error.into()),
            // Also a constraint or trigger that is deferred.
            Err(error) if cause_of(&error) == Cause::Event => Err(self.at_fault(error)),
            Err(error) => {
                Mark::CommitUnknown.reached();
                Err(self.stopped_by(error, events))
            }
        }
    }

    /// Classifies a timeout of the effect. If its connection is alive, the effect is the cause: its
    /// own code or a statement of it takes too long.
    async fn out_of_time(
        &self,
        tx: &mut Transaction<'_, B>,
        guard: &B::Guard,
        limit: Duration,
        events: &[Received],
    ) -> Failure {
        // Cancel on another connection. A statement that continues would keep its locks.
        let other = self.instance.database.reader();
        let cancelled = self
            .instance
            .database
            .statement(B::cancel(other, guard))
            .await;
        if matches!(cancelled, Ok(true)) {
            return took_longer_than(limit);
        }
        match self.instance.database.within(ANSWER, tx.ping()).await {
            Ok(()) => took_longer_than(limit),
            Err(silence) => self.stopped_by(silence, events),
        }
    }

    /// Classifies an `error` of the effect.
    async fn judge(
        &self,
        tx: &mut Transaction<'_, B>,
        error: sqlx::Error,
        events: &[Received],
    ) -> Failure {
        let ours = match cause_of(&error) {
            Cause::Event => return self.at_fault(error),
            Cause::Server => true,
            // If this connection answers, the error came from another connection, or from misuse by the effect.
            Cause::Connection => {
                let answer = self.instance.database.within(ANSWER, tx.ping());
                answer.await.is_err()
            }
        };
        match ours {
            true => self.stopped_by(error, events),
            false => EffectError::Database(error).into(),
        }
    }

    /// What it means that the event, or what the effect did with it, has caused `error`.
    fn at_fault(&self, error: sqlx::Error) -> Failure {
        self.instance.database.learn_from(&error);
        match misuse_of(&error) {
            Some(Misuse::Ended) => EffectError::Park(ENDED.to_owned()),
            Some(Misuse::Hidden) => EffectError::Retry(HIDDEN.to_owned()),
            None => EffectError::Database(error),
        }
        .into()
    }

    /// The database has failed at one of `events`. The database is the cause, unless it keeps failing at the same event.
    fn stopped_by(&self, error: sqlx::Error, events: &[Received]) -> Failure {
        match self.suspect(events, ROUNDS) {
            true => EffectError::Database(error).into(),
            false => error.into(),
        }
    }

    fn suspect(&self, events: &[Received], rounds: u32) -> bool {
        let mut suspects = self.suspects.lock().unwrap_or_else(PoisonError::into_inner);
        suspects.count(events, rounds)
    }

    /// Records the events that the effect had nothing to do for.
    async fn pass_over(
        &self,
        tx: &mut Transaction<'_, B>,
        events: &[Received],
        passed_over: &PassedOver,
    ) -> sqlx::Result<()> {
        let reasons: Vec<String> = passed_over
            .values()
            .map(|reason| sanitize(reason))
            .collect();
        let skips: Vec<Skip<'_>> = passed_over
            .iter()
            .zip(&reasons)
            .map(|((index, _), reason)| (&events[*index], reason))
            .map(|(event, reason)| Skip {
                event_id: &event.id,
                subject: &event.subject,
                event_type: event.event_type.as_deref(),
                sequence: event.sequence,
                reason,
            })
            .collect();
        if !skips.is_empty() {
            let skipped = B::skip(tx, &self.instance.subscription, &skips, None);
            self.instance.database.statement(skipped).await?;
        }
        Ok(())
    }
}

fn took_longer_than(limit: Duration) -> Failure {
    EffectError::Retry(format!("the effect took longer than {limit:?}")).into()
}

/// Runs `effect` for at most `limit`. The flag is true if the database was certainly not slow: the
/// effect has returned after the limit, or kept its thread for so long that it could not be
/// cancelled.
async fn in_time<T>(limit: Duration, effect: impl Future<Output = T>) -> (Option<T>, bool) {
    let mut effect = pin!(effect);
    let (begun, mut busy) = (Instant::now(), Duration::ZERO);
    let polled = poll_fn(|context| {
        let begun = Instant::now();
        let polled = effect.as_mut().poll(context);
        busy += begun.elapsed();
        polled
    });
    let ended = tokio::time::timeout(limit, polled).await.ok();
    let overran = busy >= limit || ended.is_some() && begun.elapsed() + EARLIER >= limit;
    (ended, overran)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(ids: std::ops::RangeInclusive<u32>) -> Vec<Received> {
        let event = |id: u32| Received {
            id: id.to_string(),
            event_type: None,
            subject: id.to_string(),
            sequence: None,
            time: chrono::DateTime::UNIX_EPOCH,
            data: String::new(),
            traceparent: None,
        };
        ids.map(event).collect()
    }

    #[test]
    fn only_events_at_which_the_database_fails_again_and_again_are_suspected() {
        let mut suspects = Suspects::default();
        for _ in 0..ROUNDS {
            assert!(!suspects.count(&events(1..=100), ROUNDS));
        }
        // The batch has got further, and fails at other events.
        assert!(!suspects.count(&events(101..=200), ROUNDS));
        for _ in 1..ROUNDS {
            assert!(!suspects.count(&events(101..=200), ROUNDS));
        }
        assert!(suspects.count(&events(101..=200), ROUNDS));
        // One by one, the first event that fails is the cause; later ones are not suspect yet.
        assert!(suspects.count(&events(150..=150), ROUNDS));
        assert!(!suspects.count(&events(151..=151), ROUNDS));
    }

    #[test]
    fn so_many_events_are_counted_and_no_more() {
        let most = u32::try_from(MOST_SUSPECTS).expect("a few");
        let mut suspects = Suspects::default();
        for id in 1..=most {
            assert!(!suspects.count(&events(id..=id), ROUNDS), "{id}");
        }
        // Whole batches are counted.
        suspects.count(&events(most + 1..=most + 2), ROUNDS);
        assert_eq!(suspects.failures.len(), MOST_SUSPECTS + 2);
        // Then all counts begin anew.
        suspects.count(&events(0..=0), ROUNDS);
        assert_eq!(suspects.failures.len(), 1);
        assert!(suspects.batch.is_empty());
    }
}
