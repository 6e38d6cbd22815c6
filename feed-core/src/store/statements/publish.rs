//! Statements on the feed's head and its events.

use chrono::{DateTime, SubsecRound, Utc};
use sqlx::{FromRow, Row as _};

use super::{
    Db, GREATEST, HAS_UNNUMBERED, NOW, NOW_MILLIS, Pool, Row, Transaction, Writer, instant, is_in,
    list,
};
use crate::cursor::Epoch;
use crate::event::{Entry, Event, EventId, NewEvent, Sequence, is_traceparent};
use crate::store::publish::{Filter, Head, HeadRead, Publish, Quarantined, Text};
use crate::store::sql::sql;

/// The columns of an entry, in the order in which [`read_entry`] reads them.
const ENTRY: &str = "id, sequence, event_type, subject, time, updated, title, summary, link";

/// Selects the events before `$1` that match a condition on the values from `$3` on.
macro_rules! filtered {
    ($condition:literal) => {
        sql!(
            "SELECT -- feed::filtered
             {ENTRY} FROM feed_log WHERE sequence < $1 {}
             ORDER BY sequence DESC LIMIT $2",
            $condition
        )
    };
}

/// Selects the sequences of the events from `$1` to `$2` that match a condition on the values from
/// `$4` on.
macro_rules! matching {
    ($condition:literal) => {
        sql!(
            "SELECT -- feed::matching
             sequence FROM feed_log WHERE sequence BETWEEN $1 AND $2 {}
             ORDER BY sequence LIMIT $3",
            $condition
        )
    };
}

/// The time of a change of the head that no date may hide: not before the last one, and in no closed second.
fn later() -> String {
    format!("{GREATEST}({NOW_MILLIS}, updated, coalesce(closed_until, updated))")
}

impl Publish for Db {
    async fn create_feed(
        writer: Writer<'_>,
        feed_id: EventId,
        epoch: &Epoch,
        page_size: i64,
    ) -> sqlx::Result<()> {
        sqlx::query(sql!(
            "INSERT -- feed::create
             INTO feed_head (only_row, feed_id, epoch, page_size, created, updated)
             SELECT TRUE, $1, $2, $3, now, now FROM (SELECT {NOW_MILLIS} AS now) AS clock
             WHERE TRUE ON CONFLICT (only_row) DO NOTHING"
        ))
        .bind(feed_id)
        .bind(epoch.as_str())
        .bind(page_size)
        .execute(&mut *writer.acquire().await?)
        .await?;
        Ok(())
    }

    async fn present(writer: Writer<'_>, source: &str, presentation: i64) -> sqlx::Result<()> {
        sqlx::query(sql!(
            "UPDATE -- feed::present
             feed_head
             SET source = coalesce(source, $1), presentation = $2, closed_sequence = -1,
                 updated = {later}
             WHERE source IS NULL OR presentation IS DISTINCT FROM $2",
            later = later()
        ))
        .bind(source)
        .bind(presentation)
        .execute(&mut *writer.acquire().await?)
        .await?;
        Ok(())
    }

    async fn source(pool: &Pool) -> sqlx::Result<Option<String>> {
        sqlx::query_scalar(
            "SELECT -- feed::source
             source FROM feed_head",
        )
        .fetch_one(pool)
        .await
    }

    async fn append(
        tx: &mut Transaction<'_>,
        id: EventId,
        event: &NewEvent,
        traceparent: Option<&str>,
    ) -> sqlx::Result<()> {
        sqlx::query(
            "INSERT -- outbox::append
             INTO feed_outbox
                 (id, event_type, subject, time, title, summary, link, data, traceparent)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(id)
        .bind(&event.event_type)
        .bind(&event.subject)
        .bind(instant(event.time.trunc_subsecs(3)))
        .bind(&event.title)
        .bind(&event.summary)
        .bind(&event.link)
        .bind(&event.data)
        .bind(traceparent)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    async fn numbered(
        tx: &mut Transaction<'_>,
        subject: &str,
        after: Sequence,
        limit: i64,
    ) -> sqlx::Result<Vec<(Sequence, EventId, String, String)>> {
        sqlx::query_as(
            "SELECT -- outbox::numbered
             sequence, id, event_type, data FROM feed_log
             WHERE subject = $1 AND sequence > $2 ORDER BY sequence LIMIT $3",
        )
        .bind(subject)
        .bind(after)
        .bind(limit)
        .fetch_all(&mut **tx)
        .await
    }

    async fn erase_quarantined(tx: &mut Transaction<'_>, subject: &str) -> sqlx::Result<()> {
        sqlx::query(
            "UPDATE -- outbox::erase_quarantined
             feed_quarantine SET data = NULL WHERE subject = $1 AND data IS NOT NULL",
        )
        .bind(subject)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    async fn quarantined(pool: &Pool, after: i64, limit: i64) -> sqlx::Result<Vec<Quarantined>> {
        sqlx::query_as(
            "SELECT -- feed::quarantined
             position, found, reason, sequence, id, event_type, subject
             FROM feed_quarantine WHERE position > $1 ORDER BY position LIMIT $2",
        )
        .bind(after)
        .bind(limit)
        .fetch_all(pool)
        .await
    }

    async fn oldest(pool: &Pool) -> sqlx::Result<Option<Sequence>> {
        sqlx::query_scalar(
            "SELECT -- archive::oldest
             min(sequence) FROM feed_event",
        )
        .fetch_one(pool)
        .await
    }

    async fn change_epoch(tx: &mut Transaction<'_>, epoch: &Epoch) -> sqlx::Result<()> {
        sqlx::query(sql!(
            "UPDATE -- feed::change_epoch
             feed_head
             SET epoch = $1, former_epochs = former_epochs || epoch || ' ', closed_sequence = -1, updated = {later}",
            later = later()
        ))
        .bind(epoch.as_str())
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    async fn had_epoch(pool: &Pool, epoch: &Epoch) -> sqlx::Result<bool> {
        sqlx::query_scalar(
            "SELECT -- feed::had_epoch
             former_epochs LIKE '%' || $1 || ' %' FROM feed_head",
        )
        .bind(epoch.as_str())
        .fetch_one(pool)
        .await
    }

    async fn read_head(pool: &Pool) -> sqlx::Result<HeadRead> {
        sqlx::query_as(sql!(
            "SELECT -- feed::look
             feed_id, epoch, page_size, created, sequence, anchor, updated, closed_until,
                    closed_sequence, presentation, revision,
                    {HAS_UNNUMBERED} AS unnumbered,
                    (SELECT COALESCE(max(position), 0) FROM feed_quarantine) AS quarantined,
                    {NOW} AS now
             FROM feed_head"
        ))
        .fetch_one(pool)
        .await
    }

    async fn close_second(
        writer: Writer<'_>,
        head: &Head,
        until: DateTime<Utc>,
    ) -> sqlx::Result<()> {
        sqlx::query(
            "UPDATE -- sequencer::close_second
             feed_head SET closed_until = $2, closed_sequence = sequence
             WHERE sequence = $1 AND closed_sequence < $1 AND updated < $2
               AND epoch = $3 AND revision = $4 AND presentation IS NOT DISTINCT FROM $5",
        )
        .bind(head.sequence)
        .bind(instant(until))
        .bind(head.epoch.as_str())
        .bind(head.revision)
        .bind(head.presentation)
        .execute(&mut *writer.acquire().await?)
        .await?;
        Ok(())
    }

    async fn entries(pool: &Pool, first: Sequence, last: Sequence) -> sqlx::Result<Vec<Entry>> {
        sqlx::query(sql!(
            "SELECT -- feed::entries
             {ENTRY} FROM feed_log WHERE sequence BETWEEN $1 AND $2 ORDER BY sequence"
        ))
        .bind(first)
        .bind(last)
        .try_map(entry_from)
        .fetch_all(pool)
        .await
    }

    async fn events(pool: &Pool, first: Sequence, last: Sequence) -> sqlx::Result<Vec<Event>> {
        sqlx::query(sql!(
            "SELECT -- feed::events
             {ENTRY}, data, traceparent
             FROM feed_log WHERE sequence BETWEEN $1 AND $2 ORDER BY sequence"
        ))
        .bind(first)
        .bind(last)
        .try_map(event_from)
        .fetch_all(pool)
        .await
    }

    async fn subjects(
        pool: &Pool,
        first: Sequence,
        last: Sequence,
    ) -> sqlx::Result<Vec<(Sequence, EventId, String)>> {
        sqlx::query(
            "SELECT -- feed::subjects
             sequence, id, subject FROM feed_log WHERE sequence BETWEEN $1 AND $2 ORDER BY sequence",
        )
        .bind(first)
        .bind(last)
        .try_map(|row: Row| Ok((row.try_get(0)?, row.try_get(1)?, read_text(&row, 2)?)))
        .fetch_all(pool)
        .await
    }

    async fn events_at(pool: &Pool, sequences: &[Sequence]) -> sqlx::Result<Vec<Event>> {
        sqlx::query(sql!(
            "SELECT -- feed::events_at
             {ENTRY}, data, traceparent
             FROM feed_log WHERE sequence {among} ORDER BY sequence",
            among = is_in("$1")
        ))
        .bind(list(sequences))
        .try_map(event_from)
        .fetch_all(pool)
        .await
    }

    async fn sizes(pool: &Pool, sequences: &[Sequence]) -> sqlx::Result<Vec<(Sequence, i64)>> {
        sqlx::query_as(sql!(
            "SELECT -- feed::sizes
             sequence, CAST(octet_length(data) AS BIGINT)
             FROM feed_log WHERE sequence {among} ORDER BY sequence",
            among = is_in("$1")
        ))
        .bind(list(sequences))
        .fetch_all(pool)
        .await
    }

    async fn about(pool: &Pool, subjects: &[String], limit: i64) -> sqlx::Result<Vec<Event>> {
        sqlx::query(sql!(
            "SELECT -- feed::about
             {ENTRY}, data, traceparent
             FROM feed_log WHERE subject {among} ORDER BY sequence LIMIT $2",
            among = is_in("$1")
        ))
        .bind(list(subjects))
        .bind(limit)
        .try_map(event_from)
        .fetch_all(pool)
        .await
    }

    async fn id_at(pool: &Pool, sequence: Sequence) -> sqlx::Result<Option<EventId>> {
        sqlx::query_scalar(
            "SELECT -- feed::id_at
             id FROM feed_log WHERE sequence = $1",
        )
        .bind(sequence)
        .fetch_optional(pool)
        .await
    }

    async fn event(pool: &Pool, id: EventId) -> sqlx::Result<Option<Event>> {
        sqlx::query(sql!(
            "SELECT -- feed::event
             {ENTRY}, data, traceparent FROM feed_log WHERE id = $1"
        ))
        .bind(id)
        .try_map(event_from)
        .fetch_optional(pool)
        .await
    }

    async fn filtered(
        pool: &Pool,
        filter: &Filter,
        before: Sequence,
        limit: i64,
    ) -> sqlx::Result<Vec<Entry>> {
        // One statement for each kind of filter, since no plan for `$3 IS NULL OR subject = $3`
        // uses the index.
        let sql = match (&filter.event_type, &filter.subject) {
            (None, None) => filtered!(""),
            (Some(_), None) => filtered!("AND event_type = $3"),
            (None, Some(_)) => filtered!("AND subject = $3"),
            (Some(_), Some(_)) => filtered!("AND event_type = $3 AND subject = $4"),
        };
        let mut query = sqlx::query(sql).bind(before).bind(limit);
        for value in filter.event_type.iter().chain(&filter.subject) {
            query = query.bind(value);
        }
        query.try_map(entry_from).fetch_all(pool).await
    }

    async fn matching(
        pool: &Pool,
        filter: &Filter,
        first: Sequence,
        last: Sequence,
        limit: i64,
    ) -> sqlx::Result<Vec<Sequence>> {
        let sql = match (&filter.event_type, &filter.subject) {
            (None, None) => matching!(""),
            (Some(_), None) => matching!("AND event_type = $4"),
            (None, Some(_)) => matching!("AND subject = $4"),
            (Some(_), Some(_)) => matching!("AND event_type = $4 AND subject = $5"),
        };
        let mut query = sqlx::query_scalar(sql).bind(first).bind(last).bind(limit);
        for value in filter.event_type.iter().chain(&filter.subject) {
            query = query.bind(value);
        }
        query.fetch_all(pool).await
    }
}

/// Reads the columns of [`ENTRY`], with which a row begins. By index and not by name: a page has a
/// hundred rows.
fn read_entry(row: &Row) -> sqlx::Result<Entry> {
    Ok(Entry {
        id: row.try_get(0)?,
        sequence: row.try_get(1)?,
        event_type: read_text(row, 2)?,
        subject: read_text(row, 3)?,
        time: row.try_get(4)?,
        updated: row.try_get(5)?,
        title: read_text(row, 6)?,
        summary: read_text(row, 7)?,
        link: read_text(row, 8)?,
    })
}

fn entry_from(row: Row) -> sqlx::Result<Entry> {
    read_entry(&row)
}

/// Reads [`ENTRY`], data and trace context.
fn event_from(row: Row) -> sqlx::Result<Event> {
    let traceparent: Option<Text> = row.try_get(10)?;
    let traceparent = traceparent.map(|text| text.0);
    Ok(Event {
        entry: read_entry(&row)?,
        data: without_space_around(read_text(&row, 9)?),
        // An older row may contain anything, and this value is sent in a header.
        traceparent: traceparent.filter(|text| is_traceparent(text)),
    })
}

/// Removes the white space around JSON text. Documents of JSON cannot carry it, and all documents have the same data.
fn without_space_around(mut data: String) -> String {
    const SPACE: [char; 4] = [' ', '\t', '\n', '\r'];
    data.truncate(data.trim_end_matches(SPACE).len());
    let begin = data.len() - data.trim_start_matches(SPACE).len();
    data.drain(..begin);
    data
}

fn read_text(row: &Row, column: usize) -> sqlx::Result<String> {
    row.try_get(column).map(|Text(text)| text)
}

impl FromRow<'_, Row> for HeadRead {
    fn from_row(row: &Row) -> sqlx::Result<Self> {
        Ok(Self {
            head: Head::from_row(row)?,
            unnumbered: row.try_get("unnumbered")?,
            quarantined: row.try_get("quarantined")?,
        })
    }
}

impl FromRow<'_, Row> for Head {
    fn from_row(row: &Row) -> sqlx::Result<Self> {
        let epoch: String = row.try_get("epoch")?;
        Ok(Self {
            feed_id: row.try_get("feed_id")?,
            epoch: epoch
                .parse()
                .map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
            page_size: row.try_get("page_size")?,
            created: row.try_get("created")?,
            sequence: row.try_get("sequence")?,
            anchor: row.try_get("anchor")?,
            updated: row.try_get("updated")?,
            closed_until: row.try_get("closed_until")?,
            closed_sequence: row.try_get("closed_sequence")?,
            presentation: row.try_get("presentation")?,
            revision: row.try_get("revision")?,
            read_at: row.try_get("now")?,
        })
    }
}

impl FromRow<'_, Row> for Quarantined {
    fn from_row(row: &Row) -> sqlx::Result<Self> {
        let text = |column| -> sqlx::Result<Option<String>> {
            let text: Option<Text> = row.try_get(column)?;
            Ok(text.as_ref().map(Text::beginning))
        };
        Ok(Self {
            position: row.try_get("position")?,
            found: row.try_get("found")?,
            reason: row.try_get("reason")?,
            sequence: row.try_get("sequence")?,
            id: text("id")?.unwrap_or_default(),
            event_type: text("event_type")?,
            subject: text("subject")?,
        })
    }
}
