//! A queue of `PgQ` in the order database. The order's transaction inserts the event
//! (`bare::orders`); a *tick* of the daemon `pgqd` records which transactions have committed, and
//! what has committed between two ticks is a batch.
//!
//! It needs no relay and no broker, but what our invoice service does not have: a role and a
//! connection in another service's database. Events come in the order of their ids, which is not
//! that of the commits, and a batch consists of whole ticks.

use std::time::Duration;

use anyhow::Result;
use chrono::{DateTime, Utc};
use feed_core::Received;
use sqlx::PgPool;

use super::consumer;
use crate::bare::relay::received;

/// How often `pgqd` looks for something to tick, in seconds; its default is 1. Each tick is a commit
/// that is synced. With 1 to 4 ms, and a tick without events each 2 to 5 ms (`bare::orders`), the
/// median is the same; more ticks without events make the slowest invoices slower, since each of them
/// is a batch too.
pub(super) const TICKER_PERIOD: f64 = 0.002;

/// How often the consumer looks for a batch: nothing notifies it of a tick.
const POLL: Duration = Duration::from_millis(1);

#[derive(Debug)]
pub(super) struct Inbox {
    orders: PgPool,
    /// If so many events wait, a batch has that many at least.
    batch: i32,
}

impl Inbox {
    pub(super) async fn open(database: &str, batch: usize) -> Result<Self> {
        Ok(Self {
            orders: PgPool::connect(database).await?,
            batch: i32::try_from(batch)?,
        })
    }

    /// Takes several ticks together if enough events wait, or the more the longer they have waited;
    /// otherwise one tick.
    async fn next(&self) -> Result<Option<i64>> {
        let next = sqlx::query_scalar(
            "SELECT batch_id
             FROM (VALUES ($1, NULL), (NULL, interval '1 s'), (NULL, '100 ms'), (NULL, '20 ms'),
                          (NULL, NULL)) AS least (events, time),
                  pgq.next_batch_custom('orders', 'invoice', NULL, least.events, least.time)
             WHERE batch_id IS NOT NULL
             LIMIT 1",
        );
        Ok(next.bind(self.batch).fetch_optional(&self.orders).await?)
    }

    async fn events(&self, batch: i64) -> Result<Vec<Received>> {
        let rows: Vec<(String, String, String, DateTime<Utc>, String)> = sqlx::query_as(
            "SELECT ev_extra1, ev_type, ev_extra2, ev_extra3::timestamptz, ev_data
             FROM pgq.get_batch_events($1)",
        )
        .bind(batch)
        .fetch_all(&self.orders)
        .await?;
        Ok(rows.into_iter().map(received).collect())
    }
}

impl consumer::Inbox for Inbox {
    type Receipt = i64;

    async fn take(&mut self) -> Result<(Vec<Received>, i64)> {
        loop {
            let Some(batch) = self.next().await? else {
                tokio::time::sleep(POLL).await;
                continue;
            };
            let events = self.events(batch).await?;
            if !events.is_empty() {
                return Ok((events, batch));
            }
            self.acknowledge(batch).await?;
        }
    }

    async fn acknowledge(&mut self, batch: i64) -> Result<()> {
        let finish = sqlx::query("SELECT pgq.finish_batch($1)").bind(batch);
        finish.execute(&self.orders).await?;
        Ok(())
    }
}
