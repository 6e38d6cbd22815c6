//! What the publishing side asks of a database, and the rows it gets.

use chrono::{DateTime, Utc};
use sqlx::{Pool, Transaction};

use super::answer::Answer;
use crate::cursor::{Cursor, Epoch};
use crate::event::{Entry, Event, EventId, NewEvent, Sequence};

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

/// How far a feed has got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Published {
    pub(crate) sequence: Sequence,
    /// The oldest event that is committed and has no number yet: its id, and when it happened.
    pub(crate) unnumbered: Option<(EventId, DateTime<Utc>)>,
    /// Rows in quarantine, not above [`COUNTED`](super::COUNTED).
    pub(crate) quarantined: i64,
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

/// Text of an event. SQLite, and PostgreSQL with the encoding `SQL_ASCII`, hold any bytes in a text; one row
/// that is not UTF-8 must not spoil a document with others.
#[derive(Debug)]
pub(crate) struct Text(pub(crate) String);

impl From<&[u8]> for Text {
    fn from(bytes: &[u8]) -> Self {
        Self(String::from_utf8_lossy(bytes).into_owned())
    }
}

impl Text {
    /// The beginning of what another program wrote, as a log and a terminal can show it.
    pub(crate) fn beginning(&self) -> String {
        let printable = |character: char| match character {
            control if control.is_control() => char::REPLACEMENT_CHARACTER,
            other => other,
        };
        self.0.chars().take(SHOWN).map(printable).collect()
    }
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

impl From<Option<Look>> for Numbered {
    fn from(numbered: Option<Look>) -> Self {
        numbered.map_or(Self::Busy, Self::Done)
    }
}

/// Which events a filtered view shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) event_type: Option<String>,
    pub(crate) subject: Option<String>,
}

/// The channel that says how far the head has moved. Channels are a database's own.
pub(crate) const CHANNEL: &str = "feed_head";

/// The publishing side's operations that each database does in its own way.
pub(crate) trait NativePublish: sqlx::Database {
    /// Inserts `event` into the outbox.
    fn append(
        tx: &mut Transaction<'_, Self>,
        id: EventId,
        event: &NewEvent,
        traceparent: Option<&str>,
    ) -> impl Answer<()>;

    /// Locks the events of `subject` that have no number yet, so that they get none before the
    /// transaction ends; returns them with their data.
    fn unnumbered(
        tx: &mut Transaction<'_, Self>,
        subject: &str,
    ) -> impl Answer<Vec<(EventId, String)>>;

    /// Puts `data` in the place of what an event had.
    fn rewrite(tx: &mut Transaction<'_, Self>, id: EventId, data: &str) -> impl Answer<()>;

    /// Moves the events from `first` to `last`, both included, to the archive; returns how many.
    fn archive(tx: &mut Transaction<'_, Self>, first: Sequence, last: Sequence)
    -> impl Answer<u64>;

    /// Numbers up to `limit` events that have committed.
    fn number(_: &Pool<Self>, _limit: i64) -> impl Answer<Numbered> {
        async { Ok(Numbered::AtCommit) }
    }

    /// How far the feed has got.
    fn published(pool: &Pool<Self>) -> impl Answer<Published>;
}

/// Those whose statements are the same but for a clock.
pub(crate) trait Publish: sqlx::Database {
    /// Makes the feed's row where there is none yet.
    fn create_feed(
        pool: &Pool<Self>,
        feed_id: EventId,
        epoch: &Epoch,
        page_size: i64,
    ) -> impl Answer<()>;

    /// Stores `source` where the feed has none yet, and `presentation` where it is not the one that was
    /// stored last. That changes all documents, so it reopens the second of the newest event: no date
    /// from before validates a document any longer.
    fn present(pool: &Pool<Self>, source: &str, presentation: i64) -> impl Answer<()>;

    /// The CloudEvents `source`; `None` if no instance has stored it yet.
    fn source(pool: &Pool<Self>) -> impl Answer<Option<String>>;

    /// The first `limit` numbered events of `subject` after `after`, with their data.
    fn numbered(
        tx: &mut Transaction<'_, Self>,
        subject: &str,
        after: Sequence,
        limit: i64,
    ) -> impl Answer<Vec<(Sequence, EventId, String)>>;

    /// Removes the data of rows about `subject` from the quarantine.
    fn erase_quarantined(tx: &mut Transaction<'_, Self>, subject: &str) -> impl Answer<()>;

    /// The first `limit` rows in quarantine behind the position `after`.
    fn quarantined(pool: &Pool<Self>, after: i64, limit: i64) -> impl Answer<Vec<Quarantined>>;

    /// Number of the oldest event that is not in the archive.
    fn oldest(pool: &Pool<Self>) -> impl Answer<Option<Sequence>>;

    /// Gives the feed another epoch.
    fn change_epoch(tx: &mut Transaction<'_, Self>, epoch: &Epoch) -> impl Answer<()>;

    /// Reads the head.
    fn look(pool: &Pool<Self>) -> impl Answer<Look>;

    /// Closes the second of event `sequence`, if it is over and that event still the newest.
    fn close_second(pool: &Pool<Self>, sequence: Sequence) -> impl Answer<()>;

    /// The entries from `first` to `last`, both included, in sequence.
    fn entries(pool: &Pool<Self>, first: Sequence, last: Sequence) -> impl Answer<Vec<Entry>>;

    /// The same with their data.
    fn events(pool: &Pool<Self>, first: Sequence, last: Sequence) -> impl Answer<Vec<Event>>;

    /// The id of the event with that number.
    fn id_at(pool: &Pool<Self>, sequence: Sequence) -> impl Answer<Option<EventId>>;

    /// One event by its id, once it has its number.
    fn event(pool: &Pool<Self>, id: EventId) -> impl Answer<Option<Event>>;

    /// The newest `limit` entries before `before` that match, newest first.
    fn filtered(
        pool: &Pool<Self>,
        filter: &Filter,
        before: Sequence,
        limit: i64,
    ) -> impl Answer<Vec<Entry>>;
}
