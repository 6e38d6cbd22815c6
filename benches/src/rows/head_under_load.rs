//! The head, whole, while 200 orders arrive each second: each of them makes another head.
//!
//! Against an axum route that gives the bytes of a head of average length, while the order service
//! takes the same 200 orders a second beside it, so that the machine has the same to do. All
//! processes share all cores here, PostgreSQL too.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tokio::task::JoinSet;

use crate::bare::canned;
use crate::http::{Connection, get, new_order, once, rate};
use crate::lab::Lab;
use crate::measure::{Figure, Goal};
use crate::process::Start;

/// Orders in a second.
const ORDERS: u32 = 200;

/// The part of them that has to arrive.
const LEAST: f64 = 0.8;

pub(super) async fn run(lab: &mut Lab) -> Result<()> {
    for coding in [None, Some("gzip")] {
        // A head has 100 to 199 entries.
        let url = lab.history(1_050).await?;
        let order = lab.start(Start::service("order", &url)).await?;
        let mut headers = vec![("Accept", "application/atom+xml")];
        headers.extend(coding.map(|coding| ("Accept-Encoding", coding)));
        let asked = get("/feed", &headers);
        let (head, body) = once(order.address, &asked).await?;
        let file = canned::save(&lab.directory, "/feed", &head, &body)?;
        let bare = Start::bare("canned", &[&file.display().to_string()]);
        let bare = lab.start(bare).await?;
        let (requests, time) = (vec![asked], lab.seconds(4.0, 1.0));
        let what = match coding {
            None => "head while 200 orders arrive each second".to_owned(),
            Some(coding) => format!("the same, {coding}"),
        };
        let figure = Figure::new(what, "/s", Goal::RatioAtLeast(0.6));
        let rate = async |address: SocketAddr| {
            let placed = Arc::new(AtomicU32::new(0));
            let orders = tokio::spawn(order_all_the_time(order.address, Arc::clone(&placed)));
            // Until the orders come evenly.
            tokio::time::sleep(Duration::from_millis(200)).await;
            let (begin, before) = (Instant::now(), placed.load(Ordering::Relaxed));
            let rate = rate(address, requests.clone(), 16, time, 200).await;
            let arrived = f64::from(placed.load(Ordering::Relaxed) - before);
            let expected = f64::from(ORDERS) * begin.elapsed().as_secs_f64();
            let failed = orders.is_finished();
            orders.abort();
            ensure!(
                !failed && arrived >= LEAST * expected,
                "{arrived} orders arrived while {expected:.0} should have: this round shows nothing"
            );
            Ok([rate?])
        };
        lab.compare(
            [figure.against("constant bytes, bare route, same orders")],
            async || rate(order.address).await,
            async || rate(bare.address).await,
        )
        .await?;
    }
    Ok(())
}

/// Places orders at an even pace, however long the answers take, and counts them; ends with the task, or with the first
/// order that is not taken.
async fn order_all_the_time(address: SocketAddr, placed: Arc<AtomicU32>) -> Result<()> {
    let (clients, order) = (8, new_order());
    let mut connections = Vec::new();
    for _ in 0..clients {
        connections.push(Connection::open(address).await?);
    }
    let pace = |mut connection: Connection, n: u32| {
        let (order, placed) = (order.clone(), Arc::clone(&placed));
        async move {
            let every = Duration::from_secs(1) * clients / ORDERS;
            tokio::time::sleep(every * n / clients).await;
            let mut ticks = tokio::time::interval(every);
            loop {
                ticks.tick().await;
                let answer = connection.exchange(&order).await?;
                ensure!(answer.status == 201, "an order got {}", answer.status);
                placed.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    let mut tasks: JoinSet<Result<()>> = JoinSet::new();
    for (connection, n) in connections.into_iter().zip(0..) {
        tasks.spawn(pace(connection, n));
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(())
}
