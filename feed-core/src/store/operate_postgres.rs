//! What people ask of a subscription, on PostgreSQL.

use sqlx::{PgPool, PgTransaction, Postgres};

use super::consume::{
    ParkedColumns, ParkedRow, Position, Standing, StandingColumns, parked_from, standing_from,
};
use super::operate::{
    DecisionColumns, DecisionRow, NewDecision, Operate, Skip, SkipColumns, SkipRow, TakenColumns,
    TakenRow, decision_from, skip_from, taken_from,
};
use crate::event::Sequence;

impl Operate for Postgres {
    async fn standing(pool: &PgPool, s: &str) -> sqlx::Result<Standing> {
        let row: StandingColumns = sqlx::query_as(
            "-- subscription::standing
             SELECT lowest.epoch, lowest.sequence, lowest.updated, head, last_contact,
                    (SELECT last_error FROM feed_instance
                     WHERE subscription = $1 AND last_error IS NOT NULL
                       AND alive_until > clock_timestamp()
                     ORDER BY alive_until DESC LIMIT 1),
                    instances,
                    (SELECT count(*) FROM feed_parked
                     WHERE subscription = $1 AND reason IS NOT NULL),
                    (SELECT count(*) FROM feed_parked WHERE subscription = $1 AND reason IS NULL),
                    (SELECT count(*) FROM feed_skip WHERE subscription = $1),
                    (SELECT halted FROM feed_subscription WHERE name = $1),
                    (SELECT begins FROM feed_subscription WHERE name = $1),
                    (SELECT decision FROM feed_decision
                     WHERE subscription = $1 AND done_at IS NULL ORDER BY position LIMIT 1),
                    (SELECT max(sequence) FROM feed_partition WHERE subscription = $1),
                    clock_timestamp()
             FROM (SELECT max(head_sequence) AS head, max(last_contact) AS last_contact,
                          count(*) FILTER (WHERE alive_until > clock_timestamp()) AS instances
                   FROM feed_instance WHERE subscription = $1) AS known
             LEFT JOIN (SELECT epoch, sequence, updated FROM feed_partition
                        WHERE subscription = $1 ORDER BY sequence LIMIT 1) AS lowest ON TRUE",
        )
        .bind(s)
        .fetch_one(pool)
        .await?;
        Ok(standing_from(row))
    }

    async fn parked(
        pool: &PgPool,
        s: &str,
        event_id: Option<&str>,
        limit: i64,
    ) -> sqlx::Result<Vec<ParkedRow>> {
        let rows: Vec<ParkedColumns> = sqlx::query_as(
            "-- parked::list
             SELECT event_id, partition, subject, sequence, event, reason, attempts, parked_at,
                    retry_at
             FROM feed_parked
             WHERE subscription = $1 AND (CAST($2 AS TEXT) IS NULL OR event_id = $2)
             ORDER BY position LIMIT $3",
        )
        .bind(s)
        .bind(event_id)
        .bind(limit)
        .fetch_all(pool)
        .await?;
        Ok(rows.into_iter().map(parked_from).collect())
    }

    async fn taken(
        pool: &PgPool,
        s: &str,
        event_id: Option<&str>,
        limit: i64,
    ) -> sqlx::Result<Vec<TakenRow>> {
        let rows: Vec<TakenColumns> = sqlx::query_as(
            "-- claim::list
             SELECT claim.event_id, claim.subject, claim.sequence, claimed,
                    COALESCE(skip.reason, parked.reason),
                    parked.event_id IS NOT NULL, skip.event_id IS NOT NULL, skip.skipped_by
             FROM feed_claim AS claim
             LEFT JOIN feed_parked AS parked
               ON parked.subscription = $1 AND parked.event_id = claim.event_id
             LEFT JOIN feed_skip AS skip
               ON skip.subscription = $1 AND skip.event_id = claim.event_id
             WHERE claim.subscription = $1 AND (CAST($2 AS TEXT) IS NULL OR claim.event_id = $2)
             ORDER BY claimed DESC, claim.sequence DESC LIMIT $3",
        )
        .bind(s)
        .bind(event_id)
        .bind(limit)
        .fetch_all(pool)
        .await?;
        Ok(rows.into_iter().map(taken_from).collect())
    }

    async fn skipped(pool: &PgPool, s: &str, limit: i64) -> sqlx::Result<Vec<SkipRow>> {
        let rows: Vec<SkipColumns> = sqlx::query_as(
            "-- skip::list
             SELECT event_id, subject, event_type, sequence, reason, skipped_by, skipped_at
             FROM feed_skip WHERE subscription = $1
             ORDER BY skipped_at DESC, sequence DESC LIMIT $2",
        )
        .bind(s)
        .bind(limit)
        .fetch_all(pool)
        .await?;
        Ok(rows.into_iter().map(skip_from).collect())
    }

    async fn decisions(pool: &PgPool, s: &str, limit: i64) -> sqlx::Result<Vec<DecisionRow>> {
        let rows: Vec<DecisionColumns> = sqlx::query_as(
            "-- decision::list
             SELECT position, decision, reason, decided_by, decided_at, done_at, outcome
             FROM feed_decision WHERE subscription = $1 ORDER BY position DESC LIMIT $2",
        )
        .bind(s)
        .bind(limit)
        .fetch_all(pool)
        .await?;
        Ok(rows.into_iter().map(decision_from).collect())
    }

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
            "-- skip::insert
             INSERT INTO feed_skip
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
            "-- operate::lock_partition
             SELECT FROM feed_partition WHERE subscription = $1 AND partition = $2 FOR UPDATE",
        )
        .bind(s)
        .bind(partition)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    async fn hasten(
        tx: &mut PgTransaction<'_>,
        s: &str,
        event_id: Option<&str>,
    ) -> sqlx::Result<u64> {
        let due = sqlx::query(
            "-- parked::hasten
             UPDATE feed_parked SET retry_at = clock_timestamp()
             WHERE subscription = $1 AND reason IS NOT NULL
               AND (CAST($2 AS TEXT) IS NULL OR event_id = $2)",
        )
        .bind(s)
        .bind(event_id)
        .execute(&mut **tx)
        .await?;
        Ok(due.rows_affected())
    }

    async fn decide(
        tx: &mut PgTransaction<'_>,
        s: &str,
        decision: &NewDecision<'_>,
    ) -> sqlx::Result<i64> {
        sqlx::query_scalar(
            "-- decision::insert
             INSERT INTO feed_decision (subscription, decision, reason, decided_by, outcome, done_at)
             VALUES ($1, $2, $3, $4, $5, CASE WHEN CAST($5 AS TEXT) IS NOT NULL THEN clock_timestamp() END)
             RETURNING position",
        )
        .bind(s)
        .bind(decision.decision)
        .bind(decision.reason)
        .bind(decision.decided_by)
        .bind(decision.outcome)
        .fetch_one(&mut **tx)
        .await
    }

    async fn open_decision(pool: &PgPool, s: &str) -> sqlx::Result<Option<DecisionRow>> {
        let row: Option<DecisionColumns> = sqlx::query_as(
            "-- decision::open
             SELECT position, decision, reason, decided_by, decided_at, done_at, outcome
             FROM feed_decision WHERE subscription = $1 AND done_at IS NULL
             ORDER BY position LIMIT 1",
        )
        .bind(s)
        .fetch_optional(pool)
        .await?;
        Ok(row.map(decision_from))
    }

    async fn close_decision(
        tx: &mut PgTransaction<'_>,
        position: i64,
        outcome: &str,
    ) -> sqlx::Result<bool> {
        let closed = sqlx::query(
            "-- decision::close
             UPDATE feed_decision SET done_at = clock_timestamp(), outcome = $2
             WHERE position = $1 AND done_at IS NULL",
        )
        .bind(position)
        .bind(outcome)
        .execute(&mut **tx)
        .await?;
        Ok(closed.rows_affected() == 1)
    }

    async fn unhalt(
        tx: &mut PgTransaction<'_>,
        s: &str,
        begins: Option<Sequence>,
    ) -> sqlx::Result<()> {
        sqlx::query(
            "-- subscription::unhalt
             UPDATE feed_subscription
             SET halted = NULL, halted_at = NULL, begins = COALESCE($2, begins)
             WHERE name = $1",
        )
        .bind(s)
        .bind(begins)
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
            "-- subscription::reposition
             WITH locked AS (
                 SELECT partition, sequence FROM feed_partition
                 WHERE subscription = $1 ORDER BY partition FOR UPDATE
             ), unknown AS (
                 UPDATE feed_instance SET head_sequence = NULL WHERE subscription = $1
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

    async fn forget(tx: &mut PgTransaction<'_>, s: &str, from: Sequence) -> sqlx::Result<u64> {
        let claims = sqlx::query(
            "-- replay::claims
             DELETE FROM feed_claim WHERE subscription = $1 AND (CAST($2 AS BIGINT) <= 1 OR sequence >= $2)",
        )
        .bind(s)
        .bind(from)
        .execute(&mut **tx)
        .await?;
        sqlx::query(
            "-- replay::parked
             DELETE FROM feed_parked WHERE subscription = $1 AND (CAST($2 AS BIGINT) <= 1 OR sequence >= $2)",
        )
        .bind(s)
        .bind(from)
        .execute(&mut **tx)
        .await?;
        sqlx::query(
            "-- replay::passed_over
             DELETE FROM feed_skip
             WHERE subscription = $1 AND skipped_by IS NULL AND (CAST($2 AS BIGINT) <= 1 OR sequence >= $2)",
        )
        .bind(s)
        .bind(from)
        .execute(&mut **tx)
        .await?;
        Ok(claims.rows_affected())
    }

    async fn claim_decided(tx: &mut PgTransaction<'_>, s: &str) -> sqlx::Result<()> {
        sqlx::query(
            "-- claim::decided
             INSERT INTO feed_claim (subscription, event_id, sequence, subject)
             SELECT subscription, event_id, sequence, subject FROM feed_skip WHERE subscription = $1
             UNION ALL
             SELECT subscription, event_id, sequence, subject FROM feed_parked WHERE subscription = $1
             ON CONFLICT DO NOTHING",
        )
        .bind(s)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    async fn without_effect(pool: &PgPool, s: &str, ids: &[&str]) -> sqlx::Result<Vec<String>> {
        sqlx::query_scalar(
            "-- reconcile::without_effect
             SELECT event_id FROM feed_parked WHERE subscription = $1 AND event_id = ANY ($2)
             UNION
             SELECT event_id FROM feed_skip WHERE subscription = $1 AND event_id = ANY ($2)",
        )
        .bind(s)
        .bind(ids)
        .fetch_all(pool)
        .await
    }

    async fn sweep(pool: &PgPool, s: &str, margin: i64, limit: i64) -> sqlx::Result<u64> {
        let swept = sqlx::query(
            "-- claim::sweep
             WITH old AS (
                 SELECT ctid FROM feed_claim
                 WHERE subscription = $1
                   AND sequence < (SELECT min(sequence) FROM feed_partition
                                   WHERE subscription = $1) - $2
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
        .execute(pool)
        .await?;
        Ok(swept.rows_affected())
    }

    async fn set_reconciled(pool: &PgPool, s: &str, result: &str) -> sqlx::Result<()> {
        sqlx::query(
            "-- subscription::set_reconciled
             UPDATE feed_subscription SET reconciled = $2 WHERE name = $1",
        )
        .bind(s)
        .bind(result)
        .execute(pool)
        .await?;
        Ok(())
    }

    async fn reconciled(pool: &PgPool, s: &str) -> sqlx::Result<Option<String>> {
        let result: Option<Option<String>> = sqlx::query_scalar(
            "-- subscription::reconciled
             SELECT reconciled FROM feed_subscription WHERE name = $1",
        )
        .bind(s)
        .fetch_optional(pool)
        .await?;
        Ok(result.flatten())
    }
}
