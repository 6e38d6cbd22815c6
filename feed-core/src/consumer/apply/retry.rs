//! Retries parked events that are due, and then the later events of their subject, in sequence.
//! Has missing data fetched again.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use sqlx::Transaction;
use tracing::{info, warn};

use super::call_effect::EffectCaller;
use super::failure::{Failure, Stopped, describe, is_of_server, retry_in, run_detached};
use super::instance::Instance;
use super::parked::{self, Erased};
use super::refetch::{Fetched, Refetch};
use crate::consumer::effect::{Effect, EffectError};
use crate::consumer::sanitize::{printable, sanitize};
use crate::consumer::source::content::Missing;
use crate::consumer::source::fetch::Source;
use crate::database::timeout::TRANSACTION;
use crate::reached::Mark;
use crate::store::Backend;
use crate::store::consume::{Held, Parked};
use crate::trace::{Kind, TransactionSpans, of_event};

/// Subjects retried in one round, so that new events do not wait long.
const SUBJECTS: i64 = 100;

/// The time limit for retries in one round, apart from the retry in progress. New events come in between (I7), and the next
/// round continues.
const LONGEST_ROUND: Duration = Duration::from_secs(3);

/// The time limit for one subject in a round, apart from the retry in progress: thousands of its events may have waited
/// for a parked one.
const LONGEST_SUBJECT: Duration = Duration::from_secs(1);

/// The most events passed over at once, since each attempt passes over all before it. Behind more of them, an erasure waits for
/// the operator.
const MOST_WITHOUT_DATA: usize = 100;

/// What came of the first parked event of a subject.
enum EventOutcome {
    /// Its effect is committed.
    Applied,
    /// No event is due, or another instance holds the partition.
    NotDue,
    /// The data must be fetched first.
    NeedsData {
        of: Attempted,
        src: String,
        media_type: Option<String>,
    },
    /// The data cannot be read.
    NoData(Missing),
}

/// What was retried of a subject.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SubjectOutcome {
    /// None was due.
    NotDue,
    /// All that could be retried now.
    Done,
    /// Its time was over before.
    Unfinished,
}

/// The event in progress. Set from inside the transaction, since an effect may panic.
type InProgress = Arc<OnceLock<Attempted>>;

/// Events whose effect fails for good without their erased data, and why they are passed over if the next one has its effect.
type WithoutData = Vec<(Attempted, String)>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attempted {
    event_id: String,
    /// The attempts before this one.
    attempts: i64,
    /// The last decision before this one: an operator may decide again meanwhile.
    decision: Option<i64>,
    /// What has erased its data.
    erased: Option<Erased>,
}

impl Attempted {
    fn of(parked: &Parked) -> Self {
        let read = parked::read(&parked.event).ok();
        Self {
            event_id: parked.event_id.clone(),
            attempts: parked.attempts,
            decision: parked.decision,
            erased: read.and_then(|(_, notes)| notes.erased),
        }
    }

    /// The number of this attempt: what failed with the data does not count for an attempt without it.
    fn number(&self) -> i64 {
        let before = self.erased.as_ref().map_or(0, |of| of.attempts);
        self.attempts - before + 1
    }
}

/// Retries the due events in the partitions that this instance holds. Returns true if more are due: the next round
/// continues with them.
pub(crate) async fn retry_due<B: Backend, E: Effect<B>>(
    caller: &Arc<EffectCaller<B, E>>,
    source: &Source,
    refetch: &mut Refetch,
    held: &[Held],
) -> Result<bool, Stopped> {
    let begun = Instant::now();
    let (pool, s, _) = caller.instance.scope();
    let (mut left, mut tried, mut unfinished) = (SUBJECTS, false, false);
    if let Some(fetched) = refetch.finished()
        && let Some(held) = held.iter().find(|held| held.partition == fetched.partition)
    {
        let subject = fetched.subject.clone();
        let outcome = retry_subject(caller, source, refetch, held, &subject, Some(fetched)).await?;
        unfinished |= outcome == SubjectOutcome::Unfinished;
    }
    // In another order each time: no partition waits until there is nothing due in those before it.
    let (before, from) = held.split_at(fastrand::usize(..=held.len()));
    for held in from.iter().chain(before) {
        let due = B::due(pool, s, held.partition, left);
        let due = caller.instance.database.statement(due).await?;
        left -= due.len() as i64;
        for subject in &due {
            if begun.elapsed() > LONGEST_ROUND {
                return Ok(true);
            }
            let outcome = retry_subject(caller, source, refetch, held, subject, None).await?;
            tried |= outcome != SubjectOutcome::NotDue;
            unfinished |= outcome == SubjectOutcome::Unfinished;
        }
        if left == 0 {
            break;
        }
    }
    // If nothing was tried, the partitions have changed: the next renewal says so.
    Ok(unfinished || tried && left == 0)
}

/// Retries the first parked event of `subject`, with the data that was `fetched` if it has none, and the later ones once it
/// is applied.
///
/// What has erased the data of an event waits for it (I6), and must take effect without an operator. So an event that fails for
/// good without its data is passed over, but only in the transaction in which a later one has its effect: if that fails as
/// well, the data may not be the cause.
async fn retry_subject<B: Backend, E: Effect<B>>(
    caller: &Arc<EffectCaller<B, E>>,
    source: &Source,
    refetch: &mut Refetch,
    held: &Held,
    subject: &str,
    mut fetched: Option<Fetched>,
) -> Result<SubjectOutcome, Stopped> {
    let begun = Instant::now();
    let mut outcome = SubjectOutcome::NotDue;
    let mut without_data = WithoutData::new();
    loop {
        if outcome == SubjectOutcome::Done && begun.elapsed() > LONGEST_SUBJECT {
            return Ok(SubjectOutcome::Unfinished);
        }
        let in_progress = InProgress::default();
        let retried = {
            let (caller, in_progress) = (Arc::clone(caller), Arc::clone(&in_progress));
            let (held, subject, fetched) = (held.clone(), subject.to_owned(), fetched.take());
            let before = without_data.clone();
            async move { retry_first(&caller, &held, &subject, &before, fetched, &in_progress).await }
        };
        let retried = run_detached(&caller.instance.transactions, retried);
        let (error, effect_failed) = match retried.await {
            Ok(EventOutcome::Applied) => {
                for (Attempted { event_id: id, .. }, reason) in without_data.drain(..) {
                    let shown = printable(&id);
                    warn!(
                        event.id = id,
                        event.subject = subject,
                        "passed over parked event {shown}: {reason}"
                    );
                }
                outcome = SubjectOutcome::Done;
                continue;
            }
            Ok(EventOutcome::NotDue) if without_data.is_empty() => return Ok(outcome),
            Ok(EventOutcome::NotDue) => {
                let reason = "nothing that waits for it can have its effect".to_owned();
                (EffectError::Park(reason), false)
            }
            // Fetch between two transactions, so that no transaction waits for a server.
            Ok(EventOutcome::NeedsData {
                of,
                src,
                media_type,
            }) => {
                fetched = refetch
                    .fetch(source, held, subject, of, src, media_type)
                    .await;
                if fetched.is_none() {
                    return Ok(outcome);
                }
                continue;
            }
            Ok(EventOutcome::NoData(missing)) => (missing.into(), false),
            Err(Failure::Effect(error)) => {
                let effect_failed = !is_of_server(&error);
                (error, effect_failed)
            }
            // One that is parked may be the cause: it does not delay the others.
            Err(Failure::Stopped(Stopped::Later(reason, after))) => {
                (EffectError::Later { reason, after }, false)
            }
            // If the database itself has failed, this attempt cannot be recorded either, and the round stops.
            Err(Failure::Stopped(Stopped::Database(error))) if in_progress.get().is_some() => {
                caller.instance.database.learn_from(&error);
                (EffectError::Database(error), false)
            }
            Err(Failure::Stopped(stopped)) => return Err(stopped),
        };
        let failed = in_progress.get();
        let again = retry_in(&error, failed.map_or(1, Attempted::number));
        if let Some(failed) = failed
            && let Some(Erased { by, .. }) = &failed.erased
            && effect_failed
            && again.is_none()
            && without_data.len() < MOST_WITHOUT_DATA
        {
            let reason = describe(&error);
            let reason = format!(
                "its data was erased by event {by}, and without that its effect fails: {reason}"
            );
            without_data.push((failed.clone(), sanitize(&reason)));
            continue;
        }
        // Nothing of what was tried after the first one is committed.
        let (failed, reason) = match without_data.into_iter().next() {
            Some((first, reason)) => (Some(first), reason),
            None => (failed.cloned(), describe(&error)),
        };
        if let Some(failed) = failed {
            let recorded = record_failure(&caller.instance, held, &failed, &reason, again);
            let database = &caller.instance.database;
            database.within(TRANSACTION, recorded).await?;
        }
        return Ok(SubjectOutcome::Done);
    }
}

/// Applies the first parked event of `subject` after those `without_data`, which it passes over, with the data that was `fetched`
/// if it has none.
async fn retry_first<B: Backend, E: Effect<B>>(
    caller: &EffectCaller<B, E>,
    held: &Held,
    subject: &str,
    without_data: &[(Attempted, String)],
    fetched: Option<Fetched>,
    in_progress: &InProgress,
) -> Result<EventOutcome, Failure> {
    let first = first_due(&caller.instance, held, subject, without_data);
    let Some((mut tx, parked)) = caller.instance.database.within(TRANSACTION, first).await? else {
        return Ok(EventOutcome::NotDue);
    };
    let attempted = in_progress.get_or_init(|| Attempted::of(&parked));
    let (mut event, notes) = parked::read(&parked.event).map_err(|error| {
        let reason = format!("the parked event cannot be read: {error}");
        Failure::Effect(EffectError::Park(reason))
    })?;
    if let Some(missing) = notes.missing {
        // Another event may meanwhile be the first one, or an operator have removed the cause.
        let fetched = fetched.filter(|fetched| fetched.of == *attempted);
        let (data, traceparent) = match (fetched, missing.src.clone()) {
            (Some(Fetched { content, .. }), _) => match content {
                Ok(content) => content,
                Err(missing) => return Ok(EventOutcome::NoData(missing)),
            },
            (None, Some(src)) => {
                return Ok(EventOutcome::NeedsData {
                    of: attempted.clone(),
                    src,
                    media_type: missing.media_type,
                });
            }
            (None, None) => return Ok(EventOutcome::NoData(missing)),
        };
        event.data = data;
        // If the data was erased, this is that of another event.
        event.traceparent = event.traceparent.or(traceparent);
    }
    let (parent, now) = (event.traceparent.as_deref(), SystemTime::now());
    let applying = of_event("feed.apply", Kind::Internal, &event.id, parent, now);
    let spans = TransactionSpans::new(std::iter::once(applying));
    let (s, events) = (&caller.instance.subscription, std::slice::from_ref(&event));
    let unparked = async {
        // Skips of events before it can no longer be undone (I6).
        B::end_undo_before(&mut tx, s, subject, Some(&parked.event_id)).await?;
        B::unpark(&mut tx, s, &parked.event_id).await
    };
    caller.instance.database.statement(unparked).await?;
    caller.call(tx, B::Guard::default(), events).await?;
    spans.committed();
    let shown = printable(&event.id);
    info!(event.id, event.subject, "applied parked event {shown}");
    Ok(EventOutcome::Applied)
}

/// Begins a transaction with the lock of `held`, passes over the first parked events of `subject` if they are still those
/// `without_data`, and reads the next one if it is due.
async fn first_due<B: Backend>(
    instance: &Instance<B>,
    held: &Held,
    subject: &str,
    without_data: &[(Attempted, String)],
) -> sqlx::Result<Option<(Transaction<'static, B>, Parked)>> {
    let (_, s, me) = instance.scope();
    let mut tx = instance.database.begin().await?;
    if !B::lock(&mut tx, s, me, held).await? {
        Mark::FencedRetry.reached();
        return Ok(None);
    }
    for (expected, reason) in without_data {
        let (id, seen) = (&expected.event_id, expected.decision);
        let first = B::first_parked(&mut tx, s, subject).await?;
        // An operator may have decided meanwhile.
        if first.is_none_or(|first| Attempted::of(&first) != *expected)
            || !B::pass_over(&mut tx, s, id, reason, seen).await?
        {
            return Ok(None);
        }
    }
    let parked = B::first_parked(&mut tx, s, subject).await?;
    Ok(parked.map(|parked| (tx, parked)))
}

/// Records that an event has failed again. If the operator has skipped it meanwhile, records nothing, and nothing about the
/// event that is now the first.
async fn record_failure<B: Backend>(
    instance: &Instance<B>,
    held: &Held,
    failed: &Attempted,
    reason: &str,
    again: Option<i64>,
) -> sqlx::Result<()> {
    let (_, s, me) = instance.scope();
    let mut tx = instance.database.begin().await?;
    if B::lock(&mut tx, s, me, held).await? {
        B::postpone(&mut tx, s, &failed.event_id, reason, again, failed.decision).await?;
    }
    tx.commit().await
}
