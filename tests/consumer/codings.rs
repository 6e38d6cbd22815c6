//! Lengths and content codings that a server or a proxy gets wrong: the result is the whole body or
//! an error, never a shorter text.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use harness::fake::{Atom, Entry, Fake, Numbered, Reply};

use crate::support::{Reader, Recording, assert_says, ids, numbered, serving};

harness::on_both_databases! {
    a_body_is_read_completely_however_it_is_sent
    data_that_is_cut_or_damaged_parks_its_event_alone
    a_document_that_is_cut_or_damaged_is_an_error
    a_batch_that_is_cut_or_damaged_is_read_event_by_event
    an_error_contains_its_status_for_any_body
}

fn zipped(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let mut zipped = GzEncoder::new(Vec::new(), Compression::fast());
    zipped.write_all(bytes.as_ref()).unwrap();
    zipped.finish().unwrap()
}

/// One gzip member for each part of the text.
fn members(text: &str, count: usize) -> Vec<u8> {
    let length = text.len().div_ceil(count);
    text.as_bytes().chunks(length).flat_map(zipped).collect()
}

/// A `200` with these lines in its head.
fn raw(version: &str, head: &str, body: impl AsRef<[u8]>) -> Reply {
    let head = format!("HTTP/{version} 200 OK\r\ncontent-type: application/json\r\n{head}\r\n");
    Reply::raw([head.as_bytes(), body.as_ref()].concat())
}

fn chunked(body: &[u8], size: usize) -> Vec<u8> {
    let chunk = |part: &[u8]| {
        let size = format!("{:x}\r\n", part.len());
        [size.as_bytes(), part, b"\r\n"].concat()
    };
    let mut chunked: Vec<u8> = body.chunks(size).flat_map(chunk).collect();
    chunked.extend(b"0\r\n\r\n");
    chunked
}

fn coded(coding: impl AsRef<[u8]>, body: impl Into<Vec<u8>>) -> Reply {
    Reply::ok("application/json", body).header("content-encoding", coding)
}

/// Ways in which a server may send all of `text`.
fn whole(text: &str) -> Vec<(&'static str, Reply)> {
    let mut empty_end = zipped(text);
    empty_end.extend(zipped(""));
    let gzip = zipped(text);
    let bytewise = "content-encoding: gzip\r\ntransfer-encoding: chunked\r\n";
    let both = "content-length: 3\r\ntransfer-encoding: chunked\r\n";
    let range = format!("bytes 0-{}/{}", text.len() - 1, text.len());
    vec![
        ("two members", coded("gzip", members(text, 2))),
        ("seven members", coded("gzip", members(text, 7))),
        ("an empty member at the end", coded("gzip", empty_end)),
        ("x-gzip", coded("x-gzip", gzip.clone())),
        ("capitals", coded("GZip", gzip.clone())),
        ("identity", coded("identity", text)),
        ("gzip and identity", coded("gzip, identity", gzip.clone())),
        ("nothing", coded("", text)),
        (
            "byte by byte",
            raw("1.1", bytewise, chunked(&members(text, 3), 1)),
        ),
        (
            "length and chunks",
            raw("1.1", both, chunked(text.as_bytes(), 7)),
        ),
        ("until the end", raw("1.0", "", text)),
        (
            "gzip until the end",
            raw("1.0", "content-encoding: gzip\r\n", gzip),
        ),
        (
            "a range that is all",
            Reply::ok("application/json", text).header("content-range", range),
        ),
    ]
}

/// Ways in which less than `text`, or something else, may look like all of it; and the error for
/// each.
fn damaged(text: &str) -> Vec<(&'static str, Reply, &'static str)> {
    let gzip = zipped(text);
    let cut = |from_end: usize| gzip[..gzip.len() - from_end].to_vec();
    let changed = |from_end: usize| {
        let mut changed = gzip.clone();
        let at = changed.len() - from_end;
        changed[at] ^= 1;
        changed
    };
    let with = |end: &[u8]| [&gzip[..], end].concat();
    let twice = zipped(&gzip);
    let half = &text[..text.len() / 2];
    let short = format!("content-length: {}\r\n", half.len());
    let two_headers = coded("gzip", gzip.clone()).header("content-encoding", "gzip");
    let partial = format!("bytes 0-{}/{}", half.len() - 1, text.len());
    let transfer = "transfer-encoding: gzip, chunked\r\n";
    vec![
        ("garbage behind", coded("gzip", with(b"garbage")), "gzip"),
        ("zeros behind", coded("gzip", with(&[0; 20])), "gzip"),
        (
            "half a header behind",
            coded("gzip", with(&gzip[..5])),
            "gzip",
        ),
        ("half a member behind", coded("gzip", with(&cut(9))), "gzip"),
        ("no trailer", coded("gzip", cut(8)), "gzip"),
        ("half a trailer", coded("gzip", cut(3)), "gzip"),
        ("cut", coded("gzip", cut(gzip.len() / 2)), "gzip"),
        ("nothing at all", coded("gzip", ""), "gzip"),
        ("another checksum", coded("gzip", changed(8)), "gzip"),
        ("another length", coded("gzip", changed(1)), "gzip"),
        ("not packed", coded("gzip", text), "gzip"),
        (
            "packed without a header",
            Reply::ok("application/json", gzip.clone()),
            "without",
        ),
        ("packed twice", coded("gzip", twice.clone()), "twice"),
        ("gzip, gzip", coded("gzip, gzip", twice), "gzip, gzip"),
        ("two headers", two_headers, "gzip, gzip"),
        ("br", coded("br", text), "content coding br"),
        ("zstd", coded("zstd", text), "content coding zstd"),
        ("deflate", coded("deflate", text), "content coding deflate"),
        ("no text", coded(b"\x80\x81", text), "content coding"),
        (
            "a transfer coding",
            raw("1.1", transfer, chunked(&gzip, 9)),
            "transfer coding",
        ),
        (
            "a part",
            Reply::ok("application/json", half).header("content-range", partial),
            "content-range",
        ),
        ("cut until the end", raw("1.0", "", half), "json"),
        (
            "a length that is too short",
            raw("1.1", &short, text),
            "json",
        ),
    ]
}

const DATA: &str = "{\"id\": 1, \"names\": [\"one\", \"two\", \"three\"], \"of\": \"Müller\"}";

/// A feed with an event whose data is at `/data`, and another one.
async fn one_and_another() -> Fake {
    let entry = Entry::new(&ids([1])[0], "2026-05-01T00:00:00Z").src("/data");
    serving(&Atom::foreign([entry, Entry::foreign(2)])).await
}

async fn a_body_is_read_completely_however_it_is_sent<B: Recording>(url: &str) {
    for (name, reply) in whole(DATA) {
        let fake = one_and_another().await;
        fake.at("/data", reply);
        let mut reader = Reader::<B>::of(name, url, &fake.url("/feed")).await;
        reader.drain().await;
        assert_eq!(reader.data().await, [DATA, "{\"id\":2}"], "{name}");
    }
    let feed = Atom::of(1..=9).xml();
    for (name, reply) in whole(&feed) {
        let fake = Fake::start().await;
        fake.at("/feed", reply);
        let name = format!("feed: {name}");
        let mut reader = Reader::<B>::of(&name, url, &fake.url("/feed")).await;
        reader.takes(&ids(1..=9)).await;
    }
}

async fn data_that_is_cut_or_damaged_parks_its_event_alone<B: Recording>(url: &str) {
    for (name, reply, said) in damaged(DATA) {
        let fake = one_and_another().await;
        fake.at("/data", reply);
        let mut reader = Reader::<B>::of(name, url, &fake.url("/feed")).await;
        reader.drain().await;
        assert_eq!(
            reader.ids().await,
            ids([2]),
            "{name}: {:?}",
            reader.data().await
        );
        let parked = reader.parked().await.remove(0);
        let reason = parked.reason.unwrap_or_default();
        assert!(reason.contains("/data"), "{name}: {reason}");
        assert_says(&reason, &[said]);
        assert!(parked.retry_at.is_some(), "{name}: it may pass by itself");
    }
}

async fn a_document_that_is_cut_or_damaged_is_an_error<B: Recording>(url: &str) {
    let feed = Atom::of(1..=9).xml();
    for (name, reply, said) in damaged(&feed) {
        let fake = Fake::start().await;
        fake.at("/feed", reply.clone());
        let mut reader = Reader::<B>::of(name, url, &fake.url("/feed")).await;
        let error = reader.fails().await;
        if said != "json" {
            assert_says(&error, &[said]);
        }
        // As a page.
        let head = Atom::of(10..=12).link("next", "/page");
        fake.at("/feed", Reply::feed(head.xml()));
        fake.at("/page", reply);
        reader.fails().await;
        assert_eq!(reader.ids().await, ids([]), "{name}");
        fake.at("/page", Reply::feed(feed.clone()));
        reader.takes(&ids(1..=12)).await;
    }
}

async fn a_batch_that_is_cut_or_damaged_is_read_event_by_event<B: Recording>(url: &str) {
    let batch = Numbered::batch(1, 3);
    let whole = whole(&batch).into_iter();
    let damaged = damaged(&batch).into_iter();
    let all = whole.chain(damaged.map(|(name, reply, _)| (name, reply)));
    for (name, reply) in all {
        let fake = numbered(3).await;
        fake.at("/batch/*", reply);
        let mut reader = Reader::<B>::of(name, url, &fake.url("/feed")).await;
        reader.takes(&Numbered::ids(3)).await;
        let data: Vec<_> = (1..=3).map(Numbered::data).collect();
        assert_eq!(reader.data().await, data, "{name}");
    }
}

/// The reason in it may be lost; its status may not.
async fn an_error_contains_its_status_for_any_body<B: Recording>(url: &str) {
    let fake = Fake::start().await;
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    let problem = "{\"detail\": \"the shop is closed\"}";
    let status = || Reply::status(500).header("content-encoding", "gzip");
    for reply in [
        status(),
        status().body(problem),
        status().body(zipped(problem)).cut_short(),
        Reply::status(500)
            .header("content-encoding", "br")
            .body(problem),
    ] {
        fake.at("/feed", reply);
        let error = reader.fails().await;
        assert!(error.contains("500"), "{error}");
    }
    fake.at("/feed", status().body(members(problem, 2)));
    assert_says(&reader.fails().await, &["the shop is closed"]);
}
