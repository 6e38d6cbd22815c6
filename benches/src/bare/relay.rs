//! What a team would write by hand for two databases and no broker: a process that listens to the
//! order database, reads its outbox, applies the same effect with a claim in the invoice database,
//! and takes the rows away after the commit. It needs what our invoice service does not: a role
//! and a connection in somebody else's database.

use std::time::Duration;

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use feed_core::{Database, Effect, Received};
use invoice::effect::Invoicing;
use invoice::store::Store;
use sqlx::postgres::PgListener;
use sqlx::{Executor, PgPool, Postgres};
use tracing::{error, info};

/// Events of one transaction; as many as the consumer takes.
const BATCH: i64 = 100;

#[derive(Debug)]
pub(super) struct Relay {
    orders: PgPool,
    listener: PgListener,
    invoices: Database<Postgres>,
}

impl Relay {
    pub(super) async fn open(from: &str, to: &str) -> Result<Self> {
        let invoices = Database::<Postgres>::open(to).await?;
        let migrations = <Postgres as Store>::MIGRATIONS;
        invoices.migrate("_invoice_migrations", migrations).await?;
        let claims = "CREATE TABLE IF NOT EXISTS bench_claim (event_id TEXT PRIMARY KEY)";
        invoices.writer().execute(claims).await?;
        let orders = PgPool::connect(from).await?;
        let mut listener = PgListener::connect_with(&orders).await?;
        listener.listen("bench_outbox").await?;
        Ok(Self {
            orders,
            listener,
            invoices,
        })
    }

    pub(super) async fn run(mut self) {
        loop {
            match self.batch().await {
                Ok(0) => {
                    let news = self.listener.recv();
                    // A notification may be lost with its connection.
                    let _ = tokio::time::timeout(Duration::from_millis(250), news).await;
                }
                Ok(_) => {}
                Err(error) => {
                    error!("{error:#}");
                    tokio::time::sleep(Duration::from_millis(250)).await;
                }
            }
        }
    }

    async fn batch(&self) -> Result<usize> {
        let rows: Vec<(i64, String, String, String, DateTime<Utc>, String)> = sqlx::query_as(
            "SELECT position, id::text, event_type, subject, time, data
             FROM bench_outbox ORDER BY position LIMIT $1",
        )
        .bind(BATCH)
        .fetch_all(&self.orders)
        .await?;
        let Some((first, ..)) = rows.first() else {
            return Ok(0);
        };
        let (first, last) = (*first, rows.last().context("a row")?.0);
        let taken: Vec<i64> = rows.iter().map(|row| row.0).collect();
        let mut events: Vec<Received> = rows
            .into_iter()
            .map(|(_, id, event_type, subject, time, data)| Received {
                id: format!("urn:uuid:{id}"),
                event_type: Some(event_type),
                subject,
                sequence: None,
                time,
                data,
                traceparent: None,
            })
            .collect();
        let ids: Vec<&str> = events.iter().map(|event| event.id.as_str()).collect();
        let mut tx = self.invoices.begin().await?;
        let won: Vec<String> = sqlx::query_scalar(
            "INSERT INTO bench_claim SELECT * FROM UNNEST($1::text[])
             ON CONFLICT DO NOTHING RETURNING event_id",
        )
        .bind(ids)
        .fetch_all(&mut *tx)
        .await?;
        events.retain(|event| won.contains(&event.id));
        if !events.is_empty() {
            Invoicing.apply(&mut tx, &events).await?;
        }
        tx.commit().await?;
        for event in &events {
            info!("applied event {} of {}", event.id, event.subject);
        }
        sqlx::query("DELETE FROM bench_outbox WHERE position = ANY ($1)")
            .bind(&taken)
            .execute(&self.orders)
            .await?;
        tracing::debug!(first, last, "relayed");
        Ok(taken.len())
    }
}
