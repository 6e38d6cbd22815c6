//! The publishing side on SQLite: one writer at a time, so an event gets its number in the
//! transaction of the change it tells of.

use chrono::SecondsFormat;
use sqlx::{Sqlite, SqlitePool, SqliteTransaction};

use super::publish::{
    EntryRow, EventRow, Filter, Look, LookRow, Numbered, Publish, Quarantined, QuarantinedRow,
    filtered_statement, id_from, look_from,
};
use crate::cursor::Epoch;
use crate::event::{Entry, Event, EventId, NewEvent, Sequence};

impl Publish for Sqlite {
    async fn create_feed(
        pool: &SqlitePool,
        feed_id: EventId,
        epoch: &Epoch,
        page_size: i64,
    ) -> sqlx::Result<()> {
        sqlx::query(
            "-- feed::create
             INSERT INTO feed_head (only_row, feed_id, epoch, page_size, created, updated)
             SELECT 1, $1, $2, $3, now, now
             FROM (SELECT strftime('%Y-%m-%dT%H:%M:%fZ', 'now') AS now)
             WHERE TRUE ON CONFLICT DO NOTHING",
        )
        .bind(feed_id.to_string())
        .bind(epoch.as_str())
        .bind(page_size)
        .execute(pool)
        .await?;
        Ok(())
    }

    async fn present(pool: &SqlitePool, source: &str, presentation: i64) -> sqlx::Result<()> {
        sqlx::query(
            "-- feed::present
             UPDATE feed_head
             SET source = coalesce(source, $1), presentation = $2, closed_sequence = -1,
                 updated = max(strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), updated,
                               coalesce(closed_until, updated)),
                 presented = max(strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), updated,
                                 coalesce(closed_until, updated))
             WHERE source IS NULL OR presentation IS NOT $2",
        )
        .bind(source)
        .bind(presentation)
        .execute(pool)
        .await?;
        Ok(())
    }

    async fn source(pool: &SqlitePool) -> sqlx::Result<Option<String>> {
        sqlx::query_scalar(
            "-- feed::source
             SELECT source FROM feed_head",
        )
        .fetch_one(pool)
        .await
    }

    async fn append(
        tx: &mut SqliteTransaction<'_>,
        id: EventId,
        event: &NewEvent,
        traceparent: Option<&str>,
    ) -> sqlx::Result<()> {
        // The head first: this takes the write lock, so that the number is the next one.
        let (sequence, updated): (Sequence, String) = sqlx::query_as(
            "-- outbox::number
             UPDATE feed_head
             SET sequence = (SELECT sequence FROM feed_next), anchor = $1,
                 updated = max(strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), updated,
                               coalesce(closed_until, updated))
             RETURNING sequence, updated",
        )
        .bind(id.to_string())
        .fetch_one(&mut **tx)
        .await?;
        sqlx::query(
            "-- outbox::append
             INSERT INTO feed_event
                 (sequence, id, event_type, subject, time, updated, title, summary, link, data,
                  traceparent)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        )
        .bind(sequence)
        .bind(id.to_string())
        .bind(&event.event_type)
        .bind(&event.subject)
        .bind(event.time.to_rfc3339_opts(SecondsFormat::Millis, true))
        .bind(updated)
        .bind(&event.title)
        .bind(&event.summary)
        .bind(&event.link)
        .bind(&event.data)
        .bind(traceparent)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    async fn unnumbered(
        _: &mut SqliteTransaction<'_>,
        _: &str,
    ) -> sqlx::Result<Vec<(EventId, String)>> {
        Ok(Vec::new())
    }

    async fn numbered(
        tx: &mut SqliteTransaction<'_>,
        subject: &str,
        after: Sequence,
        limit: i64,
    ) -> sqlx::Result<Vec<(Sequence, EventId, String)>> {
        let rows: Vec<(Sequence, String, String)> = sqlx::query_as(
            "-- outbox::numbered
             SELECT sequence, id, data FROM feed_log
             WHERE subject = $1 AND sequence > $2 ORDER BY sequence LIMIT $3",
        )
        .bind(subject)
        .bind(after)
        .bind(limit)
        .fetch_all(&mut **tx)
        .await?;
        rows.into_iter()
            .map(|(sequence, id, data)| Ok((sequence, id_from(id)?, data)))
            .collect()
    }

    async fn rewrite(tx: &mut SqliteTransaction<'_>, id: EventId, data: &str) -> sqlx::Result<()> {
        sqlx::query(
            "-- outbox::rewrite
             UPDATE feed_event SET data = $2 WHERE id = $1;
             UPDATE feed_archive SET data = $2 WHERE id = $1",
        )
        .bind(id.to_string())
        .bind(data)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    async fn erase_quarantined(tx: &mut SqliteTransaction<'_>, subject: &str) -> sqlx::Result<()> {
        sqlx::query(
            "-- outbox::erase_quarantined
             UPDATE feed_quarantine SET data = NULL WHERE subject = $1 AND data IS NOT NULL",
        )
        .bind(subject)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    async fn quarantined(
        pool: &SqlitePool,
        after: i64,
        limit: i64,
    ) -> sqlx::Result<Vec<Quarantined>> {
        let rows: Vec<QuarantinedRow> = sqlx::query_as(
            "-- feed::quarantined
             SELECT position, found, reason, sequence, id, event_type, subject
             FROM feed_quarantine WHERE position > $1 ORDER BY position LIMIT $2",
        )
        .bind(after)
        .bind(limit)
        .fetch_all(pool)
        .await?;
        Ok(rows.into_iter().map(Into::into).collect())
    }

    async fn oldest(pool: &SqlitePool) -> sqlx::Result<Option<Sequence>> {
        sqlx::query_scalar(
            "-- archive::oldest
             SELECT min(sequence) FROM feed_event",
        )
        .fetch_one(pool)
        .await
    }

    async fn archive(
        tx: &mut SqliteTransaction<'_>,
        first: Sequence,
        last: Sequence,
    ) -> sqlx::Result<u64> {
        sqlx::query(
            "-- archive::copy
             INSERT INTO feed_archive (sequence, id, event_type, subject, time, updated, title,
                                       summary, link, data, traceparent)
             SELECT sequence, id, event_type, subject, time, updated, title, summary, link, data,
                    traceparent
             FROM feed_event WHERE sequence BETWEEN $1 AND $2",
        )
        .bind(first)
        .bind(last)
        .execute(&mut **tx)
        .await?;
        let moved = sqlx::query(
            "-- archive::delete
             DELETE FROM feed_event WHERE sequence BETWEEN $1 AND $2",
        )
        .bind(first)
        .bind(last)
        .execute(&mut **tx)
        .await?;
        Ok(moved.rows_affected())
    }

    async fn change_epoch(tx: &mut SqliteTransaction<'_>, epoch: &Epoch) -> sqlx::Result<()> {
        sqlx::query(
            "-- feed::change_epoch
             UPDATE feed_head SET epoch = $1",
        )
        .bind(epoch.as_str())
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    async fn look(pool: &SqlitePool) -> sqlx::Result<Look> {
        let row: LookRow = sqlx::query_as(
            "-- feed::look
             SELECT feed_id, epoch, page_size, created, sequence, anchor, updated,
                    closed_until, closed_sequence, presentation, presented, revision, FALSE,
                    (SELECT COALESCE(max(position), 0) FROM feed_quarantine),
                    strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
             FROM feed_head",
        )
        .fetch_one(pool)
        .await?;
        look_from(row)
    }

    async fn number(_: &SqlitePool, _: i64) -> sqlx::Result<Numbered> {
        Ok(Numbered::AtCommit)
    }

    async fn close_second(pool: &SqlitePool, sequence: Sequence) -> sqlx::Result<()> {
        sqlx::query(
            "-- sequencer::close_second
             UPDATE feed_head
             SET closed_until = strftime('%Y-%m-%dT%H:%M:%S.000Z', updated, '+2 seconds'),
                 closed_sequence = sequence
             WHERE sequence = $1 AND closed_sequence < $1
               AND strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
                   >= strftime('%Y-%m-%dT%H:%M:%S.000Z', updated, '+2 seconds')",
        )
        .bind(sequence)
        .execute(pool)
        .await?;
        Ok(())
    }

    async fn entries(
        pool: &SqlitePool,
        first: Sequence,
        last: Sequence,
    ) -> sqlx::Result<Vec<Entry>> {
        let rows: Vec<EntryRow> = sqlx::query_as(
            "-- feed::entries
             SELECT id, sequence, event_type, subject, time, updated,
                    title, summary, link
             FROM feed_log WHERE sequence BETWEEN $1 AND $2 ORDER BY sequence",
        )
        .bind(first)
        .bind(last)
        .fetch_all(pool)
        .await?;
        Ok(rows.into_iter().map(Into::into).collect())
    }

    async fn events(
        pool: &SqlitePool,
        first: Sequence,
        last: Sequence,
    ) -> sqlx::Result<Vec<Event>> {
        let rows: Vec<EventRow> = sqlx::query_as(
            "-- feed::events
             SELECT id, sequence, event_type, subject, time, updated,
                    title, summary, link, data, traceparent
             FROM feed_log WHERE sequence BETWEEN $1 AND $2 ORDER BY sequence",
        )
        .bind(first)
        .bind(last)
        .fetch_all(pool)
        .await?;
        Ok(rows.into_iter().map(Into::into).collect())
    }

    async fn id_at(pool: &SqlitePool, sequence: Sequence) -> sqlx::Result<Option<EventId>> {
        let id: Option<String> = sqlx::query_scalar(
            "-- feed::id_at
             SELECT id FROM feed_log WHERE sequence = $1",
        )
        .bind(sequence)
        .fetch_optional(pool)
        .await?;
        id.map(id_from).transpose()
    }

    async fn event(pool: &SqlitePool, id: EventId) -> sqlx::Result<Option<Event>> {
        let row: Option<EventRow> = sqlx::query_as(
            "-- feed::event
             SELECT id, sequence, event_type, subject, time, updated,
                    title, summary, link, data, traceparent
             FROM feed_log WHERE id = $1",
        )
        .bind(id.to_string())
        .fetch_optional(pool)
        .await?;
        Ok(row.map(Into::into))
    }

    async fn filtered(
        pool: &SqlitePool,
        filter: &Filter,
        before: Sequence,
        limit: i64,
    ) -> sqlx::Result<Vec<Entry>> {
        let (sql, values) = filtered_statement!("id", filter);
        let mut query = sqlx::query_as(sql).bind(before).bind(limit);
        for value in values {
            query = query.bind(value);
        }
        let rows: Vec<EntryRow> = query.fetch_all(pool).await?;
        Ok(rows.into_iter().map(Into::into).collect())
    }
}
