//! Batch documents: the data of the events of another document.

use feed_core::{NewEvent, outbox};

use crate::support::{Publisher, Testable, event};

harness::on_both_databases! {
    a_batch_holds_the_events_of_its_document
    a_batch_is_bounded_in_bytes
}

async fn a_batch_holds_the_events_of_its_document<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    publisher.publish(25).await;
    let epoch = publisher.feed.cursor().epoch;
    for document in [
        "/feed".to_owned(),
        format!("/feed/{epoch}/1"),
        format!("/feed/{epoch}/2"),
    ] {
        let document = publisher.get(&document, &[]).await;
        let batch = publisher.get(&document.link("related").unwrap(), &[]).await;
        assert_eq!(
            batch.header("content-type"),
            "application/cloudevents-batch+json"
        );
        assert_eq!(batch.header("cache-control"), "private, no-cache");
        let events: Vec<serde_json::Value> = serde_json::from_str(&batch.body).unwrap();
        let mut ids: Vec<_> = events.iter().map(|e| e["id"].as_str().unwrap()).collect();
        ids.reverse();
        let feed: atom_syndication::Feed = document.body.parse().unwrap();
        let entries: Vec<_> = feed
            .entries
            .iter()
            .map(|e| &e.id["urn:uuid:".len()..])
            .collect();
        assert_eq!(ids, entries);
    }
    for range in ["0-1", "2-1", "1-26", "1-21", "1", "1-", "01-2", "a-b"] {
        let answer = publisher
            .get(&format!("/feed/{epoch}/batch/{range}"), &[])
            .await;
        assert_eq!(answer.status, 404, "{range}");
    }
}

/// Several such answers at once would end the process (I11).
async fn a_batch_is_bounded_in_bytes<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    let mut tx = publisher.database.begin().await.unwrap();
    for _ in 0..16 {
        let large = NewEvent {
            data: format!("\"{}\"", "x".repeat(1_000_000)),
            ..event("order/1")
        };
        outbox::append(&mut tx, &large).await.unwrap();
    }
    tx.commit().await.unwrap();
    publisher.feed.publish().await.unwrap();
    let epoch = publisher.feed.cursor().epoch;
    let batch = async |range: &str| {
        publisher
            .get(&format!("/feed/{epoch}/batch/{range}"), &[])
            .await
    };
    assert_eq!(batch("1-15").await.status, 200);
    assert_eq!(batch("2-16").await.status, 200);
    let refused = batch("1-16").await;
    assert_eq!(refused.status, 404);
    assert!(
        refused.body.contains("more than a document has"),
        "{}",
        refused.body
    );
}
