//! The pages and documents: what they show, and what they answer to what is not there.

use harness::producer::{LINES, Producer};

use crate::app::{Testable, following, open};

harness::on_both_databases! {
    a_shipment_says_where_it_goes
    the_list_leads_to_older_shipments
    an_empty_shop_has_an_empty_list
    what_is_not_there_is_a_problem_document
    personal_data_is_kept_by_no_cache
    who_waits_asks_by_the_order_and_is_told_once
    a_browser_is_told_on_a_page_what_is_wrong
}

async fn who_waits_asks_by_the_order_and_is_told_once<S: Testable>(url: &str) {
    let producer = Producer::new().await;
    let mut app = following::<S>(url, &producer).await;
    let json = "application/json";
    let none = app.send("GET", "/?order=17", json).await;
    assert_eq!(none.json()["shipments"], serde_json::json!([]));
    producer.placed(17, LINES).await;
    producer.placed(18, LINES).await;
    app.catch_up(&producer).await;
    let ask = async |app: &crate::app::App<S>, tag: &str| {
        let headers = [("accept", json), ("if-none-match", tag)];
        app.request("GET", "/?order=17", &headers).await
    };
    let one = ask(&app, none.header("etag")).await;
    assert_eq!(one.status, 200);
    assert_eq!(one.json()["shipments"][0]["id"], 17);
    assert_eq!(one.json()["shipments"][0]["status"], "pending");
    assert_eq!(one.json()["count"], 1);
    let same = ask(&app, one.header("etag")).await;
    assert_eq!((same.status, same.body.as_str()), (304, ""));
    producer.cancelled(17, LINES).await;
    app.catch_up(&producer).await;
    assert_eq!(ask(&app, one.header("etag")).await.status, 200);
    assert_eq!(app.send("GET", "/?order=x", json).await.status, 400);
    assert!(app.page("/?order=17").await.contains("1 shipment in all"));
}

async fn a_browser_is_told_on_a_page_what_is_wrong<S: Testable>(url: &str) {
    let app = open::<S>(url, "http://127.0.0.1:9/feed").await;
    let browser = "text/html,application/xhtml+xml,*/*;q=0.8";
    for (path, status) in [
        ("/18", 404),
        ("/?before=x", 400),
        ("/status/events?limit=0", 400),
    ] {
        let answer = app.send("GET", path, browser).await;
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("vary"), "Accept");
        assert!(
            answer.body.contains("<h1>") && answer.body.contains("style.css"),
            "{path}"
        );
    }
    assert!(
        app.send("GET", "/18", browser)
            .await
            .body
            .contains("it is on its way.")
    );
}

async fn a_shipment_says_where_it_goes<S: Testable>(url: &str) {
    let producer = Producer::new().await;
    producer
        .placed(
            17,
            &[
                (2, "iPod & <i>case</i>", "42.00"),
                (1, "iPod touch", "21.00"),
            ],
        )
        .await;
    let app = following::<S>(url, &producer).await;
    let page = app.page("/17").await;
    let texts = [
        "Shipment of order 17",
        "日本語 &lt;b&gt;O'Brien",
        "Dock 9<br>20457 Hamburg",
        "2026-03-04 05:06 UTC",
        "iPod &amp; &lt;i&gt;case&lt;/i&gt;",
        "Pending",
    ];
    for text in texts {
        assert!(page.contains(text), "{text}");
    }
    for text in [
        "<b>",
        "<i>",
        "42.00",
        "Monheim",
        "Do not dispatch",
        "Call it back",
    ] {
        assert!(!page.contains(text), "{text}");
    }
    let list = app.page("/").await;
    for text in [
        "Order 17",
        "日本語 &lt;b&gt;O'Brien",
        "Hamburg",
        "Pending",
        "1 shipment in all",
    ] {
        assert!(list.contains(text), "{text}");
    }
    // Links hold behind a prefix.
    assert!(list.contains("href=\"/shipping/17\""));
    assert!(page.contains("href=\"/shipping/status\""));
    assert!(page.contains("href=\"/shipping/style.css\""));
}

async fn the_list_leads_to_older_shipments<S: Testable>(url: &str) {
    let producer = Producer::new().await;
    for id in 1..=51 {
        producer.placed(id, LINES).await;
    }
    let app = following::<S>(url, &producer).await;
    let first = app.page("/").await;
    assert!(first.contains("href=\"/shipping/51\"") && first.contains("href=\"/shipping/2\""));
    assert!(!first.contains("href=\"/shipping/1\"") && !first.contains("Newest shipments"));
    assert!(first.contains("<a rel=\"next\" href=\"/shipping/?before=2\">Older shipments</a>"));
    let second = app.page("/?before=2").await;
    assert!(second.contains("href=\"/shipping/1\"") && second.contains("Newest shipments"));
    assert!(!second.contains("Older shipments") && second.contains("51 shipments in all"));
    assert!(
        app.page("/?before=1")
            .await
            .contains("There are no older shipments")
    );
}

async fn an_empty_shop_has_an_empty_list<S: Testable>(url: &str) {
    let app = open::<S>(url, "http://127.0.0.1:9/feed").await;
    assert!(app.page("/").await.contains("There are no shipments yet"));
    let list = app.send("GET", "/", "application/json").await;
    assert_eq!(list.body, r#"{"shipments":[],"count":0,"_links":{}}"#);
}

async fn what_is_not_there_is_a_problem_document<S: Testable>(url: &str) {
    let producer = Producer::new().await;
    producer.placed(17, LINES).await;
    let app = following::<S>(url, &producer).await;
    let cases = [
        ("GET", "/18", "*/*", 404),
        ("GET", "/iPod", "*/*", 404),
        ("GET", "/017", "*/*", 404),
        ("GET", "/+17", "*/*", 404),
        ("GET", "/99999999999999999999", "*/*", 404),
        ("GET", "/%ff", "*/*", 404),
        ("GET", "/?before=yesterday", "*/*", 400),
        ("GET", "/?before=", "*/*", 400),
        ("GET", "/", "image/png", 406),
        ("GET", "/17", "image/png", 406),
        ("POST", "/", "*/*", 405),
        ("DELETE", "/17", "*/*", 405),
        ("PUT", "/health/live", "*/*", 405),
        ("GET", "/poll", "*/*", 405),
        ("POST", "/status", "*/*", 405),
    ];
    for (method, path, accept, status) in cases {
        let answer = app.send(method, path, accept).await;
        assert_eq!(answer.status, status, "{method} {path}");
        let media_type = answer.header("content-type");
        assert_eq!(media_type, "application/problem+json", "{method} {path}");
        assert_eq!(answer.json()["status"], status, "{method} {path}");
        assert_eq!(
            status == 405,
            !answer.header("allow").is_empty(),
            "{method} {path}"
        );
    }
    for path in [
        "/17",
        "/?before=9223372036854775807",
        "/?before=-5",
        "/?sort=total",
    ] {
        assert_eq!(app.send("GET", path, "*/*").await.status, 200, "{path}");
        assert_eq!(app.send("HEAD", path, "*/*").await.status, 200, "{path}");
    }
}

async fn personal_data_is_kept_by_no_cache<S: Testable>(url: &str) {
    let producer = Producer::new().await;
    producer.placed(17, LINES).await;
    let app = following::<S>(url, &producer).await;
    for path in ["/", "/17"] {
        let cases = [
            ("text/html,*/*;q=0.8", "text/html; charset=utf-8"),
            ("application/json", "application/json"),
        ];
        for (accept, media_type) in cases {
            let answer = app.send("GET", path, accept).await;
            assert_eq!(answer.header("content-type"), media_type);
            assert_eq!(answer.header("cache-control"), "private, no-cache");
            assert_eq!(answer.header("vary"), "Accept");
        }
    }
}
