//! How another team's service takes feed-core in: it has an axum router, a pool, tables, state, metrics and a way to
//! stop of its own, and keeps them.
//!
//! `cargo run -p feed-core --example host`, then `curl -d iPod http://127.0.0.1:8091/orders` and
//! `curl http://127.0.0.1:8091/orders/feed`; its tests: `cargo test -p feed-core --example host`.

use std::collections::HashMap;
use std::error::Error;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use feed_core::http::metrics::{Measured, Value};
use feed_core::{
    Batch, CancellationToken, Consumer, Database, DatabaseOptions, Effect, EffectError, Feed,
    FeedSettings, NewEvent, Subscription, outbox,
};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions};
use sqlx::{Sqlite, SqlitePool, Transaction};
use tokio::net::TcpListener;

/// The service's own tables, made in its own way.
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS placed (id INTEGER PRIMARY KEY, item TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS letter (subject TEXT PRIMARY KEY, text TEXT NOT NULL)";

/// The service's own pool. What it lacks for feed-core, [`Database::with_pool`] says.
async fn pool(url: &str) -> sqlx::Result<SqlitePool> {
    let options: SqliteConnectOptions = url.parse()?;
    let options = options
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .pragma("secure_delete", "ON");
    let pool = SqlitePoolOptions::new().max_connections(1);
    let pool = pool.connect_with(options).await?;
    sqlx::raw_sql(TABLES).execute(&pool).await?;
    Ok(pool)
}

/// The service's own state.
#[derive(Clone)]
struct Shop {
    pool: SqlitePool,
    feed: Feed<Sqlite>,
    orders: Arc<AtomicU64>,
    measured: Arc<[Box<dyn Measured>]>,
}

impl Shop {
    /// The change and its event: both or neither.
    async fn order(self, item: String) -> Result<i64, Box<dyn Error + Send + Sync>> {
        let mut tx = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let insert =
            "INSERT INTO placed (item) VALUES ($1) RETURNING id, json_object('item', item)";
        let insert = sqlx::query_as(insert).bind(item);
        let (id, data): (i64, String) = insert.fetch_one(&mut *tx).await?;
        let placed = NewEvent::new("order.placed", format!("order/{id}"), data);
        outbox::append(&mut tx, &placed).await?;
        tx.commit().await?;
        self.feed.committed();
        self.orders.fetch_add(1, Ordering::Relaxed);
        Ok(id)
    }
}

async fn order(State(shop): State<Shop>, item: String) -> Result<String, StatusCode> {
    // In a task: a client who hangs up does not stop it half-way.
    match tokio::spawn(shop.order(item)).await {
        Ok(Ok(id)) => Ok(format!("order {id}\n")),
        _ => Err(StatusCode::SERVICE_UNAVAILABLE),
    }
}

/// Its own metrics, and those of feed-core as data, in its own text.
async fn metrics(State(shop): State<Shop>) -> String {
    let mut text = format!("shop_orders {}\n", shop.orders.load(Ordering::Relaxed));
    for part in &*shop.measured {
        for metric in part.measure().await {
            let mut labels: Vec<_> = (metric.labels.iter())
                .map(|(name, value)| format!("{name}={value:?}"))
                .collect();
            let (name, all) = (metric.name, labels.join(","));
            match metric.value {
                Value::Counter(value) | Value::Gauge(value) => {
                    let _ = writeln!(text, "{name}{{{all}}} {value}");
                }
                Value::Histogram(values) => {
                    let _ = writeln!(text, "{name}_sum{{{all}}} {}", values.sum);
                    let _ = writeln!(text, "{name}_count{{{all}}} {}", values.count);
                    let buckets = values.buckets.into_iter();
                    let buckets = buckets.map(|(bound, count)| (bound.to_string(), count));
                    for (bound, count) in buckets.chain([("+Inf".to_owned(), values.count)]) {
                        labels.push(format!("le=\"{bound}\""));
                        let _ = writeln!(text, "{name}_bucket{{{}}} {count}", labels.join(","));
                        labels.pop();
                    }
                }
            }
        }
    }
    text
}

/// What the service does with the events that it follows: it writes a letter for each order.
struct Letters;

impl Effect<Sqlite> for Letters {
    async fn apply(
        &self,
        tx: &mut Transaction<'_, Sqlite>,
        events: &Batch<'_>,
    ) -> Result<(), EffectError> {
        for event in events {
            if event.event_type.as_deref() != Some("order.placed") {
                events.pass_over(event, "no letter is written for it");
                continue;
            }
            let order: HashMap<String, String> = event.json()?;
            let item = order.get("item").map_or("something", String::as_str);
            sqlx::query("INSERT INTO letter (subject, text) VALUES ($1, $2)")
                .bind(&event.subject)
                .bind(format!("Thank you for your order of: {item}"))
                .execute(&mut **tx)
                .await?;
        }
        Ok(())
    }
}

/// Serves until `stop`. This one follows its own feed; most follow that of another service.
async fn serve(
    pool: SqlitePool,
    listener: TcpListener,
    stop: CancellationToken,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let database = Database::with_pool(pool.clone(), DatabaseOptions::default()).await?;
    // Where the feed's routes are, as its readers see them: below the path under which they are nested.
    let base = format!("http://{}/orders/", listener.local_addr()?).parse()?;
    let settings = FeedSettings::new(base, "Orders");
    let feed = Feed::open(database.clone(), settings, stop.clone()).await?;
    let orders = Subscription::new("orders", feed.url());
    let consumer = Consumer::open(database.clone(), orders, Letters, stop.clone()).await?;
    let measured: [Box<dyn Measured>; 3] = [
        Box::new(database.clone()),
        Box::new(feed.clone()),
        Box::new(consumer.handle()),
    ];
    let router = Router::new()
        .route("/orders", post(order))
        .route("/metrics", get(metrics))
        .nest("/orders", feed.router())
        .with_state(Shop {
            pool: pool.clone(),
            feed: feed.clone(),
            orders: Arc::default(),
            measured: Arc::new(measured),
        });
    let beside = [
        tokio::spawn(feed.clone().run()),
        tokio::spawn(consumer.run()),
    ];
    let server = axum::serve(listener, router);
    server
        .with_graceful_shutdown(stop.cancelled_owned())
        .await?;
    for task in beside {
        task.await?;
    }
    // What the last requests have committed: `run` had ended.
    feed.finish().await;
    database.close().await;
    pool.close().await; // It is ours.
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    std::fs::create_dir_all("data")?;
    let listener = TcpListener::bind("127.0.0.1:8091").await?;
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    tokio::spawn(async move {
        let _ = tokio::signal::ctrl_c().await;
        stopped.cancel();
    });
    serve(pool("sqlite:data/host.db").await?, listener, stop).await
}

#[cfg(test)]
#[path = "host/tests.rs"]
mod tests;
