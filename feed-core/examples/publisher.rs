//! A minimal publisher: it sells an item each second, and publishes each sale in a feed.
//!
//! In one terminal: `cargo run -p feed-core --example publisher`. In another one, the consumer:
//! `cargo run -p feed-core --example consumer`. Or look at it: `curl http://127.0.0.1:8090/feed`.

use std::error::Error;
use std::time::Duration;

use feed_core::{CancellationToken, Database, Feed, FeedSettings, NewEvent, outbox};
use sqlx::Sqlite;
use tokio::net::TcpListener;

/// The service's own table. feed-core makes its own ones beside it.
const MIGRATIONS: &[(i64, &str, &str)] = &[(
    1,
    "sale",
    "CREATE TABLE sale (id INTEGER PRIMARY KEY, item TEXT NOT NULL)",
)];

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let listen = std::env::var("LISTEN").unwrap_or("127.0.0.1:8090".into());
    let database = Database::<Sqlite>::open("sqlite:data/publisher.db").await?;
    database.migrate("_sale_migrations", MIGRATIONS).await?;

    let settings = FeedSettings::new(format!("http://{listen}/").parse()?, "Sales");
    let feed = Feed::open(database.clone(), settings, CancellationToken::new()).await?;
    tokio::spawn(feed.clone().run());
    tokio::spawn(customers(database, feed.clone()));

    let listener = TcpListener::bind(listen).await?;
    // A service with routes of its own merges these into them.
    axum::serve(listener, feed.router()).await?;
    Ok(())
}

/// The change and its event: both or neither.
async fn sell(database: &Database<Sqlite>, feed: &Feed<Sqlite>, item: &str) -> sqlx::Result<i64> {
    let mut tx = database.begin().await?;
    let id: i64 = sqlx::query_scalar("INSERT INTO sale (item) VALUES ($1) RETURNING id")
        .bind(item)
        .fetch_one(&mut *tx)
        .await?;
    let data = serde_json::json!({"id": id, "item": item}).to_string();
    let sold = NewEvent::new("item.sold", format!("sale/{id}"), data);
    outbox::append(&mut tx, &sold).await?;
    tx.commit().await?;
    feed.committed();
    Ok(id)
}

async fn customers(database: Database<Sqlite>, feed: Feed<Sqlite>) {
    loop {
        let sold = sell(&database, &feed, "iPod").await;
        println!("sale {}", sold.expect("a database that can be written"));
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
