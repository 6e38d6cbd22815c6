//! How long after an order has committed its invoice does, while 50 orders arrive each second.
//!
//! Against what a team writes by hand where a service may reach into another one's database: an
//! outbox table with LISTEN and NOTIFY, orders in database A, invoices in B, the same order service
//! and effect (`bare::orders`, `bare::relay`). Ours goes by HTTP, and numbers the events between.
//!
//! Both times are PostgreSQL's own (`track_commit_timestamp`), of one server and clock, so that
//! nobody has to watch.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, ensure};
use sqlx::PgPool;

use crate::bare::Outbox;
use crate::http::{Connection, new_order};
use crate::lab::Lab;
use crate::measure::{Figure, Goal, percentile};
use crate::process::Start;

/// One way from orders to invoices.
struct Way {
    address: SocketAddr,
    orders: PgPool,
    invoices: PgPool,
}

pub(super) async fn run(lab: &mut Lab) -> Result<()> {
    let [a, b, c, d] = [
        lab.database().await?,
        lab.database().await?,
        lab.database().await?,
        lab.database().await?,
    ];
    let order = lab.start(Start::service("order", &a)).await?;
    let invoice = Start::service("invoice", &b).set("FEED_URL", order.url("/feed"));
    let _invoice = lab.start(invoice).await?;
    let bare = Start::bare("orders", &["--outbox", Outbox::Notify.name()]);
    let bare = lab.start(bare.set("DATABASE_URL", c.clone())).await?;
    let relay = Start::bare("relay", &["--from", &c]);
    let _relay = lab.start(relay.set("DATABASE_URL", d.clone())).await?;
    let ours = Way {
        address: order.address,
        orders: lab.pool(&a).await?,
        invoices: lab.pool(&b).await?,
    };
    let limit = Way {
        address: bare.address,
        orders: lab.pool(&c).await?,
        invoices: lab.pool(&d).await?,
    };
    let orders = lab.many(1_000, 150);
    let figure = |what: &str, bound| {
        let figure = Figure::new(what, "ms", Goal::RatioAtMost(bound));
        figure.against("outbox with LISTEN/NOTIFY")
    };
    lab.compare(
        [
            figure("commit to invoice at 50 orders/s, p50", 1.5),
            figure("commit to invoice at 50 orders/s, p99", 2.0),
        ],
        async || ours.measure(orders).await,
        async || limit.measure(orders).await,
    )
    .await
}

impl Way {
    /// Median and 99th percentile in milliseconds.
    async fn measure(&self, orders: i64) -> Result<[f64; 2]> {
        let before: i64 = sqlx::query_scalar("SELECT COALESCE(max(id), 0) FROM orders")
            .fetch_one(&self.orders)
            .await?;
        let mut connection = Connection::open(self.address).await?;
        let order = new_order();
        let mut pace = tokio::time::interval(Duration::from_millis(20));
        for _ in 0..orders {
            pace.tick().await;
            // Not in step with any clock of the services.
            tokio::time::sleep(Duration::from_micros(fastrand::u64(..5_000))).await;
            let answer = connection.exchange(&order).await?;
            ensure!(answer.status == 201, "{}", answer.status);
        }
        let placed = times(&self.orders, "orders", "id", before).await?;
        let mut invoiced = HashMap::new();
        while invoiced.len() < placed.len() {
            tokio::time::sleep(Duration::from_millis(20)).await;
            invoiced = times(&self.invoices, "invoice", "order_id", before).await?;
        }
        let took = placed.iter().map(|(id, at)| (invoiced[id] - at) * 1e3);
        let mut took: Vec<f64> = took.collect();
        Ok([percentile(&mut took, 0.5), percentile(&mut took, 0.99)])
    }
}

/// When the rows after `before` were committed, in seconds.
async fn times(pool: &PgPool, table: &str, id: &str, before: i64) -> Result<HashMap<i64, f64>> {
    let sql = format!(
        "SELECT {id}, EXTRACT(epoch FROM pg_xact_commit_timestamp(xmin))::float8
         FROM {table} WHERE {id} > $1"
    );
    let rows = sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(before);
    let rows: Vec<(i64, f64)> = rows.fetch_all(pool).await?;
    Ok(rows.into_iter().collect())
}
