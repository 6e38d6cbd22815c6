//! Orders by HTTP on PostgreSQL, 32 writers.
//!
//! Against the same service without append and sequencer: what the shop would take if it published
//! nothing. Each has a database of its own on the same server.

use anyhow::Result;

use crate::bare::Outbox;
use crate::http::{new_order, rate};
use crate::lab::Lab;
use crate::measure::{Figure, Goal};
use crate::process::Start;

pub(super) async fn run(lab: &mut Lab) -> Result<()> {
    let url = lab.database().await?;
    let ours = lab.start(Start::service("order", &url)).await?;
    let url = lab.database().await?;
    let bare = Start::bare("orders", &["--outbox", Outbox::None.name()]);
    let bare = lab.start(bare.set("DATABASE_URL", url)).await?;
    let (requests, time) = (vec![new_order()], lab.seconds(8.0, 2.0));
    let figure = Figure::new("orders, 32 writers", "/s", Goal::RatioAtLeast(0.85));
    lab.compare(
        [figure.against("without append and sequencer")],
        async || Ok([rate(ours.address, requests.clone(), 32, time, 201).await?]),
        async || Ok([rate(bare.address, requests.clone(), 32, time, 201).await?]),
    )
    .await
}
