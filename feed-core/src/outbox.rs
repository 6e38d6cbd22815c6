//! The write side: an event goes into the database next to the change it tells of.

use chrono::Datelike;
use serde_json::value::RawValue;
use sqlx::Transaction;

use crate::event::{EventId, LONGEST_NAME, NewEvent};
use crate::store::Backend;
use crate::trace;

/// Appends `event` in the caller's transaction, next to the change it tells of (I1). Returns its id,
/// which is made here, so that no two events share one.
///
/// The event is in the feed soon after that transaction has committed, and never if it rolls
/// back. Call [`Feed::committed`](crate::Feed::committed) after the commit, and it is there at
/// once.
///
/// On PostgreSQL, lock the row of the subject first (`SELECT … FOR UPDATE`, or the `INSERT` that
/// makes it): events are numbered in the order of their insertion, and the lock makes that the
/// order of the changes (I6).
///
/// ```no_run
/// # use feed_core::{Backend, Database, NewEvent, outbox};
/// # async fn example<B: Backend>(database: &Database<B>, placed: NewEvent) -> sqlx::Result<()> {
/// let mut tx = database.begin().await?;
/// // … the change itself, in `tx` …
/// outbox::append(&mut tx, &placed).await?;
/// tx.commit().await
/// # }
/// ```
///
/// # Errors
///
/// Returns the database's error, or [`sqlx::Error::Encode`] if the event is one that readers could not
/// take, such as one whose data is not JSON; the transaction can then only be rolled back.
pub async fn append<B: Backend>(
    tx: &mut Transaction<'_, B>,
    event: &NewEvent,
) -> sqlx::Result<EventId> {
    check(&event.data)?;
    check_names(event)?;
    let id = EventId::new();
    let span = trace::of_append(event, &id.urn());
    // Who receives it goes on from here.
    match span.traceparent() {
        None => B::append(tx, id, event).await?,
        traceparent => {
            let event = event.clone();
            let event = NewEvent {
                traceparent,
                ..event
            };
            B::append(tx, id, &event).await?;
        }
    }
    Ok(id)
}

/// Events read at once to be rewritten.
const PAGE: i64 = 100;

/// Rewrites the data of all events of a subject, and appends `event`, which tells of it, about the
/// same subject: how a person is erased. Returns how many events have other data now.
///
/// The entries stay as they are, so the pages of the feed keep their bytes. `event` moves the head:
/// by that each instance lets go what it has in memory, as soon as it knows. A reader that took the
/// old data meets `event` after it.
///
/// As for [`append`], lock the row of the subject first: so no event with the old data can follow.
/// Events that are being numbered at the same moment are rewritten too.
///
/// # Errors
///
/// Returns the database's error, or [`sqlx::Error::Encode`] if `change` fails or gives no JSON; the
/// transaction can then only be rolled back.
pub async fn rewrite<B: Backend>(
    tx: &mut Transaction<'_, B>,
    event: &NewEvent,
    change: impl Fn(&str) -> serde_json::Result<String> + Send + Sync,
) -> sqlx::Result<u64> {
    let subject = &event.subject;
    let mut rewritten = 0;
    // These first: one that gets its number meanwhile is then found among the numbered.
    for (id, data) in B::unnumbered(tx, subject).await? {
        rewritten += u64::from(rewrite_one(tx, id, &data, &change).await?);
    }
    let mut after = 0;
    loop {
        let page = B::numbered(tx, subject, after, PAGE).await?;
        let Some((last, ..)) = page.last() else { break };
        after = *last;
        for (_, id, data) in page {
            rewritten += u64::from(rewrite_one(tx, id, &data, &change).await?);
        }
    }
    append(tx, event).await?;
    Ok(rewritten)
}

/// False if the data is already as it is to be.
async fn rewrite_one<B: Backend>(
    tx: &mut Transaction<'_, B>,
    id: EventId,
    data: &str,
    change: &(impl Fn(&str) -> serde_json::Result<String> + Send + Sync),
) -> sqlx::Result<bool> {
    let new = change(data).map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
    if new == data {
        return Ok(false);
    }
    check(&new)?;
    B::rewrite(tx, id, &new).await?;
    Ok(true)
}

/// An event that cannot be numbered would hold all that come after it, a page with one that cannot be
/// read would hold all readers, and one that is read as about something else would be out of order.
pub(crate) fn check_names(event: &NewEvent) -> sqlx::Result<()> {
    let refused = |why: &str| Err(sqlx::Error::Encode(why.into()));
    for name in [&event.event_type, &event.subject] {
        if name.is_empty() || name.len() > LONGEST_NAME {
            return refused("an event's type and subject have 1 to 2,000 bytes");
        }
        if name.trim() != name {
            return refused("an event's type or subject has white space around");
        }
    }
    // RFC 3339 knows no others.
    if !(0..=9999).contains(&event.time.year()) {
        return refused("an event's time is in no year from 0 to 9999");
    }
    Ok(())
}

/// Here, where it can still be refused: once published it would be in every reader's way.
fn check(data: &str) -> sqlx::Result<()> {
    match serde_json::from_str::<&RawValue>(data) {
        Ok(_) => Ok(()),
        Err(error) => Err(sqlx::Error::Encode(Box::new(error))),
    }
}
