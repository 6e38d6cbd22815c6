//! The statement behind the metrics of a subscription.

use super::consume::taken_until;
use super::{Db, NOW, Pool, from_row};
use crate::store::COUNTED;
use crate::store::measure::{Measure, Progress};
use crate::store::sql::sql;

impl Measure for Db {
    async fn progress(pool: &Pool, s: &str) -> sqlx::Result<Progress> {
        sqlx::query_as(sql!(
            "SELECT -- subscription::progress
             COALESCE(lowest.sequence, 0) AS sequence, head, taken_until, last_contact,
                    started, instances, parked, waiting,
                    EXISTS (SELECT 1 FROM feed_subscription
                            WHERE name = $1 AND halted IS NOT NULL) AS halted,
                    EXISTS (SELECT 1 FROM feed_subscription
                            WHERE name = $1 AND paused_at IS NOT NULL) AS paused
             FROM (SELECT max(head_sequence) AS head, {taken_until}, max(last_contact) AS last_contact,
                          min(started_at) AS started,
                          count(*) FILTER (WHERE alive_until > {NOW} AND retired_at IS NULL) AS instances
                   FROM feed_instance WHERE subscription = $1) AS known
             CROSS JOIN (SELECT count(reason) AS parked, count(*) - count(reason) AS waiting
                         FROM (SELECT reason FROM feed_parked
                               WHERE subscription = $1 LIMIT $2) AS counted) AS stuck
             LEFT JOIN (SELECT sequence FROM feed_partition
                        WHERE subscription = $1 ORDER BY sequence LIMIT 1) AS lowest ON TRUE",
            taken_until = taken_until()
        ))
        .bind(s)
        .bind(COUNTED)
        .fetch_one(pool)
        .await
    }
}

from_row! {
    Progress: sequence, head, taken_until, last_contact, started, instances, parked, waiting, halted, paused
}
