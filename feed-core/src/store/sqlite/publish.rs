//! The publishing side, where SQLite's differs: there is one writer at a time, so a trigger of `feed_outbox` gives an event
//! its sequence in the transaction of the change that it describes (`migrations/sqlite/0013_expand_leap_second.sql`).

use sqlx::{Sqlite, SqlitePool, SqliteTransaction};

use crate::event::{EventId, Sequence};
use crate::store::publish::NativePublish;
use crate::store::publish::Published;

impl NativePublish for Sqlite {
    async fn unnumbered(
        _: &mut SqliteTransaction<'_>,
        _: &str,
    ) -> sqlx::Result<Vec<(EventId, String, String)>> {
        Ok(Vec::new())
    }

    async fn rewrite(tx: &mut SqliteTransaction<'_>, id: EventId, data: &str) -> sqlx::Result<()> {
        sqlx::query(
            "UPDATE -- outbox::rewrite
             feed_event SET data = $2 WHERE id = $1;
             UPDATE feed_archive SET data = $2 WHERE id = $1",
        )
        .bind(id)
        .bind(data)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    async fn archive(
        tx: &mut SqliteTransaction<'_>,
        first: Sequence,
        last: Sequence,
    ) -> sqlx::Result<u64> {
        sqlx::query(
            "INSERT -- archive::copy
             INTO feed_archive (sequence, id, event_type, subject, time, updated, title,
                                       summary, link, data, traceparent)
             SELECT sequence, id, event_type, subject, time, updated, title, summary, link, data,
                    traceparent
             FROM feed_event WHERE sequence BETWEEN $1 AND $2",
        )
        .bind(first)
        .bind(last)
        .execute(&mut **tx)
        .await?;
        let moved = sqlx::query(
            "DELETE -- archive::delete
             FROM feed_event WHERE sequence BETWEEN $1 AND $2",
        )
        .bind(first)
        .bind(last)
        .execute(&mut **tx)
        .await?;
        Ok(moved.rows_affected())
    }

    /// An event has its sequence when it commits.
    async fn published(pool: &SqlitePool) -> sqlx::Result<Published> {
        let (sequence, quarantined) = sqlx::query_as(
            "SELECT -- feed::published
             sequence, (SELECT count(*) FROM (SELECT 1 FROM feed_quarantine LIMIT $1))
             FROM feed_head",
        )
        .bind(crate::store::COUNTED)
        .fetch_one(pool)
        .await?;
        Ok(Published {
            sequence,
            unnumbered: None,
            quarantined,
        })
    }
}
