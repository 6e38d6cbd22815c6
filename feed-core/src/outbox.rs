//! The outbox: stores an event in the transaction of the change that it describes.

use sqlx::Transaction;

use crate::data;
use crate::event::{EventId, InvalidEvent, NewEvent, is_traceparent};
use crate::reached::Mark;
use crate::store::Backend;
use crate::trace;

/// Appends `event` in the caller's transaction, next to the change that it describes (I1). Returns
/// its id, which is generated here, so that no two events share one.
///
/// The event is in the feed soon after that transaction has committed, and never if it rolls back.
/// Call [`Feed::committed`](crate::Feed::committed) after the commit to publish it at once. On PostgreSQL some instance has to
/// [run](crate::Feed::run) the feed: otherwise events that do not arrive one by one stay without a number.
///
/// On PostgreSQL, lock the row of the subject first (`SELECT … FOR UPDATE`, or the `INSERT` that
/// creates it): events are numbered in the order of their insertion, and the lock makes that the
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
/// Returns the database's error; the transaction can then only be rolled back. Returns
/// [`sqlx::Error::Encode`] with an [`InvalidEvent`] if readers could not process the event, for
/// example if its data is not JSON; nothing has changed then. If no [`Feed`](crate::Feed) has been opened on the database
/// yet, SQLite refuses the event; on PostgreSQL it waits for one.
pub async fn append<B: Backend>(
    tx: &mut Transaction<'_, B>,
    event: &NewEvent,
) -> sqlx::Result<EventId> {
    event.check().map_err(refused)?;
    let id = EventId::new();
    let span = trace::of_append(event, &id.urn());
    // The receiver continues the trace from here. A malformed context counts as none (W3C Trace
    // Context, 3.2.2.5).
    let ours = span.traceparent();
    let given = event.traceparent.as_deref();
    let traceparent = ours
        .as_deref()
        .or(given.filter(|text| is_traceparent(text)));
    B::append(tx, id, event, traceparent).await?;
    Ok(id)
}

fn refused(error: impl Into<InvalidEvent>) -> sqlx::Error {
    sqlx::Error::Encode(Box::new(error.into()))
}

/// Events read at once for rewriting.
const PAGE: i64 = 100;

/// Rewrites the data of all events of a subject, and appends `event`, which describes the change,
/// about the same subject: this is how a person is erased. `change` gets the type and the data of an event, and returns the
/// data that is left. Returns the number of events whose data has changed.
///
/// The entries do not change, so the pages of the feed keep their bytes. `event` moves the head:
/// each instance then drops what it has cached, as soon as it sees the new head. A reader that took
/// the old data gets `event` after it.
///
/// As for [`append`], lock the row of the subject first, so that no event with the old data can
/// follow. Events that are being numbered at the same moment are rewritten too.
///
/// # Errors
///
/// Returns the database's error, or [`sqlx::Error::Encode`] if `change` fails or gives no JSON, or if readers could not
/// process the event; the transaction can then only be rolled back.
pub async fn rewrite<B: Backend>(
    tx: &mut Transaction<'_, B>,
    event: &NewEvent,
    change: impl Fn(&str, &str) -> serde_json::Result<String> + Send + Sync,
) -> sqlx::Result<u64> {
    event.check_texts().map_err(refused)?;
    let subject = &event.subject;
    let mut rewritten = 0;
    // Rewrite these first: one that is numbered meanwhile is then found among the numbered events.
    for (id, event_type, data) in B::unnumbered(tx, subject).await? {
        Mark::ErasedUnnumbered.reached();
        let rewrite = rewrite_one(tx, id, &data, |data| change(&event_type, data));
        rewritten += u64::from(rewrite.await?);
    }
    let mut after = 0;
    loop {
        let page = B::numbered(tx, subject, after, PAGE).await?;
        let Some((last, ..)) = page.last() else { break };
        after = *last;
        for (_, id, event_type, data) in page {
            let rewrite = rewrite_one(tx, id, &data, |data| change(&event_type, data));
            rewritten += u64::from(rewrite.await?);
        }
    }
    // Rows in quarantine contain personal data as well.
    B::erase_quarantined(tx, subject).await?;
    append(tx, event).await?;
    Ok(rewritten)
}

/// Returns false if the data does not change.
async fn rewrite_one<B: Backend>(
    tx: &mut Transaction<'_, B>,
    id: EventId,
    data: &str,
    change: impl Fn(&str) -> serde_json::Result<String> + Send + Sync,
) -> sqlx::Result<bool> {
    // It could not be served, and is in quarantine.
    if data.is_empty() {
        return Ok(false);
    }
    let new = change(data).map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
    if new == data {
        return Ok(false);
    }
    // What is published although it is beyond a limit of today must be erasable too.
    if data::check(data).is_ok() {
        data::check(&new).map_err(refused)?;
    }
    B::rewrite(tx, id, &new).await?;
    Ok(true)
}
