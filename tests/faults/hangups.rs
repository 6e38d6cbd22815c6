//! Clients that disconnect at random microseconds, during requests of all kinds: later answers to
//! other clients are still true. (In sqlx a transaction whose begin is dropped half-way stays open
//! in the pool, and what the next one writes in it vanishes.)

use std::time::Duration;

use harness::{Backend, load};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::checker::assert_no_violations;
use crate::clients::hang_up;
use crate::life::Life;
use crate::plan::Plan;

harness::on_both_backends! { clients_that_disconnect_do_not_affect_others }

/// Of each client that disconnects.
const TIMES: u64 = 150;

async fn clients_that_disconnect_do_not_affect_others(backend: Backend) {
    let plan = Plan::quiet(backend, [1, 1, 1]);
    let mut life = Life::start(&plan, &format!("hangups-{backend:?}")).await;
    let authority = life.fleet.front.url.clone();
    let authority = authority
        .trim_start_matches("http://")
        .trim_end_matches('/')
        .to_owned();
    let all = (0..6_u64).map(|who| {
        let authority = authority.clone();
        tokio::spawn(async move {
            for n in 0..TIMES {
                let after = Duration::from_micros(fastrand::u64(0..5_000));
                // Orders that are unlike those of other clients.
                let order = load::nth_order(1_000_000 + who * TIMES + n);
                let _ = match who {
                    0..3 => hang_up(&authority, &order, after).await,
                    3 => send(&authority, &format!("DELETE /order/{}", 1 + n % 50), after).await,
                    4 => send(&authority, "GET /?q=Berlin", after).await,
                    _ => send(&authority, "GET /feed?after=start", after).await,
                };
            }
        })
    });
    for each in all.collect::<Vec<_>>() {
        each.await.unwrap();
    }
    life.last(Duration::from_secs(2)).await;
    assert_no_violations(&life.end().await);
}

async fn send(authority: &str, request: &str, after: Duration) -> std::io::Result<()> {
    let mut socket = TcpStream::connect(authority).await?;
    let head = format!("{request} HTTP/1.1\r\nHost: {authority}\r\n\r\n");
    socket.write_all(head.as_bytes()).await?;
    tokio::time::sleep(after).await;
    Ok(())
}
