//! A page of 100 entries, written by us and by `atom_syndication`'s own writer: the same entries,
//! as that crate has read them from our page; then both read it. In this process, on one thread.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::Result;
use feed_core::feed::bench::Page;

use crate::lab::Lab;
use crate::measure::{Figure, Goal};

pub(super) async fn run(lab: &mut Lab) -> Result<()> {
    let page = Page::of(100, "http://127.0.0.1:8081/".parse()?);
    let bytes = page.write();
    let feed = atom_syndication::Feed::read_from(&bytes[..])?;
    let theirs = feed.write_to(Vec::new())?;
    let time = lab.seconds(2.0, 0.3);
    let against = "atom_syndication, same entries";
    lab.compare(
        [Figure::new(
            "a page of 100 entries written",
            "µs",
            Goal::RatioAtMost(0.5),
        )
        .against(against)],
        async || Ok([each(time, || drop(black_box(page.write())))]),
        async || {
            Ok([each(time, || {
                drop(black_box(feed.write_to(Vec::with_capacity(theirs.len()))));
            })])
        },
    )
    .await?;
    let mut size = Figure::new("its size", "bytes", Goal::RatioAtMost(1.0)).against(against);
    size.ours = vec![bytes.len() as f64];
    size.limit = vec![theirs.len() as f64];
    lab.record(size);
    let url: url::Url = "http://127.0.0.1:8081/feed/x/2".parse()?;
    let figure = Figure::new("the page read, checks included", "µs", Goal::None);
    lab.compare(
        [figure.against("atom_syndication alone")],
        async || {
            Ok([each(time, || {
                let read = feed_core::consumer::bench::read(&bytes, url.clone());
                assert_eq!(read.ok(), Some(100));
            })])
        },
        async || {
            Ok([each(time, || {
                drop(black_box(atom_syndication::Feed::read_from(&bytes[..])));
            })])
        },
    )
    .await
}

/// Microseconds that it takes once.
fn each(time: Duration, mut what: impl FnMut()) -> f64 {
    let (begin, mut times) = (Instant::now(), 0);
    while begin.elapsed() < time {
        what();
        times += 1;
    }
    begin.elapsed().as_secs_f64() * 1e6 / f64::from(times)
}
