//! A page of 100 entries written and read: `cargo bench -p bench --features page`.

use atom_syndication::Feed;
use bytes::Bytes;
use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use feed_core::consumer;
use feed_core::feed::bench::Page;

const ENTRIES: i64 = 100;

fn main() {
    divan::main();
}

fn page() -> Page {
    let base = "http://127.0.0.1:8081/".parse();
    Page::of(ENTRIES, base.expect("a base URL"))
}

fn feed(bytes: &Bytes) -> Feed {
    Feed::read_from(&bytes[..]).expect("a feed")
}

#[divan::bench]
fn write_ours(bencher: Bencher<'_, '_>) {
    let page = page();
    let bytes = BytesCount::new(page.write().len());
    bencher.counter(bytes).bench(|| black_box(&page).write());
}

#[divan::bench]
fn write_atom_syndication(bencher: Bencher<'_, '_>) {
    let feed = feed(&page().write());
    let size = feed.to_string().len();
    bencher
        .counter(BytesCount::new(size))
        .bench(|| black_box(&feed).write_to(Vec::with_capacity(size)));
}

#[divan::bench]
fn read_ours(bencher: Bencher<'_, '_>) {
    let bytes = page().write();
    let url: url::Url = "http://127.0.0.1:8081/feed/x/2".parse().expect("a URL");
    bencher
        .counter(ItemsCount::new(ENTRIES as usize))
        .bench(|| consumer::bench::read(black_box(&bytes), url.clone()));
}

#[divan::bench]
fn read_atom_syndication(bencher: Bencher<'_, '_>) {
    let bytes = page().write();
    bencher
        .counter(ItemsCount::new(ENTRIES as usize))
        .bench(|| Feed::read_from(black_box(&bytes[..])));
}
