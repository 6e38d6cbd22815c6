//! A thousand readers wait at the head (`Prefer: wait`), and one order is placed: how long after
//! its commit does each get the new entry, and what does that cost the database?
//!
//! Against a thousand requests that wait for one tokio `watch` on a bare axum route, which gives
//! the same bytes. Ours has to number the event first (a transaction, a sync of the disk), and to
//! read it. The clock of both starts at the server: at the order's commit by PostgreSQL's clock,
//! and when the watch is notified.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use sqlx::PgPool;
use tokio::task::JoinSet;

use crate::bare::canned;
use crate::http::{Connection, get, header, new_order, once, request};
use crate::lab::Lab;
use crate::measure::{Figure, Goal, percentile};
use crate::process::Start;

const READERS: usize = 1_000;

pub(super) async fn run(lab: &mut Lab) -> Result<()> {
    let url = lab.history(1_050).await?;
    let pool = lab.pool(&url).await?;
    let order = lab.start(Start::service("order", &url)).await?;
    let newest = async || -> Result<Vec<u8>> {
        let (head, _) = once(order.address, &get("/feed", &[])).await?;
        let etag = header(&head, "etag").context("a tag")?;
        Ok(ask(&etag))
    };
    // One reader alone, for the bytes.
    let asked = newest().await?;
    let mut reader = Connection::open(order.address).await?;
    reader.send(&asked).await?;
    once(order.address, &new_order()).await?;
    let answer = reader.receive().await?;
    ensure!(answer.status == 226, "{}", answer.status);
    let file = canned::save(&lab.directory, "/feed", answer.head, answer.body)?;
    let file = file.display().to_string();
    let bare = lab.start(Start::bare("canned", &["--wait", &file])).await?;
    let [p50, p99] = [
        Figure::new("1,000 waiting readers, one event, p50", "ms", Goal::None),
        Figure::new("the same, p99", "ms", Goal::RatioAtMost(1.5)),
    ];
    let against = "1,000 requests on one watch, same bytes";
    lab.forget_statements().await?;
    let mut events = 0;
    lab.compare(
        [p50.against(against), p99.against(against)],
        async || {
            let asked = newest().await?;
            events += 1;
            let tell = async || placed(order.address, &pool).await;
            all_answered(order.address, &asked, tell).await
        },
        async || {
            let asked = ask("W/\"x\"");
            let tell = async || {
                let (_, body) = once(bare.address, &request("POST", "/tell", &[], "")).await?;
                Ok(std::str::from_utf8(&body)?.parse()?)
            };
            all_answered(bare.address, &asked, tell).await
        },
    )
    .await?;
    let statements = lab.statements(&url).await?;
    let reads = statements.iter().filter(|each| {
        // What readers cause; the sequencer polls the head with or without readers.
        each.name().starts_with("feed::") && each.name() != "feed::look"
    });
    let reads: i64 = reads.map(|each| each.calls).sum();
    let mut figure = Figure::new("queries for all readers", "an event", Goal::AtMost(1.0));
    figure.ours = vec![reads as f64 / f64::from(events)];
    lab.record(figure);
    Ok(())
}

/// Places an order; returns when it was committed, in seconds, by PostgreSQL's clock.
pub(super) async fn placed(order: SocketAddr, pool: &PgPool) -> Result<f64> {
    let (head, _) = once(order, &new_order()).await?;
    let place = header(&head, "location").context("a place")?;
    let id = place.rsplit('/').next().context("an id")?.parse::<i64>()?;
    let committed = sqlx::query_scalar(
        "SELECT EXTRACT(epoch FROM pg_xact_commit_timestamp(xmin))::float8
         FROM orders WHERE id = $1",
    );
    Ok(committed.bind(id).fetch_one(pool).await?)
}

/// As our consumer asks.
fn ask(etag: &str) -> Vec<u8> {
    get(
        "/feed",
        &[
            ("Accept", "application/atom+xml"),
            ("Accept-Encoding", "gzip"),
            ("If-None-Match", etag),
            ("A-IM", "feed"),
            ("Prefer", "wait=30"),
        ],
    )
}

/// Lets all readers wait, runs `tell`, and returns median and 99th percentile of how much later
/// they were answered, in milliseconds.
async fn all_answered(
    address: SocketAddr,
    asked: &[u8],
    tell: impl AsyncFnOnce() -> Result<f64>,
) -> Result<[f64; 2]> {
    let mut readers = JoinSet::new();
    for _ in 0..READERS {
        let mut connection = Connection::open(address).await?;
        connection.send(asked).await?;
        readers.spawn(async move {
            let answer = connection.receive().await?;
            ensure!(answer.status == 226, "{}", answer.status);
            Ok(canned::now())
        });
    }
    // Each has reached the point where it waits.
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    ensure!(
        readers.try_join_next().is_none(),
        "a reader was not held back"
    );
    let notified = tell().await?;
    let mut took = Vec::new();
    while let Some(answered) = readers.join_next().await {
        took.push((answered?? - notified) * 1e3);
    }
    Ok([percentile(&mut took, 0.5), percentile(&mut took, 0.99)])
}
