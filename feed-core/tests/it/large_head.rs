//! A head whose data is more than one batch document has: no validator may hide the rest of it (I4).

use feed_core::{NewEvent, outbox};
use serde_json::json;

use crate::support::{NOT_MODIFIED, Publisher, Testable, event};

harness::on_both_databases! {
    a_part_of_the_head_has_no_tag
}

const JSON: (&str, &str) = ("accept", "application/cloudevents-batch+json");

/// A reader that takes no new entries alone would get the same answer to it again and again, or none at all
/// (RFC 9110, 13.1.2).
async fn a_part_of_the_head_has_no_tag<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    let large = NewEvent {
        data: json!("x".repeat(1024 * 1024 - 2)).to_string(),
        ..event("order/1")
    };
    let mut tx = publisher.database.begin().await.unwrap();
    for _ in 0..10 {
        outbox::append(&mut tx, &large).await.unwrap();
    }
    tx.commit().await.unwrap();
    publisher.feed.publish().await.unwrap();
    publisher.close_second().await;
    let (waits, delta) = (("prefer", "wait=30"), ("a-im", "feed"));
    let first = publisher.get("/feed", &[JSON, delta]).await;
    let (tag, seen) = (first.header("etag"), first.batch());
    assert!(seen.len() < 10 && !tag.is_empty());
    let two = format!("W/\"zzzzzzzz.0.0-0\", {tag}");
    let (known, both) = (("if-none-match", &*tag), ("if-none-match", &*two));
    for asked in [
        vec![],
        vec![waits],
        vec![known],
        vec![waits, known],
        vec![both],
        vec![waits, both],
        vec![delta, both],
        vec![delta, waits, both],
    ] {
        let answer = publisher
            .get("/feed", &[&[JSON], asked.as_slice()].concat())
            .await;
        assert_eq!((answer.status, answer.batch()), (200, seen.clone()));
        assert_eq!(answer.header("etag"), "", "{asked:?}");
        assert_eq!(answer.header("last-modified"), "", "{asked:?}");
        assert!(answer.next().ends_with(&first.header("feed-cursor")));
    }
    // New entries alone follow the tag.
    let rest = publisher.get("/feed", &[JSON, delta, known]).await;
    assert_eq!(rest.status, 226);
    assert_eq!([seen, rest.batch()].concat(), (1..=10).collect::<Vec<_>>());
    let tag = rest.header("etag");
    let level = publisher
        .get("/feed", &[JSON, ("if-none-match", &tag)])
        .await;
    assert_eq!(level.status, NOT_MODIFIED);
}
