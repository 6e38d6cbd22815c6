//! A peer in place of the feed: what the shop does by HTTP, against the same work by outbox, relay,
//! broker and consumer, or by a queue of `PgQ` (`peers`), each set up anew for its turn.
//!
//! - *orders*: by HTTP, 32 writers, while invoices are written. The next row shows whether a side
//!   accepts orders fast at the cost of late invoices.
//! - *drain*: events wait with the peer, or in the feed, when the consumer's process starts; until
//!   the last invoice. Each peer has the size of batches that is best for it (`Peer::batch`); ours
//!   are as large as the backlog makes them.
//! - *commit to invoice*: as in the row `latency`.
//! - *CPU*: of all processes except the client, PostgreSQL's included, from the first order of a
//!   burst to half a second after the last invoice.
//! - *memory*: of the same processes then, without PostgreSQL, which is one for both.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use sqlx::Executor;

use crate::http::{new_order, rate};
use crate::lab::Lab;
use crate::measure::{Figure, Goal};
use crate::peers::Peer;
use crate::peers::shop::Shop;
use crate::process::Start;

/// Writers of a burst, and of the orders before it that open all connections.
const WRITERS: i64 = 16;

/// Databases that both sides are set up with.
#[derive(Debug)]
struct Templates {
    /// The invoice service's, empty.
    invoices: String,
    /// Those of the order services with a backlog: our feed's, and the peer's.
    feed: String,
    outbox: String,
    /// How many events that is.
    backlog: i64,
}

pub(super) async fn run(lab: &mut Lab, peer: Peer) -> Result<()> {
    let templates = Templates::make(lab, peer).await?;
    lab.compare_set_up(
        figures(peer),
        async |lab: &mut Lab| measure(lab, None, &templates).await,
        async |lab: &mut Lab| measure(lab, Some(peer), &templates).await,
    )
    .await
}

fn figures(peer: Peer) -> [Figure; 7] {
    let label = peer.label();
    let figure = |what: &str, unit, goal| {
        Figure::new(format!("{what}; {label}"), unit, goal).against(&label)
    };
    let (more, less) = (Goal::RatioAtLeast(1.0), Goal::RatioAtMost(1.0));
    let sooner = Goal::RatioAtMost(0.9);
    [
        figure("orders, 32 writers, invoices beside", "/s", more),
        figure("of these invoiced at the end", "%", Goal::None),
        figure("drain of a backlog", "events/s", Goal::RatioAtLeast(1.1)),
        figure("commit to invoice at 50 orders/s, p50", "ms", sooner),
        figure("the same, p99", "ms", sooner),
        figure("CPU for 10,000 events, all processes", "s", less),
        figure("memory after them, without PostgreSQL", "MiB", less),
    ]
}

async fn measure(lab: &mut Lab, peer: Option<Peer>, templates: &Templates) -> Result<[f64; 7]> {
    let drained = drain(lab, peer, templates).await?;
    let (orders, invoices) = (lab.database().await?, lab.copy(&templates.invoices).await?);
    let mut shop = Shop::open(lab, peer, orders, invoices).await?;
    shop.invoice(lab).await?;
    let (cpu, memory) = burst(&shop, lab.many(10_000, 1_600)).await?;
    let [p50, p99] = shop.way.measure(lab.many(1_000, 150)).await?;
    let before = shop.count().await?;
    let time = lab.seconds(8.0, 2.0);
    let orders = rate(shop.way.address, vec![new_order()], 32, time, 201).await?;
    let after = shop.count().await?;
    shop.close(lab).await?;
    let [placed, invoiced] = [0, 1].map(|n| (after[n] - before[n]) as f64);
    let invoiced = invoiced / placed * 100.0;
    Ok([orders, invoiced, drained, p50, p99, cpu, memory])
}

/// Events in a second, from the start of the consumer's process.
async fn drain(lab: &mut Lab, peer: Option<Peer>, templates: &Templates) -> Result<f64> {
    let orders = match peer {
        None => lab.copy(&templates.feed).await?,
        Some(_) => lab.copy(&templates.outbox).await?,
    };
    let invoices = lab.copy(&templates.invoices).await?;
    let mut shop = Shop::open(lab, peer, orders, invoices).await?;
    shop.publish_all().await?;
    let begin = Instant::now();
    shop.invoice(lab).await?;
    shop.invoiced(templates.backlog).await?;
    let rate = templates.backlog as f64 / begin.elapsed().as_secs_f64();
    shop.close(lab).await?;
    Ok(rate)
}

/// Seconds of processor time for 10,000 events, and the memory after them in MiB.
async fn burst(shop: &Shop, orders: i64) -> Result<(f64, f64)> {
    let before = 20 * WRITERS;
    shop.place(before, WRITERS).await?;
    shop.invoiced(before).await?;
    let used = shop.cpu().await?;
    shop.place(orders, WRITERS).await?;
    shop.invoiced(before + orders).await?;
    // What is acknowledged, removed or recorded after the last invoice belongs to it.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let used = shop.cpu().await?.saturating_sub(used);
    let [placed, invoiced] = shop.count().await?;
    ensure!(placed == invoiced, "{invoiced} invoices of {placed} orders");
    let each = used.as_secs_f64() / orders as f64;
    Ok((each * 1e4, shop.memory()?))
}

impl Templates {
    async fn make(lab: &mut Lab, peer: Peer) -> Result<Self> {
        let backlog = lab.many(20_000, 3_000);
        let feed = lab.history(backlog).await?;
        let invoices = lab.database().await?;
        lab.prepare("invoice", &invoices).await?;
        // The same events, as the order service beside the peer would have written them.
        let outbox = lab.copy(&feed).await?;
        let order = Start::bare("orders", &["--outbox", peer.outbox().name()]);
        let order = lab.start(order.set("DATABASE_URL", outbox.clone())).await?;
        order.stop().await?;
        let pool = lab.pool(&outbox).await?;
        peer.outbox().load(&pool).await?;
        pool.execute("VACUUM ANALYZE").await?;
        pool.close().await;
        Ok(Self {
            invoices,
            feed,
            outbox,
            backlog,
        })
    }
}
