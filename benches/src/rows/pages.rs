//! Pages: what consumers that catch up read, and what caches hold.
//!
//! Against an axum route that gives the same headers and bytes as constants, behind the same
//! listener and layers. As they are, and compressed, as our consumer asks for them. The newest
//! sealed page still waits for one link; the one before is immutable.

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
    // Its tag is its cursor: the epoch, the sequence and the anchor.
    let etag = header(&head, "etag").unwrap_or_default();
    let epoch = etag.trim_start_matches("W/\"").split('.').next();
    let epoch = epoch.unwrap_or_default();
    let kinds = [
        ("sealed page", 10, None),
        ("sealed page, gzip", 10, Some("gzip")),
        ("immutable page", 9, None),
        ("immutable page, gzip", 9, Some("gzip")),
    ];
    for (what, page, coding) in kinds {
        let path = format!("/feed/{epoch}/{page}");
        let mut headers = vec![("Accept", "application/atom+xml")];
        headers.extend(coding.map(|coding| ("Accept-Encoding", coding)));
        let asked = get(&path, &headers);
        let (head, body) = once(order.address, &asked).await?;
        let file = canned::save(&lab.directory, &path, &head, &body)?;
        let start = Start::bare("canned", &[&file.display().to_string()]);
        let bare = lab.start(start.on_core(0)).await?;
        let (requests, time) = (vec![asked], lab.seconds(3.0, 0.5));
        let what = format!("{what}, {} bytes", body.len());
        lab.compare(
            [Figure::new(what, "/s", Goal::RatioAtLeast(0.85)).against("same bytes, bare route")],
            async || Ok([rate(order.address, requests.clone(), 16, time, 200).await?]),
            async || Ok([rate(bare.address, requests.clone(), 16, time, 200).await?]),
        )
        .await?;
    }
    Ok(())
}
