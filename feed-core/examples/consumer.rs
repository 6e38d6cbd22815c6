//! A minimal consumer: it stores what the publisher beside it has sold, each sale once.
//!
//! In one terminal: `cargo run -p feed-core --example publisher`. In another one:
//! `cargo run -p feed-core --example consumer`. Stop either of them, and start it again.

use std::error::Error;

use feed_core::{Batch, CancellationToken, Consumer, Database, Effect, EffectError, Subscription};
use sqlx::{Sqlite, Transaction};
use tokio::signal::unix::{SignalKind, signal};

/// The service's own table. feed-core keeps claims and cursors beside it.
const MIGRATIONS: &[(i64, &str, &str)] = &[(
    1,
    "sold",
    "CREATE TABLE sold (subject TEXT PRIMARY KEY, data TEXT NOT NULL)",
)];

struct Sold;

impl Effect<Sqlite> for Sold {
    /// Runs in the transaction that claims the events and moves the cursor.
    async fn apply(
        &self,
        tx: &mut Transaction<'_, Sqlite>,
        events: &Batch<'_>,
    ) -> Result<(), EffectError> {
        for event in events {
            sqlx::query("INSERT INTO sold (subject, data) VALUES ($1, $2)")
                .bind(&event.subject)
                .bind(&event.data)
                .execute(&mut **tx)
                .await?;
            // For you to see; what is not in the database may happen twice.
            println!("{}: {}", event.subject, event.data);
        }
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // It logs by `tracing` when the feed is away, or has become another one.
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    let feed = std::env::var("FEED_URL").unwrap_or("http://127.0.0.1:8090/feed".into());
    let database = Database::<Sqlite>::open("sqlite:data/consumer.db").await?;
    database.migrate("_sold_migrations", MIGRATIONS).await?;

    let shutdown = CancellationToken::new();
    let (stop, mut terminate) = (shutdown.clone(), signal(SignalKind::terminate())?);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        stop.cancel();
    });
    let sales = Subscription::new("sales", feed.parse()?);
    let consumer = Consumer::open(database.clone(), sales, Sold, shutdown).await?;
    consumer.run().await;
    database.close().await;
    Ok(())
}
