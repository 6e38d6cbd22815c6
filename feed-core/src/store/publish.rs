//! The publishing side's interface to a database, and the rows it returns.

use chrono::{DateTime, Utc};
#[cfg(feature = "schemars")]
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::{Pool, Transaction};

use super::Writer;
use super::answer::Answer;
use crate::cursor::{Cursor, Epoch};
use crate::event::{Entry, Event, EventId, NewEvent, Sequence};

/// The row of the head: the identity of the feed and its newest event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    /// The feed's `atom:id`.
    pub(crate) feed_id: EventId,
    pub(crate) epoch: Epoch,
    pub(crate) page_size: i64,
    pub(crate) created: DateTime<Utc>,
    /// Sequence and id of the newest event.
    pub(crate) sequence: Sequence,
    pub(crate) anchor: Option<EventId>,
    /// When that event was numbered, or the presentation changed after it.
    pub(crate) updated: DateTime<Utc>,
    /// The end of the last closed second: events numbered later have this date or a later one.
    pub(crate) closed_until: Option<DateTime<Utc>>,
    /// The newest sequence when that second was closed.
    pub(crate) closed_sequence: Sequence,
    /// The presentation of the instance that started last with another one than before it.
    /// `None` until an instance of this version has started.
    pub(crate) presentation: Option<i64>,
    /// How often published events have been corrected.
    pub(crate) revision: i64,
    /// When it was read, by the database's clock.
    pub(crate) read_at: DateTime<Utc>,
}

impl Head {
    /// Returns the cursor at the newest event.
    pub(crate) fn cursor(&self) -> Cursor {
        Cursor {
            epoch: self.epoch,
            sequence: self.sequence,
            anchor: self.anchor,
        }
    }

    /// Returns true if both have the same events and the same revision of them.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.revision == other.revision && self.cursor() == other.cursor()
    }

    /// Returns true if nothing in it has changed.
    pub(crate) fn is_unchanged_in(&self, later: &Self) -> bool {
        *self
            == Self {
                read_at: self.read_at,
                ..later.clone()
            }
    }

    /// Returns true if the second of the newest event is closed: a date then determines which
    /// events it covers.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed_sequence == self.sequence
    }
}

/// The progress of a feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Published {
    pub(crate) sequence: Sequence,
    /// The oldest committed event without a sequence: its id, and when it happened.
    pub(crate) unnumbered: Option<(EventId, DateTime<Utc>)>,
    /// Rows in quarantine, not above [`COUNTED`](super::COUNTED).
    pub(crate) quarantined: i64,
}

/// The result of reading the head.
#[derive(Debug, Clone)]
pub(crate) struct HeadRead {
    pub(crate) head: Head,
    /// True if committed events have no sequence yet.
    pub(crate) unnumbered: bool,
    /// The newest row in quarantine, 0 if there is none.
    pub(crate) quarantined: i64,
}

/// A row that could not be published or served as it was. Its texts are the beginnings of those in the row.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(
    feature = "schemars",
    derive(JsonSchema),
    schemars(rename = "QuarantinedRow")
)]
pub struct Quarantined {
    /// Its position in `feed_quarantine`
    pub position: i64,
    #[cfg_attr(feature = "schemars", schemars(with = "String", extend("format" = "date-time")))]
    /// When it was found
    pub found: DateTime<Utc>,
    /// What is wrong with it
    pub reason: String,
    /// The number of the event; null if it is not published
    pub sequence: Option<Sequence>,
    /// The id in the row
    pub id: String,
    #[serde(rename = "type")]
    /// The type of the event
    pub event_type: Option<String>,
    /// The subject of the event
    pub subject: Option<String>,
}

/// Text of an event. SQLite stores any bytes in a text; one row that is not UTF-8 must not make a document with other events
/// unreadable.
#[derive(Debug)]
pub(crate) struct Text(pub(crate) String);

impl From<&[u8]> for Text {
    fn from(bytes: &[u8]) -> Self {
        Self(String::from_utf8_lossy(bytes).into_owned())
    }
}

impl Text {
    /// Returns the beginning of another program's text, sanitized for logs and terminals.
    pub(crate) fn beginning(&self) -> String {
        let printable = |character: char| match character {
            control if control.is_control() => char::REPLACEMENT_CHARACTER,
            other => other,
        };
        self.0.chars().take(SHOWN).map(printable).collect()
    }
}

/// The most characters shown of a text in quarantine.
const SHOWN: usize = 200;

/// The outcome of an attempt to number events.
#[derive(Debug, Clone)]
pub(crate) enum Numbered {
    /// Committed events have their sequences; this is the head then. So many rows left the outbox now: none, if a COMMIT or
    /// another instance has numbered them before.
    Done(HeadRead, i64),
    /// Another instance is numbering. Its snapshot may be older than our commit: try again.
    Busy,
    /// There is nothing to do: on this database an event gets its sequence at the commit.
    AtCommit,
}

impl Numbered {
    /// Returns true if as many events were numbered as could be, and more may be left.
    pub(crate) fn were_most(&self) -> bool {
        matches!(self, Self::Done(read, _) if read.unnumbered)
    }
}

impl From<Option<(HeadRead, i64)>> for Numbered {
    fn from(numbered: Option<(HeadRead, i64)>) -> Self {
        numbered.map_or(Self::Busy, |(read, numbered)| Self::Done(read, numbered))
    }
}

/// The events of a filtered view.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) event_type: Option<String>,
    pub(crate) subject: Option<String>,
}

impl Filter {
    /// Returns true if every event matches.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns true if the statements with this filter find `entry`.
    pub(crate) fn matches(&self, entry: &Entry) -> bool {
        let is = |wanted: &Option<String>, found: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted == found)
        };
        is(&self.event_type, &entry.event_type) && is(&self.subject, &entry.subject)
    }
}

/// The channel that announces the head's sequence. Each database has channels of its own.
pub(crate) const CHANNEL: &str = "feed_head";

/// The publishing side's operations that each database implements in its own way.
pub(crate) trait NativePublish: sqlx::Database {
    /// Locks the events of `subject` without a sequence, so that they get none before the
    /// transaction ends; returns them with their types and data.
    fn unnumbered(
        tx: &mut Transaction<'_, Self>,
        subject: &str,
    ) -> impl Answer<Vec<(EventId, String, String)>>;

    /// Replaces the data of an event.
    fn rewrite(tx: &mut Transaction<'_, Self>, id: EventId, data: &str) -> impl Answer<()>;

    /// Moves the events from `first` to `last`, both included, to the archive; returns their
    /// number.
    fn archive(tx: &mut Transaction<'_, Self>, first: Sequence, last: Sequence)
    -> impl Answer<u64>;

    /// Numbers up to `limit` committed events.
    fn number(_: Writer<'_, Self>, _limit: i64) -> impl Answer<Numbered> {
        async { Ok(Numbered::AtCommit) }
    }

    /// Returns the progress of the feed.
    fn published(pool: &Pool<Self>) -> impl Answer<Published>;
}

/// The operations whose statements differ at most by a clock.
pub(crate) trait Publish: sqlx::Database {
    /// Inserts the feed's row if there is none.
    fn create_feed(
        writer: Writer<'_, Self>,
        feed_id: EventId,
        epoch: &Epoch,
        page_size: i64,
    ) -> impl Answer<()>;

    /// Stores `source` if the feed has none, and `presentation` if it is not the last one stored. A
    /// new presentation changes all documents, so it reopens the second of the newest event: no
    /// earlier date validates a document any longer.
    fn present(writer: Writer<'_, Self>, source: &str, presentation: i64) -> impl Answer<()>;

    /// Returns the CloudEvents `source`; `None` if no instance has stored it.
    fn source(pool: &Pool<Self>) -> impl Answer<Option<String>>;

    /// Inserts `event` into the outbox.
    fn append(
        tx: &mut Transaction<'_, Self>,
        id: EventId,
        event: &NewEvent,
        traceparent: Option<&str>,
    ) -> impl Answer<()>;

    /// Returns the first `limit` numbered events of `subject` after `after`, with their types and data.
    fn numbered(
        tx: &mut Transaction<'_, Self>,
        subject: &str,
        after: Sequence,
        limit: i64,
    ) -> impl Answer<Vec<(Sequence, EventId, String, String)>>;

    /// Removes the data of rows about `subject` from the quarantine.
    fn erase_quarantined(tx: &mut Transaction<'_, Self>, subject: &str) -> impl Answer<()>;

    /// Returns the first `limit` rows in quarantine after the position `after`.
    fn quarantined(pool: &Pool<Self>, after: i64, limit: i64) -> impl Answer<Vec<Quarantined>>;

    /// Returns the sequence of the oldest event that is not in the archive.
    fn oldest(pool: &Pool<Self>) -> impl Answer<Option<Sequence>>;

    /// Sets another epoch.
    fn change_epoch(tx: &mut Transaction<'_, Self>, epoch: &Epoch) -> impl Answer<()>;

    /// Returns true if the feed had this epoch before its own.
    fn had_epoch(pool: &Pool<Self>, epoch: &Epoch) -> impl Answer<bool>;

    /// Reads the head.
    fn read_head(pool: &Pool<Self>) -> impl Answer<HeadRead>;

    /// Closes the second before `until`, if `head` is still what was read, and has been so since before `until`.
    fn close_second(writer: Writer<'_, Self>, head: &Head, until: DateTime<Utc>)
    -> impl Answer<()>;

    /// Returns the entries from `first` to `last`, both included, in sequence.
    fn entries(pool: &Pool<Self>, first: Sequence, last: Sequence) -> impl Answer<Vec<Entry>>;

    /// Returns the same events with their data.
    fn events(pool: &Pool<Self>, first: Sequence, last: Sequence) -> impl Answer<Vec<Event>>;

    /// Returns sequence, id and subject of the events from `first` to `last`, both included, in
    /// sequence.
    fn subjects(
        pool: &Pool<Self>,
        first: Sequence,
        last: Sequence,
    ) -> impl Answer<Vec<(Sequence, EventId, String)>>;

    /// Returns the events with these sequences, in sequence.
    fn events_at(pool: &Pool<Self>, sequences: &[Sequence]) -> impl Answer<Vec<Event>>;

    /// Returns these sequences with the bytes of their events' data, in sequence.
    fn sizes(pool: &Pool<Self>, sequences: &[Sequence]) -> impl Answer<Vec<(Sequence, i64)>>;

    /// Returns the first `limit` events about these subjects, in sequence.
    fn about(pool: &Pool<Self>, subjects: &[String], limit: i64) -> impl Answer<Vec<Event>>;

    /// Returns the id of the event with that sequence.
    fn id_at(pool: &Pool<Self>, sequence: Sequence) -> impl Answer<Option<EventId>>;

    /// Returns one event by its id, once it has a sequence.
    fn event(pool: &Pool<Self>, id: EventId) -> impl Answer<Option<Event>>;

    /// Returns the newest `limit` entries before `before` that match, newest first.
    fn filtered(
        pool: &Pool<Self>,
        filter: &Filter,
        before: Sequence,
        limit: i64,
    ) -> impl Answer<Vec<Entry>>;

    /// Returns the sequences of the first `limit` events from `first` to `last`, both included, that
    /// match.
    fn matching(
        pool: &Pool<Self>,
        filter: &Filter,
        first: Sequence,
        last: Sequence,
        limit: i64,
    ) -> impl Answer<Vec<Sequence>>;
}
