//! Statements behind status pages and an operator's decisions.

use sqlx::{FromRow, Row as _};

use super::{
    Db, FOR_NO_KEY_UPDATE, FOR_UPDATE, NOW, Pool, Row, Transaction, Writer, from_row, is_in, list,
    now_plus,
};
use crate::event::Sequence;
use crate::store::COUNTED;
use crate::store::consume::{Reported, SubscriptionState};
use crate::store::decide::NOT_CARRIED_OUT;
use crate::store::operate::{
    Attempt, InstanceStatus, Operate, Outcome, ParkedEvent, Progress, SkippedEvent, TakenEvent,
};
use crate::store::sql::sql;

/// Columns and joins for a taken event.
const TAKEN: &str = "claim.event_id AS id, claim.subject, claim.sequence, claimed,
    COALESCE(skip.reason, parked.reason) AS reason,
    parked.event_id IS NOT NULL AS parked, skip.event_id IS NOT NULL AS skipped, skip.skipped_by
    FROM feed_claim AS claim
    LEFT JOIN feed_parked AS parked ON parked.subscription = $1 AND parked.event_id = claim.event_id
    LEFT JOIN feed_skip AS skip ON skip.subscription = $1 AND skip.event_id = claim.event_id";

/// Returns the condition that nothing of the subscription `$1` was ever taken, parked or resumed. Claims far below the cursors
/// are removed, so these do not suffice.
fn never_begun() -> String {
    format!(
        "NOT EXISTS (SELECT 1 FROM feed_partition WHERE subscription = $1 AND (epoch IS NOT NULL OR sequence > 0))
         AND NOT EXISTS (SELECT 1 FROM feed_claim WHERE subscription = $1)
         AND NOT EXISTS (SELECT 1 FROM feed_parked WHERE subscription = $1)
         AND NOT EXISTS (SELECT 1 FROM feed_decision
                         WHERE subscription = $1 AND decision LIKE 'resume %'
                           AND done_at IS NOT NULL AND outcome NOT LIKE '{NOT_CARRIED_OUT}%')"
    )
}

impl Operate for Db {
    async fn subscriptions(pool: &Pool) -> sqlx::Result<Vec<String>> {
        sqlx::query_scalar(
            "SELECT -- subscription::names
             name FROM feed_subscription ORDER BY name",
        )
        .fetch_all(pool)
        .await
    }

    async fn subscription_state(pool: &Pool, s: &str) -> sqlx::Result<SubscriptionState> {
        sqlx::query_as(sql!(
            "SELECT -- subscription::standing
             lowest.epoch, COALESCE(lowest.sequence, 0) AS sequence, lowest.updated, head, taken_until, unknown_since,
                    last_contact, started,
                    (SELECT last_error FROM feed_instance
                     WHERE subscription = $1 AND last_error IS NOT NULL
                       AND alive_until > {NOW}
                     ORDER BY alive_until DESC LIMIT 1) AS last_error,
                    (SELECT feed FROM feed_instance
                     WHERE subscription = $1 AND feed IS NOT NULL
                     ORDER BY alive_until DESC LIMIT 1) AS feed,
                    instances, retired,
                    (SELECT count(*) FROM feed_parked
                     WHERE subscription = $1 AND reason IS NOT NULL) AS parked,
                    (SELECT count(*) FROM feed_parked
                     WHERE subscription = $1 AND reason IS NULL) AS waiting,
                    (SELECT count(*) FROM feed_skip WHERE subscription = $1) AS skipped,
                    halted, paused_at, paused_by, paused_because, begins,
                    (SELECT decision FROM feed_decision
                     WHERE subscription = $1 AND done_at IS NULL
                     ORDER BY position LIMIT 1) AS decision,
                    (SELECT COALESCE(max(sequence), 0) FROM feed_partition
                     WHERE subscription = $1) AS furthest,
                    {NOW} AS now
             FROM {reported}
             LEFT JOIN feed_subscription ON name = $1
             LEFT JOIN (SELECT epoch, sequence, updated FROM feed_partition
                        WHERE subscription = $1 ORDER BY sequence LIMIT 1) AS lowest ON TRUE",
            reported = reported()
        ))
        .bind(s)
        .fetch_one(pool)
        .await
    }

    async fn halted(pool: &Pool, s: &str) -> sqlx::Result<Option<String>> {
        let halted: Option<Option<String>> = sqlx::query_scalar(
            "SELECT -- subscription::halted
             halted FROM feed_subscription WHERE name = $1",
        )
        .bind(s)
        .fetch_optional(pool)
        .await?;
        Ok(halted.flatten())
    }

    async fn progress(pool: &Pool, s: &str) -> sqlx::Result<Progress> {
        sqlx::query_as(sql!(
            "SELECT -- subscription::progress
             COALESCE(lowest.sequence, 0) AS sequence, head, taken_until, unknown_since, last_contact,
                    started, instances, retired, parked, waiting,
                    EXISTS (SELECT 1 FROM feed_subscription
                            WHERE name = $1 AND halted IS NOT NULL) AS halted,
                    EXISTS (SELECT 1 FROM feed_subscription
                            WHERE name = $1 AND paused_at IS NOT NULL) AS paused
             FROM {reported}
             CROSS JOIN (SELECT count(*) AS parked
                         FROM (SELECT 1 FROM feed_parked
                               WHERE subscription = $1 AND reason IS NOT NULL LIMIT $2) AS counted) AS failed
             CROSS JOIN (SELECT count(*) AS waiting
                         FROM (SELECT 1 FROM feed_parked
                               WHERE subscription = $1 AND reason IS NULL LIMIT $2) AS counted) AS blocked
             LEFT JOIN (SELECT sequence FROM feed_partition
                        WHERE subscription = $1 ORDER BY sequence LIMIT 1) AS lowest ON TRUE",
            reported = reported()
        ))
        .bind(s)
        .bind(COUNTED)
        .fetch_one(pool)
        .await
    }

    async fn parked(pool: &Pool, s: &str, limit: i64) -> sqlx::Result<Vec<ParkedEvent>> {
        sqlx::query_as(
            "SELECT -- parked::list
             event_id AS id, subject, event_type, sequence, reason, attempts, parked_at, retry_at
             FROM feed_parked WHERE subscription = $1 ORDER BY position LIMIT $2",
        )
        .bind(s)
        .bind(limit)
        .fetch_all(pool)
        .await
    }

    async fn parked_about(
        pool: &Pool,
        s: &str,
        about: &[&str],
        limit: i64,
    ) -> sqlx::Result<Vec<ParkedEvent>> {
        sqlx::query_as(sql!(
            "SELECT -- parked::about
             event_id AS id, subject, event_type, sequence, reason, attempts, parked_at, retry_at
             FROM feed_parked
             WHERE subscription = $1 AND (event_id {in_list} OR subject {in_list})
             ORDER BY position LIMIT $3",
            in_list = is_in("$2")
        ))
        .bind(s)
        .bind(list(about))
        .bind(limit)
        .fetch_all(pool)
        .await
    }

    async fn received(pool: &Pool, s: &str, event_id: &str) -> sqlx::Result<Option<String>> {
        sqlx::query_scalar(
            "SELECT -- parked::received
             event FROM feed_parked WHERE subscription = $1 AND event_id = $2",
        )
        .bind(s)
        .bind(event_id)
        .fetch_optional(pool)
        .await
    }

    async fn attempts(pool: &Pool, s: &str, event_id: &str) -> sqlx::Result<Vec<Attempt>> {
        sqlx::query_as(
            "SELECT -- attempt::list
             attempt, tried_at, reason FROM feed_attempt
             WHERE subscription = $1 AND event_id = $2 ORDER BY attempt DESC",
        )
        .bind(s)
        .bind(event_id)
        .fetch_all(pool)
        .await
    }

    async fn taken(pool: &Pool, s: &str, limit: i64) -> sqlx::Result<Vec<TakenEvent>> {
        sqlx::query_as(sql!(
            "SELECT -- claim::list
             {TAKEN} WHERE claim.subscription = $1
             ORDER BY claimed DESC, claim.sequence DESC LIMIT $2"
        ))
        .bind(s)
        .bind(limit)
        .fetch_all(pool)
        .await
    }

    async fn taken_before(
        pool: &Pool,
        s: &str,
        before: Sequence,
        limit: i64,
    ) -> sqlx::Result<Vec<TakenEvent>> {
        sqlx::query_as(sql!(
            "SELECT -- claim::before
             {TAKEN} WHERE claim.subscription = $1 AND claim.sequence < $3
             ORDER BY claim.sequence DESC LIMIT $2"
        ))
        .bind(s)
        .bind(limit)
        .bind(before)
        .fetch_all(pool)
        .await
    }

    async fn taken_about(
        pool: &Pool,
        s: &str,
        about: &[&str],
        before: Option<Sequence>,
        limit: i64,
    ) -> sqlx::Result<Vec<TakenEvent>> {
        // Claims of long ago are swept; parked and skipped events stay. Only claims have no index by subject: they are
        // few, and each event would pay for it.
        sqlx::query_as(sql!(
            "WITH -- claim::about
             known AS (
                 SELECT event_id FROM feed_claim WHERE {ABOUT}
                 UNION
                 SELECT event_id FROM feed_parked WHERE {ABOUT}
                 UNION
                 SELECT event_id FROM feed_skip WHERE {ABOUT}
             )
             SELECT known.event_id AS id, COALESCE(claim.subject, parked.subject, skip.subject) AS subject,
                    COALESCE(claim.sequence, parked.sequence, skip.sequence) AS sequence,
                    COALESCE(claimed, parked_at, skipped_at) AS claimed,
                    COALESCE(skip.reason, parked.reason) AS reason,
                    parked.event_id IS NOT NULL AS parked, skip.event_id IS NOT NULL AS skipped,
                    skip.skipped_by
             FROM known
             LEFT JOIN feed_claim AS claim
               ON claim.subscription = $1 AND claim.event_id = known.event_id
             LEFT JOIN feed_parked AS parked
               ON parked.subscription = $1 AND parked.event_id = known.event_id
             LEFT JOIN feed_skip AS skip
               ON skip.subscription = $1 AND skip.event_id = known.event_id
             WHERE CAST($4 AS BIGINT) IS NULL
                OR COALESCE(claim.sequence, parked.sequence, skip.sequence) < $4
             ORDER BY sequence DESC, claimed DESC LIMIT $3",
            ABOUT = format!("subscription = $1 AND (event_id {in_list} OR subject {in_list})", in_list = is_in("$2"))
        ))
        .bind(s)
        .bind(list(about))
        .bind(limit)
        .bind(before)
        .fetch_all(pool)
        .await
    }

    async fn skipped(pool: &Pool, s: &str, limit: i64) -> sqlx::Result<Vec<SkippedEvent>> {
        sqlx::query_as(
            "SELECT -- skip::list
             event_id AS id, subject, event_type, sequence, reason, skipped_by, skipped_at
             FROM feed_skip WHERE subscription = $1
             ORDER BY skipped_at DESC, sequence DESC LIMIT $2",
        )
        .bind(s)
        .bind(limit)
        .fetch_all(pool)
        .await
    }

    async fn is_new(pool: &Pool, s: &str) -> sqlx::Result<bool> {
        sqlx::query_scalar(sql!(
            "SELECT -- subscription::is_new
             {}",
            never_begun()
        ))
        .bind(s)
        .fetch_one(pool)
        .await
    }

    async fn unhalt(
        tx: &mut Transaction<'_>,
        s: &str,
        begins: Option<Sequence>,
    ) -> sqlx::Result<bool> {
        let resumed = sqlx::query(sql!(
            "UPDATE -- subscription::unhalt
             feed_subscription
             SET halted = NULL, halted_at = NULL, begins = COALESCE($2, begins)
             WHERE name = $1 AND (halted IS NOT NULL OR {})",
            never_begun()
        ))
        .bind(s)
        .bind(begins)
        .execute(&mut **tx)
        .await?;
        Ok(resumed.rows_affected() == 1)
    }

    async fn lock_subscription(tx: &mut Transaction<'_>, s: &str) -> sqlx::Result<()> {
        sqlx::query(sql!(
            "SELECT -- subscription::lock
             1 FROM feed_subscription WHERE name = $1 {FOR_NO_KEY_UPDATE}"
        ))
        .bind(s)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    async fn pause(
        tx: &mut Transaction<'_>,
        s: &str,
        reason: &str,
        by: &str,
    ) -> sqlx::Result<bool> {
        let paused = sqlx::query(sql!(
            "UPDATE -- subscription::pause
             feed_subscription SET paused_at = {NOW}, paused_by = $2, paused_because = $3
             WHERE name = $1 AND paused_at IS NULL"
        ))
        .bind(s)
        .bind(by)
        .bind(reason)
        .execute(&mut **tx)
        .await?;
        Ok(paused.rows_affected() == 1)
    }

    async fn unpause(tx: &mut Transaction<'_>, s: &str) -> sqlx::Result<bool> {
        let resumed = sqlx::query(
            "UPDATE -- subscription::unpause
             feed_subscription SET paused_at = NULL, paused_by = NULL, paused_because = NULL
             WHERE name = $1 AND paused_at IS NOT NULL",
        )
        .bind(s)
        .execute(&mut **tx)
        .await?;
        Ok(resumed.rows_affected() == 1)
    }

    async fn instances(pool: &Pool, s: &str, limit: i64) -> sqlx::Result<Vec<InstanceStatus>> {
        sqlx::query_as(sql!(
            "SELECT -- instance::list
             instance, version, started_at, alive_until > {NOW} AS alive, alive_until, last_contact, last_error,
                    retired_at, retired_by, retired_because, count(lease_owner) AS partitions, min(sequence) AS sequence,
                    (SELECT max(head_sequence) FROM feed_instance WHERE subscription = $1) AS head
             FROM feed_instance
             LEFT JOIN feed_partition
               ON feed_partition.subscription = $1 AND lease_owner = instance AND lease_until > {NOW}
             WHERE feed_instance.subscription = $1 AND alive_until >= {an_hour_ago}
             GROUP BY feed_instance.subscription, instance
             ORDER BY alive DESC, started_at, instance LIMIT $2",
            an_hour_ago = now_plus("-3600")
        ))
        .bind(s)
        .bind(limit)
        .fetch_all(pool)
        .await
    }

    async fn retire(
        tx: &mut Transaction<'_>,
        s: &str,
        instance: &str,
        reason: &str,
        by: &str,
    ) -> sqlx::Result<bool> {
        // Two operators who each retire one of the last two would leave none.
        Self::lock_subscription(tx, s).await?;
        let retired = sqlx::query(sql!(
            "UPDATE -- instance::retire
             feed_instance SET retired_at = {NOW}, retired_by = $3, retired_because = $4
             WHERE subscription = $1 AND instance = $2 AND retired_at IS NULL
               AND EXISTS (SELECT 1 FROM feed_instance AS other
                           WHERE other.subscription = $1 AND other.instance <> $2
                             AND other.retired_at IS NULL AND other.alive_until > {NOW})"
        ))
        .bind(s)
        .bind(instance)
        .bind(by)
        .bind(reason)
        .execute(&mut **tx)
        .await?;
        Ok(retired.rows_affected() == 1)
    }

    async fn fence(tx: &mut Transaction<'_>, s: &str) -> sqlx::Result<()> {
        sqlx::query(sql!(
            "WITH -- subscription::fence
             locked AS (SELECT partition FROM feed_partition WHERE subscription = $1 ORDER BY partition {FOR_UPDATE})
             UPDATE feed_partition SET lease_epoch = lease_epoch + 1 FROM locked
             WHERE feed_partition.subscription = $1 AND feed_partition.partition = locked.partition"
        ))
        .bind(s)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    async fn without_effect(pool: &Pool, s: &str, ids: &[&str]) -> sqlx::Result<Vec<String>> {
        sqlx::query_scalar(sql!(
            "SELECT -- reconcile::without_effect
             event_id FROM feed_parked WHERE subscription = $1 AND event_id {in_list}
             UNION
             SELECT event_id FROM feed_skip WHERE subscription = $1 AND event_id {in_list}",
            in_list = is_in("$2")
        ))
        .bind(s)
        .bind(list(ids))
        .fetch_all(pool)
        .await
    }

    async fn set_reconciled(writer: Writer<'_>, s: &str, result: &str) -> sqlx::Result<()> {
        sqlx::query(
            "UPDATE -- subscription::set_reconciled
             feed_subscription SET reconciled = $2 WHERE name = $1",
        )
        .bind(s)
        .bind(result)
        .execute(&mut *writer.acquire().await?)
        .await?;
        Ok(())
    }

    async fn reconciled(pool: &Pool, s: &str) -> sqlx::Result<Option<String>> {
        let result: Option<Option<String>> = sqlx::query_scalar(
            "SELECT -- subscription::reconciled
             reconciled FROM feed_subscription WHERE name = $1",
        )
        .bind(s)
        .fetch_optional(pool)
        .await?;
        Ok(result.flatten())
    }
}

/// Returns the table of one row with what the instances have reported. Until when all events are taken, the live ones know; if
/// there are none, the last ones did. An instance without contact since its start knows nothing of its partitions, and no
/// instance knows of those without a lease, whose rows another session may lock. A time in the future is of a clock that was
/// ahead, and would hide all silence until then: a live instance corrects its own, and those of others are not known.
fn reported() -> String {
    let not_later = |column: &str| {
        format!(
            "(CASE WHEN {column} IS NULL OR {column} <= {NOW} THEN {column} WHEN alive_until > {NOW} THEN {NOW} END)"
        )
    };
    let (taken_until, last_contact) = (not_later("taken_until"), not_later("last_contact"));
    let live = format!("alive_until > {NOW} AND retired_at IS NULL");
    format!(
        "(SELECT max(head_sequence) AS head,
                 COALESCE(min({taken_until}) FILTER (WHERE {live}), max({taken_until})) AS taken_until,
                 CASE WHEN count(*) FILTER (WHERE {live}) > 0 THEN
                     (SELECT min(since) FROM
                         (SELECT COALESCE(lease_until, updated) AS since FROM feed_partition
                          WHERE subscription = $1 AND (lease_until IS NULL OR lease_until < {NOW})
                          UNION ALL
                          SELECT started_at FROM feed_instance AS fresh
                          WHERE subscription = $1 AND {live} AND taken_until IS NULL
                            AND EXISTS (SELECT 1 FROM feed_partition AS share
                                        WHERE share.subscription = $1 AND share.lease_owner = fresh.instance)
                         ) AS unknown) END AS unknown_since,
                 max({last_contact}) AS last_contact, min(started_at) AS started,
                 count(*) FILTER (WHERE {live}) AS instances,
                 count(*) FILTER (WHERE alive_until > {NOW} AND retired_at IS NOT NULL) AS retired
          FROM feed_instance WHERE subscription = $1) AS reported"
    )
}

from_row! {
    Reported: head, taken_until, unknown_since, last_contact, started, instances, retired
}

from_row! {
    SubscriptionState: epoch, sequence, updated, last_error, feed, parked, waiting, skipped, halted, paused_at, paused_by,
        paused_because, begins, decision, furthest, now; reported
}

from_row! {
    Progress: sequence, parked, waiting, halted, paused; reported
}

from_row! {
    ParkedEvent: id, subject, event_type, sequence, reason, attempts, parked_at, retry_at
}

from_row! {
    InstanceStatus: instance, version, started_at, alive, alive_until, last_contact, last_error, retired_at,
        retired_by, retired_because, partitions, sequence, head
}

from_row! {
    Attempt: attempt, tried_at, reason
}

impl FromRow<'_, Row> for TakenEvent {
    fn from_row(row: &Row) -> sqlx::Result<Self> {
        let (reason, by): (Option<_>, Option<String>) =
            (row.try_get("reason")?, row.try_get("skipped_by")?);
        let outcome = match (row.try_get("skipped")?, row.try_get("parked")?) {
            (true, _) if by.is_some() => Outcome::Skipped,
            (true, _) => Outcome::PassedOver,
            (false, true) if reason.is_some() => Outcome::Parked,
            (false, true) => Outcome::Waiting,
            (false, false) => Outcome::Applied,
        };
        Ok(Self {
            id: row.try_get("id")?,
            subject: row.try_get("subject")?,
            sequence: row.try_get("sequence")?,
            claimed: row.try_get("claimed")?,
            outcome,
            reason,
            skipped_by: by,
        })
    }
}

from_row! {
    SkippedEvent: id, subject, event_type, sequence, reason, skipped_by, skipped_at
}
