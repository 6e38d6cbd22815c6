//! Operators' statements on a subscription, where SQLite's differ.

use serde_json::json;
use sqlx::{Sqlite, SqliteTransaction};

use super::dialect::{instant, now_plus};
use crate::event::Sequence;
use crate::store::Writer;
use crate::store::consume::Position;
use crate::store::operate::{NativeOperate, Skip};
use crate::store::sql::sql;

impl NativeOperate for Sqlite {
    async fn skip(
        tx: &mut SqliteTransaction<'_>,
        s: &str,
        skips: &[Skip<'_>],
        skipped_by: Option<&str>,
    ) -> sqlx::Result<()> {
        let rows: Vec<_> = skips
            .iter()
            .map(|skip| {
                json!([
                    skip.event_id,
                    skip.subject,
                    skip.event_type,
                    skip.sequence,
                    skip.reason
                ])
            })
            .collect();
        sqlx::query(
            "INSERT -- skip::insert
             INTO feed_skip
                 (subscription, event_id, subject, event_type, sequence, reason, skipped_by)
             SELECT $1, value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, $3
             FROM json_each($2)
             WHERE TRUE ON CONFLICT (subscription, event_id) DO UPDATE
             SET reason = excluded.reason, skipped_by = excluded.skipped_by,
                 skipped_at = excluded.skipped_at",
        )
        .bind(s)
        .bind(json!(rows).to_string())
        .bind(skipped_by)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    async fn lock_partition(_: &mut SqliteTransaction<'_>, _: &str, _: i64) -> sqlx::Result<()> {
        // The transaction has had the write lock from its beginning.
        Ok(())
    }

    async fn reposition(
        tx: &mut SqliteTransaction<'_>,
        s: &str,
        from: Sequence,
        to: &Position,
    ) -> sqlx::Result<u64> {
        sqlx::query(
            "UPDATE -- subscription::unknown_head
             feed_instance SET head_sequence = NULL, taken_until = NULL WHERE subscription = $1",
        )
        .bind(s)
        .execute(&mut **tx)
        .await?;
        let moved = sqlx::query(
            "UPDATE -- subscription::reposition
             feed_partition
             SET epoch = $3, sequence = $4, anchor = $5, updated = $6, etag = NULL,
                 last_modified = NULL, lease_epoch = lease_epoch + 1
             WHERE subscription = $1 AND sequence >= $2",
        )
        .bind(s)
        .bind(from)
        .bind(&to.epoch)
        .bind(to.sequence)
        .bind(&to.anchor)
        .bind(to.updated.map(instant))
        .execute(&mut **tx)
        .await?;
        Ok(moved.rows_affected())
    }

    async fn sweep(
        writer: Writer<'_, Sqlite>,
        s: &str,
        margin: i64,
        limit: i64,
    ) -> sqlx::Result<u64> {
        sqlx::query(sql!(
            "DELETE -- instance::sweep
             FROM feed_instance
             WHERE subscription = $1
               AND alive_until < {an_hour_ago}",
            an_hour_ago = now_plus("-3600")
        ))
        .bind(s)
        .execute(&mut *writer.acquire().await?)
        .await?;
        let swept = sqlx::query(
            "DELETE -- claim::sweep
             FROM feed_claim
             WHERE rowid IN (
                 SELECT rowid FROM feed_claim
                 WHERE subscription = $1
                   AND sequence < (SELECT min(sequence) FROM feed_partition
                                   WHERE subscription = $1) - $2
                   AND NOT EXISTS (SELECT 1 FROM feed_decision
                                   WHERE subscription = $1 AND done_at IS NULL)
                 ORDER BY sequence LIMIT $3
             )",
        )
        .bind(s)
        .bind(margin)
        .bind(limit)
        .execute(&mut *writer.acquire().await?)
        .await?;
        Ok(swept.rows_affected())
    }
}
