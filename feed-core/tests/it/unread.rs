//! Documents with data that their readers do not read: few bytes of them are in memory.

use axum::body::Body;
use axum::http::Request;
use feed_core::NewEvent;
use serde_json::json;
use tower::ServiceExt;

use crate::support::{Publisher, Testable};

harness::on_both_databases! {
    what_nobody_reads_has_an_end
}

async fn what_nobody_reads_has_an_end<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    let data = json!({"text": "x".repeat(900 * 1024)}).to_string();
    for n in 0..8 {
        let event = NewEvent::new("order.placed", format!("order/{n}"), data.clone());
        publisher.commit_unnumbered(&event).await;
    }
    publisher.feed.publish().await.unwrap();
    let ask = async |path: &str, accept: &str| {
        let request = Request::get(path).header("accept", accept);
        let request = request.body(Body::empty()).unwrap();
        publisher
            .feed
            .router::<()>()
            .oneshot(request)
            .await
            .unwrap()
    };
    let batch = "application/cloudevents-batch+json";
    for (path, accept) in [
        ("/feed?after=start", batch),
        ("/feed", batch),
        ("/feed/stream", "application/json"),
        ("/feed/stream?offset=-1&live=sse", "text/event-stream"),
    ] {
        let mut unread = Vec::new();
        let refused = loop {
            let answer = ask(path, accept).await;
            if answer.status() != 200 {
                break answer;
            }
            unread.push(answer);
            assert!(unread.len() < 10, "{path}");
        };
        assert_eq!(refused.status(), 503, "{path}");
        assert!(refused.headers().contains_key("retry-after"), "{path}");
        assert!(unread.len() >= 5, "{path}: {}", unread.len());
        // What all readers share takes no room.
        assert_eq!(ask("/feed", "application/atom+xml").await.status(), 200);
        drop(unread);
        assert_eq!(ask(path, accept).await.status(), 200, "{path}");
    }
}
