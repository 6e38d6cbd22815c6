//! The publishing side, where SQLite's differs: there is one writer at a time, so an event gets its sequence in the
//! transaction of the change that it describes.

use sqlx::{Sqlite, SqlitePool, SqliteTransaction};

use super::dialect::{NOW, instant};
use crate::event::{EventId, NewEvent, Sequence};
use crate::store::publish::NativePublish;
use crate::store::publish::Published;
use crate::store::sql::sql;

impl NativePublish for Sqlite {
    async fn append(
        tx: &mut SqliteTransaction<'_>,
        id: EventId,
        event: &NewEvent,
        traceparent: Option<&str>,
    ) -> sqlx::Result<()> {
        // The head first: this takes the write lock, so that the number is the next one.
        let (sequence, updated): (Sequence, String) = sqlx::query_as(sql!(
            "UPDATE -- outbox::number
             feed_head
             SET sequence = (SELECT sequence FROM feed_next), anchor = $1,
                 updated = max({NOW}, updated, coalesce(closed_until, updated))
             RETURNING sequence, updated"
        ))
        .bind(id)
        .fetch_optional(&mut **tx)
        .await?
        .ok_or_else(|| {
            let missing =
                "no feed has been opened on this database: Feed::open comes before the first event";
            sqlx::Error::Configuration(missing.into())
        })?;
        sqlx::query(
            "INSERT -- outbox::append
             INTO feed_event
                 (sequence, id, event_type, subject, time, updated, title, summary, link, data,
                  traceparent)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        )
        .bind(sequence)
        .bind(id)
        .bind(&event.event_type)
        .bind(&event.subject)
        .bind(instant(event.time))
        .bind(updated)
        .bind(&event.title)
        .bind(&event.summary)
        .bind(&event.link)
        .bind(&event.data)
        .bind(traceparent)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    async fn unnumbered(
        _: &mut SqliteTransaction<'_>,
        _: &str,
    ) -> sqlx::Result<Vec<(EventId, String)>> {
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
