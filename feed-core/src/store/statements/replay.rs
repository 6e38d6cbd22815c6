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

    async fn begin_before(tx: &mut Transaction<'_>, s: &str, first: Sequence) -> sqlx::Result<()> {
        sqlx::query(
            "UPDATE -- replay::begin_before
             feed_subscription SET begins = $2 - 1 WHERE name = $1 AND begins >= $2",
        )
        .bind(s)
        .bind(first)
        .execute(&mut **tx)
        .await?;
        Ok(())
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
        sqlx::query_scalar(match from {
            ..=1 => sql!("{}", repeated(ALL)),
            _ => sql!("{}", repeated("AND sequence >= $3")),
        })
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

    async fn oldest_claim(
        pool: &Pool,
        s: &str,
        after: Sequence,
        last: Sequence,
    ) -> sqlx::Result<Option<(Sequence, String)>> {
        sqlx::query_as(
            "SELECT -- claim::oldest
             sequence, event_id FROM feed_claim
             WHERE subscription = $1 AND sequence > $2 AND sequence <= $3
             ORDER BY sequence LIMIT 1",
        )
        .bind(s)
        .bind(after)
        .bind(last)
        .fetch_optional(pool)
        .await
    }

    async fn decided(
        pool: &Pool,
        s: &str,
        replay: Option<Sequence>,
        after: &str,
        limit: i64,
    ) -> sqlx::Result<Vec<(String, Option<Sequence>, String)>> {
        sqlx::query_as(match replay {
            None => sql!("{}", decided("")),
            Some(..=1) => sql!("{}", decided("AND skipped_by IS NOT NULL")),
            Some(_) => sql!(
                "{}",
                decided("AND skipped_by IS NOT NULL AND sequence >= $4")
            ),
        })
        .bind(s)
        .bind(after)
        .bind(limit)
        .bind(replay)
        .fetch_all(pool)
        .await
    }
}

// A condition that some values of a parameter meet always, and others by the sequence, would keep PostgreSQL from the index of
// sequences, in the plan that it keeps. So there is a text for each.

/// A replay of all events.
const ALL: &str = "AND CAST($3 AS BIGINT) <= 1";

/// Returns the text of [`Replay::repeated`] for the events `from` a sequence on.
fn repeated(from: &str) -> String {
    let events_in = |table: &str, also: &str| {
        format!(
            "SELECT * FROM (SELECT event_id FROM {table}
                            WHERE subscription = $1 AND event_id > $2 {from} {also}
                            ORDER BY event_id LIMIT $4) AS {table}"
        )
    };
    format!(
        "SELECT -- replay::repeated
         event_id FROM ({claims} UNION {parked} UNION {passed_over}) AS repeated
         ORDER BY event_id LIMIT $4",
        claims = events_in(
            "feed_claim",
            "AND NOT EXISTS (SELECT 1 FROM feed_skip
                             WHERE feed_skip.subscription = $1 AND feed_skip.event_id = feed_claim.event_id
                               AND skipped_by IS NOT NULL)
             AND NOT EXISTS (SELECT 1 FROM feed_parked
                             WHERE feed_parked.subscription = $1
                               AND feed_parked.event_id = feed_claim.event_id
                               AND feed_parked.sequence IS NULL)"
        ),
        parked = events_in("feed_parked", "AND sequence IS NOT NULL"),
        passed_over = events_in("feed_skip", "AND skipped_by IS NULL")
    )
}

/// Returns the text of [`Replay::decided`] for these `skipped` events.
fn decided(skipped: &str) -> String {
    format!(
        "SELECT -- claim::decided
         event_id, sequence, subject FROM (
             SELECT * FROM (SELECT event_id, sequence, subject FROM feed_skip
                            WHERE subscription = $1 AND event_id > $2 {skipped}
                            ORDER BY event_id LIMIT $3) AS skipped
             UNION ALL
             SELECT * FROM (SELECT event_id, sequence, subject FROM feed_parked
                            WHERE subscription = $1 AND event_id > $2 AND CAST($4 AS BIGINT) IS NULL
                            ORDER BY event_id LIMIT $3) AS parked
         ) AS decided
         ORDER BY event_id LIMIT $3"
    )
}
