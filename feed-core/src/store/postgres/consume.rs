//! The consuming side, as far as it is PostgreSQL's own.
//!
//! All statements that wait lock rows of `feed_partition` in order of number, and those of `feed_instance` after them. A
//! renewal never waits for a partition: an effect may take longer than the timeout of locks, and its instance is alive.

use std::time::Duration;

use sqlx::{AssertSqlSafe, PgPool, PgTransaction, Postgres};

use super::session::OWN_PLANNER;
use super::statements::{MARK, NOT_STOPPED, is_due};
use crate::database::timeout::{ConnectionHealth, STATEMENT};
use crate::store::Writer;
use crate::store::consume::{
    Advanced, CHANNEL, Census, Claim, Heartbeat, Held, NativeConsume, Position,
};
use crate::store::sql::sql;

impl NativeConsume for Postgres {
    /// The transaction's number, if it has a row in `feed_effect`.
    type Guard = Option<i64>;

    async fn subscribe(writer: Writer<'_, Postgres>, s: &str, partitions: i64) -> sqlx::Result<()> {
        sqlx::query(
            "WITH -- subscription::create
             subscription AS (
                 INSERT INTO feed_subscription (name) VALUES ($1) ON CONFLICT (name) DO NOTHING
                 RETURNING name
             )
             INSERT INTO feed_partition (subscription, partition)
             SELECT name, generate_series(0, $2 - 1) FROM subscription",
        )
        .bind(s)
        .bind(partitions)
        .execute(&mut *writer.acquire().await?)
        .await?;
        Ok(())
    }

    async fn renew(
        writer: Writer<'_, Postgres>,
        s: &str,
        me: &str,
        heartbeat: &Heartbeat,
        term: i64,
    ) -> sqlx::Result<Census> {
        sqlx::query_as(sql!(
            "WITH -- lease::renew
             clock AS (
                 SELECT clock_timestamp() AS now, make_interval(secs => $3) AS term
             ), alive AS (
                 INSERT INTO feed_instance
                     (subscription, instance, alive_until, last_contact, head_sequence, last_error, feed,
                      version, taken_until, started_at)
                 SELECT $1, $2, now + term, $4, $5, $6, $7, $8, $9, now FROM clock
                 ON CONFLICT (subscription, instance) DO UPDATE
                 SET alive_until = EXCLUDED.alive_until, last_contact = EXCLUDED.last_contact,
                     head_sequence = EXCLUDED.head_sequence, last_error = EXCLUDED.last_error,
                     feed = EXCLUDED.feed, taken_until = EXCLUDED.taken_until
             ), unlocked AS (
                 -- A lease that lasts longer than any term was written when the clock was ahead.
                 SELECT partition FROM feed_partition, clock
                 WHERE subscription = $1 AND (lease_owner = $2 OR lease_until > now + 2 * term)
                 ORDER BY partition FOR UPDATE OF feed_partition SKIP LOCKED
             ), renewed AS (
                 UPDATE feed_partition SET lease_until = now + term FROM unlocked, clock
                 WHERE subscription = $1 AND feed_partition.partition = unlocked.partition
                 RETURNING lease_owner
             ), ahead AS (
                 SELECT instance FROM feed_instance, clock
                 WHERE subscription = $1 AND instance <> $2 AND alive_until > now + 2 * term
                 FOR UPDATE OF feed_instance SKIP LOCKED
             ), corrected AS (
                 UPDATE feed_instance SET alive_until = now + term FROM ahead, clock
                 WHERE subscription = $1 AND feed_instance.instance = ahead.instance
             ), held AS (
                 SELECT count(*) AS held, COALESCE(sum(lease_epoch), 0)::bigint AS epochs
                 FROM feed_partition WHERE subscription = $1 AND lease_owner = $2
             )
             SELECT 1 + (SELECT count(*) FROM feed_instance
                         WHERE subscription = $1 AND instance <> $2
                           AND alive_until > now AND retired_at IS NULL) AS instances,
                    held, epochs,
                    held > (SELECT count(*) FROM renewed WHERE lease_owner = $2) AS locked,
                    (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint AS server,
                    (SELECT count(*) FROM feed_partition
                     WHERE subscription = $1
                       AND (lease_owner IS NULL OR lease_owner <> $2 AND lease_until < now)) AS free,
                    {due} AS due,
                    (SELECT halted FROM feed_subscription WHERE name = $1) AS halted,
                    (SELECT paused_by || ': ' || paused_because FROM feed_subscription
                     WHERE name = $1) AS paused,
                    (SELECT retired_by FROM feed_instance
                     WHERE subscription = $1 AND instance = $2) AS retired_by,
                    (SELECT min(position) FROM feed_decision
                     WHERE subscription = $1 AND done_at IS NULL) AS decision
             FROM clock, held",
            due = is_due("now")
        ))
        .bind(s)
        .bind(me)
        .bind(term)
        .bind(heartbeat.last_contact)
        .bind(heartbeat.head_sequence)
        .bind(&heartbeat.last_error)
        .bind(&heartbeat.feed)
        .bind(&heartbeat.version)
        .bind(heartbeat.taken_until)
        .fetch_one(&mut *writer.acquire().await?)
        .await
    }

    async fn leave(writer: Writer<'_, Postgres>, s: &str, me: &str) -> sqlx::Result<()> {
        sqlx::query(
            "WITH -- lease::leave
             held AS (
                 SELECT partition FROM feed_partition
                 WHERE subscription = $1 AND lease_owner = $2 ORDER BY partition FOR UPDATE
             ), released AS (
                 UPDATE feed_partition SET lease_owner = NULL, lease_until = NULL FROM held
                 WHERE subscription = $1 AND feed_partition.partition = held.partition
                 RETURNING 1
             ), said AS (
                 -- After the release: a statement that nothing reads runs last.
                 SELECT pg_notify($3, ''), count(*) FROM released
             )
             UPDATE feed_instance SET alive_until = clock_timestamp(), last_error = NULL FROM said
             WHERE subscription = $1 AND instance = $2",
        )
        .bind(s)
        .bind(me)
        .bind(CHANNEL)
        .execute(&mut *writer.acquire().await?)
        .await?;
        Ok(())
    }

    async fn advance(
        tx: &mut PgTransaction<'_>,
        s: &str,
        me: &str,
        partitions: &[Held],
        to: &Position,
        term: i64,
        effects: bool,
    ) -> sqlx::Result<Advanced<Self>> {
        let numbers: Vec<i64> = partitions.iter().map(|held| held.partition).collect();
        let epochs: Vec<i64> = partitions.iter().map(|held| held.lease_epoch).collect();
        let at: Vec<i64> = partitions
            .iter()
            .map(|held| held.position.sequence)
            .collect();
        let marks: Vec<&str> = partitions.iter().map(|held| held.position.mark()).collect();
        let moved: Vec<(i64, bool, Option<i64>)> = sqlx::query_as(sql!(
            "WITH -- consumer::advance
             ours AS (
                 SELECT feed_partition.partition
                 FROM feed_partition
                 JOIN UNNEST($3::bigint[], $4::bigint[], $5::bigint[], $14::text[])
                          AS held (partition, lease_epoch, sequence, mark)
                   ON feed_partition.partition = held.partition
                  AND feed_partition.lease_epoch = held.lease_epoch
                  AND feed_partition.sequence = held.sequence
                  AND {MARK} = held.mark
                 WHERE subscription = $1 AND lease_owner = $2
                   AND NOT EXISTS (SELECT FROM feed_partition AS other
                                   WHERE other.subscription = $1 AND other.epoch <> $6)
                   AND {not_stopped}
                 ORDER BY feed_partition.partition
                 FOR UPDATE OF feed_partition
             ), effect AS (
                 INSERT INTO feed_effect (id)
                 SELECT pg_current_xact_id()::text::bigint FROM ours WHERE $12 LIMIT 1
                 RETURNING id
             )
             UPDATE feed_partition
             SET epoch = $6, sequence = $7, anchor = coalesce($8, anchor), updated = $9, etag = $10,
                 last_modified = $11,
                 lease_until = clock_timestamp() + make_interval(secs => $13)
             FROM ours LEFT JOIN effect ON TRUE
             WHERE subscription = $1 AND feed_partition.partition = ours.partition
             RETURNING feed_partition.partition,
                       EXISTS (SELECT FROM feed_parked
                               WHERE feed_parked.subscription = $1
                                 AND feed_parked.partition = feed_partition.partition)
                       -- An undo that commits while this waits for the lock moves a row from here to there.
                       OR EXISTS (SELECT FROM feed_undo
                                  WHERE feed_undo.subscription = $1
                                    AND feed_undo.partition = feed_partition.partition),
                       effect.id",
            not_stopped = NOT_STOPPED
        ))
        .bind(s)
        .bind(me)
        .bind(numbers)
        .bind(epochs)
        .bind(at)
        .bind(&to.epoch)
        .bind(to.sequence)
        .bind(&to.anchor)
        .bind(to.updated)
        .bind(&to.etag)
        .bind(&to.last_modified)
        .bind(effects)
        .bind(term)
        .bind(marks)
        .fetch_all(&mut **tx)
        .await?;
        let guard = moved.first().and_then(|(.., guard)| *guard);
        let moved = moved
            .into_iter()
            .map(|(number, parked, _)| (number, parked));
        Ok((moved.collect(), guard))
    }

    async fn claim(
        tx: &mut PgTransaction<'_>,
        s: &str,
        claims: &[Claim<'_>],
        is_last: bool,
    ) -> sqlx::Result<Vec<String>> {
        let ids: Vec<&str> = claims.iter().map(|claim| claim.event_id).collect();
        let sequences: Vec<Option<i64>> = claims.iter().map(|claim| claim.sequence).collect();
        let subjects: Vec<&str> = claims.iter().map(|claim| claim.subject).collect();
        sqlx::query_scalar(sql!(
            "WITH -- consumer::claim
             own AS MATERIALIZED (
                 SELECT {OWN_PLANNER} WHERE $5
             )
             INSERT INTO feed_claim (subscription, event_id, sequence, subject)
             SELECT $1, event_id, sequence, subject
             FROM UNNEST($2::text[], $3::bigint[], $4::text[])
                      AS event (event_id, sequence, subject)
             LEFT JOIN own ON TRUE
             ORDER BY event_id
             ON CONFLICT (subscription, event_id) DO NOTHING RETURNING event_id"
        ))
        .bind(s)
        .bind(ids)
        .bind(sequences)
        .bind(subjects)
        .bind(is_last)
        .fetch_all(&mut **tx)
        .await
    }

    async fn begin_effect(
        tx: &mut PgTransaction<'_>,
        guard: &mut Self::Guard,
        _: Duration,
    ) -> sqlx::Result<()> {
        if guard.is_none() {
            let begun: (i64, Option<String>, Option<String>) = sqlx::query_as(sql!(
                "INSERT -- effect::begin
                 INTO feed_effect (id) VALUES (pg_current_xact_id()::text::bigint)
                 RETURNING id, {OWN_PLANNER}"
            ))
            .fetch_one(&mut **tx)
            .await?;
            *guard = Some(begun.0);
        }
        Ok(())
    }

    async fn commit(
        mut tx: PgTransaction<'static>,
        guard: Self::Guard,
        health: &ConnectionHealth,
    ) -> sqlx::Result<bool> {
        let Some(effect) = guard else {
            tx.commit().await?;
            return Ok(true);
        };
        // One message, so that the check costs no round trip. It is planned with our settings; what the service has
        // deferred to the commit is planned as its statements were.
        let end = format!(
            "SELECT -- effect::end
             set_config('enable_seqscan', 'off', true), feed_end_effect({effect}), {OWN_PLANNER};
             COMMIT AND CHAIN"
        );
        sqlx::raw_sql(AssertSqlSafe(end)).execute(&mut *tx).await?;
        // All is committed. sqlx does not know that and would end the transaction once more, each time with a
        // warning in the server's log. So it ends the empty one that AND CHAIN has begun, in the background.
        let health = health.clone();
        tokio::spawn(async move { health.within(STATEMENT, tx.commit()).await });
        Ok(true)
    }

    async fn cancel(pool: &PgPool, guard: &Self::Guard) -> sqlx::Result<bool> {
        sqlx::query_scalar(
            "SELECT -- effect::cancel
             COALESCE(bool_or(pg_cancel_backend(pid)), FALSE) FROM pg_stat_activity
             WHERE backend_xid = $1::text::xid8::xid AND state = 'active'
               -- It does not wait for us.
               AND wait_event_type IS DISTINCT FROM 'Client'",
        )
        .bind(guard.map(|id| id.to_string()))
        .fetch_one(pool)
        .await
    }
}
