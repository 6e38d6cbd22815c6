//! The same requests to a feed with a long history, and to one with 1,000 events: no request may
//! get slower as the history grows.
//!
//! Two processes, two databases on one server. Pages are in memory once they were requested, so the
//! batch (100 events with their data, at more positions than are kept) represents the rest. The
//! positions are spread over all of the history.

use std::net::SocketAddr;

use anyhow::{Context, Result};

use crate::http::{get, header, once, rate};
use crate::lab::Lab;
use crate::measure::{Figure, Goal};
use crate::process::Start;

/// A feed, and the positions in it that are requested.
struct Feed {
    address: SocketAddr,
    etag: String,
    epoch: String,
    events: i64,
    cursors: Vec<String>,
}

pub(super) async fn run(lab: &mut Lab) -> Result<()> {
    let (long, events) = lab.long_history().await?;
    let short = lab.history(1_000).await?;
    let long_order = lab.start(Start::service("order", &long)).await?;
    let short_order = lab.start(Start::service("order", &short)).await?;
    // Includes what other benchmarks have placed since.
    let long = Feed::look(long_order.address, events).await?;
    let short = Feed::look(short_order.address, 1_000).await?;
    type Requests = fn(&Feed) -> Vec<Vec<u8>>;
    let kinds: [(&str, u16, Requests); 5] = [
        ("head", 200, |_| vec![get("/feed", &[])]),
        ("304", 304, |feed| {
            vec![get("/feed", &[("If-None-Match", &feed.etag)])]
        }),
        ("page", 200, |feed| {
            feed.pages(|epoch, page| format!("/feed/{epoch}/{page}"))
        }),
        ("batch of 100", 200, Feed::batches),
        ("seek", 303, |feed| {
            let cursors = feed.cursors.iter();
            cursors
                .map(|cursor| get(&format!("/feed?after={cursor}"), &[]))
                .collect()
        }),
    ];
    let time = lab.seconds(3.0, 0.5);
    for (what, status, requests) in kinds {
        let figure = Figure::new(
            format!("{what}, {events} events"),
            "ms",
            Goal::RatioAtMost(1.2),
        );
        let each = async |feed: &Feed| {
            let rate = rate(feed.address, requests(feed), 1, time, status).await?;
            Ok([1e3 / rate])
        };
        lab.compare(
            [figure.against("1,000 events")],
            async || each(&long).await,
            async || each(&short).await,
        )
        .await?;
    }
    Ok(())
}

impl Feed {
    async fn look(address: SocketAddr, events: i64) -> Result<Self> {
        let (head, _) = once(address, &get("/feed", &[])).await?;
        let etag = header(&head, "etag").context("a tag")?;
        let epoch = etag.trim_start_matches("W/\"").split('.').next();
        let mut feed = Self {
            address,
            epoch: epoch.context("an epoch")?.to_owned(),
            etag,
            events,
            cursors: Vec::new(),
        };
        // The cursor of a page is its last event: seeking it leads to the next page.
        for page in feed.positions() {
            let path = format!("/feed/{}/{page}", feed.epoch);
            let (_, body) = once(address, &get(&path, &[])).await?;
            let body = String::from_utf8(body)?;
            let cursor = body.split_once("<event:cursor>").context("a cursor")?.1;
            let cursor = cursor.split('<').next().context("a cursor")?;
            feed.cursors.push(cursor.to_owned());
        }
        Ok(feed)
    }

    /// Eight immutable pages, spread over the history.
    fn positions(&self) -> Vec<i64> {
        let last = self.events / 100 - 1;
        (0..8).map(|n| 1 + n * (last - 1) / 8).collect()
    }

    /// Ranges of 100 events. More of them than an order service keeps in memory, so that each is
    /// read from the database.
    fn batches(&self) -> Vec<Vec<u8>> {
        let firsts = (0..40).map(|n| 1 + n * (self.events - 100) / 40);
        firsts
            .map(|first| {
                let last = first + 99;
                get(&format!("/feed/{}/batch/{first}-{last}", self.epoch), &[])
            })
            .collect()
    }

    fn pages(&self, path: fn(&str, i64) -> String) -> Vec<Vec<u8>> {
        let positions = self.positions().into_iter();
        positions
            .map(|page| get(&path(&self.epoch, page), &[]))
            .collect()
    }
}
