//! Operators' statements on a subscription, where PostgreSQL's differ.

use sqlx::{PgTransaction, Postgres};

use crate::event::Sequence;
use crate::store::Writer;
use crate::store::consume::Position;
use crate::store::operate::{NativeOperate, Skip};

impl NativeOperate for Postgres {
    async fn skip(
        tx: &mut PgTransaction<'_>,
        s: &str,
        skips: &[Skip<'_>],
        skipped_by: Option<&str>,
    ) -> sqlx::Result<()> {
        let ids: Vec<&str> = skips.iter().map(|skip| skip.event_id).collect();
        let subjects: Vec<&str> = skips.iter().map(|skip| skip.subject).collect();
        let types: Vec<Option<&str>> = skips.iter().map(|skip| skip.event_type).collect();
        let sequences: Vec<Option<i64>> = skips.iter().map(|skip| skip.sequence).collect();
        let reasons: Vec<&str> = skips.iter().map(|skip| skip.reason).collect();
        sqlx::query(
            "INSERT -- skip::insert
             INTO feed_skip
                 (subscription, event_id, subject, event_type, sequence, reason, skipped_by)
             SELECT $1, event_id, subject, event_type, sequence, reason, $7
             FROM UNNEST($2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[])
                      AS skip (event_id, subject, event_type, sequence, reason)
             -- Nothing by itself if the effect has ended its transaction.
             WHERE $7::text IS NOT NULL
                OR EXISTS (SELECT FROM feed_effect WHERE id = pg_current_xact_id()::text::bigint)
             ON CONFLICT (subscription, event_id) DO UPDATE
             SET reason = EXCLUDED.reason, skipped_by = EXCLUDED.skipped_by,
                 skipped_at = EXCLUDED.skipped_at",
        )
        .bind(s)
        .bind(ids)
        .bind(subjects)
        .bind(types)
        .bind(sequences)
        .bind(reasons)
        .bind(skipped_by)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    async fn lock_partition(
        tx: &mut PgTransaction<'_>,
        s: &str,
        partition: i64,
    ) -> sqlx::Result<()> {
        sqlx::query(
            "SELECT -- operate::lock_partition
             FROM feed_partition WHERE subscription = $1 AND partition = $2 FOR UPDATE",
        )
        .bind(s)
        .bind(partition)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    async fn reposition(
        tx: &mut PgTransaction<'_>,
        s: &str,
        from: Sequence,
        to: &Position,
    ) -> sqlx::Result<u64> {
        let moved = sqlx::query(
            "WITH -- subscription::reposition
             locked AS (
                 SELECT partition, sequence FROM feed_partition
                 WHERE subscription = $1 ORDER BY partition FOR UPDATE
             ), unknown AS (
                 UPDATE feed_instance SET head_sequence = NULL, taken_until = NULL WHERE subscription = $1
             )
             UPDATE feed_partition
             SET epoch = $3, sequence = $4, anchor = $5, updated = $6, etag = NULL,
                 last_modified = NULL, lease_epoch = lease_epoch + 1
             FROM locked
             WHERE subscription = $1 AND feed_partition.partition = locked.partition
               AND locked.sequence >= $2",
        )
        .bind(s)
        .bind(from)
        .bind(&to.epoch)
        .bind(to.sequence)
        .bind(&to.anchor)
        .bind(to.updated)
        .execute(&mut **tx)
        .await?;
        Ok(moved.rows_affected())
    }

    async fn sweep(
        writer: Writer<'_, Postgres>,
        s: &str,
        margin: i64,
        limit: i64,
    ) -> sqlx::Result<u64> {
        let swept = sqlx::query(
            "WITH -- claim::sweep
             old AS (
                 SELECT ctid FROM feed_claim
                 WHERE subscription = $1
                   AND sequence < (SELECT min(sequence) FROM feed_partition
                                   WHERE subscription = $1) - $2
                   AND NOT EXISTS (SELECT FROM feed_decision
                                   WHERE subscription = $1 AND done_at IS NULL)
                 ORDER BY sequence LIMIT $3 FOR UPDATE SKIP LOCKED
             ), gone AS (
                 DELETE FROM feed_instance
                 WHERE subscription = $1
                   AND alive_until < clock_timestamp() - interval '1 hour'
             )
             DELETE FROM feed_claim USING old WHERE feed_claim.ctid = old.ctid",
        )
        .bind(s)
        .bind(margin)
        .bind(limit)
        .execute(&mut *writer.acquire().await?)
        .await?;
        Ok(swept.rows_affected())
    }
}
