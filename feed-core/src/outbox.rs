//! The write side: an event goes into the database next to the change it tells of.

use serde_json::value::RawValue;
use sqlx::Transaction;

use crate::event::{EventId, NewEvent};
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
/// Returns the database's error, or [`sqlx::Error::Encode`] if the event's data is not JSON; the
/// transaction can then only be rolled back.
pub async fn append<B: Backend>(
    tx: &mut Transaction<'_, B>,
    event: &NewEvent,
) -> sqlx::Result<EventId> {
    // Here, where it can still be refused: once published it would be in every reader's way.
    if let Err(error) = serde_json::from_str::<&RawValue>(&event.data) {
        return Err(sqlx::Error::Encode(Box::new(error)));
    }
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
