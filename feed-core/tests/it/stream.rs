//! The feed as a Durable Stream: what its protocol asks of those who serve reads.

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::Request;
use futures_util::StreamExt;
use harness::DEADLINE;
use serde_json::Value;
use tokio::time::timeout;
use tower::ServiceExt;

use crate::support::{Answer, Publisher, Testable, send};

harness::on_both_databases! {
    a_stream_is_read_from_any_offset
    an_offset_of_another_history_is_gone
    a_poll_waits_for_the_next_message
    server_sent_events_are_pairs_that_follow_the_stream
    an_event_source_that_connects_again_continues
    what_is_malformed_is_refused_and_what_is_unknown_ignored
}

/// The sequences of the messages.
fn sequences(messages: &str) -> Vec<i64> {
    let messages: Vec<Value> = serde_json::from_str(messages).unwrap();
    let sequence = |message: &Value| message["sequence"].as_str().unwrap().parse().unwrap();
    messages.iter().map(sequence).collect()
}

fn next(answer: &Answer) -> String {
    answer.header("stream-next-offset")
}

fn is_newest(answer: &Answer) -> bool {
    answer.header("stream-up-to-date") == "true"
}

async fn a_stream_is_read_from_any_offset<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    let read = async |query: &str| publisher.get(&format!("/feed/stream{query}"), &[]).await;
    let empty = read("").await;
    assert_eq!((empty.status, empty.body.as_str()), (200, "[]"));
    assert!(is_newest(&empty));

    publisher.publish(1_002).await;
    let first = read("?offset=-1").await;
    assert_eq!(sequences(&first.body), (1..=1_000).collect::<Vec<_>>());
    assert_eq!(first.header("content-type"), "application/json");
    assert_eq!(first.header("cache-control"), "private, no-cache");
    assert!(!is_newest(&first));
    assert!(next(&empty) < next(&first), "offsets are ordered as text");
    assert_eq!(read("").await.body, first.body);
    let tag = first.header("etag");
    let known = [("if-none-match", tag.as_str())];
    let known = publisher.get("/feed/stream", &known).await;
    assert_eq!((known.status, next(&known)), (304, next(&first)));

    let rest = read(&format!("?offset={}", next(&first))).await;
    assert_eq!(sequences(&rest.body), [1_001, 1_002]);
    assert!(is_newest(&rest) && next(&first) < next(&rest));
    let tail = publisher
        .send("HEAD", "/feed/stream?live=sse&offset=-1", &[])
        .await;
    assert_eq!((tail.status, next(&tail)), (200, next(&rest)));
    assert_eq!(tail.header("cache-control"), "no-store");
    // Nor the length of what a GET would bring.
    assert_eq!(tail.header("content-length"), "");
    let now = read("?offset=now").await;
    assert_eq!((next(&now), now.body.as_str()), (next(&rest), "[]"));
    assert_eq!(now.header("cache-control"), "no-store");
}

async fn an_offset_of_another_history_is_gone<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    publisher.publish(12).await;
    let end = next(&publisher.get("/feed/stream", &[]).await);
    let (epoch, rest) = end.split_once('.').unwrap();
    let (_, anchor) = rest.split_once('.').unwrap();
    let beyond = format!("{epoch}.0000000000000013.{anchor}");
    let diverged = format!("{epoch}.0000000000000005.{anchor}");
    let elsewhere = format!("22222222.{rest}");
    for offset in [&beyond, &diverged, &elsewhere] {
        for live in ["", "&live=long-poll", "&live=sse"] {
            let path = format!("/feed/stream?offset={offset}{live}");
            let answer = publisher.get(&path, &[]).await;
            assert_eq!(answer.status, 410, "{path}");
        }
    }
}

async fn a_poll_waits_for_the_next_message<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    publisher.publish(3).await;
    let end = next(&publisher.get("/feed/stream", &[]).await);
    let begin = Instant::now();
    let poll = |offset: &str, cursor: &str| {
        let path = format!("/feed/stream?offset={offset}&live=long-poll&cursor={cursor}");
        let router = publisher.feed.router();
        async move { send(router, "GET", &path, &[]).await }
    };
    let there = poll("-1", "").await;
    assert_eq!(
        (sequences(&there.body), is_newest(&there)),
        (vec![1, 2, 3], true)
    );
    // A cursor never goes back, so that no cache answers for ever.
    let cursor = there.header("stream-cursor");
    let later = poll("-1", &cursor).await.header("stream-cursor");
    assert!(later.parse::<u64>().unwrap() > cursor.parse().unwrap());

    for (offset, known) in [(end.as_str(), 3), ("now", 4)] {
        let (waited, _) = tokio::join!(poll(offset, ""), publisher.publish(1));
        assert_eq!(sequences(&waited.body).last(), Some(&(known + 1)));
        assert!(!waited.header("stream-cursor").is_empty());
    }
    let (none, ()) = tokio::join!(poll("now", ""), async { publisher.shutdown.cancel() });
    assert_eq!((none.status, none.body.as_str()), (204, ""));
    assert_eq!(
        next(&none),
        next(&publisher.send("HEAD", "/feed/stream", &[]).await)
    );
    assert!(is_newest(&none) && !none.header("stream-cursor").is_empty());
    assert!(
        begin.elapsed() < Duration::from_secs(15),
        "none waited to the end"
    );
}

async fn server_sent_events_are_pairs_that_follow_the_stream<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    let lines = "INSERT INTO feed_outbox (event_type, subject, data)
                 VALUES ('order.placed', 'order/1', '{\"id\":\n1,\r\n\"n\": \"\\n\"}')";
    B::run(&publisher.database, lines).await;
    publisher.feed.publish().await.unwrap();
    publisher.publish(1_001).await;
    let request = Request::get("/feed/stream?offset=-1&live=sse").body(Body::empty());
    let response = publisher.feed.router().oneshot(request.unwrap()).await;
    let (parts, body) = response.unwrap().into_parts();
    assert_eq!(parts.headers["content-type"], "text/event-stream");
    let mut body = body.into_data_stream();
    let mut text = String::new();
    let mut read = async |text: &mut String| {
        let chunk = timeout(DEADLINE, body.next()).await.unwrap();
        chunk.map(|chunk| text.push_str(std::str::from_utf8(&chunk.unwrap()).unwrap()))
    };
    while !text.contains("upToDate") {
        read(&mut text).await.unwrap();
    }
    publisher.publish(2).await;
    while !text.contains(r#""sequence":"1004""#) {
        read(&mut text).await.unwrap();
    }
    publisher.shutdown.cancel();
    while read(&mut text).await.is_some() {}
    assert!(!text.contains('\r'));
    let text = text.strip_prefix("retry: 1000\n\n").unwrap();
    let mut seen = Vec::new();
    let mut events = text.split_terminator("\n\n").filter(|event| *event != ":");
    let mut last = Value::Null;
    while let Some(data) = events.next() {
        let messages = data.strip_prefix("event: data\ndata:").unwrap();
        seen.extend(sequences(messages));
        let control = events.next().unwrap();
        let control = control.strip_prefix("event: control\nid: ").unwrap();
        let (id, control) = control.split_once("\ndata:").unwrap();
        last = serde_json::from_str(control).unwrap();
        assert_eq!(last["streamNextOffset"], id);
        assert!(last["streamCursor"].is_string());
    }
    assert_eq!(seen, (1..=1_004).collect::<Vec<_>>());
    let tail = next(&publisher.send("HEAD", "/feed/stream", &[]).await);
    assert_eq!(
        (&last["streamNextOffset"], &last["upToDate"]),
        (&tail.into(), &true.into())
    );
}

/// The address of an `EventSource` never changes; what it has seen is in `Last-Event-ID`.
async fn an_event_source_that_connects_again_continues<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    publisher.publish(1_003).await;
    publisher.shutdown.cancel();
    for offset in ["-1", "now"] {
        let path = format!("/feed/stream?offset={offset}&live=sse");
        let (mut seen, mut id) = (Vec::new(), next(&publisher.get("/feed/stream", &[]).await));
        if offset == "-1" {
            let first = publisher.get(&path, &[]).await;
            let data = first.body.split("data:").nth(1).unwrap();
            seen = sequences(data.split("\n\n").next().unwrap());
            let (_, rest) = first.body.split_once("\nid: ").unwrap();
            rest.split('\n').next().unwrap().clone_into(&mut id);
        }
        let again = publisher.get(&path, &[("last-event-id", &id)]).await;
        let data = again.body.split("data:").nth(1).unwrap();
        seen.extend(sequences(data.split("\n\n").next().unwrap()));
        let first = if offset == "-1" { 1 } else { 1_001 };
        assert_eq!(seen, (first..=1_003).collect::<Vec<_>>());
    }
    let sse = "/feed/stream?offset=-1&live=sse";
    let gone = "22222222.0000000000000001.018f7c2e6f0a7d3c8b1e9f5a2d4c6e80";
    for (id, status) in [("", 400), ("17", 400), (gone, 410)] {
        let answer = publisher.get(sse, &[("last-event-id", id)]).await;
        assert_eq!(answer.status, status, "{id}");
    }
    // Others have their offset in the address.
    let other = publisher
        .get("/feed/stream", &[("last-event-id", "17")])
        .await;
    assert_eq!(other.status, 200);
}

async fn what_is_malformed_is_refused_and_what_is_unknown_ignored<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    publisher.publish(1).await;
    for (query, status) in [
        ("?other=1&cursor=x", 200),
        ("?offset=", 400),
        ("?offset=a,b", 400),
        ("?offset=-1&offset=now", 400),
        (&format!("?offset={}", publisher.feed.cursor()), 400),
        ("?live=long-poll", 400),
        ("?live=sse", 400),
        ("?offset=-1&live=true", 400),
    ] {
        let answer = publisher.get(&format!("/feed/stream{query}"), &[]).await;
        assert_eq!(answer.status, status, "{query}");
    }
    for method in ["PUT", "POST", "DELETE"] {
        let answer = publisher.send(method, "/feed/stream", &[]).await;
        assert_eq!(answer.status, 405, "{method}");
    }
}
