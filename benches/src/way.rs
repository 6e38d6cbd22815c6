//! The time from an order to its invoice, through the feed or a broker.
//!
//! Both times are PostgreSQL's own (`track_commit_timestamp`), of one server and clock, so that no
//! process has to observe.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, ensure};
use sqlx::PgPool;

use crate::http::{Connection, new_order};
use crate::measure::percentile;

/// One way from orders to invoices.
#[derive(Debug)]
pub(crate) struct Way {
    /// Where orders are placed.
    pub(crate) address: SocketAddr,
    pub(crate) orders: PgPool,
    pub(crate) invoices: PgPool,
}

impl Way {
    /// Places 50 orders a second; returns median and 99th percentile in milliseconds.
    pub(crate) async fn measure(&self, orders: i64) -> Result<[f64; 2]> {
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
