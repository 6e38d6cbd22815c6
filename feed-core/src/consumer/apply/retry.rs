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
    loop {
        if outcome == SubjectOutcome::Done && begun.elapsed() > LONGEST_SUBJECT {
            return Ok(SubjectOutcome::Unfinished);
        }
        let in_progress = InProgress::default();
        let retried = {
            let (caller, in_progress) = (Arc::clone(caller), Arc::clone(&in_progress));
            let (held, subject, fetched) = (held.clone(), subject.to_owned(), fetched.take());
            async move { retry_first(&caller, &held, &subject, fetched, &in_progress).await }
        };
        let retried = run_detached(&caller.instance.transactions, retried);
        let (error, effect_failed) = match retried.await {
            Ok(EventOutcome::Applied) => {
                outcome = SubjectOutcome::Done;
                continue;
            }
            Ok(EventOutcome::NotDue) => return Ok(outcome),
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
        let recorded = record_failure(&caller.instance, held, &in_progress, &error, effect_failed);
        let database = &caller.instance.database;
        let Some(reason) = database.within(TRANSACTION, recorded).await? else {
            return Ok(SubjectOutcome::Done);
        };
        let id = in_progress.get().map_or("", |of| &of.event_id);
        let shown = printable(id);
        warn!(
            event.id = id,
            event.subject = subject,
            "passed over parked event {shown}: {reason}"
        );
        outcome = SubjectOutcome::Done;
    }
}

/// Applies the first parked event of `subject`, with the data that was `fetched` if it has none.
async fn retry_first<B: Backend, E: Effect<B>>(
    caller: &EffectCaller<B, E>,
    held: &Held,
    subject: &str,
    fetched: Option<Fetched>,
    in_progress: &InProgress,
) -> Result<EventOutcome, Failure> {
    let first = first_due(&caller.instance, held, subject);
    let Some((mut tx, parked)) = caller.instance.database.within(TRANSACTION, first).await? else {
        return Ok(EventOutcome::NotDue);
    };
    let read = parked::read(&parked.event);
    let erased = read
        .as_ref()
        .ok()
        .and_then(|(_, notes)| notes.erased.clone());
    let attempted = in_progress.get_or_init(|| Attempted {
        event_id: parked.event_id.clone(),
        attempts: parked.attempts,
        decision: parked.decision,
        erased,
    });
    let (mut event, notes) = read.map_err(|error| {
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

/// Begins a transaction with the lock of `held`, and reads the first parked event of `subject` if
/// it is due.
async fn first_due<B: Backend>(
    instance: &Instance<B>,
    held: &Held,
    subject: &str,
) -> sqlx::Result<Option<(Transaction<'static, B>, Parked)>> {
    let (_, s, me) = instance.scope();
    let mut tx = instance.database.begin().await?;
    if !B::lock(&mut tx, s, me, held).await? {
        Mark::FencedRetry.reached();
        return Ok(None);
    }
    let parked = B::first_parked(&mut tx, s, subject).await?;
    Ok(parked.map(|parked| (tx, parked)))
}

/// Records that the event in progress has failed again. If the operator has skipped it meanwhile,
/// records nothing, and nothing about the event that is now the first.
///
/// If its data was erased, and its effect fails for good without that, passes it over and returns the reason: what has erased
/// the data waits for it (I6), and must take effect without an operator.
async fn record_failure<B: Backend>(
    instance: &Instance<B>,
    held: &Held,
    in_progress: &InProgress,
    error: &EffectError,
    effect_failed: bool,
) -> sqlx::Result<Option<String>> {
    let Some(attempted) = in_progress.get() else {
        return Ok(None);
    };
    let (_, s, me) = instance.scope();
    let mut passed_over = None;
    let mut tx = instance.database.begin().await?;
    if B::lock(&mut tx, s, me, held).await? {
        let (event_id, reason) = (&attempted.event_id, describe(error));
        let before = attempted.erased.as_ref().map_or(0, |of| of.attempts);
        let again = retry_in(error, attempted.attempts - before + 1);
        match &attempted.erased {
            Some(Erased { by, .. }) if effect_failed && again.is_none() => {
                let reason = sanitize(&format!(
                    "its data was erased by event {by}, and without that its effect fails: {reason}"
                ));
                let is_gone = B::pass_over(&mut tx, s, event_id, &reason).await?;
                passed_over = is_gone.then_some(reason);
            }
            _ => {
                B::postpone(&mut tx, s, event_id, &reason, again, attempted.decision).await?;
            }
        }
    }
    tx.commit().await?;
    Ok(passed_over)
}
