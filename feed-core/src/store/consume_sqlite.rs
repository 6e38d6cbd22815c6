//! The consuming side on SQLite. Lists travel as JSON, which `json_each` unfolds; the write lock
//! of the transaction stands for every row lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chrono::SecondsFormat;
use serde_json::json;
use sqlx::{Sqlite, SqlitePool, SqliteTransaction};

use super::begin;
use super::consume::{
    Advanced, Census, Claim, Consume, Heartbeat, Held, HeldRow, Parked, Parking, Position,
    held_from,
};

/// Steps of SQLite's virtual machine after which a statement looks whether it is to end: some tenths of a
/// millisecond.
const STEPS: i32 = 10_000;

impl Consume for Sqlite {
    /// True if the transaction has been rolled back.
    type Guard = Arc<AtomicBool>;

    async fn subscribe(pool: &SqlitePool, s: &str, partitions: i64) -> sqlx::Result<()> {
        let mut tx = begin(pool).await?;
        sqlx::query(
            "-- subscription::create
             INSERT INTO feed_subscription (name) VALUES ($1) ON CONFLICT DO NOTHING",
        )
        .bind(s)
        .execute(&mut *tx)
        .await?;
        sqlx::query(
            "-- subscription::create_partitions
             WITH RECURSIVE numbers (partition) AS (
                 SELECT 0 UNION ALL SELECT partition + 1 FROM numbers WHERE partition + 1 < $2
             )
             INSERT INTO feed_partition (subscription, partition)
             SELECT $1, partition FROM numbers
             WHERE NOT EXISTS (SELECT 1 FROM feed_partition WHERE subscription = $1)",
        )
        .bind(s)
        .bind(partitions)
        .execute(&mut *tx)
        .await?;
        tx.commit().await
    }

    async fn renew(
        pool: &SqlitePool,
        s: &str,
        me: &str,
        heartbeat: &Heartbeat,
        term: i64,
    ) -> sqlx::Result<Census> {
        let mut tx = begin(pool).await?;
        let contact = heartbeat
            .last_contact
            .map(|at| at.to_rfc3339_opts(SecondsFormat::Millis, true));
        sqlx::query(
            "-- lease::alive
             INSERT INTO feed_instance
                 (subscription, instance, alive_until, last_contact, head_sequence, last_error)
             VALUES ($1, $2, strftime('%Y-%m-%dT%H:%M:%fZ', 'now', $3 || ' seconds'), $4, $5, $6)
             ON CONFLICT (subscription, instance) DO UPDATE
             SET alive_until = excluded.alive_until, last_contact = excluded.last_contact,
                 head_sequence = excluded.head_sequence, last_error = excluded.last_error",
        )
        .bind(s)
        .bind(me)
        .bind(term)
        .bind(contact)
        .bind(heartbeat.head_sequence)
        .bind(&heartbeat.last_error)
        .execute(&mut *tx)
        .await?;
        sqlx::query(
            "-- lease::renew
             UPDATE feed_partition
             SET lease_until = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', $3 || ' seconds')
             WHERE subscription = $1 AND lease_owner = $2",
        )
        .bind(s)
        .bind(me)
        .bind(term)
        .execute(&mut *tx)
        .await?;
        // What is to last longer than anything does was written when the clock was ahead.
        sqlx::query(
            "-- lease::correct
             UPDATE feed_partition
             SET lease_until = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', $2 || ' seconds')
             WHERE subscription = $1
               AND lease_until > strftime('%Y-%m-%dT%H:%M:%fZ', 'now', (2 * $2) || ' seconds')",
        )
        .bind(s)
        .bind(term)
        .execute(&mut *tx)
        .await?;
        sqlx::query(
            "-- lease::correct_too
             UPDATE feed_instance
             SET alive_until = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', $2 || ' seconds')
             WHERE subscription = $1
               AND alive_until > strftime('%Y-%m-%dT%H:%M:%fZ', 'now', (2 * $2) || ' seconds')",
        )
        .bind(s)
        .bind(term)
        .execute(&mut *tx)
        .await?;
        let (instances, held, epochs, free, due, halted, decision) = sqlx::query_as(
            "-- lease::census
             SELECT (SELECT count(*) FROM feed_instance
                     WHERE subscription = $1
                       AND alive_until > strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
                    (SELECT count(*) FROM feed_partition
                     WHERE subscription = $1 AND lease_owner = $2),
                    (SELECT COALESCE(sum(lease_epoch), 0) FROM feed_partition
                     WHERE subscription = $1 AND lease_owner = $2),
                    (SELECT count(*) FROM feed_partition
                     WHERE subscription = $1
                       AND (lease_owner IS NULL
                            OR lease_until < strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))),
                    EXISTS (SELECT 1 FROM feed_parked AS parked
                            JOIN feed_partition USING (subscription, partition)
                            WHERE parked.subscription = $1 AND lease_owner = $2
                              AND position = (SELECT min(position) FROM feed_parked AS first
                                              WHERE first.subscription = $1
                                                AND first.subject = parked.subject)
                              AND (reason IS NULL
                                   OR retry_at <= strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))),
                    (SELECT halted FROM feed_subscription WHERE name = $1),
                    (SELECT min(position) FROM feed_decision
                     WHERE subscription = $1 AND done_at IS NULL)",
        )
        .bind(s)
        .bind(me)
        .fetch_one(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(Census {
            instances,
            held,
            epochs,
            free,
            due,
            halted,
            decision,
        })
    }

    async fn acquire(
        pool: &SqlitePool,
        s: &str,
        me: &str,
        limit: i64,
        term: i64,
    ) -> sqlx::Result<u64> {
        let taken = sqlx::query(
            "-- lease::acquire
             UPDATE feed_partition
             SET lease_owner = $2, lease_epoch = lease_epoch + 1,
                 lease_until = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', $4 || ' seconds')
             WHERE subscription = $1 AND partition IN (
                 SELECT partition FROM feed_partition
                 WHERE subscription = $1
                   AND (lease_owner IS NULL
                        OR lease_until < strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
                 ORDER BY partition LIMIT $3
             )",
        )
        .bind(s)
        .bind(me)
        .bind(limit)
        .bind(term)
        .execute(pool)
        .await?;
        Ok(taken.rows_affected())
    }

    async fn release(pool: &SqlitePool, s: &str, me: &str, count: i64) -> sqlx::Result<u64> {
        let released = sqlx::query(
            "-- lease::release
             UPDATE feed_partition SET lease_owner = NULL, lease_until = NULL
             WHERE subscription = $1 AND partition IN (
                 SELECT partition FROM feed_partition
                 WHERE subscription = $1 AND lease_owner = $2
                 ORDER BY partition DESC LIMIT $3
             )",
        )
        .bind(s)
        .bind(me)
        .bind(count)
        .execute(pool)
        .await?;
        Ok(released.rows_affected())
    }

    async fn leave(pool: &SqlitePool, s: &str, me: &str) -> sqlx::Result<()> {
        let mut tx = begin(pool).await?;
        sqlx::query(
            "-- lease::leave
             UPDATE feed_partition SET lease_owner = NULL, lease_until = NULL
             WHERE subscription = $1 AND lease_owner = $2",
        )
        .bind(s)
        .bind(me)
        .execute(&mut *tx)
        .await?;
        sqlx::query(
            "-- lease::gone
             UPDATE feed_instance
             SET alive_until = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), last_error = NULL
             WHERE subscription = $1 AND instance = $2",
        )
        .bind(s)
        .bind(me)
        .execute(&mut *tx)
        .await?;
        tx.commit().await
    }

    async fn held(pool: &SqlitePool, s: &str, me: &str) -> sqlx::Result<Vec<Held>> {
        let rows: Vec<HeldRow> = sqlx::query_as(
            "-- lease::held
             SELECT partition, lease_epoch, epoch, sequence, anchor, updated, etag, last_modified
             FROM feed_partition WHERE subscription = $1 AND lease_owner = $2 ORDER BY partition",
        )
        .bind(s)
        .bind(me)
        .fetch_all(pool)
        .await?;
        Ok(rows.into_iter().map(held_from).collect())
    }

    async fn epochs(pool: &SqlitePool, s: &str) -> sqlx::Result<Vec<String>> {
        sqlx::query_scalar(
            "-- lease::epochs
             SELECT DISTINCT epoch FROM feed_partition
             WHERE subscription = $1 AND epoch IS NOT NULL",
        )
        .bind(s)
        .fetch_all(pool)
        .await
    }

    async fn halt(pool: &SqlitePool, s: &str, reason: &str) -> sqlx::Result<()> {
        sqlx::query(
            "-- subscription::halt
             UPDATE feed_subscription
             SET halted = $2, halted_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
             WHERE name = $1 AND halted IS NULL",
        )
        .bind(s)
        .bind(reason)
        .execute(pool)
        .await?;
        Ok(())
    }

    async fn advance(
        tx: &mut SqliteTransaction<'_>,
        s: &str,
        me: &str,
        partitions: &[Held],
        to: &Position,
        _: bool,
    ) -> sqlx::Result<Advanced<Self>> {
        let held: Vec<_> = partitions
            .iter()
            .map(|held| json!([held.partition, held.lease_epoch, held.position.sequence]))
            .collect();
        let moved = sqlx::query_as(
            "-- consumer::advance
             UPDATE feed_partition
             SET epoch = $4, sequence = $5, anchor = $6, updated = $7, etag = $8,
                 last_modified = $9
             WHERE subscription = $1 AND lease_owner = $2
               AND (partition, lease_epoch, sequence) IN (
                   SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each($3)
               )
               AND NOT EXISTS (SELECT 1 FROM feed_partition AS other
                               WHERE other.subscription = $1 AND other.epoch <> $4)
             RETURNING partition,
                       EXISTS (SELECT 1 FROM feed_parked
                               WHERE feed_parked.subscription = $1
                                 AND feed_parked.partition = feed_partition.partition)",
        )
        .bind(s)
        .bind(me)
        .bind(json!(held).to_string())
        .bind(&to.epoch)
        .bind(to.sequence)
        .bind(&to.anchor)
        .bind(
            to.updated
                .map(|at| at.to_rfc3339_opts(SecondsFormat::Millis, true)),
        )
        .bind(&to.etag)
        .bind(&to.last_modified)
        .fetch_all(&mut **tx)
        .await?;
        Ok((moved, Self::Guard::default()))
    }

    async fn lock(
        tx: &mut SqliteTransaction<'_>,
        s: &str,
        me: &str,
        held: &Held,
    ) -> sqlx::Result<bool> {
        let row = sqlx::query(
            "-- consumer::lock
             SELECT 1 FROM feed_partition
             WHERE subscription = $1 AND lease_owner = $2 AND partition = $3 AND lease_epoch = $4",
        )
        .bind(s)
        .bind(me)
        .bind(held.partition)
        .bind(held.lease_epoch)
        .fetch_optional(&mut **tx)
        .await?;
        Ok(row.is_some())
    }

    async fn claim(
        tx: &mut SqliteTransaction<'_>,
        s: &str,
        claims: &[Claim<'_>],
    ) -> sqlx::Result<Vec<String>> {
        let events: Vec<_> = claims
            .iter()
            .map(|claim| json!([claim.event_id, claim.sequence, claim.subject]))
            .collect();
        sqlx::query_scalar(
            "-- consumer::claim
             INSERT INTO feed_claim (subscription, event_id, sequence, subject)
             SELECT $1, value ->> 0, value ->> 1, value ->> 2 FROM json_each($2)
             WHERE TRUE ON CONFLICT DO NOTHING RETURNING event_id",
        )
        .bind(s)
        .bind(json!(events).to_string())
        .fetch_all(&mut **tx)
        .await
    }

    async fn claimed(pool: &SqlitePool, s: &str, ids: &[&str]) -> sqlx::Result<Vec<String>> {
        sqlx::query_scalar(
            "-- consumer::claimed
             SELECT event_id FROM feed_claim
             WHERE subscription = $1 AND event_id IN (SELECT value FROM json_each($2))",
        )
        .bind(s)
        .bind(json!(ids).to_string())
        .fetch_all(pool)
        .await
    }

    async fn blocked(
        tx: &mut SqliteTransaction<'_>,
        s: &str,
        subjects: &[&str],
    ) -> sqlx::Result<Vec<String>> {
        sqlx::query_scalar(
            "-- parked::blocked
             SELECT DISTINCT subject FROM feed_parked
             WHERE subscription = $1 AND subject IN (SELECT value FROM json_each($2))",
        )
        .bind(s)
        .bind(json!(subjects).to_string())
        .fetch_all(&mut **tx)
        .await
    }

    async fn begin_effect(
        tx: &mut SqliteTransaction<'_>,
        guard: &mut Self::Guard,
        limit: Duration,
    ) -> sqlx::Result<()> {
        // The connection outlives the guard, and is used for others.
        let running = Arc::downgrade(guard);
        let (committing, ended) = (running.clone(), running.clone());
        let until = Instant::now() + limit;
        let mut handle = tx.lock_handle().await?;
        handle.set_progress_handler(STEPS, move || {
            running.strong_count() == 0 || Instant::now() < until
        });
        handle.set_commit_hook(move || committing.strong_count() == 0);
        handle.set_rollback_hook(move || {
            if let Some(guard) = ended.upgrade() {
                guard.store(true, Ordering::Release);
            }
        });
        Ok(())
    }

    async fn commit(tx: SqliteTransaction<'static>, guard: Self::Guard) -> sqlx::Result<bool> {
        if guard.load(Ordering::Acquire) {
            return Ok(false);
        }
        // The commit hook refuses while it is there.
        drop(guard);
        tx.commit().await?;
        Ok(true)
    }

    async fn cancel(_: &SqlitePool, _: &Self::Guard) -> sqlx::Result<bool> {
        Ok(false)
    }

    async fn park(
        tx: &mut SqliteTransaction<'_>,
        s: &str,
        parking: &Parking<'_>,
    ) -> sqlx::Result<()> {
        sqlx::query(
            "-- parked::park
             INSERT INTO feed_parked
                 (subscription, event_id, partition, subject, sequence, event, reason, attempts,
                  retry_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $7 IS NOT NULL,
                     strftime('%Y-%m-%dT%H:%M:%fZ', 'now', $8 || ' seconds'))",
        )
        .bind(s)
        .bind(parking.event_id)
        .bind(parking.partition)
        .bind(parking.subject)
        .bind(parking.sequence)
        .bind(&parking.event)
        .bind(parking.reason)
        .bind(parking.retry_in)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    async fn due(
        pool: &SqlitePool,
        s: &str,
        me: &str,
        limit: i64,
    ) -> sqlx::Result<Vec<(i64, String)>> {
        sqlx::query_as(
            "-- parked::due
             SELECT parked.partition, parked.subject
             FROM feed_parked AS parked
             JOIN feed_partition USING (subscription, partition)
             WHERE parked.subscription = $1 AND lease_owner = $2
               AND position = (SELECT min(position) FROM feed_parked AS first
                               WHERE first.subscription = $1 AND first.subject = parked.subject)
               AND (reason IS NULL OR retry_at <= strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
             ORDER BY position LIMIT $3",
        )
        .bind(s)
        .bind(me)
        .bind(limit)
        .fetch_all(pool)
        .await
    }

    async fn first_parked(
        tx: &mut SqliteTransaction<'_>,
        s: &str,
        subject: &str,
    ) -> sqlx::Result<Option<Parked>> {
        let row: Option<(String, String, i64)> = sqlx::query_as(
            "-- parked::first
             SELECT event_id, event, attempts FROM feed_parked
             WHERE subscription = $1 AND subject = $2
               AND (reason IS NULL OR retry_at <= strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
               AND position = (SELECT min(position) FROM feed_parked
                               WHERE subscription = $1 AND subject = $2)",
        )
        .bind(s)
        .bind(subject)
        .fetch_optional(&mut **tx)
        .await?;
        Ok(row.map(|(event_id, event, attempts)| Parked {
            event_id,
            event,
            attempts,
        }))
    }

    async fn parked_of(
        tx: &mut SqliteTransaction<'_>,
        s: &str,
        subject: &str,
        after: i64,
        limit: i64,
    ) -> sqlx::Result<Vec<(i64, String, String)>> {
        sqlx::query_as(
            "-- parked::of
             SELECT position, event_id, event FROM feed_parked
             WHERE subscription = $1 AND subject = $2 AND position > $3
             ORDER BY position LIMIT $4",
        )
        .bind(s)
        .bind(subject)
        .bind(after)
        .bind(limit)
        .fetch_all(&mut **tx)
        .await
    }

    async fn replace_parked(
        tx: &mut SqliteTransaction<'_>,
        s: &str,
        event_id: &str,
        event: &str,
        reason: &str,
    ) -> sqlx::Result<()> {
        sqlx::query(
            "-- parked::replace
             UPDATE feed_parked
             SET event = $3,
                 retry_at = CASE WHEN reason IS NULL THEN retry_at ELSE strftime('%Y-%m-%dT%H:%M:%fZ', 'now') END,
                 reason = CASE WHEN reason IS NULL THEN reason ELSE $4 END
             WHERE subscription = $1 AND event_id = $2",
        )
        .bind(s)
        .bind(event_id)
        .bind(event)
        .bind(reason)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    async fn unpark(tx: &mut SqliteTransaction<'_>, s: &str, event_id: &str) -> sqlx::Result<bool> {
        let gone = sqlx::query(
            "-- parked::unpark
             DELETE FROM feed_parked WHERE subscription = $1 AND event_id = $2",
        )
        .bind(s)
        .bind(event_id)
        .execute(&mut **tx)
        .await?;
        Ok(gone.rows_affected() == 1)
    }

    async fn postpone(
        tx: &mut SqliteTransaction<'_>,
        s: &str,
        event_id: &str,
        reason: &str,
        retry_in: Option<i64>,
    ) -> sqlx::Result<()> {
        sqlx::query(
            "-- parked::postpone
             UPDATE feed_parked
             SET reason = $3, attempts = attempts + 1,
                 retry_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', $4 || ' seconds')
             WHERE subscription = $1 AND event_id = $2",
        )
        .bind(s)
        .bind(event_id)
        .bind(reason)
        .bind(retry_in)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }
}
