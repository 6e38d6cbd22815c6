//! Tags and dates: sent back as they came, and only those of answers that were applied.

use harness::fake::{Atom, Fake, Reply};

use crate::support::{Reader, Recording, ids};

harness::on_both_databases! {
    a_tag_is_sent_back_unchanged
    a_tag_that_would_fill_a_request_is_not_kept
    a_date_is_sent_back_unchanged
    an_incomplete_answer_leaves_no_tag
    not_modified_needs_a_condition
    an_unchanged_tag_hides_no_event
    an_answer_that_is_not_applied_leaves_no_tag
}

/// The tag or the date in the last request for the head.
fn seen(fake: &Fake) -> Option<Vec<u8>> {
    let asked = fake.asked();
    let mut heads = asked.iter().rev().filter(|asked| asked.path() == "/feed");
    let last = heads.next().unwrap();
    last.bytes("if-none-match").map(<[u8]>::to_vec)
}

async fn a_tag_is_sent_back_unchanged<B: Recording>(url: &str) {
    let tags: [&[u8]; 12] = [
        b"\"a\"",
        b"W/\"a\"",
        b"\"a,b\"",
        b"\"\"",
        b"W/\"\"",
        b"\"a\\b\"",
        b"\"W/a\"",
        b"\"with space\"",
        b"\"\xc3\xa4\xe2\x82\xac\"",
        b"\"\xe9\x80\xff\"",
        // Invalid as tags, but some servers send them, and recognise them.
        b"abc",
        b"W/abc",
    ];
    for (number, tag) in tags.into_iter().enumerate() {
        let fake = Fake::start().await;
        let feed = Reply::feed(Atom::of(1..=2).xml()).header("etag", tag);
        fake.each("/feed", move |asked| match asked.bytes("if-none-match") {
            Some(seen) if seen == tag => Reply::status(304),
            _ => feed.clone(),
        });
        let mut reader = Reader::<B>::of(&number.to_string(), url, &fake.url("/feed")).await;
        reader.takes(&ids(1..=2)).await;
        assert_eq!(fake.asked()[0].bytes("if-none-match"), None);
        assert_eq!(seen(&fake).as_deref(), Some(tag), "{}", tag.escape_ascii());
        // It is kept over a restart.
        let mut reader = reader.again(url, &fake.url("/feed")).await;
        reader.poll().await.unwrap();
        assert_eq!(seen(&fake).as_deref(), Some(tag), "{}", tag.escape_ascii());
    }
}

/// A server that would refuse to read it, even after it is corrected.
async fn a_tag_that_would_fill_a_request_is_not_kept<B: Recording>(url: &str) {
    let fake = Fake::start().await;
    let long = format!("\"{}\"", "a".repeat(100_000));
    fake.at(
        "/feed",
        Reply::feed(Atom::of(1..=2).xml()).header("etag", long),
    );
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    reader.takes(&ids(1..=2)).await;
    reader.poll().await.unwrap();
    assert_eq!(seen(&fake), None);
}

async fn a_date_is_sent_back_unchanged<B: Recording>(url: &str) {
    for (name, date) in [
        ("imf", "Fri, 01 May 2026 10:00:05 GMT"),
        ("rfc 850", "Friday, 01-May-26 10:00:05 GMT"),
        ("asctime", "Fri May  1 10:00:05 2026"),
    ] {
        let fake = Fake::start().await;
        fake.at(
            "/feed",
            Reply::feed(Atom::of(1..=2).xml()).header("last-modified", date),
        );
        let mut reader = Reader::<B>::of(name, url, &fake.url("/feed")).await;
        reader.takes(&ids(1..=2)).await;
        let last = fake.asked().pop().unwrap();
        assert_eq!(last.header("if-modified-since"), Some(date));
        assert_eq!(last.header("if-none-match"), None);
    }
}

async fn an_incomplete_answer_leaves_no_tag<B: Recording>(url: &str) {
    // The document in it is whole; only the message is not.
    let feed = |last| Reply::feed(Atom::of(1..=last).xml());
    for (name, cut) in [
        ("length", Reply::cut_short as fn(Reply) -> Reply),
        ("chunk", Reply::cut_chunk),
    ] {
        let fake = Fake::start().await;
        let mut reader = Reader::<B>::of(name, url, &fake.url("/feed")).await;
        fake.at("/feed", cut(feed(2).header("etag", "\"broken\"")));
        for _ in 0..2 {
            reader.fails().await;
            assert_eq!(seen(&fake), None, "{name}");
        }
        assert_eq!(reader.ids().await, ids([]), "{name}");
        // A good one in between, and a broken one again.
        fake.at("/feed", feed(1).header("etag", "\"good\""));
        reader.poll().await.unwrap();
        fake.at("/feed", cut(feed(2).header("etag", "\"broken\"")));
        for _ in 0..2 {
            reader.fails().await;
            assert_ne!(
                seen(&fake).as_deref(),
                Some(b"\"broken\"".as_slice()),
                "{name}"
            );
        }
        assert_eq!(reader.ids().await, ids([1]), "{name}");
        fake.at("/feed", feed(3).header("etag", "\"healthy\""));
        reader.takes(&ids(1..=3)).await;
    }
}

async fn not_modified_needs_a_condition<B: Recording>(url: &str) {
    let fake = Fake::start().await;
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    // In reply to everything, also to the first request.
    fake.at("/feed", Reply::status(304).header("etag", "\"cache\""));
    for _ in 0..2 {
        let error = reader.fails().await;
        assert!(error.contains("304"), "{error}");
        assert_eq!(seen(&fake), None, "the tag of nothing");
    }
    fake.at(
        "/feed",
        Reply::feed(Atom::of(1..=2).xml()).header("etag", "\"two\""),
    );
    reader.poll().await.unwrap();
    // Here it may be true.
    fake.at("/feed", Reply::status(304));
    reader.takes(&ids(1..=2)).await;
    fake.at(
        "/feed",
        Reply::feed(Atom::of(1..=3).xml()).header("etag", "\"three\""),
    );
    reader.takes(&ids(1..=3)).await;
}

async fn an_unchanged_tag_hides_no_event<B: Recording>(url: &str) {
    let fake = Fake::start().await;
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    for newest in [2, 3, 7] {
        let feed = Reply::feed(Atom::of(1..=newest).xml());
        let date = "Fri, 01 May 2026 10:00:05 GMT";
        fake.at(
            "/feed",
            feed.header("etag", "\"old\"").header("last-modified", date),
        );
        reader.takes(&ids(1..=newest)).await;
    }
}

async fn an_answer_that_is_not_applied_leaves_no_tag<B: Recording>(url: &str) {
    let portal = "<!-- Welcome --><html><head><title>Wifi</title></head>\
                  <body><p>Please log in</p></body></html>";
    let strict = portal.replace("<html>", "<html xmlns=\"http://www.w3.org/1999/xhtml\">");
    let doctype = format!("<!DOCTYPE html>{portal}");
    let elsewhere = Atom::of(1..=2).link("next", "/none").xml();
    for (name, answer) in [
        ("portal", Reply::ok("text/html", portal)),
        ("strict", Reply::ok("application/xhtml+xml", strict)),
        ("doctype", Reply::ok("text/html; charset=utf-8", doctype)),
        ("disguised", Reply::feed(portal)),
        ("json", Reply::ok("application/json", "{\"feed\": []}")),
        ("nothing", Reply::feed("")),
        // A feed, but incomplete.
        ("a hole", Reply::feed(elsewhere)),
    ] {
        let fake = Fake::start().await;
        let mut reader = Reader::<B>::of(name, url, &fake.url("/feed")).await;
        let answer = answer.header("etag", "\"portal\"");
        fake.at("/feed", answer.clone());
        for _ in 0..2 {
            reader.fails().await;
            assert_eq!(seen(&fake), None, "{name}");
        }
        fake.at(
            "/feed",
            Reply::feed(Atom::of(1..=1).xml()).header("etag", "\"good\""),
        );
        reader.poll().await.unwrap();
        fake.at("/feed", answer);
        // An event of the last one is known already.
        for _ in 0..2 {
            let _ = reader.poll().await;
        }
        if name != "a hole" {
            assert_eq!(
                seen(&fake).as_deref(),
                Some(b"\"good\"".as_slice()),
                "{name}"
            );
        }
        fake.at("/feed", Reply::feed(Atom::of(1..=3).xml()));
        reader.takes(&ids(1..=3)).await;
    }
}
