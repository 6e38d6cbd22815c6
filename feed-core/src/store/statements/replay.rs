//! Statements of a replay: what it forgets, and what it must not forget.

use super::{Db, Pool, Transaction, is_in, list};
use crate::event::Sequence;
use crate::store::replay::{Place, Replay};
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
        after: &Place,
        limit: i64,
    ) -> sqlx::Result<Vec<Place>> {
        sqlx::query_as(match from {
            ..=1 => sql!("{}", repeated(&BY_ID)),
            _ => sql!("{}", repeated(&BY_SEQUENCE)),
        })
        .bind(s)
        .bind(after.0)
        .bind(&after.1)
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
        after: &Place,
        limit: i64,
    ) -> sqlx::Result<Vec<(Option<Sequence>, String, String)>> {
        sqlx::query_as(match replay {
            None => sql!("{}", decided(&BY_ID, &["feed_skip", "feed_parked"], "")),
            Some(..=1) => sql!("{}", decided(&BY_ID, &["feed_skip"], SKIPPED)),
            Some(_) => sql!("{}", decided(&BY_SEQUENCE, &["feed_skip"], SKIPPED)),
        })
        .bind(s)
        .bind(after.0)
        .bind(&after.1)
        .bind(limit)
        .fetch_all(pool)
        .await
    }
}

/// An order of events, and the condition for those after a [`Place`]. In the plan that PostgreSQL keeps, the index of sequences
/// serves nothing that is in the order of the ids.
struct By {
    order: &'static str,
    after: &'static str,
}

/// For all events, also those without a sequence.
const BY_ID: By = By {
    order: "event_id",
    after: "event_id > $3 AND COALESCE(CAST($2 AS BIGINT), 0) >= 0",
};

const BY_SEQUENCE: By = By {
    order: "sequence, event_id",
    after: "(sequence, event_id) > ($2, $3)",
};

/// Those that an operator has skipped.
const SKIPPED: &str = "AND skipped_by IS NOT NULL";

/// Returns the text for the next events of a table that meet a condition.
fn events_in(table: &str, columns: &str, by: &By, also: &str) -> String {
    let By { order, after } = by;
    format!(
        "SELECT * FROM (SELECT {columns} FROM {table}
                        WHERE subscription = $1 AND {after} {also}
                        ORDER BY {order} LIMIT $4) AS {table}"
    )
}

/// Returns the text of [`Replay::repeated`].
fn repeated(by: &By) -> String {
    let events_in = |table, also| events_in(table, "sequence, event_id", by, also);
    format!(
        "SELECT -- replay::repeated
         sequence, event_id FROM ({claims} UNION {parked} UNION {passed_over}) AS repeated
         ORDER BY {order} LIMIT $4",
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
        passed_over = events_in("feed_skip", "AND skipped_by IS NULL"),
        order = by.order
    )
}

/// Returns the text of [`Replay::decided`] for the events in `tables` that meet a condition.
fn decided(by: &By, tables: &[&str], also: &str) -> String {
    let events: Vec<String> = tables
        .iter()
        .map(|table| events_in(table, "sequence, event_id, subject", by, also))
        .collect();
    format!(
        "SELECT -- claim::decided
         sequence, event_id, subject FROM ({events}) AS decided
         ORDER BY {order} LIMIT $4",
        events = events.join(" UNION ALL "),
        order = by.order
    )
}
