//! All processes between an order and its invoice, on databases of their own: ours, or those around
//! a peer. Only one shop exists at a time, so that the other one uses nothing of the machine.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use sqlx::PgPool;
use tokio::task::JoinSet;

use super::broker::Broker;
use super::{Peer, usage};
use crate::bare::Outbox;
use crate::http::{Connection, new_order};
use crate::lab::Lab;
use crate::process::{Process, Start};
use crate::way::Way;

/// How long invoices may take.
const DEADLINE: Duration = Duration::from_secs(300);

/// Dropped in the order of its fields: the broker after its clients.
#[derive(Debug)]
pub(crate) struct Shop {
    order: Process,
    /// What brings events to a broker, if there is one.
    relay: Option<Process>,
    invoice: Option<Process>,
    broker: Option<(Peer, Broker)>,
    orders: String,
    invoices: String,
    pub(crate) way: Way,
}

impl Shop {
    /// Opens a shop on two databases; ours if there is no `peer`. No process writes invoices yet.
    pub(crate) async fn open(
        lab: &Lab,
        peer: Option<Peer>,
        orders: String,
        invoices: String,
    ) -> Result<Self> {
        let (order, relay, broker) = match peer {
            None => (
                lab.start(Start::service("order", &orders)).await?,
                None,
                None,
            ),
            Some(peer) => {
                let order = Start::bare("orders", &["--outbox", peer.outbox().name()]);
                let order = lab.start(order.set("DATABASE_URL", orders.clone())).await?;
                // After the order service, which creates the queue that PgQ's daemon looks for.
                let broker = Broker::start(peer, lab, &orders).await?;
                let relay = match peer.outbox() {
                    Outbox::Pgq => None,
                    _ => {
                        let relay = ["--from", &orders, peer.name(), &broker.address];
                        Some(lab.start(Start::bare("publish", &relay)).await?)
                    }
                };
                (order, relay, Some((peer, broker)))
            }
        };
        let way = Way {
            address: order.address,
            orders: lab.pool(&orders).await?,
            invoices: lab.pool(&invoices).await?,
        };
        Ok(Self {
            order,
            relay,
            invoice: None,
            broker,
            orders,
            invoices,
            way,
        })
    }

    /// Starts the process that writes invoices.
    pub(crate) async fn invoice(&mut self, lab: &Lab) -> Result<()> {
        let start = match &self.broker {
            None => {
                let feed = self.order.url("/feed");
                Start::service("invoice", &self.invoices).set("FEED_URL", feed)
            }
            Some((peer, broker)) => {
                let start = Start::bare("consume", &[peer.name(), &broker.address]);
                start.set("DATABASE_URL", self.invoices.clone())
            }
        };
        self.invoice = Some(lab.start(start).await?);
        Ok(())
    }

    /// Waits until all events of the outbox are in the broker; then the relay is no longer needed.
    pub(crate) async fn publish_all(&mut self) -> Result<()> {
        if self.relay.is_some() {
            until(
                &self.way.orders,
                "SELECT NOT EXISTS (SELECT FROM bench_outbox)",
            )
            .await?;
            self.relay = None;
        }
        Ok(())
    }

    /// Waits until so many orders have their invoices.
    pub(crate) async fn invoiced(&self, orders: i64) -> Result<()> {
        // The newest is cheap to query, and is among the last to arrive.
        let newest = format!("SELECT COALESCE(max(order_id) >= {orders}, false) FROM invoice");
        until(&self.way.invoices, &newest).await?;
        let all = format!("SELECT count(*) >= {orders} FROM invoice");
        until(&self.way.invoices, &all).await
    }

    /// How many there are: orders, and invoices.
    pub(crate) async fn count(&self) -> Result<[i64; 2]> {
        let orders = sqlx::query_scalar("SELECT count(*) FROM orders");
        let invoices = sqlx::query_scalar("SELECT count(*) FROM invoice");
        Ok([
            orders.fetch_one(&self.way.orders).await?,
            invoices.fetch_one(&self.way.invoices).await?,
        ])
    }

    /// Places so many orders, as fast as so many writers can.
    pub(crate) async fn place(&self, orders: i64, writers: i64) -> Result<()> {
        let mut clients = JoinSet::new();
        for _ in 0..writers {
            let mut connection = Connection::open(self.way.address).await?;
            clients.spawn(async move {
                let order = new_order();
                for _ in 0..orders / writers {
                    let answer = connection.exchange(&order).await?;
                    ensure!(answer.status == 201, "{}", answer.status);
                }
                anyhow::Ok(())
            });
        }
        while let Some(client) = clients.join_next().await {
            client??;
        }
        Ok(())
    }

    /// Processor time that all processes have used, those of PostgreSQL too.
    pub(crate) async fn cpu(&self) -> Result<Duration> {
        let backend: i32 = sqlx::query_scalar("SELECT pg_backend_pid()")
            .fetch_one(&self.way.orders)
            .await?;
        let mut used = usage::cpu(usage::parent(backend.try_into()?)?)?;
        for id in self.ids() {
            used += usage::cpu(id)?;
        }
        Ok(used)
    }

    /// Memory of all processes in MiB, PostgreSQL's aside: it is the same one for both sides.
    pub(crate) fn memory(&self) -> Result<f64> {
        self.ids().map(usage::memory).sum()
    }

    fn ids(&self) -> impl Iterator<Item = u32> {
        let beside = self.relay.iter().chain(&self.invoice).map(Process::id);
        let broker = self.broker.iter().flat_map(|(_, broker)| broker.ids());
        std::iter::once(self.order.id()).chain(beside).chain(broker)
    }

    /// Stops all of it, and drops its databases.
    pub(crate) async fn close(self, lab: &Lab) -> Result<()> {
        let (orders, invoices) = (self.orders.clone(), self.invoices.clone());
        self.way.orders.close().await;
        self.way.invoices.close().await;
        drop(self);
        lab.drop(&orders).await?;
        lab.drop(&invoices).await
    }
}

/// Repeats a query until it returns true.
async fn until(pool: &PgPool, sql: &str) -> Result<()> {
    let begin = Instant::now();
    loop {
        let query = sqlx::query_scalar(sqlx::AssertSqlSafe(sql.to_owned()));
        if query.fetch_one(pool).await? {
            return Ok(());
        }
        ensure!(begin.elapsed() < DEADLINE, "not after {DEADLINE:?}: {sql}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
