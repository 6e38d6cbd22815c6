//! The other side of a hand-written outbox: a process that listens to the order database, reads the
//! rows in order, passes the events to a target that stores them permanently, and then removes the
//! rows. It needs what our invoice service does not: a role and a connection in another service's
//! database.
//!
//! The target is the invoice database itself (`invoices`), as a team would write it for two
//! databases without a broker, or a broker (`peers`).

use std::time::Duration;

use anyhow::Result;
use chrono::{DateTime, Utc};
use feed_core::Received;
use sqlx::PgPool;
use sqlx::postgres::PgListener;
use tracing::error;

/// Events that a relay without a broker passes on together; as many as our consumer takes when it is
/// level.
pub(crate) const BATCH: usize = 100;

/// Where events go.
pub(crate) trait Target: Send + 'static {
    /// Returns when the events are stored there. A relay that dies before it has removed its rows
    /// passes them on again.
    fn keep(&mut self, events: Vec<Received>) -> impl Future<Output = Result<()>> + Send;
}

#[derive(Debug)]
pub(crate) struct Relay<T> {
    orders: PgPool,
    listener: PgListener,
    target: T,
    batch: usize,
}

impl<T: Target> Relay<T> {
    /// Opens a relay that passes on up to `batch` events together.
    pub(crate) async fn open(from: &str, target: T, batch: usize) -> Result<Self> {
        let orders = PgPool::connect(from).await?;
        let mut listener = PgListener::connect_with(&orders).await?;
        listener.listen("bench_outbox").await?;
        Ok(Self {
            orders,
            listener,
            target,
            batch,
        })
    }

    pub(crate) async fn run(mut self) {
        loop {
            match self.pass_on().await {
                Ok(passed) if passed == self.batch => {}
                Ok(_) => {
                    let news = self.listener.recv();
                    // A notification may be lost with its connection.
                    let _ = tokio::time::timeout(Duration::from_millis(250), news).await;
                }
                Err(error) => {
                    error!("{error:#}");
                    tokio::time::sleep(Duration::from_millis(250)).await;
                }
            }
        }
    }

    async fn pass_on(&mut self) -> Result<usize> {
        self.forget_news().await;
        let rows: Vec<(i64, String, String, String, DateTime<Utc>, String)> = sqlx::query_as(
            "SELECT position, id::text, event_type, subject, time, data
             FROM bench_outbox ORDER BY position LIMIT $1",
        )
        .bind(i64::try_from(self.batch)?)
        .fetch_all(&self.orders)
        .await?;
        if rows.is_empty() {
            return Ok(0);
        }
        let taken: Vec<i64> = rows.iter().map(|row| row.0).collect();
        let events = rows.into_iter();
        let events = events.map(|(_, id, event_type, subject, time, data)| {
            received((id, event_type, subject, time, data))
        });
        self.target.keep(events.collect()).await?;
        sqlx::query("DELETE FROM bench_outbox WHERE position = ANY ($1)")
            .bind(&taken)
            .execute(&self.orders)
            .await?;
        Ok(taken.len())
    }

    /// Drops the notifications received until now: the next poll sees their rows.
    async fn forget_news(&mut self) {
        loop {
            tokio::select! {
                biased;
                Ok(_) = self.listener.recv() => {}
                () = std::future::ready(()) => return,
            }
        }
    }
}

/// An event of a row with the id, the type, the subject, the time and the data.
pub(crate) fn received(
    (id, event_type, subject, time, data): (String, String, String, DateTime<Utc>, String),
) -> Received {
    Received {
        id: format!("urn:uuid:{id}"),
        event_type: Some(event_type),
        subject,
        sequence: None,
        time,
        data,
        traceparent: None,
    }
}
