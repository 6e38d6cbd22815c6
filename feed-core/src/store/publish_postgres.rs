//! The publishing side on PostgreSQL: an event waits in the outbox until its transaction has
//! committed, and is numbered then (`feed_number` in `migrations/postgres/0005_expand_quarantine.sql`).

use sqlx::{PgPool, PgTransaction, Postgres};

use super::publish::{
    EntryRow, EventRow, Filter, Look, LookRow, Numbered, Publish, Quarantined, QuarantinedRow,
    filtered_statement, look_from,
};
use crate::cursor::Epoch;
use crate::event::{Entry, Event, EventId, NewEvent, Sequence};

impl Publish for Postgres {
    async fn create_feed(
        pool: &PgPool,
        feed_id: EventId,
        epoch: &Epoch,
        page_size: i64,
    ) -> sqlx::Result<()> {
        sqlx::query(
            "-- feed::create
             INSERT INTO feed_head (feed_id, epoch, page_size, created, updated)
             SELECT $1, $2, $3, now, now
             FROM (SELECT date_trunc('milliseconds', clock_timestamp()) AS now) AS clock
             ON CONFLICT DO NOTHING",
        )
        .bind(feed_id.0)
        .bind(epoch.as_str())
        .bind(page_size)
        .execute(pool)
        .await?;
        Ok(())
    }

    async fn present(pool: &PgPool, source: &str, presentation: i64) -> sqlx::Result<()> {
        sqlx::query(
            "-- feed::present
             UPDATE feed_head
             SET source = coalesce(source, $1), presentation = $2, closed_sequence = -1,
                 updated = GREATEST(date_trunc('milliseconds', now()), updated, closed_until),
                 presented = GREATEST(date_trunc('milliseconds', now()), updated, closed_until)
             WHERE source IS NULL OR presentation IS DISTINCT FROM $2",
        )
        .bind(source)
        .bind(presentation)
        .execute(pool)
        .await?;
        Ok(())
    }

    async fn source(pool: &PgPool) -> sqlx::Result<Option<String>> {
        sqlx::query_scalar(
            "-- feed::source
             SELECT source FROM feed_head",
        )
        .fetch_one(pool)
        .await
    }

    async fn append(
        tx: &mut PgTransaction<'_>,
        id: EventId,
        event: &NewEvent,
        traceparent: Option<&str>,
    ) -> sqlx::Result<()> {
        sqlx::query(
            "-- outbox::append
             INSERT INTO feed_outbox
                 (id, event_type, subject, time, title, summary, link, data, traceparent)
             VALUES ($1, $2, $3, date_trunc('milliseconds', $4), $5, $6, $7, $8, $9)",
        )
        .bind(id.0)
        .bind(&event.event_type)
        .bind(&event.subject)
        .bind(event.time)
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
        tx: &mut PgTransaction<'_>,
        subject: &str,
    ) -> sqlx::Result<Vec<(EventId, String)>> {
        // Numbering alone takes rows from the outbox. To lock the rows themselves ended in deadlocks
        // with it.
        hold(tx).await?;
        let rows: Vec<(uuid::Uuid, String)> = sqlx::query_as(
            "-- outbox::unnumbered
             SELECT id, data FROM feed_outbox WHERE subject = $1 ORDER BY position",
        )
        .bind(subject)
        .fetch_all(&mut **tx)
        .await?;
        Ok(rows
            .into_iter()
            .map(|(id, data)| (EventId(id), data))
            .collect())
    }

    async fn numbered(
        tx: &mut PgTransaction<'_>,
        subject: &str,
        after: Sequence,
        limit: i64,
    ) -> sqlx::Result<Vec<(Sequence, EventId, String)>> {
        let rows: Vec<(Sequence, uuid::Uuid, String)> = sqlx::query_as(
            "-- outbox::numbered
             SELECT sequence, id, data FROM feed_log
             WHERE subject = $1 AND sequence > $2 ORDER BY sequence LIMIT $3",
        )
        .bind(subject)
        .bind(after)
        .bind(limit)
        .fetch_all(&mut **tx)
        .await?;
        Ok(rows
            .into_iter()
            .map(|(sequence, id, data)| (sequence, EventId(id), data))
            .collect())
    }

    async fn rewrite(tx: &mut PgTransaction<'_>, id: EventId, data: &str) -> sqlx::Result<()> {
        sqlx::query(
            "-- outbox::rewrite
             WITH waiting AS (UPDATE feed_outbox SET data = $2 WHERE id = $1),
                  archived AS (UPDATE feed_archive SET data = $2 WHERE id = $1)
             UPDATE feed_event SET data = $2 WHERE id = $1",
        )
        .bind(id.0)
        .bind(data)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    async fn erase_quarantined(tx: &mut PgTransaction<'_>, subject: &str) -> sqlx::Result<()> {
        sqlx::query(
            "-- outbox::erase_quarantined
             UPDATE feed_quarantine SET data = NULL WHERE subject = $1 AND data IS NOT NULL",
        )
        .bind(subject)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    async fn quarantined(pool: &PgPool, after: i64, limit: i64) -> sqlx::Result<Vec<Quarantined>> {
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

    async fn oldest(pool: &PgPool) -> sqlx::Result<Option<Sequence>> {
        sqlx::query_scalar(
            "-- archive::oldest
             SELECT min(sequence) FROM feed_event",
        )
        .fetch_one(pool)
        .await
    }

    async fn archive(
        tx: &mut PgTransaction<'_>,
        first: Sequence,
        last: Sequence,
    ) -> sqlx::Result<u64> {
        // An erasure at the same moment would look for these rows where they no longer are.
        hold(tx).await?;
        let moved = sqlx::query(
            "-- archive::move
             WITH moved AS (DELETE FROM feed_event WHERE sequence BETWEEN $1 AND $2 RETURNING *)
             INSERT INTO feed_archive (sequence, id, event_type, subject, time, updated, title,
                                       summary, link, data, traceparent)
             SELECT sequence, id, event_type, subject, time, updated, title, summary, link, data,
                    traceparent
             FROM moved",
        )
        .bind(first)
        .bind(last)
        .execute(&mut **tx)
        .await?;
        Ok(moved.rows_affected())
    }

    async fn change_epoch(tx: &mut PgTransaction<'_>, epoch: &Epoch) -> sqlx::Result<()> {
        sqlx::query(
            "-- feed::change_epoch
             UPDATE feed_head SET epoch = $1",
        )
        .bind(epoch.as_str())
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    async fn look(pool: &PgPool) -> sqlx::Result<Look> {
        let row: LookRow = sqlx::query_as(
            "-- feed::look
             SELECT feed_id::text, epoch, page_size, created, sequence, anchor::text, updated,
                    closed_until, closed_sequence, presentation, presented, revision,
                    EXISTS (SELECT FROM feed_outbox),
                    (SELECT COALESCE(max(position), 0) FROM feed_quarantine),
                    clock_timestamp()
             FROM feed_head",
        )
        .fetch_one(pool)
        .await?;
        look_from(row)
    }

    async fn number(pool: &PgPool, limit: i64) -> sqlx::Result<Numbered> {
        let row: Option<LookRow> = sqlx::query_as(
            "-- sequencer::number
             SELECT (head).feed_id::text, (head).epoch, (head).page_size, (head).created,
                    (head).sequence, (head).anchor::text, (head).updated,
                    (head).closed_until, (head).closed_sequence, (head).presentation,
                    (head).presented, (head).revision,
                    numbered = $1, (SELECT COALESCE(max(position), 0) FROM feed_quarantine),
                    clock_timestamp()
             FROM feed_number($1)",
        )
        .bind(limit)
        .fetch_optional(pool)
        .await?;
        Ok(match row {
            Some(row) => Numbered::Done(look_from(row)?),
            None => Numbered::Busy,
        })
    }

    async fn close_second(pool: &PgPool, sequence: Sequence) -> sqlx::Result<()> {
        sqlx::query(
            "-- sequencer::close_second
             UPDATE feed_head
             SET closed_until = date_trunc('second', updated) + interval '2 seconds',
                 closed_sequence = sequence
             WHERE sequence = $1 AND closed_sequence < $1
               AND clock_timestamp() >= date_trunc('second', updated) + interval '2 seconds'",
        )
        .bind(sequence)
        .execute(pool)
        .await?;
        Ok(())
    }

    async fn entries(pool: &PgPool, first: Sequence, last: Sequence) -> sqlx::Result<Vec<Entry>> {
        let rows: Vec<EntryRow> = sqlx::query_as(
            "-- feed::entries
             SELECT id::text, sequence, event_type, subject, time, updated,
                    title, summary, link
             FROM feed_log WHERE sequence BETWEEN $1 AND $2 ORDER BY sequence",
        )
        .bind(first)
        .bind(last)
        .fetch_all(pool)
        .await?;
        Ok(rows.into_iter().map(Into::into).collect())
    }

    async fn events(pool: &PgPool, first: Sequence, last: Sequence) -> sqlx::Result<Vec<Event>> {
        let rows: Vec<EventRow> = sqlx::query_as(
            "-- feed::events
             SELECT id::text, sequence, event_type, subject, time, updated,
                    title, summary, link, data, traceparent
             FROM feed_log WHERE sequence BETWEEN $1 AND $2 ORDER BY sequence",
        )
        .bind(first)
        .bind(last)
        .fetch_all(pool)
        .await?;
        Ok(rows.into_iter().map(Into::into).collect())
    }

    async fn id_at(pool: &PgPool, sequence: Sequence) -> sqlx::Result<Option<EventId>> {
        let id: Option<uuid::Uuid> = sqlx::query_scalar(
            "-- feed::id_at
             SELECT id FROM feed_log WHERE sequence = $1",
        )
        .bind(sequence)
        .fetch_optional(pool)
        .await?;
        Ok(id.map(EventId))
    }

    async fn event(pool: &PgPool, id: EventId) -> sqlx::Result<Option<Event>> {
        let row: Option<EventRow> = sqlx::query_as(
            "-- feed::event
             SELECT id::text, sequence, event_type, subject, time, updated,
                    title, summary, link, data, traceparent
             FROM feed_log WHERE id = $1",
        )
        .bind(id.0)
        .fetch_optional(pool)
        .await?;
        Ok(row.map(Into::into))
    }

    async fn filtered(
        pool: &PgPool,
        filter: &Filter,
        before: Sequence,
        limit: i64,
    ) -> sqlx::Result<Vec<Entry>> {
        let (sql, values) = filtered_statement!("id::text", filter);
        let mut query = sqlx::query_as(sql).bind(before).bind(limit);
        for value in values {
            query = query.bind(value);
        }
        let rows: Vec<EntryRow> = query.fetch_all(pool).await?;
        Ok(rows.into_iter().map(Into::into).collect())
    }
}

/// Holds numbering off until the transaction ends, and whoever else takes this lock: numbering passes
/// over a head that is locked, and comes again.
async fn hold(tx: &mut PgTransaction<'_>) -> sqlx::Result<()> {
    sqlx::query(
        "-- outbox::hold
         SELECT FROM feed_head FOR UPDATE",
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
