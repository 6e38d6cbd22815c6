//! A `304` from the head: the answer for a reader that is up to date, and so the most frequent one.
//!
//! Against an axum route that gives the same status and headers as constants, behind the same
//! listener and layers: what HTTP itself costs here. 16 connections that are kept; the server has
//! one core and the client another, so that the client's cost does not blur the ratio.

use anyhow::Result;

use crate::bare::canned;
use crate::http::{get, header, once, rate};
use crate::lab::Lab;
use crate::measure::{Figure, Goal};
use crate::process::Start;

pub(super) async fn run(lab: &mut Lab) -> Result<()> {
    let url = lab.history(1_050).await?;
    let order = lab.start(Start::service("order", &url).on_core(0)).await?;
    let (head, _) = once(order.address, &get("/feed", &[])).await?;
    let etag = header(&head, "etag").unwrap_or_default();
    // As our consumer asks.
    let asked = get(
        "/feed",
        &[
            ("If-None-Match", &etag),
            ("Accept", "application/atom+xml"),
            ("Accept-Encoding", "gzip"),
        ],
    );
    let (head, body) = once(order.address, &asked).await?;
    let file = canned::save(&lab.directory, "/feed", &head, &body)?;
    let start = Start::bare("canned", &[&file.display().to_string()]);
    let bare = lab.start(start.on_core(0)).await?;
    let (requests, time) = (vec![asked], lab.seconds(4.0, 0.5));
    let figure = Figure::new(
        "304 from the head, 16 connections",
        "/s",
        Goal::RatioAtLeast(0.9),
    );
    lab.compare(
        [figure.against("constant 304, bare route")],
        async || Ok([rate(order.address, requests.clone(), 16, time, 304).await?]),
        async || Ok([rate(bare.address, requests.clone(), 16, time, 304).await?]),
    )
    .await
}
