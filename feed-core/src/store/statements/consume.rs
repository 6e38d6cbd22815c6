//! Statements on leases and parked events.

use sqlx::{FromRow, Row as _};

use super::{
    Db, FOR_UPDATE, FOR_UPDATE_SKIP_LOCKED, NOW, Pool, Row, Transaction, Writer, each, from_row,
    is_in, list, now_plus, restoring_planner,
};
use crate::store::consume::{Census, Consume, Held, Parked, Parking, Position};
use crate::store::sql::sql;

impl Consume for Db {
    async fn acquire(
        writer: Writer<'_>,
        s: &str,
        me: &str,
        limit: i64,
        term: i64,
    ) -> sqlx::Result<u64> {
        let taken = sqlx::query(sql!(
            "WITH -- lease::acquire
             free AS (
                 SELECT partition FROM feed_partition
                 WHERE subscription = $1
                   AND (lease_owner IS NULL OR lease_until < {NOW})
                 ORDER BY partition LIMIT $3 {FOR_UPDATE_SKIP_LOCKED}
             )
             UPDATE feed_partition
             SET lease_owner = $2, lease_epoch = lease_epoch + 1, lease_until = {until}
             FROM free
             WHERE feed_partition.subscription = $1 AND feed_partition.partition = free.partition",
            until = now_plus("$4")
        ))
        .bind(s)
        .bind(me)
        .bind(limit)
        .bind(term)
        .execute(&mut *writer.acquire().await?)
        .await?;
        Ok(taken.rows_affected())
    }

    async fn release(writer: Writer<'_>, s: &str, me: &str, count: i64) -> sqlx::Result<u64> {
        let released = sqlx::query(sql!(
            "WITH -- lease::release
             spare AS (
                 SELECT partition FROM feed_partition
                 WHERE subscription = $1 AND lease_owner = $2
                 ORDER BY partition LIMIT $3 {FOR_UPDATE}
             )
             UPDATE feed_partition SET lease_owner = NULL, lease_until = NULL
             FROM spare
             WHERE feed_partition.subscription = $1 AND feed_partition.partition = spare.partition"
        ))
        .bind(s)
        .bind(me)
        .bind(count)
        .execute(&mut *writer.acquire().await?)
        .await?;
        Ok(released.rows_affected())
    }

    async fn held(pool: &Pool, s: &str, me: &str) -> sqlx::Result<Vec<Held>> {
        sqlx::query_as(sql!(
            "SELECT -- lease::held
             partition, lease_epoch, epoch, sequence, anchor, updated, etag, last_modified
             FROM feed_partition WHERE subscription = $1 AND lease_owner = $2 AND {NOT_STOPPED}
             ORDER BY partition"
        ))
        .bind(s)
        .bind(me)
        .fetch_all(pool)
        .await
    }

    async fn epochs(pool: &Pool, s: &str) -> sqlx::Result<Vec<String>> {
        sqlx::query_scalar(
            "SELECT -- lease::epochs
             DISTINCT epoch FROM feed_partition
             WHERE subscription = $1 AND epoch IS NOT NULL",
        )
        .bind(s)
        .fetch_all(pool)
        .await
    }

    async fn halt(
        writer: Writer<'_>,
        s: &str,
        me: &str,
        held: &Held,
        reason: &str,
    ) -> sqlx::Result<bool> {
        let halted = sqlx::query(sql!(
            "UPDATE -- subscription::halt
             feed_subscription SET halted = $2, halted_at = {NOW}
             WHERE name = $1 AND halted IS NULL
               AND EXISTS (SELECT 1 FROM feed_partition
                           WHERE subscription = $1 AND lease_owner = $3 AND partition = $4
                             AND lease_epoch = $5 AND sequence = $6
                             AND {MARK} = $7)"
        ))
        .bind(s)
        .bind(reason)
        .bind(me)
        .bind(held.partition)
        .bind(held.lease_epoch)
        .bind(held.position.sequence)
        .bind(held.position.mark())
        .execute(&mut *writer.acquire().await?)
        .await?;
        Ok(halted.rows_affected() == 1)
    }

    async fn lock(tx: &mut Transaction<'_>, s: &str, me: &str, held: &Held) -> sqlx::Result<bool> {
        let row = sqlx::query(sql!(
            "SELECT -- consumer::lock
             1 FROM feed_partition
             WHERE subscription = $1 AND lease_owner = $2 AND partition = $3 AND lease_epoch = $4
               AND {NOT_STOPPED}
             {FOR_UPDATE}"
        ))
        .bind(s)
        .bind(me)
        .bind(held.partition)
        .bind(held.lease_epoch)
        .fetch_optional(&mut **tx)
        .await?;
        Ok(row.is_some())
    }

    async fn claimed(pool: &Pool, s: &str, ids: &[&str]) -> sqlx::Result<Vec<String>> {
        sqlx::query_scalar(sql!(
            "SELECT -- consumer::claimed
             event_id FROM feed_claim WHERE subscription = $1 AND event_id {in_list}",
            in_list = is_in("$2")
        ))
        .bind(s)
        .bind(list(ids))
        .fetch_all(pool)
        .await
    }

    async fn blocked(
        tx: &mut Transaction<'_>,
        s: &str,
        subjects: &[&str],
    ) -> sqlx::Result<Vec<String>> {
        let found: Vec<Option<String>> = sqlx::query_scalar(sql!(
            "{restoring}",
            restoring = restoring_planner(
                "parked::blocked",
                &format!(
                    // A limit, so that no plan reads all that wait of the subscription.
                    "SELECT value FROM {each}
                     WHERE (SELECT 1 FROM feed_parked
                            WHERE subscription = $1 AND subject = each.value
                            ORDER BY position LIMIT 1) = 1",
                    each = each("$2")
                )
            )
        ))
        .bind(s)
        .bind(list(subjects))
        .fetch_all(&mut **tx)
        .await?;
        Ok(found.into_iter().flatten().collect())
    }

    async fn park(tx: &mut Transaction<'_>, s: &str, parking: &Parking<'_>) -> sqlx::Result<()> {
        sqlx::query(sql!(
            "INSERT -- parked::park
             INTO feed_parked
                 (subscription, event_id, partition, subject, sequence, event, reason, attempts,
                  retry_at, event_type, parked_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, CAST($7 IS NOT NULL AS INTEGER),
                     {retry_at}, $9, {NOW})",
            retry_at = now_plus("$8")
        ))
        .bind(s)
        .bind(parking.event_id)
        .bind(parking.partition)
        .bind(parking.subject)
        .bind(parking.sequence)
        .bind(&parking.event)
        .bind(parking.reason)
        .bind(parking.retry_in)
        .bind(parking.event_type)
        .execute(&mut **tx)
        .await?;
        match parking.reason {
            Some(_) => note_attempt(tx, s, parking.event_id).await,
            None => Ok(()),
        }
    }

    async fn due(pool: &Pool, s: &str, partition: i64, limit: i64) -> sqlx::Result<Vec<String>> {
        sqlx::query_scalar(sql!(
            "SELECT -- parked::due
             subject FROM feed_parked AS parked
             WHERE subscription = $1 AND partition = $2 AND {due}
             ORDER BY retry_at, position LIMIT $3",
            due = due_until(&format!("(SELECT {NOW})"))
        ))
        .bind(s)
        .bind(partition)
        .bind(limit)
        .fetch_all(pool)
        .await
    }

    async fn first_parked(
        tx: &mut Transaction<'_>,
        s: &str,
        subject: &str,
    ) -> sqlx::Result<Option<Parked>> {
        sqlx::query_as(sql!(
            "SELECT -- parked::first
             event_id, event, attempts, decision FROM feed_parked
             WHERE subscription = $1 AND subject = $2
               AND (reason IS NULL OR retry_at <= {NOW})
               AND position = (SELECT min(position) FROM feed_parked
                               WHERE subscription = $1 AND subject = $2)"
        ))
        .bind(s)
        .bind(subject)
        .fetch_optional(&mut **tx)
        .await
    }

    async fn parked_of(
        tx: &mut Transaction<'_>,
        s: &str,
        subject: &str,
        after: i64,
        limit: i64,
    ) -> sqlx::Result<Vec<(i64, String, i64, String)>> {
        sqlx::query_as(
            "SELECT -- parked::of
             position, event_id, attempts, event FROM feed_parked
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
        tx: &mut Transaction<'_>,
        s: &str,
        event_id: &str,
        event: &str,
        reason: &str,
    ) -> sqlx::Result<()> {
        sqlx::query(sql!(
            "UPDATE -- parked::replace
             feed_parked
             SET event = $3,
                 retry_at = CASE WHEN reason IS NULL THEN retry_at ELSE {NOW} END,
                 reason = CASE WHEN reason IS NULL THEN reason ELSE $4 END
             WHERE subscription = $1 AND event_id = $2"
        ))
        .bind(s)
        .bind(event_id)
        .bind(event)
        .bind(reason)
        .execute(&mut **tx)
        .await?;
        let attempts = sqlx::query(
            "UPDATE -- attempt::replace
             feed_attempt SET reason = $3 WHERE subscription = $1 AND event_id = $2",
        );
        let attempts = attempts.bind(s).bind(event_id).bind(reason);
        attempts.execute(&mut **tx).await?;
        Ok(())
    }

    async fn unpark(tx: &mut Transaction<'_>, s: &str, event_id: &str) -> sqlx::Result<bool> {
        let gone = sqlx::query(
            "DELETE -- parked::unpark
             FROM feed_parked WHERE subscription = $1 AND event_id = $2",
        )
        .bind(s)
        .bind(event_id)
        .execute(&mut **tx)
        .await?;
        Ok(gone.rows_affected() == 1)
    }

    async fn pass_over(
        tx: &mut Transaction<'_>,
        s: &str,
        event_id: &str,
        reason: &str,
        seen: Option<i64>,
    ) -> sqlx::Result<bool> {
        sqlx::query(
            "INSERT -- skip::pass_over
             INTO feed_skip (subscription, event_id, subject, event_type, sequence, reason)
             SELECT subscription, event_id, subject, event_type, sequence, $3
             FROM feed_parked WHERE subscription = $1 AND event_id = $2
             ON CONFLICT (subscription, event_id) DO UPDATE
             SET reason = excluded.reason, skipped_by = NULL, skipped_at = excluded.skipped_at, decision = NULL",
        )
        .bind(s)
        .bind(event_id)
        .bind(reason)
        .execute(&mut **tx)
        .await?;
        let gone = sqlx::query(
            "DELETE -- parked::pass_over
             FROM feed_parked WHERE subscription = $1 AND event_id = $2 AND decision IS NOT DISTINCT FROM $3",
        )
        .bind(s)
        .bind(event_id)
        .bind(seen)
        .execute(&mut **tx)
        .await?;
        Ok(gone.rows_affected() == 1)
    }

    async fn postpone(
        tx: &mut Transaction<'_>,
        s: &str,
        event_id: &str,
        reason: &str,
        retry_in: Option<i64>,
        seen: Option<i64>,
    ) -> sqlx::Result<()> {
        sqlx::query(sql!(
            "UPDATE -- parked::postpone
             feed_parked
             SET reason = $3, attempts = attempts + 1,
                 retry_at = CASE WHEN decision IS NOT DISTINCT FROM $5 THEN {retry_at} ELSE retry_at END
             WHERE subscription = $1 AND event_id = $2",
            retry_at = now_plus("$4")
        ))
        .bind(s)
        .bind(event_id)
        .bind(reason)
        .bind(retry_in)
        .bind(seen)
        .execute(&mut **tx)
        .await?;
        note_attempt(tx, s, event_id).await
    }
}

/// The attempts for a parked event that are kept.
const ATTEMPTS: i64 = 20;

/// Records the last attempt for a parked event, as its row shows it.
async fn note_attempt(tx: &mut Transaction<'_>, s: &str, event_id: &str) -> sqlx::Result<()> {
    for sql in [
        "INSERT -- attempt::insert
         INTO feed_attempt (subscription, event_id, attempt, reason)
         SELECT subscription, event_id, attempts, reason FROM feed_parked
         WHERE subscription = $1 AND event_id = $2 AND CAST($3 AS BIGINT) > 0
         ON CONFLICT DO NOTHING",
        "DELETE -- attempt::sweep
         FROM feed_attempt
         WHERE subscription = $1 AND event_id = $2
           AND attempt <= (SELECT attempts FROM feed_parked
                           WHERE subscription = $1 AND event_id = $2) - $3",
    ] {
        let noted = sqlx::query(sql).bind(s).bind(event_id).bind(ATTEMPTS);
        noted.execute(&mut **tx).await?;
    }
    Ok(())
}

/// What [`Position::mark`] returns, of a row of `feed_partition`.
pub(in super::super) const MARK: &str = "CASE feed_partition.sequence
    WHEN 0 THEN COALESCE(feed_partition.anchor, '') ELSE '' END";

/// True unless the subscription `$1` is paused, or a decision about it is open: then no effect begins. This also stops an
/// instance that has not heard of it.
pub(in super::super) const NOT_STOPPED: &str = "NOT EXISTS (
    SELECT 1 FROM feed_subscription WHERE name = $1 AND paused_at IS NOT NULL
    UNION ALL
    SELECT 1 FROM feed_decision WHERE subscription = $1 AND done_at IS NULL
)";

/// True if a row `parked` is due. What waits for an event of its subject has no `retry_at`; one that failed, and was first
/// until another one was parked again, has. `now` is no function, so that the end of the index is known.
fn due_until(now: &str) -> String {
    format!(
        "retry_at <= {now}
         AND position = (SELECT min(position) FROM feed_parked AS first
                         WHERE first.subscription = $1 AND first.subject = parked.subject)"
    )
}

/// True if an event is due in a partition that `$2` holds: looks into the index once for each of them.
pub(in super::super) fn is_due(now: &str) -> String {
    format!(
        "EXISTS (SELECT 1 FROM feed_partition AS held
                 WHERE subscription = $1 AND lease_owner = $2
                   AND (SELECT position FROM feed_parked AS parked
                        WHERE subscription = $1 AND partition = held.partition AND {due}
                        ORDER BY retry_at LIMIT 1) IS NOT NULL)",
        due = due_until(now)
    )
}

impl FromRow<'_, Row> for Held {
    fn from_row(row: &Row) -> sqlx::Result<Self> {
        Ok(Self {
            partition: row.try_get("partition")?,
            lease_epoch: row.try_get("lease_epoch")?,
            position: Position::from_row(row)?,
        })
    }
}

from_row! { Position: epoch, sequence, anchor, updated, etag, last_modified }
from_row! { Census: instances, held, epochs, server, locked, free, due, halted, paused, retired_by, decision }
from_row! { Parked: event_id, event, attempts, decision }
