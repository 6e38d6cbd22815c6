//! Statements on decisions about parked events, and on taking them back.

use chrono::{DateTime, Utc};
use sqlx::QueryBuilder;

use super::{
    Db, NOW, Pool, Transaction, WITH_POSITION, Writer, from_row, instant, is_in, list, now_plus,
};
use crate::consumer::Selection;
use crate::store::decide::{Cause, Decide, Decided, NewDecision, Skipping, TypeCount};
use crate::store::operate::{ParkedEvent, SkippedEvent};
use crate::store::sql::sql;

/// The columns of a decision, and where they are.
const DECIDED: &str = "made.position, made.decision, made.reason, made.decided_by, made.decided_at, made.done_at,
    CASE WHEN made.done_at IS NOT NULL THEN made.outcome END AS outcome, undo.decided_by AS undone_by, undo.decided_at AS undone_at,
    (made.outcome IS NULL OR EXISTS (SELECT 1 FROM feed_undo WHERE feed_undo.decision = made.position))
        AS can_be_undone,
    (SELECT count(*) FROM feed_parked
     WHERE feed_parked.decision = made.position AND made.decision LIKE 'retry %') AS still_parked
    FROM feed_decision AS made LEFT JOIN feed_decision AS undo ON undo.position = made.undone";

/// The end of the year 9999. An instant outside of the years from 1970 to then is no instant to PostgreSQL, or is compared
/// as another text to SQLite; no event was parked there.
const LAST_INSTANT: DateTime<Utc> = match DateTime::from_timestamp_millis(253_402_300_799_999) {
    Some(last) => last,
    None => DateTime::UNIX_EPOCH,
};

/// Appends the condition that a row of `feed_parked` has failed and is selected.
fn push_selected(query: &mut QueryBuilder<Db>, s: &str, selection: &Selection) {
    let instant = |at: DateTime<Utc>| instant(at.clamp(DateTime::UNIX_EPOCH, LAST_INSTANT));
    query
        .push("feed_parked.subscription = ")
        .push_bind(s)
        .push(" AND reason IS NOT NULL");
    if let Some(event_id) = &selection.event_id {
        query.push(" AND event_id = ").push_bind(event_id);
    }
    if let Some(cause) = &selection.cause {
        query.push(" AND reason = ").push_bind(cause);
    }
    if let Some(event_type) = &selection.event_type {
        query.push(" AND event_type = ").push_bind(event_type);
    }
    if let Some(from) = selection.from {
        query.push(" AND parked_at >= ").push_bind(instant(from));
    }
    if let Some(until) = selection.until {
        query.push(" AND parked_at < ").push_bind(instant(until));
    }
    if let Some(as_of) = selection.as_of {
        query
            .push(" AND parked_at <= ")
            .push_bind(instant(as_of))
            .push(
                // The first attempt is the one that has parked it.
                " AND (attempts <= 1 OR NOT EXISTS (
                      SELECT 1 FROM feed_attempt
                      WHERE feed_attempt.subscription = feed_parked.subscription
                        AND feed_attempt.event_id = feed_parked.event_id AND tried_at > ",
            )
            .push_bind(instant(as_of))
            .push("))");
    }
}

/// A statement that ends with the condition that rows of `feed_parked` are selected.
fn on_selected(begin: &str, s: &str, selection: &Selection) -> QueryBuilder<Db> {
    let mut query = QueryBuilder::new(begin);
    query.push(" WHERE ");
    push_selected(&mut query, s, selection);
    query
}

impl Decide for Db {
    async fn now(pool: &Pool) -> sqlx::Result<DateTime<Utc>> {
        sqlx::query_scalar(sql!("SELECT -- decision::now\n{NOW}"))
            .fetch_one(pool)
            .await
    }

    async fn decide(
        tx: &mut Transaction<'_>,
        s: &str,
        decision: &NewDecision<'_>,
    ) -> sqlx::Result<i64> {
        sqlx::query_scalar(sql!(
            "INSERT -- decision::insert
             INTO feed_decision (subscription, decision, reason, decided_by, outcome, done_at)
             VALUES ($1, $2, $3, $4, $5, CASE WHEN CAST($5 AS TEXT) IS NOT NULL THEN {NOW} END)
             RETURNING position"
        ))
        .bind(s)
        .bind(decision.decision)
        .bind(decision.reason)
        .bind(decision.decided_by)
        .bind(decision.outcome)
        .fetch_one(&mut **tx)
        .await
    }

    async fn open_decision(pool: &Pool, s: &str) -> sqlx::Result<Option<Decided>> {
        sqlx::query_as(sql!(
            "SELECT -- decision::open
             {DECIDED} WHERE made.subscription = $1 AND made.done_at IS NULL
             ORDER BY made.position LIMIT 1"
        ))
        .bind(s)
        .fetch_optional(pool)
        .await
    }

    async fn begin_decision(
        tx: &mut Transaction<'_>,
        position: i64,
        known: Option<&str>,
        outcome: &str,
    ) -> sqlx::Result<bool> {
        let begun = sqlx::query(
            "UPDATE -- decision::begin
             feed_decision SET outcome = $3
             WHERE position = $1 AND done_at IS NULL AND outcome IS NOT DISTINCT FROM $2",
        );
        let begun = begun.bind(position).bind(known).bind(outcome);
        Ok(begun.execute(&mut **tx).await?.rows_affected() == 1)
    }

    async fn close_decision(
        tx: &mut Transaction<'_>,
        position: i64,
        known: Option<&str>,
        outcome: &str,
    ) -> sqlx::Result<bool> {
        let closed = sqlx::query(sql!(
            "UPDATE -- decision::close
             feed_decision SET done_at = {NOW}, outcome = $3
             WHERE position = $1 AND done_at IS NULL AND outcome IS NOT DISTINCT FROM $2"
        ));
        let closed = closed.bind(position).bind(known).bind(outcome);
        Ok(closed.execute(&mut **tx).await?.rows_affected() == 1)
    }

    async fn is_under_way(tx: &mut Transaction<'_>, s: &str) -> sqlx::Result<bool> {
        sqlx::query_scalar(
            "SELECT -- decision::under_way
             EXISTS (SELECT 1 FROM feed_decision
                     WHERE subscription = $1 AND done_at IS NULL AND outcome IS NOT NULL)",
        )
        .bind(s)
        .fetch_one(&mut **tx)
        .await
    }

    async fn is_replay_open(tx: &mut Transaction<'_>, s: &str) -> sqlx::Result<bool> {
        sqlx::query_scalar(
            "SELECT -- decision::replay_open
             EXISTS (SELECT 1 FROM feed_decision
                     WHERE subscription = $1 AND done_at IS NULL AND decision LIKE 'replay %')",
        )
        .bind(s)
        .fetch_one(&mut **tx)
        .await
    }

    async fn set_outcome(
        tx: &mut Transaction<'_>,
        position: i64,
        outcome: &str,
    ) -> sqlx::Result<bool> {
        let set = sqlx::query(
            "UPDATE -- decision::set_outcome
             feed_decision SET outcome = $2 WHERE position = $1 AND undone IS NULL",
        )
        .bind(position)
        .bind(outcome)
        .execute(&mut **tx)
        .await?;
        Ok(set.rows_affected() == 1)
    }

    async fn set_undone(tx: &mut Transaction<'_>, position: i64, undo: i64) -> sqlx::Result<()> {
        sqlx::query(
            "UPDATE -- decision::set_undone
             feed_decision SET undone = $2 WHERE position = $1 AND undone IS NULL",
        )
        .bind(position)
        .bind(undo)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    async fn decision(pool: &Pool, s: &str, position: i64) -> sqlx::Result<Option<Decided>> {
        sqlx::query_as(sql!(
            "SELECT -- decision::one
             {DECIDED} WHERE made.subscription = $1 AND made.position = $2"
        ))
        .bind(s)
        .bind(position)
        .fetch_optional(pool)
        .await
    }

    async fn decisions(pool: &Pool, s: &str, limit: i64) -> sqlx::Result<Vec<Decided>> {
        sqlx::query_as(sql!(
            "SELECT -- decision::list
             {DECIDED} WHERE made.subscription = $1 ORDER BY made.position DESC LIMIT $2"
        ))
        .bind(s)
        .bind(limit)
        .fetch_all(pool)
        .await
    }

    async fn decisions_of(
        pool: &Pool,
        s: &str,
        texts: &[&str],
        ids: &[&str],
    ) -> sqlx::Result<Vec<Decided>> {
        sqlx::query_as(sql!(
            "WITH -- decision::of
             known AS (
                 SELECT position, undone FROM feed_decision
                 WHERE subscription = $1
                   AND (decision {in_texts}
                        OR position IN (SELECT decision FROM feed_skip
                                        WHERE subscription = $1 AND event_id {in_ids})
                        OR position IN (SELECT decision FROM feed_parked
                                        WHERE subscription = $1 AND event_id {in_ids}))
             )
             SELECT {DECIDED}
             WHERE made.subscription = $1
               AND (made.position IN (SELECT position FROM known)
                    OR made.position IN (SELECT undone FROM known)
                    OR made.undone IN (SELECT position FROM known))
             ORDER BY made.position DESC",
            in_texts = is_in("$2"),
            in_ids = is_in("$3")
        ))
        .bind(s)
        .bind(list(texts))
        .bind(list(ids))
        .fetch_all(pool)
        .await
    }

    async fn causes(
        pool: &Pool,
        s: &str,
        selection: &Selection,
        limit: i64,
    ) -> sqlx::Result<Vec<Cause>> {
        let begin = "SELECT -- parked::causes
             reason AS cause, count(*) AS events, min(subject) AS subject, min(parked_at) AS since
             FROM feed_parked";
        on_selected(begin, s, selection)
            .push(" GROUP BY reason ORDER BY events DESC, cause LIMIT ")
            .push_bind(limit)
            .build_query_as()
            .fetch_all(pool)
            .await
    }

    async fn types(
        pool: &Pool,
        s: &str,
        selection: &Selection,
        limit: i64,
    ) -> sqlx::Result<Vec<TypeCount>> {
        let begin = "SELECT -- parked::types
             event_type, count(*) AS events FROM feed_parked";
        on_selected(begin, s, selection)
            .push(" GROUP BY event_type ORDER BY events DESC, event_type LIMIT ")
            .push_bind(limit)
            .build_query_as()
            .fetch_all(pool)
            .await
    }

    async fn count(pool: &Pool, s: &str, selection: &Selection) -> sqlx::Result<i64> {
        let begin = "SELECT -- parked::count
             count(*) FROM feed_parked";
        on_selected(begin, s, selection)
            .build_query_scalar()
            .fetch_one(pool)
            .await
    }

    async fn selected(
        pool: &Pool,
        s: &str,
        selection: &Selection,
        limit: i64,
    ) -> sqlx::Result<Vec<ParkedEvent>> {
        let begin = "SELECT -- parked::selected
             event_id AS id, subject, event_type, sequence, reason, attempts, parked_at, retry_at
             FROM feed_parked";
        on_selected(begin, s, selection)
            .push(" ORDER BY parked_at, position LIMIT ")
            .push_bind(limit)
            .build_query_as()
            .fetch_all(pool)
            .await
    }

    async fn partitions_of(pool: &Pool, s: &str, selection: &Selection) -> sqlx::Result<Vec<i64>> {
        let begin = "SELECT -- parked::partitions
             DISTINCT partition FROM feed_parked";
        on_selected(begin, s, selection)
            .push(" ORDER BY partition")
            .build_query_scalar()
            .fetch_all(pool)
            .await
    }

    async fn selected_in(
        tx: &mut Transaction<'_>,
        s: &str,
        selection: &Selection,
        partition: i64,
        limit: i64,
    ) -> sqlx::Result<Vec<String>> {
        let begin = "SELECT -- parked::selected_in
             event_id FROM feed_parked";
        on_selected(begin, s, selection)
            .push(" AND partition = ")
            .push_bind(partition)
            .push(" ORDER BY position LIMIT ")
            .push_bind(limit)
            .build_query_scalar()
            .fetch_all(&mut **tx)
            .await
    }

    async fn retry_selected(
        tx: &mut Transaction<'_>,
        s: &str,
        selection: &Selection,
        partition: i64,
        decision: i64,
    ) -> sqlx::Result<u64> {
        let mut query = QueryBuilder::new("UPDATE -- parked::hasten\nfeed_parked SET retry_at = ");
        query.push(NOW).push(", decision = ").push_bind(decision);
        query.push(" WHERE ");
        push_selected(&mut query, s, selection);
        query.push(" AND partition = ").push_bind(partition);
        let due = query.build().execute(&mut **tx).await?;
        Ok(due.rows_affected())
    }

    async fn skip_parked(
        tx: &mut Transaction<'_>,
        s: &str,
        ids: &[&str],
        skipping: &Skipping<'_>,
    ) -> sqlx::Result<u64> {
        sqlx::query(sql!(
            "INSERT -- undo::keep
             INTO feed_undo (subscription, event_id, decision, position, partition, subject, event_type, sequence,
                             event, reason, attempts, parked_at, retry_at)
             SELECT subscription, event_id, $3, position, partition, subject, event_type, sequence,
                    event, reason, attempts, parked_at, retry_at
             FROM feed_parked WHERE subscription = $1 AND event_id {in_list} AND reason IS NOT NULL",
            in_list = is_in("$2")
        ))
        .bind(s)
        .bind(list(ids))
        .bind(skipping.decision)
        .execute(&mut **tx)
        .await?;
        sqlx::query(sql!(
            "INSERT -- skip::parked
             INTO feed_skip (subscription, event_id, subject, event_type, sequence, reason, skipped_by, decision)
             SELECT subscription, event_id, subject, event_type, sequence, $3, $4, $5
             FROM feed_parked WHERE subscription = $1 AND event_id {in_list} AND reason IS NOT NULL
             ON CONFLICT (subscription, event_id) DO UPDATE
             SET reason = excluded.reason, skipped_by = excluded.skipped_by, skipped_at = excluded.skipped_at,
                 decision = excluded.decision",
            in_list = is_in("$2")
        ))
        .bind(s)
        .bind(list(ids))
        .bind(skipping.reason)
        .bind(skipping.by)
        .bind(skipping.decision)
        .execute(&mut **tx)
        .await?;
        let gone = sqlx::query(sql!(
            "DELETE -- parked::skip
             FROM feed_parked WHERE subscription = $1 AND event_id {in_list} AND reason IS NOT NULL",
            in_list = is_in("$2")
        ))
        .bind(s)
        .bind(list(ids))
        .execute(&mut **tx)
        .await?;
        Ok(gone.rows_affected())
    }

    async fn kept(pool: &Pool, position: i64, limit: i64) -> sqlx::Result<Vec<(i64, String)>> {
        sqlx::query_as(
            "SELECT -- undo::kept
             partition, event_id FROM feed_undo WHERE decision = $1 ORDER BY partition LIMIT $2",
        )
        .bind(position)
        .bind(limit)
        .fetch_all(pool)
        .await
    }

    async fn unskip(
        tx: &mut Transaction<'_>,
        s: &str,
        ids: &[&str],
        position: i64,
        undo: i64,
    ) -> sqlx::Result<u64> {
        // What was due next of their subjects waits for them.
        sqlx::query(sql!(
            "UPDATE -- undo::wait
             feed_parked SET retry_at = NULL
             WHERE subscription = $1 AND reason IS NULL AND event_id IN (
                 SELECT first.event_id
                 FROM feed_undo AS kept
                 JOIN feed_parked AS first ON first.subscription = $1 AND first.subject = kept.subject
                 WHERE kept.subscription = $1 AND kept.decision = $2 AND kept.event_id {in_list}
                   AND first.position = (SELECT min(position) FROM feed_parked
                                         WHERE subscription = $1 AND subject = kept.subject)
                   AND first.position > kept.position
             )",
            in_list = is_in("$3")
        ))
        .bind(s)
        .bind(position)
        .bind(list(ids))
        .execute(&mut **tx)
        .await?;
        let parked = sqlx::query(sql!(
            "INSERT -- undo::park
             INTO feed_parked (subscription, event_id, position, partition, subject, event_type, sequence,
                               event, reason, attempts, parked_at, retry_at, decision)
             {WITH_POSITION}
             SELECT subscription, event_id, position, partition, subject, event_type, sequence,
                    event, reason, attempts, parked_at, retry_at, $4
             FROM feed_undo WHERE subscription = $1 AND decision = $2 AND event_id {in_list}",
            in_list = is_in("$3")
        ))
        .bind(s)
        .bind(position)
        .bind(list(ids))
        .bind(undo)
        .execute(&mut **tx)
        .await?;
        for sql in [
            sql!(
                "DELETE -- undo::unskip
                 FROM feed_skip
                 WHERE subscription = $1 AND decision = $2
                   AND event_id IN (SELECT event_id FROM feed_undo
                                    WHERE subscription = $1 AND decision = $2 AND event_id {in_list})",
                in_list = is_in("$3")
            ),
            sql!(
                "DELETE -- undo::done
                 FROM feed_undo WHERE subscription = $1 AND decision = $2 AND event_id {in_list}",
                in_list = is_in("$3")
            ),
        ] {
            let gone = sqlx::query(sql).bind(s).bind(position).bind(list(ids));
            gone.execute(&mut **tx).await?;
        }
        Ok(parked.rows_affected())
    }

    async fn skipped_before(
        pool: &Pool,
        s: &str,
        subject: &str,
    ) -> sqlx::Result<Option<SkippedEvent>> {
        sqlx::query_as(
            "SELECT -- undo::of_subject
             skip.event_id AS id, skip.subject, skip.event_type, skip.sequence, skip.reason, skipped_by, skip.skipped_at
             FROM feed_undo JOIN feed_skip AS skip USING (subscription, event_id)
             WHERE subscription = $1 AND feed_undo.subject = $2
             ORDER BY feed_undo.position DESC LIMIT 1",
        )
        .bind(s)
        .bind(subject)
        .fetch_optional(pool)
        .await
    }

    async fn skipped_by(pool: &Pool, position: i64) -> sqlx::Result<i64> {
        sqlx::query_scalar(
            "SELECT -- skip::of_decision
             count(*) FROM feed_skip WHERE decision = $1",
        )
        .bind(position)
        .fetch_one(pool)
        .await
    }

    async fn end_undo(tx: &mut Transaction<'_>, s: &str, subjects: &[&str]) -> sqlx::Result<()> {
        sqlx::query(sql!(
            "DELETE -- undo::end
             FROM feed_undo
             WHERE subscription = $1 AND subject {in_list}
               AND NOT EXISTS (SELECT 1 FROM feed_parked
                               WHERE feed_parked.subscription = $1
                                 AND feed_parked.subject = feed_undo.subject)",
            in_list = is_in("$2")
        ))
        .bind(s)
        .bind(list(subjects))
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    async fn end_undo_before(
        tx: &mut Transaction<'_>,
        s: &str,
        subject: &str,
        event_id: Option<&str>,
    ) -> sqlx::Result<()> {
        sqlx::query(
            "DELETE -- undo::end_before
             FROM feed_undo
             WHERE subscription = $1 AND subject = $2
               AND (CAST($3 AS TEXT) IS NULL
                    OR position < (SELECT position FROM feed_parked
                                   WHERE subscription = $1 AND event_id = $3))",
        )
        .bind(s)
        .bind(subject)
        .bind(event_id)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    async fn end_undo_from(tx: &mut Transaction<'_>, s: &str, from: i64) -> sqlx::Result<()> {
        sqlx::query(
            "DELETE -- undo::end_from
             FROM feed_undo
             WHERE subscription = $1 AND (CAST($2 AS BIGINT) <= 1 OR sequence >= $2)",
        )
        .bind(s)
        .bind(from)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    async fn sweep_undo(writer: Writer<'_>, s: &str, age: i64, limit: i64) -> sqlx::Result<u64> {
        let swept = sqlx::query(sql!(
            "DELETE -- undo::sweep
             FROM feed_undo
             WHERE subscription = $1
               AND event_id IN (SELECT event_id FROM feed_undo
                                WHERE subscription = $1 AND skipped_at < {too_long_ago}
                                ORDER BY skipped_at LIMIT $3)",
            too_long_ago = now_plus("-$2")
        ))
        .bind(s)
        .bind(age)
        .bind(limit)
        .execute(&mut *writer.acquire().await?)
        .await?;
        Ok(swept.rows_affected())
    }
}

from_row! { Cause: cause, events, subject, since }
from_row! { TypeCount: event_type, events }
from_row! {
    Decided: position, decision, reason, decided_by, decided_at, done_at, outcome, still_parked, can_be_undone,
        undone_by, undone_at
}
