//! The bytes of immutable pages never change, and their tags with them (I3).

use harness::{Backend, Client, Service};

use crate::publisher::{newest, page, place, started};

harness::on_both_backends! {
    immutable_pages_are_the_same_after_a_kill
}

/// Each page that is marked as immutable, in each form: its address and form, its tag, its bytes.
async fn final_pages(client: &Client) -> Vec<(String, String, String)> {
    let head = client.get("feed", &[]).await;
    let mut pages = Vec::new();
    for number in 1..=newest(client).await / 100 {
        for accept in ["application/atom+xml", "text/html"] {
            let path = page(&head, number);
            let answer = client.get(&path, &[("accept", accept)]).await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.body);
            if answer.header("cache-control").contains("immutable") {
                let tag = answer.header("etag").to_owned();
                pages.push((format!("{path} as {accept}"), tag, answer.body));
            }
        }
    }
    pages
}

async fn tag_of_head(client: &Client) -> String {
    let head = client.get("feed", &[]).await;
    head.header("etag").to_owned()
}

async fn immutable_pages_are_the_same_after_a_kill(backend: Backend) {
    let mut order = started(backend).await;
    place(&order, 305).await;
    let (before, tag) = (
        final_pages(&order.client).await,
        tag_of_head(&order.client).await,
    );
    order.kill();
    order.start().await;
    assert_eq!(tag_of_head(&order.client).await, tag);
    assert_eq!(final_pages(&order.client).await, before);
    place(&order, 100).await;
    let after = final_pages(&order.client).await;
    assert!(after.starts_with(&before), "nor when the feed grows");
    // In HTML they are not immutable: the frame around them changes with an upgrade.
    assert_eq!((before.len(), after.len()), (2, 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_process_on_the_same_database_serves_the_same() {
    let order = started(Backend::Postgres).await;
    let mut replica = Service::new("order", Backend::Postgres).await;
    replica.set("DATABASE_URL", order.database.url().to_owned());
    replica.set("BASE_URL", order.client.url(""));
    replica.start().await;
    place(&order, 305).await;
    // It has no notifications: it may be late by a poll of the database.
    let (tag, expected) = (
        tag_of_head(&order.client).await,
        final_pages(&order.client).await,
    );
    harness::until("the replica knows of all events", async || {
        (tag_of_head(&replica.client).await == tag).then_some(())
    })
    .await;
    assert_eq!(final_pages(&replica.client).await, expected);
    // And a reader of the other process continues here.
    let conditions = [("if-none-match", tag.as_str())];
    assert_eq!(order.client.get("feed", &conditions).await.status, 304);
}
