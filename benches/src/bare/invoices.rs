//! The invoice database without a feed: the same effect in one transaction, with a claim for each
//! event, so that an event that arrives twice has one invoice.

use std::collections::HashSet;

use anyhow::Result;
use feed_core::{Batch, Database, Effect, Received};
use invoice::effect::Invoicing;
use invoice::store::Store;
use sqlx::{Executor, Postgres};
use tracing::info;

use super::relay::Target;

#[derive(Debug)]
pub(crate) struct Invoices {
    database: Database<Postgres>,
}

impl Invoices {
    pub(crate) async fn open(url: &str) -> Result<Self> {
        let database = Database::<Postgres>::open(url).await?;
        let migrations = <Postgres as Store>::MIGRATIONS;
        database.migrate("_invoice_migrations", migrations).await?;
        let claims = "CREATE TABLE IF NOT EXISTS bench_claim (event_id TEXT PRIMARY KEY)";
        database.writer().execute(claims).await?;
        Ok(Self { database })
    }

    /// Writes the invoices of those events that are not claimed yet.
    pub(crate) async fn apply(&self, mut events: Vec<Received>) -> Result<()> {
        let ids: Vec<&str> = events.iter().map(|event| event.id.as_str()).collect();
        let mut tx = self.database.begin().await?;
        let won: Vec<String> = sqlx::query_scalar(
            "INSERT INTO bench_claim SELECT * FROM UNNEST($1::text[])
             ON CONFLICT DO NOTHING RETURNING event_id",
        )
        .bind(ids)
        .fetch_all(&mut *tx)
        .await?;
        let won: HashSet<String> = won.into_iter().collect();
        events.retain(|event| won.contains(&event.id));
        if !events.is_empty() {
            Invoicing.apply(&mut tx, &Batch::new(&events)).await?;
        }
        tx.commit().await?;
        for event in &events {
            info!("applied event {} of {}", event.id, event.subject);
        }
        Ok(())
    }
}

impl Target for Invoices {
    async fn keep(&mut self, events: Vec<Received>) -> Result<()> {
        self.apply(events).await
    }
}
