//! What is too large, or takes too long, is abandoned in time and with bounded memory.

use std::io::Write;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use harness::fake::{Atom, Entry, Fake, Numbered, Reply};

use crate::support::{Reader, Recording, ids, numbered, serving};

harness::on_both_databases! {
    a_gigantic_feed_is_abandoned
    a_gzip_bomb_is_abandoned
    gigantic_data_is_parked_alone
    a_server_that_takes_too_long_is_abandoned
    large_data_is_applied_in_parts
}

const MIB: usize = 1024 * 1024;

/// What a server can send of a gigantic answer: the bound, and what the sockets buffer.
const MOST: u64 = 24 * MIB as u64;

/// A valid document that never ends.
fn gigantic() -> Reply {
    let open = Atom::of(1..=2).xml().replace("</feed>", "");
    Reply::feed(open).endless(1024 * MIB as u64)
}

fn zipped(text: &[u8]) -> Vec<u8> {
    let mut zipped = GzEncoder::new(Vec::new(), Compression::fast());
    zipped.write_all(text).unwrap();
    zipped.finish().unwrap()
}

async fn a_gigantic_feed_is_abandoned<B: Recording>(url: &str) {
    let fake = Fake::start().await;
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    fake.at("/feed", gigantic().header("etag", "\"giant\""));
    reader.fails().await;
    let head = fake.sent();
    assert!(head < MOST, "it could send {head} bytes");
    // As a page.
    fake.at(
        "/feed",
        Reply::feed(Atom::of(10..=12).link("next", "/page").xml()),
    );
    fake.at("/page", gigantic());
    reader.fails().await;
    let page = fake.sent() - head;
    assert!(page < MOST, "it could send {page} bytes");
    assert_eq!(reader.ids().await, ids([]));
    // Announced.
    let length = 1024 * MIB;
    let announced = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n<feed>");
    fake.at("/feed", Reply::raw(announced));
    reader.fails().await;
    fake.at("/feed", Reply::feed(Atom::of(1..=3).xml()));
    reader.takes(&ids(1..=3)).await;
}

async fn a_gzip_bomb_is_abandoned<B: Recording>(url: &str) {
    let fake = Fake::start().await;
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    // Well-formed, and a feed, if it were read to the end.
    let mut bomb = Atom::of(1..=9).xml().into_bytes();
    bomb.resize(64 * MIB, b' ');
    let bomb = zipped(&bomb);
    assert!(bomb.len() < MIB);
    fake.at(
        "/feed",
        Reply::feed(bomb).header("content-encoding", "gzip"),
    );
    reader.fails().await;
    assert_eq!(reader.ids().await, ids([]));
    // A small one is read.
    let small = Reply::feed(zipped(Atom::of(1..=3).xml().as_bytes()));
    let asked_for = fake.asked()[0].header("accept-encoding").map(str::to_owned);
    assert!(asked_for.is_some_and(|coding| coding.contains("gzip")));
    fake.at("/feed", small.header("content-encoding", "gzip"));
    reader.takes(&ids(1..=3)).await;
}

async fn gigantic_data_is_parked_alone<B: Recording>(url: &str) {
    let entry = Entry::new(&ids([1])[0], "2026-05-01T00:00:00Z").src("/data");
    let fake = serving(&Atom::foreign([entry, Entry::foreign(2)])).await;
    let data = Reply::ok("application/json", "{\"a\":\"");
    fake.at("/data", data.endless(1024 * MIB as u64));
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    reader.drain().await;
    assert_eq!(reader.ids().await, ids([2]));
    assert_eq!(reader.parked().await[0].id, ids([1])[0]);
    let sent = fake.sent();
    assert!(sent < MOST, "it could send {sent} bytes");
    // In our format: as the batch of many events, each of which is small.
    let fake = numbered(5).await;
    let batch = Reply::ok("application/cloudevents-batch+json", "[");
    fake.at("/batch/*", batch.endless(1024 * MIB as u64));
    let mut reader = Reader::<B>::of("ours", url, &fake.url("/feed")).await;
    reader.takes(&Numbered::ids(5)).await;
    let sent = fake.sent();
    assert!(sent < MOST, "it could send {sent} bytes");
}

/// Each is within the bound; together they would exceed any memory.
async fn large_data_is_applied_in_parts<B: Recording>(url: &str) {
    let data = format!("\"{}\"", "x".repeat(4 * MIB));
    let fake = numbered(25).await;
    fake.at("/batch/*", Reply::status(404));
    fake.at("/events/*", Reply::ok("application/json", data.clone()));
    let mut reader = Reader::<B>::of("ours", url, &fake.url("/feed")).await;
    reader.takes(&Numbered::ids(25)).await;
    // The head has more of them than fit into one part.
    Numbered::new(39).serve(&fake);
    fake.at("/batch/*", Reply::status(404));
    fake.at("/events/*", Reply::ok("application/json", data.clone()));
    reader.takes(&Numbered::ids(39)).await;
    let entries = (1..=12).rev().map(|number| {
        let entry = Entry::new(&ids([number])[0], &Entry::foreign(number).updated);
        entry.src(&format!("/data/{number}"))
    });
    let fake = serving(&Atom::foreign(entries)).await;
    fake.at("/data/*", Reply::ok("application/json", data));
    fake.at("/data/12", Reply::status(503).header("retry-after", "1"));
    let mut reader = Reader::<B>::of("foreign", url, &fake.url("/feed")).await;
    reader.fails().await;
    assert_eq!(
        reader.ids().await,
        ids(1..=11),
        "the parts before are stored"
    );
    fake.forget("/data/12");
    reader.takes(&ids(1..=12)).await;
}

/// The only test that waits for a time limit.
async fn a_server_that_takes_too_long_is_abandoned<B: Recording>(url: &str) {
    let slow = async |name: &str, reply: Reply| {
        let fake = Fake::start().await;
        fake.at("/feed", reply);
        let mut reader = Reader::<B>::of(name, url, &fake.url("/feed")).await;
        let handle = reader.handle();
        let begin = Instant::now();
        let polling = reader.fails();
        let looking = async {
            harness::until("it is asked", async || {
                (!fake.asked().is_empty()).then_some(())
            })
            .await;
            let looked = Instant::now();
            assert_eq!(handle.status().await.unwrap().halted, None);
            looked.elapsed()
        };
        let (_, looking) = tokio::join!(polling, looking);
        assert!(
            looking < Duration::from_secs(5),
            "{name}: no other event may wait"
        );
        assert!(begin.elapsed() < Duration::from_secs(30), "{name}");
        fake.at("/feed", Reply::feed(Atom::of(1..=3).xml()));
        reader.takes(&ids(1..=3)).await;
    };
    tokio::join!(
        slow(
            "one byte a second",
            Reply::feed(Atom::of(1..=9).xml()).drip()
        ),
        slow("no answer", Reply::never()),
    );
}
