//! Resident memory of each service a while after its start, with nothing to do; and of the order
//! service after a consumer has read its whole long history, as Atom pages and with data. There is
//! no limit to compare with: the bound is the goal's.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::http::{Connection, get, header, once};
use crate::lab::Lab;
use crate::measure::{Figure, Goal};
use crate::process::Start;

pub(super) async fn run(lab: &mut Lab) -> Result<()> {
    let orders = lab.history(1_000).await?;
    let order = lab.start(Start::service("order", &orders)).await?;
    let feed = order.url("/feed");
    for name in ["invoice", "shipping"] {
        let url = lab.database().await?;
        let start = Start::service(name, &url).set("FEED_URL", feed.clone());
        let process = lab.start(start).await?;
        // It has read the feed and waits now.
        tokio::time::sleep(Duration::from_secs(5)).await;
        note(
            lab,
            &format!("{name}, idle, PostgreSQL"),
            process.memory()?.0,
            20.0,
        );
    }
    note(lab, "order, idle, PostgreSQL", order.memory()?.0, 20.0);
    for name in ["order", "invoice", "shipping"] {
        let file = lab.directory.join(format!("memory-{name}.db"));
        let url = format!("sqlite:{}", file.display());
        let start = Start::service(name, &url).set("FEED_URL", feed.clone());
        let process = lab.start(start).await?;
        tokio::time::sleep(Duration::from_secs(5)).await;
        note(
            lab,
            &format!("{name}, idle, SQLite"),
            process.memory()?.0,
            20.0,
        );
    }
    let (long, events) = lab.long_history().await?;
    let order = lab.start(Start::service("order", &long)).await?;
    lab.say(format!("reading {events} events"));
    let (head, _) = once(order.address, &get("/feed", &[])).await?;
    let etag = header(&head, "etag").context("a tag")?;
    let epoch = etag.trim_start_matches("W/\"").split('.').next();
    let epoch = epoch.context("an epoch")?;
    let mut connection = Connection::open(order.address).await?;
    // As our consumer asks.
    let gzip = [("Accept-Encoding", "gzip")];
    for page in 1..=events / 100 {
        connection
            .exchange(&get(&format!("/feed/{epoch}/{page}"), &gzip))
            .await?;
        let (first, last) = (page * 100 - 99, page * 100);
        let batch = format!("/feed/{epoch}/batch/{first}-{last}");
        connection.exchange(&get(&batch, &gzip)).await?;
    }
    let (now, most) = order.memory()?;
    note(lab, &format!("order, {events} events served"), now, 64.0);
    note(lab, "the same, at most", most, 64.0);
    Ok(())
}

fn note(lab: &mut Lab, what: &str, mib: f64, bound: f64) {
    let mut figure = Figure::new(what, "MiB", Goal::AtMost(bound));
    figure.ours = vec![mib];
    lab.record(figure);
}
