//! Statements of a replay: what it forgets, and what it must not forget.

use super::{Db, Pool, Transaction, is_in, list};
use crate::event::Sequence;
use crate::store::replay::Replay;
use crate::store::sql::sql;

impl Replay for Db {
    async fn parked_after(
        pool: &Pool,
        s: &str,
        sequence: Sequence,
        id: &str,
        limit: i64,
    ) -> sqlx::Result<Vec<(Sequence, String)>> {
        sqlx::query_as(
            "SELECT -- replay::parked_after
             sequence, event_id FROM feed_parked
             WHERE subscription = $1 AND (sequence > $2 OR sequence = $2 AND event_id > $3)
             ORDER BY sequence, event_id LIMIT $4",
        )
        .bind(s)
        .bind(sequence)
        .bind(id)
        .bind(limit)
        .fetch_all(pool)
        .await
    }

    async fn keep_parked(
        tx: &mut Transaction<'_>,
        s: &str,
        ids: &[&str],
        reason: &str,
    ) -> sqlx::Result<()> {
        sqlx::query(sql!(
            "UPDATE -- replay::keep_parked
             feed_parked SET sequence = NULL, reason = coalesce(reason, $3), retry_at = NULL
             WHERE subscription = $1 AND event_id {}",
            is_in("$2")
        ))
        .bind(s)
        .bind(list(ids))
        .bind(reason)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    async fn repeated(
        tx: &mut Transaction<'_>,
        s: &str,
        from: Sequence,
        after: &str,
        limit: i64,
    ) -> sqlx::Result<Vec<String>> {
        sqlx::query_scalar(sql!(
            "SELECT -- replay::repeated
             event_id FROM ({claims} UNION {parked} UNION {passed_over}) AS repeated
             ORDER BY event_id LIMIT $4",
            claims = repeated_in(
                "feed_claim",
                "AND NOT EXISTS (SELECT 1 FROM feed_skip
                                 WHERE feed_skip.subscription = $1 AND feed_skip.event_id = feed_claim.event_id
                                   AND skipped_by IS NOT NULL)
                 AND NOT EXISTS (SELECT 1 FROM feed_parked
                                 WHERE feed_parked.subscription = $1
                                   AND feed_parked.event_id = feed_claim.event_id
                                   AND feed_parked.sequence IS NULL)"
            ),
            parked = repeated_in("feed_parked", "AND sequence IS NOT NULL"),
            passed_over = repeated_in("feed_skip", "AND skipped_by IS NULL")
        ))
        .bind(s)
        .bind(after)
        .bind(from)
        .bind(limit)
        .fetch_all(&mut **tx)
        .await
    }

    async fn forget(tx: &mut Transaction<'_>, s: &str, ids: &[&str]) -> sqlx::Result<()> {
        fn those() -> String {
            format!("subscription = $1 AND event_id {}", is_in("$2"))
        }
        for sql in [
            sql!(
                "DELETE -- replay::claims\nFROM feed_claim WHERE {}",
                those()
            ),
            sql!(
                "DELETE -- replay::parked\nFROM feed_parked WHERE {}",
                those()
            ),
            sql!(
                "DELETE -- replay::passed_over\nFROM feed_skip WHERE {}",
                those()
            ),
        ] {
            sqlx::query(sql)
                .bind(s)
                .bind(list(ids))
                .execute(&mut **tx)
                .await?;
        }
        Ok(())
    }

    async fn decided(
        pool: &Pool,
        s: &str,
        replay: Option<Sequence>,
        after: &str,
        limit: i64,
    ) -> sqlx::Result<Vec<(String, Option<Sequence>, String)>> {
        sqlx::query_as(
            "SELECT -- claim::decided
             event_id, sequence, subject FROM (
                 SELECT * FROM (SELECT event_id, sequence, subject FROM feed_skip
                                WHERE subscription = $1 AND event_id > $2
                                  AND (CAST($4 AS BIGINT) IS NULL
                                       OR skipped_by IS NOT NULL AND ($4 <= 1 OR sequence >= $4))
                                ORDER BY event_id LIMIT $3) AS skipped
                 UNION ALL
                 SELECT * FROM (SELECT event_id, sequence, subject FROM feed_parked
                                WHERE subscription = $1 AND event_id > $2 AND CAST($4 AS BIGINT) IS NULL
                                ORDER BY event_id LIMIT $3) AS parked
             ) AS decided
             ORDER BY event_id LIMIT $3",
        )
        .bind(s)
        .bind(after)
        .bind(limit)
        .bind(replay)
        .fetch_all(pool)
        .await
    }
}

/// Returns the query for the events in a table that a replay from `$3` repeats, and that also meet a condition.
fn repeated_in(table: &str, also: &str) -> String {
    format!(
        "SELECT * FROM (SELECT event_id FROM {table}
                        WHERE subscription = $1 AND event_id > $2
                          AND (CAST($3 AS BIGINT) <= 1 OR sequence >= $3) {also}
                        ORDER BY event_id LIMIT $4) AS {table}"
    )
}
