//! Parked events that are due: tried again, and the later ones of their subject after them, in
//! sequence. Data that is not here is fetched again.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use sqlx::Transaction;
use tracing::info;

use super::call_effect::EffectCaller;
use super::failure::{Failure, describe, retry_in, run_to_completion};
use super::instance::Instance;
use super::parked;
use crate::consumer::effect::{Effect, EffectError};
use crate::consumer::source::content::{Content, Missing, content_again};
use crate::consumer::source::fetch::Source;
use crate::database::timeout::{STATEMENT, TRANSACTION};
use crate::store::Backend;
use crate::store::consume::{Held, Parked};
use crate::trace::{Kind, Work, of_event};

/// Subjects looked after in one round, so that new events are not kept waiting.
const SUBJECTS: i64 = 100;

/// How long that may take in one round, but for what is in hand: data that is fetched again may
/// take as long as any answer. What is left is seen with the next look at the leases.
const LONGEST_ROUND: Duration = Duration::from_secs(10);

/// What became of the first parked event of a subject.
enum First {
    /// Its effect is committed.
    Applied,
    /// None is due, or the partition is no longer ours.
    NotDue,
    /// Its data is to be fetched first.
    Away {
        event_id: String,
        src: String,
        media_type: Option<String>,
    },
}

/// The event that is tried, and its attempts before; told from inside, since an effect may panic.
type Tried = Arc<OnceLock<(String, i64)>>;

/// What was found where the data of the event with that id is.
type Found = (String, Result<Content, Missing>);

/// Tries what is due in the partitions we hold.
pub(crate) async fn retry_due<B: Backend, E: Effect<B>>(
    caller: &Arc<EffectCaller<B, E>>,
    source: &Source,
    held: &[Held],
) -> sqlx::Result<()> {
    let begun = Instant::now();
    let (pool, s, me) = caller.instance.names();
    for (partition, subject) in caller
        .instance
        .database
        .within(STATEMENT, B::due(pool, s, me, SUBJECTS))
        .await?
    {
        if begun.elapsed() > LONGEST_ROUND {
            break;
        }
        let held = held
            .iter()
            .find(|held| held.partition == partition)
            .cloned();
        if let Some(held) = held {
            retry_subject(caller, source, &held, &subject).await?;
        }
    }
    Ok(())
}

async fn retry_subject<B: Backend, E: Effect<B>>(
    caller: &Arc<EffectCaller<B, E>>,
    source: &Source,
    held: &Held,
    subject: &str,
) -> sqlx::Result<()> {
    let mut found = None;
    loop {
        let (again, content) = (Arc::clone(caller), found.take());
        let (first, tried) = ((held.clone(), subject.to_owned()), Tried::default());
        let trying = Arc::clone(&tried);
        let retried = run_to_completion(async move {
            let (held, subject) = first;
            retry_first(&again, &held, &subject, content, &trying).await
        });
        match retried.await {
            Ok(First::Applied) => {}
            Ok(First::NotDue) => return Ok(()),
            // Between two transactions: nobody is to wait for a server in one.
            Ok(First::Away {
                event_id,
                src,
                media_type,
            }) => {
                found = Some((
                    event_id,
                    content_again(source, &src, media_type.as_deref()).await,
                ));
            }
            Err(Failure::Database(error)) => return Err(error),
            Err(Failure::Effect(error)) => {
                return caller
                    .instance
                    .database
                    .within(
                        TRANSACTION,
                        postpone(&caller.instance, held, &tried, &error),
                    )
                    .await;
            }
        }
    }
}

/// Applies the first parked event of `subject`, with the data that was `found` if it has none.
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
        // Another event may have become the first one meanwhile.
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
    caller
        .instance
        .database
        .within(STATEMENT, B::unpark(&mut tx, s, &parked.event_id))
        .await?;
    caller.call(tx, B::Guard::default(), events).await?;
    work.done();
    info!(event.id, event.subject, "applied parked event {}", event.id);
    Ok(First::Applied)
}

/// Begins a transaction with the lock of `held`, and finds the first parked event of `subject`, if it is
/// due.
async fn first_due<B: Backend>(
    instance: &Instance<B>,
    held: &Held,
    subject: &str,
) -> sqlx::Result<Option<(Transaction<'static, B>, Parked)>> {
    let (_, s, me) = instance.names();
    let mut tx = instance.database.begin().await?;
    if !B::lock(&mut tx, s, me, held).await? {
        return Ok(None);
    }
    let parked = B::first_parked(&mut tx, s, subject).await?;
    Ok(parked.map(|parked| (tx, parked)))
}

/// Records that the event that was `tried` has failed again; if a person has skipped it meanwhile,
/// nothing, and nothing of the one that is the first now.
async fn postpone<B: Backend>(
    instance: &Instance<B>,
    held: &Held,
    tried: &Tried,
    error: &EffectError,
) -> sqlx::Result<()> {
    let Some((event_id, attempts)) = tried.get() else {
        return Ok(());
    };
    let (_, s, me) = instance.names();
    let mut tx = instance.database.begin().await?;
    if B::lock(&mut tx, s, me, held).await? {
        let again = retry_in(error, attempts + 1);
        B::postpone(&mut tx, s, event_id, &describe(error), again).await?;
    }
    tx.commit().await
}
