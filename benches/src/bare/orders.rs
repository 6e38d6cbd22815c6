//! The order service without append and sequencer: the same rules, statements, tasks and answers,
//! from the same crate. Only here is defined what an order leaves besides its rows: nothing, a row in
//! a hand-written outbox with a NOTIFY in the transaction or after it, or an event in a queue of `PgQ`.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::Bytes;
use feed_chassis::keep_private;
use feed_core::http::{BaseUrl, Json};
use feed_core::{Database, EventId};
use order::order::{CustomerId, Order};
use order::representation::{self, OrderDocument};
use order::rules::Draft;
use order::store::Store;
use sqlx::postgres::PgPoolOptions;
use sqlx::{Executor, PgPool, Postgres};
use tokio::sync::Notify;
use tracing::{info, warn};

/// What an order leaves besides its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Outbox {
    /// Nothing: no reader learns of it
    None,
    /// A row that the relay removes, and a NOTIFY, in the same transaction
    Notify,
    /// The row likewise, and after the commit one NOTIFY for all orders that commit meanwhile. A
    /// NOTIFY in their transactions makes orders commit one after the other: it holds a lock until
    /// the end
    NotifyAfter,
    /// An event in a queue of `PgQ`, which its ticker makes visible
    Pgq,
}

impl Outbox {
    /// Its name on the command line.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Notify => "notify",
            Self::NotifyAfter => "notify-after",
            Self::Pgq => "pgq",
        }
    }

    /// Creates it, if it is not there.
    fn create(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Notify | Self::NotifyAfter => {
                "CREATE TABLE IF NOT EXISTS bench_outbox (
                     position BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                     id UUID NOT NULL, event_type TEXT NOT NULL, subject TEXT NOT NULL,
                     time TIMESTAMPTZ NOT NULL, data TEXT NOT NULL)"
            }
            // A tick as soon as there are events (`peers::pgq`), and soon another one without new
            // events: an event whose transaction was open during a tick is in the next one.
            Self::Pgq => {
                "CREATE EXTENSION IF NOT EXISTS pgq;
                 SELECT pgq.create_queue('orders');
                 SELECT pgq.set_queue_config('orders', 'ticker_max_lag', '0');
                 SELECT pgq.set_queue_config('orders', 'ticker_idle_period', '5 ms');
                 SELECT pgq.register_consumer('orders', 'invoice')"
            }
        }
    }

    /// Adds an event: its id, type, subject, time and data.
    fn insert(self) -> &'static str {
        match self {
            Self::Pgq => {
                "SELECT pgq.insert_event('orders', $2, $5, $1::uuid::text, $3, $4::timestamptz::text, NULL)"
            }
            Self::None | Self::Notify | Self::NotifyAfter => {
                "INSERT INTO bench_outbox (id, event_type, subject, time, data)
                 VALUES ($1, $2, $3, $4, $5)"
            }
        }
    }

    /// Adds all events of the feed in the same database.
    #[cfg(feature = "peers")]
    pub(crate) async fn load(self, pool: &PgPool) -> Result<()> {
        if self != Self::Pgq {
            let all = "INSERT INTO bench_outbox (id, event_type, subject, time, data)
                       SELECT id, event_type, subject, time, data FROM feed_event ORDER BY sequence";
            pool.execute(all).await?;
            return Ok(());
        }
        let events: i64 = sqlx::query_scalar("SELECT count(*) FROM feed_event")
            .fetch_one(pool)
            .await?;
        // As many events between two ticks as 32 writers place meanwhile; the consumer takes several
        // ticks together.
        for before in (0..events).step_by(10) {
            sqlx::query(
                "SELECT pgq.insert_event('orders', event_type, data, id::text, subject, time::text, NULL)
                 FROM feed_event WHERE sequence BETWEEN $1 + 1 AND $1 + 10 ORDER BY sequence",
            )
            .bind(before)
            .execute(pool)
            .await?;
            pool.execute("SELECT pgq.ticker('orders')").await?;
        }
        Ok(())
    }
}

#[derive(Debug, Clone)]
struct Orders {
    database: Database<Postgres>,
    base: BaseUrl,
    outbox: Outbox,
    news: Arc<Notify>,
}

pub(super) async fn router(url: &str, outbox: Outbox, listen: SocketAddr) -> Result<Router> {
    let database = Database::<Postgres>::open(url).await?;
    let migrations = <Postgres as Store>::MIGRATIONS;
    database.migrate("_order_migrations", migrations).await?;
    let news = Arc::new(Notify::new());
    database.writer().execute(outbox.create()).await?;
    if outbox == Outbox::NotifyAfter {
        // Not behind orders that wait for a connection.
        let pool = PgPoolOptions::new().max_connections(1);
        tokio::spawn(tell(pool.connect(url).await?, Arc::clone(&news)));
    }
    let orders = Orders {
        database,
        base: format!("http://{listen}/").parse()?,
        outbox,
        news,
    };
    Ok(Router::new()
        .route("/orders", post(place))
        .layer(map_response(keep_private))
        .layer(DefaultBodyLimit::max(1024 * 1024))
        .with_state(orders))
}

async fn place(State(orders): State<Orders>, body: Bytes) -> Result<Response, Failed> {
    let draft = representation::draft(&serde_json::from_slice(&body)?);
    let base = orders.base.clone();
    let order = tokio::spawn(async move { orders.place(draft).await }).await??;
    let location = [(header::LOCATION, base.join(&order.id.path()).to_string())];
    let document = Json(OrderDocument::new(&order, &base));
    Ok((StatusCode::CREATED, location, document).into_response())
}

impl Orders {
    async fn place(&self, draft: Draft) -> Result<Order> {
        let mut tx = self.database.begin().await?;
        let customer = draft.customer.map(CustomerId);
        let catalog = Postgres::named(&mut tx, customer, &draft.items()).await?;
        let new = draft.check(&catalog);
        let new = new.map_err(|errors| anyhow::anyhow!("{errors:?}"))?;
        let order = Postgres::insert(&mut tx, new)
            .await?
            .context("the customer is gone")?;
        if self.outbox != Outbox::None {
            let event = order.placed(&self.base);
            sqlx::query(self.outbox.insert())
                .bind(EventId::new().0)
                .bind(event.event_type)
                .bind(event.subject)
                .bind(event.time)
                .bind(event.data)
                .execute(&mut *tx)
                .await?;
        }
        if self.outbox == Outbox::Notify {
            tx.execute("NOTIFY bench_outbox").await?;
        }
        tx.commit().await?;
        if self.outbox == Outbox::NotifyAfter {
            self.news.notify_one();
        }
        info!(order.id = %order.id, "placed order {}", order.id);
        Ok(order)
    }
}

/// Notifies the relay of new rows. A relay that misses it polls before long.
async fn tell(pool: PgPool, news: Arc<Notify>) {
    loop {
        news.notified().await;
        if let Err(error) = pool.execute("NOTIFY bench_outbox").await {
            warn!("the relay was not notified: {error}");
        }
    }
}

/// An order that was not placed; the benchmark fails on the status.
struct Failed(anyhow::Error);

impl<E: Into<anyhow::Error>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        (StatusCode::INTERNAL_SERVER_ERROR, format!("{:#}", self.0)).into_response()
    }
}
