//! What the publishing side asks of a database, and the rows it gets.

use std::future::Future;

use chrono::{DateTime, Utc};
use sqlx::{ColumnIndex, Decode, FromRow, Pool, Row, Transaction, Type};

use super::text::Text;

use crate::cursor::{Cursor, Epoch};
use crate::event::{Entry, Event, EventId, NewEvent, Sequence, is_traceparent};

/// The row of the head: which feed this is and how far it has got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    /// The feed's `atom:id`.
    pub(crate) feed_id: EventId,
    pub(crate) epoch: Epoch,
    pub(crate) page_size: i64,
    pub(crate) created: DateTime<Utc>,
    /// Number and id of the newest event.
    pub(crate) sequence: Sequence,
    pub(crate) anchor: Option<EventId>,
    /// When that event was numbered; when the feed was created while it is empty.
    pub(crate) updated: DateTime<Utc>,
    /// A second after the end of the last closed second: whatever is numbered later is stamped at
    /// or after it.
    pub(crate) closed_until: Option<DateTime<Utc>>,
    /// The newest sequence when that second was closed.
    pub(crate) closed_sequence: Sequence,
    /// The presentation of the instance that started last with another one than before it, and when
    /// that was. `None` until an instance of this version has started.
    pub(crate) presentation: Option<i64>,
    pub(crate) presented: Option<DateTime<Utc>>,
    /// How often published events have been corrected.
    pub(crate) revision: i64,
}

impl Head {
    /// The place at the newest event.
    pub(crate) fn cursor(&self) -> Cursor {
        Cursor {
            epoch: self.epoch,
            sequence: self.sequence,
            anchor: self.anchor,
        }
    }

    /// True if both show the same events, and these in the same form.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.revision == other.revision && self.cursor() == other.cursor()
    }

    /// True if the second of the newest event is closed: then a date says which events it covers.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed_sequence == self.sequence
    }
}

/// One look at the feed.
#[derive(Debug, Clone)]
pub(crate) struct Look {
    pub(crate) head: Head,
    /// True if events have been committed that have no number yet.
    pub(crate) unnumbered: bool,
    /// The newest row in quarantine, 0 if there is none.
    pub(crate) quarantined: i64,
    /// The database's clock.
    pub(crate) now: DateTime<Utc>,
}

/// A row that is no event, or was none when it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Quarantined {
    /// Its place in `feed_quarantine`.
    pub(crate) position: i64,
    pub(crate) found: DateTime<Utc>,
    /// What is wrong with it.
    pub(crate) reason: String,
    /// Its number, if it is published all the same.
    pub(crate) sequence: Option<Sequence>,
    /// The beginnings of what the row has.
    pub(crate) id: String,
    pub(crate) event_type: Option<String>,
    pub(crate) subject: Option<String>,
}

/// The columns of [`Quarantined`].
pub(crate) type QuarantinedRow = (
    i64,
    DateTime<Utc>,
    String,
    Option<Sequence>,
    Text,
    Option<Text>,
    Option<Text>,
);

impl From<QuarantinedRow> for Quarantined {
    fn from(row: QuarantinedRow) -> Self {
        let (position, found, reason, sequence, id, event_type, subject) = row;
        Self {
            position,
            found,
            reason,
            sequence,
            id: shown(&id),
            event_type: event_type.as_ref().map(shown),
            subject: subject.as_ref().map(shown),
        }
    }
}

/// The beginning of what another program wrote, as a log and a terminal can show it.
fn shown(Text(text): &Text) -> String {
    let printable = |character: char| match character {
        control if control.is_control() => char::REPLACEMENT_CHARACTER,
        other => other,
    };
    text.chars().take(SHOWN).map(printable).collect()
}

/// Characters shown of a text in quarantine.
const SHOWN: usize = 200;

/// How an attempt to number ended.
#[derive(Debug, Clone)]
pub(crate) enum Numbered {
    /// What has committed has its number; this is the feed then.
    Done(Look),
    /// Another instance is at it. Its snapshot may be older than our commit: look again.
    Busy,
    /// There is nothing to do: here an event has its number when it commits.
    AtCommit,
}

/// Which events a filtered view shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) event_type: Option<String>,
    pub(crate) subject: Option<String>,
}

/// The statement for a filter with the values from `$3` on. Each kind of filter has its own, since
/// no plan for `$3 IS NULL OR subject = $3` uses the index.
macro_rules! filtered_statement {
    ($id:literal, $filter:expr) => {
        match (&$filter.event_type, &$filter.subject) {
            (None, None) => (filtered_statement!(@ $id, ""), vec![]),
            (Some(kind), None) => {
                (filtered_statement!(@ $id, " AND event_type = $3"), vec![kind])
            }
            (None, Some(subject)) => {
                (filtered_statement!(@ $id, " AND subject = $3"), vec![subject])
            }
            (Some(kind), Some(subject)) => (
                filtered_statement!(@ $id, " AND event_type = $3 AND subject = $4"),
                vec![kind, subject],
            ),
        }
    };
    (@ $id:literal, $condition:literal) => {
        concat!(
            "-- feed::filtered
             SELECT ", $id, ", sequence, event_type, subject, time, updated, title, summary, link
             FROM feed_log
             WHERE sequence < $1", $condition, "
             ORDER BY sequence DESC LIMIT $2"
        )
    };
}
pub(crate) use filtered_statement;

/// The channel that says how far the head has moved. Channels are a database's own.
pub(crate) const CHANNEL: &str = "feed_head";

/// The publishing side's operations.
pub(crate) trait Publish: sqlx::Database {
    /// Makes the feed's row where there is none yet.
    fn create_feed(
        pool: &Pool<Self>,
        feed_id: EventId,
        epoch: &Epoch,
        page_size: i64,
    ) -> impl Future<Output = sqlx::Result<()>> + Send;

    /// Stores `source` where the feed has none yet, and `presentation` where it is not the one that was
    /// stored last. That changes all documents, so it reopens the second of the newest event: no date
    /// from before validates a document any longer.
    fn present(
        pool: &Pool<Self>,
        source: &str,
        presentation: i64,
    ) -> impl Future<Output = sqlx::Result<()>> + Send;

    /// The CloudEvents `source`; `None` if no instance has stored it yet.
    fn source(pool: &Pool<Self>) -> impl Future<Output = sqlx::Result<Option<String>>> + Send;

    /// Inserts `event` into the outbox.
    fn append(
        tx: &mut Transaction<'_, Self>,
        id: EventId,
        event: &NewEvent,
        traceparent: Option<&str>,
    ) -> impl Future<Output = sqlx::Result<()>> + Send;

    /// Locks the events of `subject` that have no number yet, so that they get none before the
    /// transaction ends; returns them with their data.
    fn unnumbered(
        tx: &mut Transaction<'_, Self>,
        subject: &str,
    ) -> impl Future<Output = sqlx::Result<Vec<(EventId, String)>>> + Send;

    /// The first `limit` numbered events of `subject` after `after`, with their data.
    fn numbered(
        tx: &mut Transaction<'_, Self>,
        subject: &str,
        after: Sequence,
        limit: i64,
    ) -> impl Future<Output = sqlx::Result<Vec<(Sequence, EventId, String)>>> + Send;

    /// Puts `data` in the place of what an event had.
    fn rewrite(
        tx: &mut Transaction<'_, Self>,
        id: EventId,
        data: &str,
    ) -> impl Future<Output = sqlx::Result<()>> + Send;

    /// Removes the data of rows about `subject` from the quarantine.
    fn erase_quarantined(
        tx: &mut Transaction<'_, Self>,
        subject: &str,
    ) -> impl Future<Output = sqlx::Result<()>> + Send;

    /// The first `limit` rows in quarantine behind the position `after`.
    fn quarantined(
        pool: &Pool<Self>,
        after: i64,
        limit: i64,
    ) -> impl Future<Output = sqlx::Result<Vec<Quarantined>>> + Send;

    /// Number of the oldest event that is not in the archive.
    fn oldest(pool: &Pool<Self>) -> impl Future<Output = sqlx::Result<Option<Sequence>>> + Send;

    /// Moves the events from `first` to `last`, both included, to the archive; returns how many.
    fn archive(
        tx: &mut Transaction<'_, Self>,
        first: Sequence,
        last: Sequence,
    ) -> impl Future<Output = sqlx::Result<u64>> + Send;

    /// Gives the feed another epoch.
    fn change_epoch(
        tx: &mut Transaction<'_, Self>,
        epoch: &Epoch,
    ) -> impl Future<Output = sqlx::Result<()>> + Send;

    /// Reads the head.
    fn look(pool: &Pool<Self>) -> impl Future<Output = sqlx::Result<Look>> + Send;

    /// Numbers up to `limit` events that have committed.
    fn number(pool: &Pool<Self>, limit: i64)
    -> impl Future<Output = sqlx::Result<Numbered>> + Send;

    /// Closes the second of event `sequence`, if it is over and that event still the newest.
    fn close_second(
        pool: &Pool<Self>,
        sequence: Sequence,
    ) -> impl Future<Output = sqlx::Result<()>> + Send;

    /// The entries from `first` to `last`, both included, in sequence.
    fn entries(
        pool: &Pool<Self>,
        first: Sequence,
        last: Sequence,
    ) -> impl Future<Output = sqlx::Result<Vec<Entry>>> + Send;

    /// The same with their data.
    fn events(
        pool: &Pool<Self>,
        first: Sequence,
        last: Sequence,
    ) -> impl Future<Output = sqlx::Result<Vec<Event>>> + Send;

    /// The id of the event with that number.
    fn id_at(
        pool: &Pool<Self>,
        sequence: Sequence,
    ) -> impl Future<Output = sqlx::Result<Option<EventId>>> + Send;

    /// One event by its id, once it has its number.
    fn event(
        pool: &Pool<Self>,
        id: EventId,
    ) -> impl Future<Output = sqlx::Result<Option<Event>>> + Send;

    /// The newest `limit` entries before `before` that match, newest first.
    fn filtered(
        pool: &Pool<Self>,
        filter: &Filter,
        before: Sequence,
        limit: i64,
    ) -> impl Future<Output = sqlx::Result<Vec<Entry>>> + Send;
}

/// The columns of an entry, the id as text.
#[derive(Debug)]
pub(crate) struct EntryRow(Entry);

/// The columns of an entry, then its data and trace context.
#[derive(Debug)]
pub(crate) struct EventRow(Event);

impl<'r, R: Row> FromRow<'r, R> for EntryRow
where
    usize: ColumnIndex<R>,
    String: Decode<'r, R::Database> + Type<R::Database>,
    Text: Decode<'r, R::Database> + Type<R::Database>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    DateTime<Utc>: Decode<'r, R::Database> + Type<R::Database>,
{
    fn from_row(row: &'r R) -> sqlx::Result<Self> {
        Ok(Self(Entry {
            id: id_from(row.try_get(0)?)?,
            sequence: row.try_get(1)?,
            event_type: text(row, 2)?,
            subject: text(row, 3)?,
            time: row.try_get(4)?,
            updated: row.try_get(5)?,
            title: text(row, 6)?,
            summary: text(row, 7)?,
            link: text(row, 8)?,
        }))
    }
}

impl<'r, R: Row> FromRow<'r, R> for EventRow
where
    usize: ColumnIndex<R>,
    EntryRow: FromRow<'r, R>,
    Text: Decode<'r, R::Database> + Type<R::Database>,
{
    fn from_row(row: &'r R) -> sqlx::Result<Self> {
        let traceparent: Option<Text> = row.try_get(10)?;
        let traceparent = traceparent.map(|text| text.0);
        Ok(Self(Event {
            entry: EntryRow::from_row(row)?.0,
            data: text(row, 9)?,
            // One of an older row can be anything, and is sent in a header.
            traceparent: traceparent.filter(|text| is_traceparent(text)),
        }))
    }
}

fn text<'r, R: Row>(row: &'r R, column: usize) -> sqlx::Result<String>
where
    usize: ColumnIndex<R>,
    Text: Decode<'r, R::Database> + Type<R::Database>,
{
    row.try_get(column).map(|Text(text)| text)
}

impl From<EntryRow> for Entry {
    fn from(row: EntryRow) -> Self {
        row.0
    }
}

impl From<EventRow> for Event {
    fn from(row: EventRow) -> Self {
        row.0
    }
}

/// The columns of the head, then whether events wait for their number, the newest row in quarantine, and the
/// clock.
pub(crate) type LookRow = (
    String,
    String,
    i64,
    DateTime<Utc>,
    Sequence,
    Option<String>,
    DateTime<Utc>,
    Option<DateTime<Utc>>,
    Sequence,
    Option<i64>,
    Option<DateTime<Utc>>,
    i64,
    bool,
    i64,
    DateTime<Utc>,
);

pub(crate) fn look_from(row: LookRow) -> sqlx::Result<Look> {
    let (
        feed_id,
        epoch,
        page_size,
        created,
        sequence,
        anchor,
        updated,
        until,
        closed,
        presentation,
        presented,
        revision,
        unnumbered,
        quarantined,
        now,
    ) = row;
    Ok(Look {
        head: Head {
            feed_id: id_from(feed_id)?,
            epoch: epoch.parse().map_err(decode)?,
            page_size,
            created,
            sequence,
            anchor: anchor.map(id_from).transpose()?,
            updated,
            closed_until: until,
            closed_sequence: closed,
            presentation,
            presented,
            revision,
        },
        unnumbered,
        quarantined,
        now,
    })
}

pub(crate) fn id_from(text: String) -> sqlx::Result<EventId> {
    uuid::Uuid::try_parse(&text).map(EventId).map_err(decode)
}

fn decode(error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::Decode(Box::new(error))
}
