//! The publishing side on PostgreSQL: a sequence is assigned after the commit.

use sqlx::{PgPool, PgTransaction, Postgres};

use super::begin;
use super::publish::{
    CHANNEL, EntryRow, EventRow, Filter, Look, LookRow, Numbered, Publish, look_from,
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

    async fn append(tx: &mut PgTransaction<'_>, event: &NewEvent) -> sqlx::Result<()> {
        sqlx::query(
            "-- outbox::append
             INSERT INTO feed_event
                 (id, event_type, subject, time, title, summary, link, data, traceparent)
             VALUES ($1, $2, $3, date_trunc('milliseconds', $4), $5, $6, $7, $8, $9)",
        )
        .bind(event.id.0)
        .bind(&event.event_type)
        .bind(&event.subject)
        .bind(event.time)
        .bind(&event.title)
        .bind(&event.summary)
        .bind(&event.link)
        .bind(&event.data)
        .bind(&event.traceparent)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    async fn look(pool: &PgPool) -> sqlx::Result<Look> {
        let row: LookRow = sqlx::query_as(
            "-- feed::look
             SELECT feed_id::text, epoch, page_size, created, sequence, anchor::text, updated,
                    closed_until, closed_sequence,
                    EXISTS (SELECT FROM feed_event WHERE sequence IS NULL),
                    clock_timestamp()
             FROM feed_head",
        )
        .fetch_one(pool)
        .await?;
        look_from(row)
    }

    /// Two statements, never one: the second must begin, and take its snapshot, after the lock is
    /// held. In one statement rival sequencers number from snapshots older than the lock, and
    /// rewrite numbers that readers have seen.
    async fn number(pool: &PgPool, limit: i64) -> sqlx::Result<Numbered> {
        let mut tx = begin(pool).await?;
        let locked = sqlx::query(
            "-- sequencer::lock
             SELECT FROM feed_head FOR UPDATE SKIP LOCKED",
        )
        .fetch_optional(&mut *tx)
        .await?;
        if locked.is_none() {
            tx.rollback().await?;
            return Ok(Numbered::Busy);
        }
        let numbered: i64 = sqlx::query_scalar(
            "-- sequencer::number
             WITH stamp AS (
                 SELECT sequence, GREATEST(
                     date_trunc('milliseconds', clock_timestamp()), updated, closed_until
                 ) AS updated
                 FROM feed_head
             ), unnumbered AS (
                 SELECT id, row_number() OVER (ORDER BY position) AS n
                 FROM feed_event WHERE sequence IS NULL ORDER BY position LIMIT $1
             ), numbered AS (
                 UPDATE feed_event
                 SET sequence = stamp.sequence + n, updated = stamp.updated
                 FROM unnumbered, stamp
                 WHERE feed_event.id = unnumbered.id
                 RETURNING feed_event.id, feed_event.sequence, feed_event.updated
             ), head AS (
                 UPDATE feed_head
                 SET sequence = newest.sequence, anchor = newest.id, updated = newest.updated
                 FROM (SELECT * FROM numbered ORDER BY sequence DESC LIMIT 1) AS newest
                 RETURNING pg_notify($2, '')
             )
             SELECT count(*) FROM numbered LEFT JOIN head ON TRUE",
        )
        .bind(limit)
        .bind(CHANNEL)
        .fetch_one(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(Numbered::Events(numbered.unsigned_abs()))
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
             FROM feed_event WHERE sequence BETWEEN $1 AND $2 ORDER BY sequence",
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
             FROM feed_event WHERE sequence BETWEEN $1 AND $2 ORDER BY sequence",
        )
        .bind(first)
        .bind(last)
        .fetch_all(pool)
        .await?;
        Ok(rows.into_iter().map(Into::into).collect())
    }

    async fn event(pool: &PgPool, id: EventId) -> sqlx::Result<Option<Event>> {
        let row: Option<EventRow> = sqlx::query_as(
            "-- feed::event
             SELECT id::text, sequence, event_type, subject, time, updated,
                    title, summary, link, data, traceparent
             FROM feed_event WHERE id = $1 AND sequence IS NOT NULL",
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
        let rows: Vec<EntryRow> = sqlx::query_as(
            "-- feed::filtered
             SELECT id::text, sequence, event_type, subject, time, updated,
                    title, summary, link
             FROM feed_event
             WHERE sequence < $1
               AND ($2::text IS NULL OR event_type = $2)
               AND ($3::text IS NULL OR subject = $3)
             ORDER BY sequence DESC LIMIT $4",
        )
        .bind(before)
        .bind(&filter.event_type)
        .bind(&filter.subject)
        .bind(limit)
        .fetch_all(pool)
        .await?;
        Ok(rows.into_iter().map(Into::into).collect())
    }
}
