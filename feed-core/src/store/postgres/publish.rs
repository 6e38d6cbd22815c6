//! The publishing side, as far as it is PostgreSQL's own: an event waits in the outbox until its transaction
//! has committed, and is numbered then (`feed_number` in `migrations/postgres/0005_expand_quarantine.sql`). One that
//! arrives alone is numbered inside that COMMIT (`0010_expand_number_at_commit.sql`, `0011_expand_number_when_alone.sql`).

use chrono::{DateTime, Utc};
use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgPool, PgTransaction, Postgres, Row};

use crate::event::{EventId, Sequence};
use crate::store::Writer;
use crate::store::publish::Published;
use crate::store::publish::{HeadRead, NativePublish, Numbered};

impl NativePublish for Postgres {
    async fn unnumbered(
        tx: &mut PgTransaction<'_>,
        subject: &str,
    ) -> sqlx::Result<Vec<(EventId, String, String)>> {
        // Only numbering takes rows from the outbox. Locking the rows themselves led to deadlocks with
        // it.
        hold(tx).await?;
        sqlx::query_as(
            "SELECT -- outbox::unnumbered
             id, event_type, data FROM feed_outbox WHERE subject = $1 ORDER BY position",
        )
        .bind(subject)
        .fetch_all(&mut **tx)
        .await
    }

    async fn rewrite(tx: &mut PgTransaction<'_>, id: EventId, data: &str) -> sqlx::Result<()> {
        sqlx::query(
            "WITH -- outbox::rewrite
             waiting AS (UPDATE feed_outbox SET data = $2 WHERE id = $1),
                  archived AS (UPDATE feed_archive SET data = $2 WHERE id = $1)
             UPDATE feed_event SET data = $2 WHERE id = $1",
        )
        .bind(id)
        .bind(data)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    async fn archive(
        tx: &mut PgTransaction<'_>,
        first: Sequence,
        last: Sequence,
    ) -> sqlx::Result<u64> {
        // A concurrent erasure would look for these rows where they no longer are.
        hold(tx).await?;
        let moved = sqlx::query(
            "WITH -- archive::move
             moved AS (DELETE FROM feed_event WHERE sequence BETWEEN $1 AND $2 RETURNING *)
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

    async fn number(writer: Writer<'_, Postgres>, limit: i64) -> sqlx::Result<Numbered> {
        let row = sqlx::query(
            "SELECT -- sequencer::number
             (head).feed_id, (head).epoch, (head).page_size, (head).created,
                    (head).sequence, (head).anchor, (head).updated,
                    (head).closed_until, (head).closed_sequence, (head).presentation,
                    (head).revision,
                    numbered, numbered = $1 AS unnumbered,
                    (SELECT COALESCE(max(position), 0) FROM feed_quarantine) AS quarantined,
                    clock_timestamp() AS now
             FROM (SELECT feed_head AS head, 0::bigint AS numbered FROM feed_head
                   WHERE NOT EXISTS (SELECT FROM feed_outbox)
                   UNION ALL
                   SELECT head, numbered FROM feed_number($1)
                   WHERE EXISTS (SELECT FROM feed_outbox)) AS look",
        )
        .bind(limit)
        .fetch_optional(&mut *writer.acquire().await?)
        .await?;
        let read = |row: PgRow| {
            Ok::<_, sqlx::Error>((HeadRead::from_row(&row)?, row.try_get("numbered")?))
        };
        Ok(row.map(read).transpose()?.into())
    }

    async fn published(pool: &PgPool) -> sqlx::Result<Published> {
        let row: (Sequence, i64, Option<EventId>, Option<DateTime<Utc>>) = sqlx::query_as(
            "SELECT -- feed::published
             sequence, (SELECT count(*) FROM (SELECT FROM feed_quarantine LIMIT $1) AS counted),
                    id, CASE WHEN isfinite(time) THEN time END
             FROM feed_head
             LEFT JOIN (SELECT id, time FROM feed_outbox ORDER BY position LIMIT 1) AS oldest ON TRUE",
        )
        .bind(crate::store::COUNTED)
        .fetch_one(pool)
        .await?;
        let (sequence, quarantined, id, time) = row;
        Ok(Published {
            sequence,
            unnumbered: id.zip(time),
            quarantined,
        })
    }
}

/// Locks the head until the transaction ends: numbering skips a locked head and tries again later.
async fn hold(tx: &mut PgTransaction<'_>) -> sqlx::Result<()> {
    let isolation: Option<String> = sqlx::query_scalar(
        "SELECT -- outbox::hold
         current_setting('transaction_isolation') FROM feed_head FOR UPDATE",
    )
    .fetch_optional(&mut **tx)
    .await?;
    // An older snapshot would miss events that have committed since, and these would keep their data.
    match isolation.as_deref() {
        None | Some("read committed") => Ok(()),
        Some(isolation) => {
            let refused = format!(
                "events are rewritten in a transaction at `read committed`, and this one is at `{isolation}`"
            );
            Err(sqlx::Error::Configuration(refused.into()))
        }
    }
}
