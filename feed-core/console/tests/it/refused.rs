//! Forms that are not as they ought to be, and who sends them.

use feed_chassis::html::Frame;
use feed_console::StatusSettings;
use feed_console::subscription::{self, Again};
use harness::request;

use super::{Ledger, Site};
use crate::support::{Recorder, Testable};

harness::on_both_databases! {
    what_is_wrong_with_a_form_is_named
    other_sites_are_refused
    a_decision_that_may_double_effects_is_refused
}

async fn what_is_wrong_with_a_form_is_named<B: Testable>(url: &str) {
    let site = Site::<B>::new(url, 1, Recorder::default()).await;
    let long = "x".repeat(1001);
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [&'a str]);
    let cases: [Case<'_>; 11] = [
        ("/status/retry", &[], &["by"]),
        (
            "/status/retry",
            &[("event", ""), ("by", " ")],
            &["event", "by"],
        ),
        ("/status/retry", &[("by", "e\0ve")], &["by"]),
        ("/status/retry", &[("by", "eve\n")], &["by"]),
        ("/status/skip", &[("event", "x")], &["reason", "by"]),
        (
            "/status/skip",
            &[("event", "x"), ("reason", &long), ("by", "eve")],
            &["reason"],
        ),
        ("/status/pause", &[("by", "eve")], &["reason"]),
        ("/status/retire", &[("by", "eve")], &["instance", "reason"]),
        (
            "/status/resume",
            &[("by", "eve"), ("from", "here")],
            &["from"],
        ),
        ("/status/replay", &[("by", "eve"), ("from", "0")], &["from"]),
        (
            "/status/replay",
            &[("by", "eve"), ("from", "1e3")],
            &["from"],
        ),
    ];
    for (path, fields, expected) in cases {
        let page = site.press(path, fields).await;
        page.assert_problem(422);
        for field in expected {
            assert!(
                page.body.contains(&format!("<li>{field}: ")),
                "{}",
                page.body
            );
        }
        let program = [("accept", "application/json")];
        let answer = site.post(path, fields, &program).await;
        answer.assert_problem(422);
        let errors = answer.json()["errors"].clone();
        let errors = errors.as_array().unwrap().iter();
        let named: Vec<&str> = errors
            .map(|error| error["field"].as_str().unwrap())
            .collect();
        assert_eq!(named, expected, "{path}: {}", answer.body);
    }
    let unknown = [("event", "urn:uuid:0"), ("by", "eve")];
    site.press("/status/retry", &unknown)
        .await
        .assert_problem(404);

    let skip = async |content_type: &str, body: String| {
        let headers = [("content-type", content_type)];
        request(&site.router, "POST", "/status/skip", &headers, body).await
    };
    let json = skip("application/json", "{}".to_owned()).await;
    json.assert_problem(415);
    let large = skip("application/x-www-form-urlencoded", "x".repeat(20_000)).await;
    large.assert_problem(413);
    for (method, path, allow) in [
        ("POST", "/status", "GET, HEAD"),
        ("POST", "/status/events", "GET, HEAD"),
        ("GET", "/status/retry", "POST"),
        ("GET", "/status/reconcile", "POST"),
        ("DELETE", "/poll", "POST"),
    ] {
        let answer = request(&site.router, method, path, &[], "").await;
        answer.assert_problem(405);
        assert_eq!(answer.header("allow"), allow);
    }
}

async fn other_sites_are_refused<B: Testable>(url: &str) {
    let site = Site::<B>::new(url, 1, Recorder::default()).await;
    for path in [
        "/poll",
        "/status/retry",
        "/status/skip",
        "/status/reconcile",
    ] {
        for headers in [
            [("sec-fetch-site", "cross-site"), ("accept", "text/html")],
            [("origin", "https://evil.example"), ("accept", "text/html")],
            [("origin", "null"), ("accept", "text/html")],
        ] {
            let answer = site.post(path, &[("by", "eve")], &headers).await;
            answer.assert_problem(403);
        }
    }
    assert_eq!(site.handle.decisions(10).await.unwrap().len(), 0);
    for headers in [
        [
            ("sec-fetch-site", "same-origin"),
            ("origin", "https://shop.example"),
        ],
        [("sec-fetch-site", "none"), ("accept", "text/html")],
    ] {
        let answer = site.post("/status/retry", &[("by", "eve")], &headers).await;
        assert_eq!(answer.status, 303, "{}", answer.body);
    }
    // A link from elsewhere shows the page.
    let elsewhere = [("sec-fetch-site", "cross-site")];
    let page = request(&site.router, "GET", "/status", &elsewhere, "").await;
    assert_eq!(page.status, 200);
}

/// A service says so of its effects: then neither the page nor a program can take events again.
async fn a_decision_that_may_double_effects_is_refused<B: Testable>(url: &str) {
    let mut site = Site::<B>::new(url, 5, Recorder::default()).await;
    let frame = Frame {
        base: "https://shop.example/invoice/".parse().unwrap(),
        home: None,
        home_name: "Home",
        service: "Test",
        menu: &[],
        feed: None,
    };
    let again = Again::Doubles("write ON CONFLICT DO NOTHING");
    let (handle, settings) = (site.handle.clone(), StatusSettings::default());
    site.router = subscription::router_beside::<B, Ledger>(handle, frame, &settings, again);
    let refused = async |path: &str, from: &str, form: &str| {
        let page = site.page("/status").await;
        assert!(page.contains("write ON CONFLICT DO NOTHING."), "{page}");
        assert!(!page.contains(form), "{page}");
        for accept in ["text/html", "application/json"] {
            let fields = [("by", "eve"), ("from", from)];
            let answer = site.post(path, &fields, &[("accept", accept)]).await;
            answer.assert_problem(409);
            assert!(
                answer.body.contains("rite ON CONFLICT DO NOTHING"),
                "{}",
                answer.body
            );
        }
        assert_eq!(site.handle.decisions(10).await.unwrap().len(), 0);
    };
    refused("/status/replay", "1", "replay-from").await;
    let halt = "UPDATE feed_subscription SET halted = 'the feed is another one'";
    B::run(&site.database, halt).await;
    refused("/status/resume", "start", "value=\"start\"").await;
    // What takes nothing again is still there.
    let page = site.page("/status").await;
    assert!(page.contains("value=\"keep\"") && page.contains("value=\"now\""));
    // The claims of a feed without sequences stay, so that its start takes nothing again.
    B::run(&site.database, "UPDATE feed_partition SET epoch = NULL").await;
    let page = site.page("/status").await;
    assert!(page.contains("value=\"start\""), "{page}");
    let start = [("from", "start"), ("by", "eve")];
    assert_eq!(site.press("/status/resume", &start).await.status, 303);
}
