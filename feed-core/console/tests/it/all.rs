//! The status page without reloading, the page with all consumers, and to whose pages a status is shown.

use axum::Router;
use feed_chassis::html::Frame;
use feed_console::StatusSettings;
use feed_console::subscription::{self, Again};
use harness::{Answer, request};

use super::{Ledger, Site};
use crate::support::{Recorder, Testable, until};

harness::on_both_databases! {
    a_page_that_a_client_has_is_not_sent_again
    a_status_is_shown_to_the_named_origins_alone
    the_page_of_all_consumers_lists_what_it_is_given
}

async fn send(router: &Router, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    request(router, method, path, headers, "").await
}

/// The routes of a consumer that is operated beside others.
fn beside<B: Testable>(site: &Site<B>, status_of: &[&str], status_origins: &[&str]) -> Router {
    let frame = Frame {
        base: "https://shop.example/invoice/".parse().unwrap(),
        home: None,
        home_name: "Home",
        service: "Invoices",
        menu: &[],
        feed: None,
    };
    let settings = StatusSettings {
        status_of: status_of.iter().map(|of| of.parse().unwrap()).collect(),
        status_origins: status_origins
            .iter()
            .map(|it| it.parse().unwrap())
            .collect(),
    };
    subscription::router_beside::<B, Ledger>(site.handle.clone(), frame, &settings, Again::Harmless)
}

async fn a_page_that_a_client_has_is_not_sent_again<B: Testable>(url: &str) {
    let site = Site::<B>::new(url, 3, Recorder::default()).await;
    let get = async |tag: &str| {
        let headers = [("accept", "text/html"), ("if-none-match", tag)];
        send(&site.router, "GET", "/status", &headers).await
    };
    let mut tag = String::new();
    // The chart begins some seconds after the start.
    until("nothing changes", async || {
        let page = get(&tag).await;
        let is_known = page.status == 304;
        assert_eq!(page.header("cache-control"), "no-store");
        assert_eq!(page.body.is_empty(), is_known);
        page.header("etag").clone_into(&mut tag);
        is_known
    })
    .await;
    let whole = send(&site.router, "GET", "/status", &[("accept", "text/html")]).await;
    let in_page = tag.replace('"', "&quot;");
    assert!(whole.body.contains(&in_page), "{tag}: {}", whole.body);
    // JSON has what moves, so it has no tag.
    let headers = [
        ("accept", "application/json"),
        ("if-none-match", tag.as_str()),
    ];
    let json = send(&site.router, "GET", "/status", &headers).await;
    assert_eq!((json.status, json.header("etag")), (200, ""));

    site.publisher.publish(1).await;
    site.settled().await;
    let changed = get(&tag).await;
    assert_eq!(changed.status, 200);
    assert_ne!(changed.header("etag"), tag);
    assert!(changed.body.contains("4 of 4"), "{}", changed.body);
}

async fn a_status_is_shown_to_the_named_origins_alone<B: Testable>(url: &str) {
    const ALLOW: &str = "access-control-allow-origin";
    const CREDENTIALS: &str = "access-control-allow-credentials";
    let site = Site::<B>::new(url, 1, Recorder::default()).await;
    let router = beside(
        &site,
        &[],
        &["https://ops.example", "http://10.0.0.1:8082/"],
    );
    for origin in ["https://ops.example", "http://10.0.0.1:8082"] {
        let headers = [("accept", "application/json"), ("origin", origin)];
        let answer = send(&router, "GET", "/status", &headers).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header(ALLOW), origin);
        assert_eq!(answer.header(CREDENTIALS), "true");
        assert!(
            answer
                .headers
                .get_all("vary")
                .iter()
                .any(|vary| vary == "Origin")
        );
        // Nothing but that document.
        for (method, path, accept) in [
            ("GET", "/status", "text/html"),
            ("GET", "/status/parked", "application/json"),
            ("GET", "/status/events", "application/json"),
            ("GET", "/status/decisions", "application/json"),
            ("OPTIONS", "/status/retry", "application/json"),
            ("POST", "/status/retry", "application/json"),
            ("POST", "/poll", "application/json"),
        ] {
            let headers = [("accept", accept), ("origin", origin)];
            let answer = send(&router, method, path, &headers).await;
            assert_eq!(answer.header(ALLOW), "", "{method} {path} {accept}");
        }
    }
    for origin in [
        "null",
        "https://ops.example.evil",
        "http://ops.example",
        "https://ops.example/",
    ] {
        let headers = [("accept", "application/json"), ("origin", origin)];
        let answer = send(&router, "GET", "/status", &headers).await;
        assert_eq!(
            (answer.header(ALLOW), answer.header(CREDENTIALS)),
            ("", ""),
            "{origin}"
        );
        // A cache must not give it to another origin.
        assert!(
            answer
                .headers
                .get_all("vary")
                .iter()
                .any(|vary| vary == "Origin")
        );
    }
    // By default to none.
    let headers = [
        ("accept", "application/json"),
        ("origin", "https://ops.example"),
    ];
    let answer = send(&site.router, "GET", "/status", &headers).await;
    assert_eq!(answer.header(ALLOW), "");
}

async fn the_page_of_all_consumers_lists_what_it_is_given<B: Testable>(url: &str) {
    let site = Site::<B>::new(url, 1, Recorder::default()).await;
    let router = beside(
        &site,
        &["/shipping/", "https://shop.example/billing/status"],
        &[],
    );
    let page = async |query: &str| {
        let path = format!("/status/all{query}");
        send(&router, "GET", &path, &[("accept", "text/html")]).await
    };
    let asked = |page: &Answer| {
        let rows = page.body.split("data-status=\"").skip(1);
        let urls = rows.map(|row| row.split('"').next().unwrap().to_owned());
        urls.collect::<Vec<_>>()
    };
    let known = ["/invoice/status", "/shipping/status", "/billing/status"];
    let plain = page("").await;
    assert_eq!(
        (plain.status, plain.header("cache-control")),
        (200, "no-store")
    );
    assert_eq!(asked(&plain), known);
    // Another one, and each but once, however it is written.
    let query = "?of=http://10.0.0.1:8083/&of=http%3A%2F%2F10.0.0.1%3A8083%2Fstatus&of=/shipping";
    let more = page(query).await;
    assert_eq!(
        asked(&more),
        [&known[..], &["http://10.0.0.1:8083/status"]].concat()
    );
    assert!(more.body.contains("Remove 10.0.0.1:8083"), "{}", more.body);
    for query in [
        "?of=javascript:alert(1)",
        "?of=//evil.example/",
        "?of=http://*/",
        "?of=http://a;script-src/",
        "?of=http://[::1]:8083/",
        "?of=http://eve:secret@shop.example/",
        "?for=/shipping",
        "?of=",
        &format!("?of=/{}", "a".repeat(300)),
        &format!("?{}", "of=/a&".repeat(31)),
    ] {
        let answer = page(query).await;
        assert_eq!(answer.status, 400, "{query}");
        assert!(!answer.body.contains("secret"), "{}", answer.body);
        assert!(!answer.body.contains("<script"), "{}", answer.body);
    }
    let json = send(
        &router,
        "GET",
        "/status/all",
        &[("accept", "application/json")],
    )
    .await;
    json.assert_problem(406);
    let hostile = page("?of=/%3Cscript%3E%22onload=x").await;
    assert_eq!(hostile.status, 200);
    assert!(
        hostile.body.contains("/%3Cscript%3E%22onload=x"),
        "{}",
        hostile.body
    );
}
