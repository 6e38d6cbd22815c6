//! The head, whole, while 200 orders arrive each second: each of them makes another head.
//!
//! Against an axum route that gives the bytes of a head of average length, while the order service
//! takes the same 200 orders a second beside it, so that the machine has the same to do. All
//! processes share all cores here, PostgreSQL too.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;

use crate::bare::canned;
use crate::http::{Connection, get, new_order, once, rate};
use crate::lab::Lab;
use crate::measure::{Figure, Goal};
use crate::process::Start;

/// Orders in a second.
const ORDERS: u32 = 200;

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
            let orders = tokio::spawn(order_all_the_time(order.address));
            // Until the orders come evenly.
            tokio::time::sleep(Duration::from_millis(200)).await;
            let rate = rate(address, requests.clone(), 16, time, 200).await;
            orders.abort();
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

/// Places orders at an even pace, however long the answers take; ends with the task.
async fn order_all_the_time(address: SocketAddr) -> Result<()> {
    let (clients, order) = (8, new_order());
    let mut connections = Vec::new();
    for _ in 0..clients {
        connections.push(Connection::open(address).await?);
    }
    let pace = |mut connection: Connection, n: u32| {
        let order = order.clone();
        async move {
            let every = Duration::from_secs(1) * clients / ORDERS;
            tokio::time::sleep(every * n / clients).await;
            let mut ticks = tokio::time::interval(every);
            loop {
                ticks.tick().await;
                if connection.exchange(&order).await.is_err() {
                    return;
                }
            }
        }
    };
    let mut tasks = tokio::task::JoinSet::new();
    for (connection, n) in connections.into_iter().zip(0..) {
        tasks.spawn(pace(connection, n));
    }
    while tasks.join_next().await.is_some() {}
    Ok(())
}
