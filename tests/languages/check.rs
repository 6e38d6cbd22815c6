//! `feed check`, on our own feed and on feeds that break rules.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::RawQuery;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, ETAG};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Redirect;
use axum::routing::get;
use feed_core::http::NAMESPACE;
use harness::{Backend, serve as listen};
use serde_json::Value;

use crate::feed::{Running, database, publish, run, serve, shows};

harness::on_both_backends! {
    our_own_feed_keeps_all_rules
}

/// The findings, by their rules.
async fn findings(url: &str, code: i32) -> Vec<Value> {
    findings_of(&[url], code).await
}

async fn findings_of(arguments: &[&str], code: i32) -> Vec<Value> {
    let (ended, out, err) = run(&[&["check", "--json"], arguments].concat()).await;
    assert_eq!(ended, code, "{out} {err}");
    serde_json::from_str(&out).unwrap()
}

async fn our_own_feed_keeps_all_rules(backend: Backend) {
    let database = database(backend).await;
    let feed = serve(&database).await;
    let url = feed.client.url("feed");
    // Also without an event.
    findings(&url, 0).await;
    for order in 1..=320 {
        publish(&database, &format!("order/{order}"), "{}").await;
    }
    shows(&feed, 320).await;
    for finding in findings(&url, 0).await {
        // Its second is not closed yet: then there is no date.
        let may_miss = finding["source"] == "RFC 9110, 8.8.2.1";
        assert!(finding["verdict"] == "good" || may_miss, "{finding}");
    }
    let (code, out, _) = run(&["check", &url]).await;
    assert_eq!(code, 0);
    assert!(
        out.contains("good   RFC 5005, 4          each entry is in one document"),
        "{out}"
    );
    let (code, ..) = run(&["check", "http://127.0.0.1:9/feed"]).await;
    assert_eq!(code, 2);
    // Events of other types and subjects have the sequences between.
    publish(&database, "order/1", "{}").await;
    shows(&feed, 321).await;
    for filter in ["subject=order/1", "type=order.placed", "type=none"] {
        let found = findings(&format!("{url}?{filter}"), 0).await;
        for rule in ["sequences have no gap", "comes to the newest event"] {
            let finding = about(&found, rule);
            assert_eq!(finding["verdict"], "none", "{filter}: {finding}");
            let why = finding["found"].as_str().unwrap();
            assert!(why.contains("selects events"), "{why}");
        }
    }
}

/// Returns the finding about this rule.
fn about<'f>(found: &'f [Value], rule: &str) -> &'f Value {
    let is_it = |finding: &&Value| finding["rule"].as_str().unwrap().contains(rule);
    let finding = found.iter().find(is_it);
    finding.unwrap_or_else(|| panic!("{rule}: {found:?}"))
}

/// What was not read is not good.
#[tokio::test]
async fn what_was_not_read_has_no_verdict() {
    let database = database(Backend::Sqlite).await;
    let feed = serve(&database).await;
    let url = feed.client.url("feed");
    for order in 1..=420 {
        publish(&database, &format!("order/{order}"), "{}").await;
    }
    shows(&feed, 420).await;
    let rules = [
        "pages of the archive can be read",
        "each entry is in one document",
        "a page has the same bytes",
        "comes to the newest event",
    ];
    for (documents, unread) in [
        ("0", [true, true, true, true]),
        ("1", [true, true, true, true]),
        // The archive has three pages, of which the second is read twice; four more lead to the newest event.
        ("2", [true, true, false, true]),
        ("5", [false, false, false, false]),
    ] {
        let found = findings_of(&[&url, "--documents", documents], 0).await;
        for (rule, unread) in rules.iter().zip(unread) {
            let finding = about(&found, rule);
            let expected = if unread { "none" } else { "good" };
            assert_eq!(finding["verdict"], expected, "{documents}: {finding}");
            if unread {
                let why = finding["found"].as_str().unwrap();
                assert!(why.contains("give --documents more than"), "{why}");
            }
        }
    }
    // One page is read once, since it may change.
    let page = format!("<fh:archive xmlns:fh='http://purl.org/syndication/history/1.0'/>{HEAD}");
    let found = check_feed(
        &format!("{HEAD}<link rel='prev-archive' href='/page'/>"),
        &page,
    )
    .await;
    assert_eq!(about(&found, "are marked")["verdict"], "good");
    let finding = about(&found, "a page has the same bytes");
    assert_eq!(finding["verdict"], "none", "{finding}");
    let why = finding["found"].as_str().unwrap();
    assert!(why.contains("no page was read twice"), "{why}");
}

/// The newest page may change, and no other one.
#[tokio::test]
async fn a_page_that_changes_is_found() {
    let mark = "<fh:archive xmlns:fh='http://purl.org/syndication/history/1.0'/>";
    for (changes, verdict) in [("/1", "good"), ("/2", "fault")] {
        let asked = Arc::new(AtomicUsize::new(0));
        let page = move |name: &'static str, prev: &str| {
            let (asked, prev) = (Arc::clone(&asked), prev.to_owned());
            get(async move || {
                let number = asked.fetch_add(1, Ordering::Relaxed);
                let number = if name == changes { number } else { 0 };
                feed_of(&format!("{mark}{HEAD}{prev}<!-- {number} -->"))
            })
        };
        let link = |to: &str| format!("<link rel='prev-archive' href='{to}'/>");
        let head = feed_of(&format!("{HEAD}{}", link("/1")));
        let headers = [(CONTENT_TYPE, "application/atom+xml"), (ETAG, "\"1\"")];
        let router = Router::new()
            .route("/feed", get(async move || (headers, head)))
            .route("/1", page("/1", &link("/2")))
            .route("/2", page("/2", &link("/3")))
            .route("/3", page("/3", ""));
        let url = listen(router).await + "/feed";
        let found = findings(&url, 1).await;
        let finding = about(&found, "a page has the same bytes");
        assert_eq!(finding["verdict"], verdict, "{changes}: {finding}");
    }
}

/// Numbers and texts of a feed are any, and an answer is described as it is.
#[tokio::test]
async fn a_hostile_feed_is_described_and_not_obeyed() {
    let sequence = |number: &str| {
        ENTRY.replace("urn:1", &format!("urn:{number}")).replace(
            "<title/>",
            &format!("<title/><sequence xmlns='{NAMESPACE}'>{number}</sequence>"),
        )
    };
    let cursor = format!("<cursor xmlns='{NAMESPACE}'>a</cursor>");
    let (most, least) = (i64::MAX.to_string(), i64::MIN.to_string());
    let inside = format!("{HEAD}{cursor}{}{}", sequence(&least), sequence(&most));
    let head = feed_of(&inside.replace("urn:x", "nothing\u{9b}31m\u{202e}"));
    let asked = async move |RawQuery(query): RawQuery| match query {
        Some(query) if query.contains("zzzz") => (
            StatusCode::GONE,
            [(CONTENT_TYPE, "text/plain")],
            "gone".to_owned(),
        ),
        _ => (
            StatusCode::OK,
            [(CONTENT_TYPE, "application/atom+xml")],
            head.clone(),
        ),
    };
    let url = listen(Router::new().route("/feed", get(asked))).await + "/feed";
    let found = findings(&url, 1).await;
    let gap = about(&found, "no gap")["found"].as_str().unwrap();
    assert_eq!(gap, format!("{least} is followed by {most}"));
    let gone = about(&found, "answered 410")["found"].as_str().unwrap();
    assert!(
        gone.contains("answers 410 with text/plain, and must with"),
        "{gone}"
    );
    let url = url + "?private_token=s3cret";
    for more in [&[][..], &["--json"]] {
        let (_, out, _) = run(&[&["check", &url], more].concat()).await;
        assert!(
            out.contains("private_token=…") && !out.contains("s3cret"),
            "{out}"
        );
        assert!(
            out.contains("is no IRI") && out.contains("nothing"),
            "{out}"
        );
        let obeyed = |c: char| c != '\n' && c.is_control() || c == '\u{202e}';
        assert!(!out.contains(obeyed), "{out:?}");
    }
}

/// They go to the feed, and not to another origin.
#[tokio::test]
async fn a_feed_with_credentials_is_checked_with_those_in_the_file() {
    let files = tempfile::tempdir().unwrap();
    let file = files.path().join("credentials");
    std::fs::write(&file, "read ada:secret\n").unwrap();
    let file = file.to_str().unwrap();
    let database = database(Backend::Sqlite).await;
    let settings = ["--database-url", database.url(), "--credentials-file", file];
    let serving = [&["serve"], &settings[..]].concat();
    let feed = Running::start(&serving).await;
    let url = feed.client.url("feed");
    assert_eq!(run(&["check", &url]).await.0, 1);
    let (code, out, _) = run(&["check", &url, "--feed-credentials-file", file]).await;
    assert_eq!(code, 0, "{out}");
    let in_the_address = url.replace("://", "://ada:secret@");
    let (code, _, err) = run(&["check", &in_the_address]).await;
    assert!(
        code == 2 && err.contains("must not hold credentials"),
        "{err}"
    );

    let elsewhere = async |headers: HeaderMap| {
        assert!(!headers.contains_key(AUTHORIZATION), "{headers:?}");
        ""
    };
    let elsewhere = listen(Router::new().route("/page", get(elsewhere))).await + "/page";
    let head = feed_of(&format!(
        "{HEAD}<link rel='prev-archive' href='{elsewhere}'/>"
    ));
    let asked = async move |headers: HeaderMap| match headers.contains_key(AUTHORIZATION) {
        true => Ok(([(CONTENT_TYPE, "application/atom+xml")], head)),
        false => Err(StatusCode::UNAUTHORIZED),
    };
    let url = listen(Router::new().route("/feed", get(asked))).await + "/feed";
    let (_, out, err) = run(&["check", &url, "--feed-credentials-file", file]).await;
    assert!(out.contains("pages of the archive"), "{out} {err}");
    assert!(!err.contains("cannot be read"), "{err}");
}

const ENTRY: &str =
    "<entry><id>urn:1</id><title/><updated>2026-01-01T00:00:00Z</updated><link href='/1'/></entry>";
const HEAD: &str = "<id>urn:x</id><title/><updated>2026-01-01T00:00:00Z</updated><author><name>a</name></author>\
                    <link rel='self' href='/feed'/>";

fn feed_of(inside: &str) -> String {
    format!("<feed xmlns='http://www.w3.org/2005/Atom'>{inside}</feed>")
}

/// A feed whose head and page have this inside.
async fn check_feed(head: &str, page: &str) -> Vec<Value> {
    let (head, page) = (feed_of(head), feed_of(page));
    // It has a tag, and answers 200 to it.
    let headers = [(CONTENT_TYPE, "application/atom+xml"), (ETAG, "\"1\"")];
    let router = Router::new()
        .route("/feed", get(async move || (headers, head)))
        .route("/page", get(async move || page));
    let url = listen(router).await + "/feed";
    findings(&url, 1).await
}

/// Each is valid: a base, a redirect, a relation as an IRI, UTF-16, and another version of an entry.
#[tokio::test]
async fn what_valid_feeds_of_others_have_is_no_fault() {
    let newer = ENTRY.replace("2026-01-01", "2026-01-02");
    let inside = format!(
        "{HEAD}<link rel='http://www.iana.org/assignments/relation/prev-archive' href='page'/>{newer}"
    );
    let based = feed_of(&inside).replace("<feed", "<feed xml:base='/there/'");
    let head = based
        .encode_utf16()
        .fold(vec![0xff, 0xfe], |mut bytes, unit| {
            bytes.extend(unit.to_le_bytes());
            bytes
        });
    let mark = "<fh:archive xmlns:fh='http://purl.org/syndication/history/1.0'/>";
    let page = feed_of(&format!(
        "{mark}{HEAD}{ENTRY}<link rel='prev-archive' href='older'/>"
    ));
    let older = feed_of(&format!("{mark}{HEAD}"));
    let headers = [(CONTENT_TYPE, "application/atom+xml"), (ETAG, "\"1\"")];
    let moved = async || Redirect::temporary("/elsewhere/page");
    let router = Router::new()
        .route("/feed", get(async move || (headers, head)))
        .route("/there/page", get(moved))
        .route("/elsewhere/page", get(async move || page))
        .route("/elsewhere/older", get(async move || older));
    let url = listen(router).await + "/feed";
    let found = findings(&url, 1).await;
    let faults = found.iter().filter(|one| one["verdict"] == "fault");
    let faults: Vec<_> = faults.map(|one| one["rule"].as_str().unwrap()).collect();
    // Its tag, that it answers with 200.
    assert_eq!(
        faults,
        ["a request with its ETag is answered 304, without a body"],
        "{found:?}"
    );
    assert_eq!(about(&found, "in one document")["verdict"], "good");
}

#[tokio::test]
async fn a_broken_rule_is_named_with_its_source() {
    let prev = "<link rel='prev-archive' href='/page'/>";
    for (head, page, source, rule) in [
        (HEAD.to_owned(), "", "RFC 9110, 13.1.2", "answered 304"),
        (HEAD.replace("<title/>", ""), "", "RFC 4287, 4", "must have"),
        (
            HEAD.replace("self", "other"),
            "",
            "RFC 4287, 4.1.1",
            "links to itself",
        ),
        (format!("{HEAD}{prev}"), HEAD, "RFC 5005, 4", "are marked"),
        (
            format!("{HEAD}{prev}{ENTRY}"),
            ENTRY,
            "RFC 5005, 4",
            "in one document",
        ),
    ] {
        let found = check_feed(&head, page).await;
        let is_it = |finding: &&Value| {
            finding["source"] == source && finding["rule"].as_str().unwrap().contains(rule)
        };
        let finding = found
            .iter()
            .find(is_it)
            .unwrap_or_else(|| panic!("{rule}: {found:?}"));
        assert_eq!(finding["verdict"], "fault", "{finding}");
        assert!(finding["found"].is_string());
    }
}
