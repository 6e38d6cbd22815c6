//! What the standards ask of a feed as a resource, item by item: RFC 9110, 9111, 8246, 8288, 9457.
//! A name says the RFC, its section, and what holds.

use std::collections::{BTreeSet, HashSet};
use std::time::SystemTime;

use feed_core::http::NAMESPACE;
use roxmltree::Document;

use crate::checklist::{children, documents};
use crate::support::{Answer, NOT_MODIFIED, Publisher, Testable};

harness::on_both_databases! {
    rfc9110_8_8_2_last_modified_is_never_later_than_date
    rfc9110_13_2_1_an_error_is_never_a_304
    rfc9110_15_4_5_a_304_has_the_headers_of_the_200
    rfc9110_9_3_2_head_is_get_without_content
    rfc9110_12_accept_and_accept_encoding
    rfc9110_8_8_3_tags_are_one_for_each_form
    rfc9111_every_status_says_how_long_it_holds
    rfc8288_link_headers_equal_the_links_in_the_document
    rfc9457_errors_are_problem_documents
    rfc6648_no_x_headers
    a_thousand_who_wait_cost_one_query
}

/// Items 43 and 45.
async fn rfc9110_8_8_2_last_modified_is_never_later_than_date<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    publisher.publish(20).await;
    publisher.close_second().await;
    // As if a database's clock were ahead: its closed second is in our future.
    let ahead = format!("UPDATE feed_head SET closed_until = {}", B::IN_AN_HOUR);
    B::run(&publisher.database, &ahead).await;
    let other = Publisher::<B>::open(url).await;
    let answer = other.get("/feed", &[]).await;
    let date = |name: &str| httpdate::parse_http_date(&answer.header(name)).unwrap();
    assert!(date("last-modified") <= date("date"));
    assert!(date("date") <= SystemTime::now());
    // And such a date hides nothing.
    let since = [(
        "if-modified-since",
        answer.headers["last-modified"].to_str().unwrap(),
    )];
    other.publish(1).await;
    assert_eq!(other.get("/feed", &since).await.status, 200);
}

/// Item 48.
async fn rfc9110_13_2_1_an_error_is_never_a_304<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    publisher.publish(1).await;
    let any = ("if-none-match", "*");
    assert_eq!(publisher.get("/feed/zzzzzzzz/1", &[any]).await.status, 404);
    let picky = [any, ("accept-encoding", "identity;q=0")];
    assert_eq!(publisher.get("/feed", &picky).await.status, 406);
    assert_eq!(publisher.get("/feed?x", &[any]).await.status, 400);
    let gone = "/feed?after=zzzzzzzz.0.0";
    assert_eq!(publisher.get(gone, &[any]).await.status, 410);
    assert_eq!(publisher.send("POST", "/feed", &[any]).await.status, 405);
    assert_eq!(publisher.get("/feed", &[any]).await.status, NOT_MODIFIED);
    assert_eq!(
        publisher
            .get("/feed", &[("if-match", "\"x\"")])
            .await
            .status,
        412
    );
}

/// Items 49 and 54.
async fn rfc9110_15_4_5_a_304_has_the_headers_of_the_200<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    publisher.publish(35).await;
    publisher.close_second().await;
    let epoch = publisher.feed.cursor().epoch;
    let documents = ["application/atom+xml", "text/html"].as_slice();
    let forms = [
        ("/feed".to_owned(), documents),
        (format!("/feed/{epoch}/1"), documents),
        (format!("/feed/{epoch}/3"), documents),
        ("/feed?subject=order%2F3".to_owned(), documents),
    ];
    for (path, accepts) in &forms {
        for accept in *accepts {
            let accept = ("accept", *accept);
            let ok = publisher.get(path, &[accept]).await;
            let tag = ok.header("etag");
            let unmodified = publisher
                .get(path, &[accept, ("if-none-match", &tag)])
                .await;
            let other = [accept, ("if-none-match", "W/\"x\"")];
            assert_eq!(publisher.get(path, &other).await.body, ok.body, "{path}");
            let failed = [accept, ("if-match", "\"x\"")];
            assert_eq!(publisher.get(path, &failed).await.status, 412, "{path}");
            assert_eq!(
                (unmodified.status, unmodified.body.as_str()),
                (304, ""),
                "{path}"
            );
            for name in ["cache-control", "etag", "vary", "last-modified"] {
                assert_eq!(unmodified.header(name), ok.header(name), "{path}: {name}");
            }
            assert!(unmodified.headers.contains_key("date"));
            assert!(unmodified.header("vary").contains("Accept-Encoding"));
            for name in ["content-type", "content-encoding", "link"] {
                assert!(!unmodified.headers.contains_key(name), "{path}: {name}");
            }
        }
    }
}

/// Item 50.
async fn rfc9110_9_3_2_head_is_get_without_content<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    let ids = publisher.publish(25).await;
    let cursor = publisher.feed.cursor();
    let epoch = &cursor.epoch;
    let paths = [
        "/feed".to_owned(),
        format!("/feed/{epoch}/1"),
        format!("/feed?after={cursor}"),
        "/feed?after=start".to_owned(),
        format!("/feed/{epoch}/batch/1-10"),
        format!("/events/{}", ids[0]),
        "/feed?type=order.placed".to_owned(),
        "/feed?type=order.placed&after=start".to_owned(),
    ];
    for path in &paths {
        let get = publisher.get(path, &[]).await;
        let head = publisher.send("HEAD", path, &[]).await;
        assert_eq!(
            (head.status, head.body.as_str()),
            (get.status, ""),
            "{path}"
        );
        let names = |answer: &Answer| -> BTreeSet<String> {
            answer.headers.keys().map(ToString::to_string).collect()
        };
        assert_eq!(names(&head), names(&get), "{path}");
    }
    let options = publisher.send("OPTIONS", "/feed", &[]).await;
    assert_eq!(
        (options.status, options.header("allow")),
        (204, "GET, HEAD, OPTIONS".to_owned())
    );
}

/// Items 53 and 55.
async fn rfc9110_12_accept_and_accept_encoding<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    publisher.publish(15).await;
    let accepts = [
        ("*/*", "application/atom+xml; charset=utf-8"),
        (
            "application/atom+xml",
            "application/atom+xml; charset=utf-8",
        ),
        (
            "application/rss+xml, application/xml;q=0.9",
            "application/atom+xml; charset=utf-8",
        ),
        (
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "text/html; charset=utf-8",
        ),
    ];
    for (accept, expected) in accepts {
        let answer = publisher.get("/feed", &[("accept", accept)]).await;
        assert_eq!(answer.header("content-type"), expected, "{accept}");
    }
    for (encoding, expected) in [
        ("gzip", "gzip"),
        ("identity", ""),
        ("gzip;q=0, *", ""),
        ("br", ""),
    ] {
        let router = publisher.feed.router();
        let answer = raw(router, "/feed", &[("accept-encoding", encoding)]).await;
        assert_eq!(answer.0, expected, "{encoding}");
        assert_eq!(
            answer.1.starts_with(&[0x1f, 0x8b]),
            expected == "gzip",
            "{encoding}"
        );
    }
    let none = publisher
        .get("/feed", &[("accept-encoding", "identity;q=0")])
        .await;
    assert_eq!(none.status, 406);
}

/// The coding and the bytes of an answer.
async fn raw(router: axum::Router, path: &str, headers: &[(&str, &str)]) -> (String, Vec<u8>) {
    use tower::ServiceExt;
    let mut request = axum::http::Request::builder().uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = router
        .oneshot(request.body(axum::body::Body::empty()).unwrap())
        .await
        .unwrap();
    let coding = response.headers().get("content-encoding");
    let coding = coding
        .map_or("", |value| value.to_str().unwrap())
        .to_owned();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX)
        .await
        .unwrap();
    (coding, body.to_vec())
}

/// Items 38 to 40: weak, since a coding changes the bytes; and one for each form and view.
async fn rfc9110_8_8_3_tags_are_one_for_each_form<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    publisher.publish(25).await;
    let epoch = publisher.feed.cursor().epoch;
    let (page, next) = (format!("/feed/{epoch}/1"), format!("/feed/{epoch}/2"));
    let mut tags = HashSet::new();
    for path in [
        "/feed",
        &page,
        &next,
        "/feed?type=order.placed",
        "/feed?subject=order%2F1",
    ] {
        for accept in ["application/atom+xml", "text/html"] {
            let tag = publisher
                .get(path, &[("accept", accept)])
                .await
                .header("etag");
            assert!(tag.starts_with("W/\"") && tag.ends_with('"'), "{tag}");
            assert!(
                tags.insert((path.split('?').next().unwrap().to_owned(), tag)),
                "{path}"
            );
        }
    }
}

/// Items 63, 64, 70, 71.
async fn rfc9111_every_status_says_how_long_it_holds<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    let ids = publisher.publish(25).await;
    let epoch = publisher.feed.cursor().epoch;
    let cases = [
        (
            "GET",
            "/feed".to_owned(),
            200,
            "max-age=0, stale-if-error=86400",
        ),
        (
            "GET",
            format!("/feed/{epoch}/1"),
            200,
            "max-age=31536000, immutable",
        ),
        ("GET", format!("/feed/{epoch}/2"), 200, "max-age=5"),
        ("GET", format!("/feed/{epoch}/3"), 404, "no-store"),
        ("GET", "/feed?after=start".to_owned(), 303, "no-store"),
        (
            "GET",
            format!("/feed?after={}", publisher.feed.cursor()),
            200,
            "no-store",
        ),
        (
            "GET",
            "/feed?after=zzzzzzzz.0.0".to_owned(),
            410,
            "no-store",
        ),
        ("GET", "/feed?x=1".to_owned(), 400, "no-store"),
        ("POST", "/feed".to_owned(), 405, "no-store"),
        ("OPTIONS", "/feed".to_owned(), 204, "no-store"),
        (
            "GET",
            format!("/events/{}", ids[0]),
            200,
            "private, no-cache",
        ),
        ("GET", "/events/x".to_owned(), 404, "no-store"),
        (
            "GET",
            format!("/feed/{epoch}/batch/1-10"),
            200,
            "private, no-cache",
        ),
    ];
    for (method, path, status, caching) in cases {
        let answer = publisher.send(method, &path, &[]).await;
        let found = (answer.status, answer.header("cache-control"));
        assert_eq!(found, (status, caching.to_owned()), "{method} {path}");
    }
}

/// Item 77.
async fn rfc8288_link_headers_equal_the_links_in_the_document<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    for (path, answer) in documents(&publisher).await {
        let tree = Document::parse(&answer.body).unwrap();
        let inside: BTreeSet<(String, String)> = children(tree.root_element(), "link")
            .iter()
            .map(|link| {
                (
                    link.attribute("rel").unwrap(),
                    link.attribute("href").unwrap(),
                )
            })
            .map(|(rel, href)| (rel.to_owned(), href.to_owned()))
            .collect();
        let outside: BTreeSet<(String, String)> = answer
            .headers
            .get_all("link")
            .iter()
            .map(|value| {
                let (href, rest) = value.to_str().unwrap()[1..]
                    .split_once(">; rel=\"")
                    .unwrap();
                (rest.split('"').next().unwrap().to_owned(), href.to_owned())
            })
            .collect();
        let differ = |rel: &str| rel == "related" && path == "delta";
        let trim = |links: BTreeSet<(String, String)>| -> BTreeSet<_> {
            links.into_iter().filter(|(rel, _)| !differ(rel)).collect()
        };
        assert_eq!(trim(inside), trim(outside), "{path}");
    }
}

/// Item 78.
async fn rfc9457_errors_are_problem_documents<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    let cases = [
        ("GET", "/feed?x=1", "bad-request"),
        ("GET", "/feed/x/1", "not-found"),
        ("GET", "/feed?after=zzzzzzzz.0.0", "cursor-gone"),
        ("DELETE", "/feed", "method-not-allowed"),
    ];
    for (method, path, name) in cases {
        let answer = publisher.send(method, path, &[]).await;
        assert_eq!(answer.header("content-type"), "application/problem+json");
        let problem: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(problem["type"], format!("{NAMESPACE}#{name}"));
        assert_eq!(problem["status"], answer.status);
        assert!(problem["title"].is_string() && problem["detail"].is_string());
    }
    publisher.database.close().await;
    let down = publisher.get("/feed?type=a", &[]).await;
    assert_eq!(
        (down.status, down.header("retry-after")),
        (503, "1".to_owned())
    );
    assert!(
        !down.body.contains("Pool") && !down.body.contains("sql"),
        "{}",
        down.body
    );
}

/// Item 79.
async fn rfc6648_no_x_headers<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    for (path, answer) in documents(&publisher).await {
        let mut names = answer.headers.keys();
        assert!(names.all(|name| !name.as_str().starts_with("x-")), "{path}");
    }
}

/// Item 75: the only query of all of them is for the new entry itself.
async fn a_thousand_who_wait_cost_one_query<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    publisher.publish(3).await;
    let tag = publisher.get("/feed", &[]).await.header("etag");
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..1_000 {
        let (router, tag) = (publisher.feed.router(), tag.clone());
        waiting.spawn(async move {
            let headers = [
                ("if-none-match", tag.as_str()),
                ("a-im", "feed"),
                ("prefer", "wait=30"),
            ];
            crate::support::send(router, "GET", "/feed", &headers).await
        });
    }
    tokio::task::yield_now().await;
    publisher.commit("order/1").await;
    // One reader has the entry read; with the database gone after that, the others still answer.
    publisher.feed.publish().await.unwrap();
    assert_eq!(publisher.get("/feed", &[]).await.sequences()[0], 4);
    publisher.database.close().await;
    while let Some(answer) = waiting.join_next().await {
        let answer = answer.unwrap();
        assert_eq!((answer.status, answer.sequences()), (226, vec![4]));
    }
}
