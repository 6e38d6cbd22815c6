//! What metrics are read from: one statement for a feed, one for a subscription, each of a few rows
//! however much is stored.

use std::future::Future;

use chrono::{DateTime, Utc};
use sqlx::{Pool, Postgres, Sqlite};

use super::publish::id_from;
use crate::event::{EventId, Sequence};

/// Parked events that are counted; there are more where somebody has long looked away.
pub(crate) const COUNTED: i64 = 10_000;

/// How far a subscription has got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Progress {
    /// The lowest cursor of all partitions, and when the event there was published.
    pub(crate) sequence: Sequence,
    pub(crate) updated: Option<DateTime<Utc>>,
    /// The newest event that any instance has seen in the feed, if it numbers them.
    pub(crate) head: Option<Sequence>,
    pub(crate) last_contact: Option<DateTime<Utc>>,
    /// Instances alive.
    pub(crate) instances: i64,
    /// Events that failed, and those that wait for one of them; not above [`COUNTED`] together.
    pub(crate) parked: i64,
    pub(crate) waiting: i64,
    pub(crate) halted: bool,
}

/// How far a feed has got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Published {
    pub(crate) sequence: Sequence,
    /// The oldest event that is committed and has no number yet: its id, and when it happened.
    pub(crate) unnumbered: Option<(EventId, DateTime<Utc>)>,
    /// Rows in quarantine, not above [`COUNTED`].
    pub(crate) quarantined: i64,
}

/// The operations behind `/metrics`. `s` is the subscription's name.
pub(crate) trait Measure: sqlx::Database {
    /// How far a feed has got.
    fn published(pool: &Pool<Self>) -> impl Future<Output = sqlx::Result<Published>> + Send;

    /// How far a subscription has got.
    fn progress(pool: &Pool<Self>, s: &str) -> impl Future<Output = sqlx::Result<Progress>> + Send;
}

/// The columns of [`Progress`].
type Columns = (
    Option<Sequence>,
    Option<DateTime<Utc>>,
    Option<Sequence>,
    Option<DateTime<Utc>>,
    i64,
    i64,
    i64,
    bool,
);

fn progress_from(columns: Columns) -> Progress {
    let (sequence, updated, head, last_contact, instances, parked, waiting, halted) = columns;
    Progress {
        sequence: sequence.unwrap_or(0),
        updated,
        head,
        last_contact,
        instances,
        parked,
        waiting,
        halted,
    }
}

/// The statement of a subscription; `$now` is the database's own word for its clock.
macro_rules! progress_statement {
    ($now:literal) => {
        concat!(
            "-- subscription::progress
             SELECT lowest.sequence, lowest.updated, head, last_contact, instances, parked, waiting,
                    EXISTS (SELECT 1 FROM feed_subscription
                            WHERE name = $1 AND halted IS NOT NULL)
             FROM (SELECT max(head_sequence) AS head, max(last_contact) AS last_contact,
                          count(*) FILTER (WHERE alive_until > ", $now, ") AS instances
                   FROM feed_instance WHERE subscription = $1) AS known
             CROSS JOIN (SELECT count(reason) AS parked, count(*) - count(reason) AS waiting
                         FROM (SELECT reason FROM feed_parked
                               WHERE subscription = $1 LIMIT $2) AS counted) AS stuck
             LEFT JOIN (SELECT sequence, updated FROM feed_partition
                        WHERE subscription = $1 ORDER BY sequence LIMIT 1) AS lowest ON TRUE"
        )
    };
}

impl Measure for Postgres {
    async fn published(pool: &Pool<Self>) -> sqlx::Result<Published> {
        let row: (Sequence, i64, Option<String>, Option<DateTime<Utc>>) = sqlx::query_as(
            "-- feed::published
             SELECT sequence, (SELECT count(*) FROM (SELECT FROM feed_quarantine LIMIT $1) AS counted),
                    id::text, CASE WHEN isfinite(time) THEN time END
             FROM feed_head
             LEFT JOIN (SELECT id, time FROM feed_outbox ORDER BY position LIMIT 1) AS oldest ON TRUE",
        )
        .bind(COUNTED)
        .fetch_one(pool)
        .await?;
        let (sequence, quarantined, id, time) = row;
        Ok(Published {
            sequence,
            unnumbered: id.map(id_from).transpose()?.zip(time),
            quarantined,
        })
    }

    async fn progress(pool: &Pool<Self>, s: &str) -> sqlx::Result<Progress> {
        let columns = sqlx::query_as(progress_statement!("clock_timestamp()"))
            .bind(s)
            .bind(COUNTED)
            .fetch_one(pool)
            .await?;
        Ok(progress_from(columns))
    }
}

impl Measure for Sqlite {
    /// An event has its number when it commits.
    async fn published(pool: &Pool<Self>) -> sqlx::Result<Published> {
        let (sequence, quarantined) = sqlx::query_as(
            "-- feed::published
             SELECT sequence, (SELECT count(*) FROM (SELECT 1 FROM feed_quarantine LIMIT $1))
             FROM feed_head",
        )
        .bind(COUNTED)
        .fetch_one(pool)
        .await?;
        Ok(Published {
            sequence,
            unnumbered: None,
            quarantined,
        })
    }

    async fn progress(pool: &Pool<Self>, s: &str) -> sqlx::Result<Progress> {
        let columns = sqlx::query_as(progress_statement!("strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"))
            .bind(s)
            .bind(COUNTED)
            .fetch_one(pool)
            .await?;
        Ok(progress_from(columns))
    }
}
