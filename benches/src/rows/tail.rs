//! What a consumer that follows the end of the feed transfers for each new event: all bytes both
//! ways, headers too, and all requests, of the real invoice service, counted on the wire between the
//! two; then the same bytes as if the service did not accept compression.
//!
//! With a long history against one of 100 events: a long history must cost a consumer nothing.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use sqlx::PgPool;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use crate::http::{new_order, once};
use crate::lab::Lab;
use crate::measure::{Figure, Goal};
use crate::process::{Process, Start, free_address};

/// Orders of a round, one after the other.
const ORDERS: u64 = 40;

/// An order service, a consumer at its end, and the wire between them.
struct Pair {
    order: Process,
    _invoice: Process,
    invoices: PgPool,
    wire: Arc<Wire>,
}

/// Counts what it passes on.
#[derive(Debug, Default)]
struct Wire {
    bytes: AtomicU64,
    requests: AtomicU64,
    /// Takes the header out of requests that asks for compression.
    uncompressed: AtomicBool,
}

/// What a consumer sends that accepts compression.
const COMPRESSED: &[u8] = b"accept-encoding: gzip\r\n";

pub(super) async fn run(lab: &mut Lab) -> Result<()> {
    let (long, events) = lab.long_history().await?;
    let short = lab.history(100).await?;
    let long = Pair::open(lab, &long).await?;
    let short = Pair::open(lab, &short).await?;
    let figure = |what: &str, unit, goal| {
        let what = format!("{what}, {events} events");
        Figure::new(what, unit, goal).against("100 events")
    };
    lab.compare(
        [
            figure("bytes for an event, gzip", "bytes", Goal::RatioAtMost(1.05)),
            figure("the same, uncompressed", "bytes", Goal::AtMost(1600.0)),
            figure("requests for an event", "requests", Goal::AtMost(1.0)),
        ],
        async || long.follow().await,
        async || short.follow().await,
    )
    .await
}

impl Pair {
    async fn open(lab: &mut Lab, orders: &str) -> Result<Self> {
        let (address, wire) = (free_address()?, Arc::new(Wire::default()));
        // Links lead through the wire too.
        let base = format!("http://{address}/");
        let order = Start::service("order", orders).set("BASE_URL", base.clone());
        let order = lab.start(order).await?;
        let listener = TcpListener::bind(address).await?;
        tokio::spawn(Arc::clone(&wire).pass_on(listener, order.address));
        let url = lab.database().await?;
        lab.prepare("invoice", &url).await?;
        let invoices = lab.pool(&url).await?;
        at_the_end(&lab.pool(orders).await?, &invoices).await?;
        let invoice = Start::service("invoice", &url).set("FEED_URL", base + "feed");
        let invoice = lab.start(invoice).await?;
        // Until it waits at the head.
        tokio::time::sleep(Duration::from_secs(2)).await;
        Ok(Self {
            order,
            _invoice: invoice,
            invoices,
            wire,
        })
    }

    /// Returns the bytes for an event, compressed and not, and the requests.
    async fn follow(&self) -> Result<[f64; 3]> {
        let [compressed, requests] = self.follow_with(true).await?;
        let [uncompressed, _] = self.follow_with(false).await?;
        Ok([compressed, uncompressed, requests])
    }

    /// Returns bytes and requests for an event, with or without compression.
    async fn follow_with(&self, compression: bool) -> Result<[f64; 2]> {
        self.wire
            .uncompressed
            .store(!compression, Ordering::Relaxed);
        // The request that waits was sent before.
        self.place(1).await?;
        let read = || {
            let bytes = self.wire.bytes.load(Ordering::Relaxed);
            (bytes, self.wire.requests.load(Ordering::Relaxed))
        };
        let before = read();
        self.place(ORDERS).await?;
        let after = read();
        let each = |before: u64, after: u64| (after - before) as f64 / ORDERS as f64;
        Ok([each(before.0, after.0), each(before.1, after.1)])
    }

    /// Places orders, each when the one before has its invoice.
    async fn place(&self, orders: u64) -> Result<()> {
        let count = async || -> Result<i64> {
            let count = sqlx::query_scalar("SELECT count(*) FROM invoice");
            Ok(count.fetch_one(&self.invoices).await?)
        };
        let mut invoices = count().await?;
        for _ in 0..orders {
            let (head, _) = once(self.order.address, &new_order()).await?;
            ensure!(head.starts_with(b"HTTP/1.1 201"), "an order is refused");
            invoices += 1;
            while count().await? < invoices {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            // It has asked again by then.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}

/// Puts a consumer's cursors at the end of a feed, as if it had read all of it.
async fn at_the_end(orders: &PgPool, invoices: &PgPool) -> Result<()> {
    let (epoch, sequence, anchor): (String, i64, String) =
        sqlx::query_as("SELECT epoch, sequence, 'urn:uuid:' || anchor FROM feed_head")
            .fetch_one(orders)
            .await?;
    sqlx::query("UPDATE feed_partition SET epoch = $1, sequence = $2, anchor = $3")
        .bind(epoch)
        .bind(sequence)
        .bind(anchor)
        .execute(invoices)
        .await?;
    Ok(())
}

impl Wire {
    async fn pass_on(self: Arc<Self>, listener: TcpListener, to: SocketAddr) {
        while let Ok((client, _)) = listener.accept().await {
            let Ok(server) = TcpStream::connect(to).await else {
                continue;
            };
            let _ = (client.set_nodelay(true), server.set_nodelay(true));
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            tokio::spawn(Arc::clone(&self).copy(from_client, to_server, true));
            tokio::spawn(Arc::clone(&self).copy(from_server, to_client, false));
        }
    }

    async fn copy(self: Arc<Self>, mut from: OwnedReadHalf, mut to: OwnedWriteHalf, ask: bool) {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(read @ 1..) = from.read(&mut buffer).await {
            let mut part = buffer[..read].to_vec();
            if ask {
                let compressed = part
                    .windows(COMPRESSED.len())
                    .position(|line| line == COMPRESSED);
                if let Some(at) = compressed
                    && self.uncompressed.load(Ordering::Relaxed)
                {
                    part.drain(at..at + COMPRESSED.len());
                }
                // A consumer's requests have no body, and are written at once.
                let ends = part.windows(4).filter(|end| end == b"\r\n\r\n").count();
                self.requests.fetch_add(ends as u64, Ordering::Relaxed);
            }
            self.bytes.fetch_add(part.len() as u64, Ordering::Relaxed);
            if to.write_all(&part).await.is_err() {
                return;
            }
        }
    }
}
