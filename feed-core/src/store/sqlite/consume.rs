//! The consuming side, as far as it is SQLite's own. Lists travel as JSON, which `json_each` unfolds; the write
//! lock of the transaction replaces every row lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use sqlx::{Sqlite, SqlitePool, SqliteTransaction};

use super::connect::begin;
use super::dialect::{NOW, instant, now_plus};
use super::statements::{MARK, NOT_STOPPED, is_due};
use crate::database::timeout::ConnectionHealth;
use crate::store::Writer;
use crate::store::consume::{Advanced, Census, Claim, Heartbeat, Held, NativeConsume, Position};
use crate::store::sql::sql;

/// Steps of SQLite's virtual machine between two checks of a statement's time limit: some tenths of a
/// millisecond.
const STEPS: i32 = 10_000;

impl NativeConsume for Sqlite {
    /// True if the transaction has been rolled back.
    type Guard = Arc<AtomicBool>;

    async fn subscribe(writer: Writer<'_, Sqlite>, s: &str, partitions: i64) -> sqlx::Result<()> {
        let mut tx = begin(writer).await?;
        sqlx::query(
            "INSERT -- subscription::create
             INTO feed_subscription (name) VALUES ($1) ON CONFLICT (name) DO NOTHING",
        )
        .bind(s)
        .execute(&mut *tx)
        .await?;
        sqlx::query(
            "WITH -- subscription::create_partitions
             RECURSIVE numbers (partition) AS (
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
        writer: Writer<'_, Sqlite>,
        s: &str,
        me: &str,
        heartbeat: &Heartbeat,
        term: i64,
    ) -> sqlx::Result<Census> {
        let mut tx = begin(writer).await?;
        let contact = heartbeat.last_contact.map(instant);
        sqlx::query(sql!(
            "INSERT -- lease::alive
             INTO feed_instance
                 (subscription, instance, alive_until, last_contact, head_sequence, last_error, feed,
                  version, taken_until, started_at)
             VALUES ($1, $2, {until}, $4, $5, $6, $7, $8, $9, {NOW})
             ON CONFLICT (subscription, instance) DO UPDATE
             SET alive_until = excluded.alive_until, last_contact = excluded.last_contact,
                 head_sequence = excluded.head_sequence, last_error = excluded.last_error,
                 feed = excluded.feed, taken_until = excluded.taken_until",
            until = now_plus("$3")
        ))
        .bind(s)
        .bind(me)
        .bind(term)
        .bind(contact)
        .bind(heartbeat.head_sequence)
        .bind(&heartbeat.last_error)
        .bind(&heartbeat.feed)
        .bind(&heartbeat.version)
        .bind(heartbeat.taken_until.map(instant))
        .execute(&mut *tx)
        .await?;
        sqlx::query(sql!(
            "UPDATE -- lease::renew
             feed_partition
             SET lease_until = {until}
             WHERE subscription = $1 AND lease_owner = $2",
            until = now_plus("$3")
        ))
        .bind(s)
        .bind(me)
        .bind(term)
        .execute(&mut *tx)
        .await?;
        // A lease that lasts longer than any term was written when the clock was ahead.
        for correct in [
            sql!(
                "UPDATE -- lease::correct
                 feed_partition SET lease_until = {until}
                 WHERE subscription = $1 AND lease_until > {too_long}",
                until = now_plus("$2"),
                too_long = now_plus("2 * $2")
            ),
            sql!(
                "UPDATE -- lease::correct_too
                 feed_instance SET alive_until = {until}
                 WHERE subscription = $1 AND alive_until > {too_long}",
                until = now_plus("$2"),
                too_long = now_plus("2 * $2")
            ),
        ] {
            let corrected = sqlx::query(correct).bind(s).bind(term);
            corrected.execute(&mut *tx).await?;
        }
        let census = sqlx::query_as(sql!(
            "SELECT -- lease::census
             (SELECT count(*) FROM feed_instance
                     WHERE subscription = $1 AND alive_until > {NOW}
                       AND (retired_at IS NULL OR instance = $2)) AS instances,
                    (SELECT count(*) FROM feed_partition
                     WHERE subscription = $1 AND lease_owner = $2) AS held,
                    (SELECT COALESCE(sum(lease_epoch), 0) FROM feed_partition
                     WHERE subscription = $1 AND lease_owner = $2) AS epochs,
                    FALSE AS locked,
                    0 AS server,
                    (SELECT count(*) FROM feed_partition
                     WHERE subscription = $1
                       AND (lease_owner IS NULL OR lease_until < {NOW})) AS free,
                    {due} AS due,
                    (SELECT halted FROM feed_subscription WHERE name = $1) AS halted,
                    (SELECT paused_by || ': ' || paused_because FROM feed_subscription
                     WHERE name = $1) AS paused,
                    (SELECT retired_by FROM feed_instance
                     WHERE subscription = $1 AND instance = $2) AS retired_by,
                    (SELECT min(position) FROM feed_decision
                     WHERE subscription = $1 AND done_at IS NULL) AS decision",
            due = is_due(&format!("(SELECT {NOW})"))
        ))
        .bind(s)
        .bind(me)
        .fetch_one(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(census)
    }

    async fn leave(writer: Writer<'_, Sqlite>, s: &str, me: &str) -> sqlx::Result<()> {
        let mut tx = begin(writer).await?;
        sqlx::query(
            "UPDATE -- lease::leave
             feed_partition SET lease_owner = NULL, lease_until = NULL
             WHERE subscription = $1 AND lease_owner = $2",
        )
        .bind(s)
        .bind(me)
        .execute(&mut *tx)
        .await?;
        sqlx::query(sql!(
            "UPDATE -- lease::gone
             feed_instance
             SET alive_until = {NOW}, last_error = NULL
             WHERE subscription = $1 AND instance = $2"
        ))
        .bind(s)
        .bind(me)
        .execute(&mut *tx)
        .await?;
        tx.commit().await
    }

    async fn advance(
        tx: &mut SqliteTransaction<'_>,
        s: &str,
        me: &str,
        partitions: &[Held],
        to: &Position,
        term: i64,
        _: bool,
    ) -> sqlx::Result<Advanced<Self>> {
        let held: Vec<_> = partitions
            .iter()
            .map(|held| {
                let position = &held.position;
                json!([
                    held.partition,
                    held.lease_epoch,
                    position.sequence,
                    position.mark()
                ])
            })
            .collect();
        let moved = sqlx::query_as(sql!(
            "UPDATE -- consumer::advance
             feed_partition
             SET epoch = $4, sequence = $5, anchor = coalesce($6, anchor), updated = $7, etag = $8,
                 last_modified = $9, lease_until = {until}
             WHERE subscription = $1 AND lease_owner = $2
               AND (partition, lease_epoch, sequence, {MARK}) IN (
                   SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each($3)
               )
               AND NOT EXISTS (SELECT 1 FROM feed_partition AS other
                               WHERE other.subscription = $1 AND other.epoch <> $4)
               AND {not_stopped}
             RETURNING partition,
                       EXISTS (SELECT 1 FROM feed_parked
                               WHERE feed_parked.subscription = $1
                                 AND feed_parked.partition = feed_partition.partition)
                       OR EXISTS (SELECT 1 FROM feed_undo
                                   WHERE feed_undo.subscription = $1
                                     AND feed_undo.partition = feed_partition.partition)",
            until = now_plus("$10"),
            not_stopped = NOT_STOPPED
        ))
        .bind(s)
        .bind(me)
        .bind(json!(held).to_string())
        .bind(&to.epoch)
        .bind(to.sequence)
        .bind(&to.anchor)
        .bind(to.updated.map(instant))
        .bind(&to.etag)
        .bind(&to.last_modified)
        .bind(term)
        .fetch_all(&mut **tx)
        .await?;
        Ok((moved, Self::Guard::default()))
    }

    async fn claim(
        tx: &mut SqliteTransaction<'_>,
        s: &str,
        claims: &[Claim<'_>],
        _: bool,
    ) -> sqlx::Result<Vec<String>> {
        let events: Vec<_> = claims
            .iter()
            .map(|claim| json!([claim.event_id, claim.sequence, claim.subject]))
            .collect();
        sqlx::query_scalar(
            "INSERT -- consumer::claim
             INTO feed_claim (subscription, event_id, sequence, subject)
             SELECT $1, value ->> 0, value ->> 1, value ->> 2 FROM json_each($2)
             WHERE TRUE ON CONFLICT (subscription, event_id) DO NOTHING RETURNING event_id",
        )
        .bind(s)
        .bind(json!(events).to_string())
        .fetch_all(&mut **tx)
        .await
    }

    async fn begin_effect(
        tx: &mut SqliteTransaction<'_>,
        guard: &mut Self::Guard,
        limit: Duration,
    ) -> sqlx::Result<()> {
        // The connection outlives the guard: later transactions use it too.
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

    async fn commit(
        tx: SqliteTransaction<'static>,
        guard: Self::Guard,
        _: &ConnectionHealth,
    ) -> sqlx::Result<bool> {
        if guard.load(Ordering::Acquire) {
            return Ok(false);
        }
        // The commit hook rejects the commit as long as the guard exists.
        drop(guard);
        tx.commit().await?;
        Ok(true)
    }

    async fn cancel(_: &SqlitePool, _: &Self::Guard) -> sqlx::Result<bool> {
        Ok(false)
    }
}
