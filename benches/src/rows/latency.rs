//! How long after an order has committed its invoice does, while 50 orders arrive each second.
//!
//! Against what a team writes by hand where a service may reach into another one's database: an
//! outbox table with LISTEN and NOTIFY, orders in database A, invoices in B, the same order service
//! and effect (`bare::orders`, `bare::relay`). Ours goes by HTTP, and numbers the events between.

use anyhow::Result;

use crate::bare::Outbox;
use crate::lab::Lab;
use crate::measure::{Figure, Goal};
use crate::process::Start;
use crate::way::Way;

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
            figure("commit to invoice at 50 orders/s, p50", 1.25),
            figure("commit to invoice at 50 orders/s, p99", 1.3),
        ],
        async || ours.measure(orders).await,
        async || limit.measure(orders).await,
    )
    .await
}
