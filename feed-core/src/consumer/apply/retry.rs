//! Retries parked events that are due, and then the later events of their subject, in sequence.
//! Fetches missing data again.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use sqlx::Transaction;
use tracing::info;

use super::call_effect::EffectCaller;
use super::failure::{Failure, Stopped, describe, retry_in, run_detached};
use super::instance::Instance;
use super::parked;
use crate::consumer::effect::{Effect, EffectError};
use crate::consumer::sanitize::printable;
use crate::consumer::source::content::{Content, Missing, content_again};
use crate::consumer::source::fetch::Source;
use crate::database::timeout::TRANSACTION;
use crate::reached::Mark;
use crate::store::Backend;
use crate::store::consume::{Held, Parked};
use crate::trace::{Kind, Work, of_event};

/// Subjects retried in one round, so that new events do not wait long.
const SUBJECTS: i64 = 100;

/// The time limit for retries in one round, apart from the retry in progress, since fetching data
/// may take as long as any request. New events come in between (I7), and the next round continues.
const LONGEST_ROUND: Duration = Duration::from_secs(3);

/// The time limit for one subject in a round, apart from the retry in progress: thousands of its events may have waited
/// for a parked one.
const LONGEST_TURN: Duration = Duration::from_secs(1);

/// The outcome for the first parked event of a subject.
enum First {
    /// Its effect is committed.
    Applied,
    /// No event is due, or another instance holds the partition.
    NotDue,
    /// The data must be fetched first.
    Away {
        event_id: String,
        src: String,
        media_type: Option<String>,
    },
}

/// What was retried of a subject.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// None was due.
    NotDue,
    /// All that could be retried now.
    Done,
    /// Its time was over before.
    Unfinished,
}

/// The event in progress and its earlier attempts. Set from inside the transaction, since an effect
/// may panic.
type Tried = Arc<OnceLock<(String, i64)>>;

/// The event's id, and the result of fetching its data.
type Found = (String, Result<Content, Missing>);

/// Retries the due events in the partitions that this instance holds. Returns true if more are due: the next round
/// continues with them.
pub(crate) async fn retry_due<B: Backend, E: Effect<B>>(
    caller: &Arc<EffectCaller<B, E>>,
    source: &Source,
    held: &[Held],
) -> Result<bool, Stopped> {
    let begun = Instant::now();
    let (pool, s, me) = caller.instance.scope();
    let due = B::due(pool, s, me, SUBJECTS);
    let due = caller.instance.statement(due).await?;
    let (mut tried, mut unfinished) = (false, false);
    for (partition, subject) in &due {
        if begun.elapsed() > LONGEST_ROUND {
            return Ok(true);
        }
        if let Some(held) = held.iter().find(|held| held.partition == *partition) {
            let turn = retry_subject(caller, source, held, subject).await?;
            tried |= turn != Turn::NotDue;
            unfinished |= turn == Turn::Unfinished;
        }
    }
    // If nothing was tried, the partitions have changed: the next renewal says so.
    Ok(unfinished || tried && due.len() as i64 == SUBJECTS)
}

/// Retries the first parked event of `subject`, and the later ones once it is applied.
async fn retry_subject<B: Backend, E: Effect<B>>(
    caller: &Arc<EffectCaller<B, E>>,
    source: &Source,
    held: &Held,
    subject: &str,
) -> Result<Turn, Stopped> {
    let begun = Instant::now();
    let mut found = None;
    let mut turn = Turn::NotDue;
    loop {
        if turn == Turn::Done && begun.elapsed() > LONGEST_TURN {
            return Ok(Turn::Unfinished);
        }
        let (again, content) = (Arc::clone(caller), found.take());
        let (owned, tried) = ((held.clone(), subject.to_owned()), Tried::default());
        let trying = Arc::clone(&tried);
        let retried = run_detached(&caller.instance.transactions, async move {
            let (held, subject) = owned;
            retry_first(&again, &held, &subject, content, &trying).await
        });
        match retried.await {
            Ok(First::Applied) => turn = Turn::Done,
            Ok(First::NotDue) => return Ok(turn),
            // Fetch between two transactions, so that no transaction waits for a server.
            Ok(First::Away {
                event_id,
                src,
                media_type,
            }) => {
                let content = content_again(source, &src, media_type.as_deref()).await;
                found = Some((event_id, content));
            }
            Err(failure) => {
                let error = match failure {
                    Failure::Effect(error) => error,
                    // One that is parked may be the cause: it does not delay the others.
                    Failure::Stopped(Stopped::Later(reason, after)) => {
                        EffectError::Later { reason, after }
                    }
                    // If the database itself has failed, this attempt cannot be recorded either, and the round stops.
                    Failure::Stopped(Stopped::Database(error)) if tried.get().is_some() => {
                        caller.instance.database.learn_from(&error);
                        EffectError::Database(error)
                    }
                    Failure::Stopped(stopped) => return Err(stopped),
                };
                let postponed = postpone(&caller.instance, held, &tried, &error);
                let database = &caller.instance.database;
                database.within(TRANSACTION, postponed).await?;
                return Ok(Turn::Done);
            }
        }
    }
}

/// Applies the first parked event of `subject`, with the data `found` if it has none.
async fn retry_first<B: Backend, E: Effect<B>>(
    caller: &EffectCaller<B, E>,
    held: &Held,
    subject: &str,
    found: Option<Found>,
    tried: &Tried,
) -> Result<First, Failure> {
    let first = first_due(&caller.instance, held, subject);
    let Some((mut tx, parked)) = caller.instance.database.within(TRANSACTION, first).await? else {
        return Ok(First::NotDue);
    };
    let _ = tried.set((parked.event_id.clone(), parked.attempts));
    let (mut event, missing) = parked::read(&parked.event).map_err(|error| {
        let reason = format!("the parked event cannot be read: {error}");
        Failure::Effect(EffectError::Park(reason))
    })?;
    if let Some(missing) = missing {
        // Another event may meanwhile be the first one.
        let found = found.filter(|(event_id, _)| *event_id == parked.event_id);
        (event.data, event.traceparent) = match (found, missing.src.clone()) {
            (Some((_, content)), _) => {
                content.map_err(|missing| Failure::Effect(missing.into()))?
            }
            (None, Some(src)) => {
                let event_id = parked.event_id;
                return Ok(First::Away {
                    event_id,
                    src,
                    media_type: missing.media_type,
                });
            }
            (None, None) => return Err(Failure::Effect(missing.into())),
        };
    }
    let (parent, now) = (event.traceparent.as_deref(), SystemTime::now());
    let applying = of_event("feed.apply", Kind::Internal, &event.id, parent, now);
    let work = Work::on(std::iter::once(applying));
    let (s, events) = (&caller.instance.subscription, std::slice::from_ref(&event));
    let unparked = async {
        // Skips of events before it can no longer be undone (I6).
        B::end_undo_before(&mut tx, s, subject, Some(&parked.event_id)).await?;
        B::unpark(&mut tx, s, &parked.event_id).await
    };
    caller.instance.statement(unparked).await?;
    caller.call(tx, B::Guard::default(), events).await?;
    work.done();
    let shown = printable(&event.id);
    info!(event.id, event.subject, "applied parked event {shown}");
    Ok(First::Applied)
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

/// Records that the event `tried` has failed again. If the operator has skipped it meanwhile,
/// records nothing, and nothing about the event that is now the first.
async fn postpone<B: Backend>(
    instance: &Instance<B>,
    held: &Held,
    tried: &Tried,
    error: &EffectError,
) -> sqlx::Result<()> {
    let Some((event_id, attempts)) = tried.get() else {
        return Ok(());
    };
    let (_, s, me) = instance.scope();
    let mut tx = instance.database.begin().await?;
    if B::lock(&mut tx, s, me, held).await? {
        let again = retry_in(error, attempts + 1);
        B::postpone(&mut tx, s, event_id, &describe(error), again).await?;
    }
    tx.commit().await
}
