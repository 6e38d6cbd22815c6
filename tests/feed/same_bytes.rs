//! The bytes of immutable pages never change, and their tags with them (I3).

use harness::{Answer, Backend, Client, Service};

use crate::publisher::{page, place, started};

harness::on_both_backends! {
    immutable_pages_are_the_same_after_a_kill
}

/// What a reader holds of each document that must not change, in each form.
async fn held(client: &Client) -> Vec<(String, String, String)> {
    let head = client.get("feed", &[]).await;
    let mut held = Vec::new();
    for path in [page(&head, 1), page(&head, 2)] {
        for accept in ["application/atom+xml", "text/html"] {
            let answer = client.get(&path, &[("accept", accept)]).await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.body);
            assert!(answer.header("cache-control").contains("immutable"));
            let tag = answer.header("etag").to_owned();
            held.push((format!("{path} as {accept}"), tag, answer.body));
        }
    }
    held
}

async fn tag_of_head(client: &Client) -> String {
    let head: Answer = client.get("feed", &[]).await;
    head.header("etag").to_owned()
}

async fn immutable_pages_are_the_same_after_a_kill(backend: Backend) {
    let mut order = started(backend).await;
    place(&order, 305).await;
    let (before, tag) = (held(&order.client).await, tag_of_head(&order.client).await);
    order.kill();
    order.start().await;
    assert_eq!(tag_of_head(&order.client).await, tag);
    assert_eq!(held(&order.client).await, before);
    place(&order, 100).await;
    assert_eq!(held(&order.client).await, before, "nor when the feed grows");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_process_on_the_same_database_serves_the_same() {
    let order = started(Backend::Postgres).await;
    let mut replica = Service::new("order", Backend::Postgres).await;
    replica.set("DATABASE_URL", order.database.url().to_owned());
    replica.set("BASE_URL", order.client.url(""));
    replica.start().await;
    place(&order, 305).await;
    // It has not been told of anything: it may be late by a look at the database.
    let (tag, expected) = (tag_of_head(&order.client).await, held(&order.client).await);
    harness::until("the replica knows of all events", async || {
        (tag_of_head(&replica.client).await == tag).then_some(())
    })
    .await;
    assert_eq!(held(&replica.client).await, expected);
    // And whoever has read there goes on here.
    let conditions = [("if-none-match", tag.as_str())];
    assert_eq!(order.client.get("feed", &conditions).await.status, 304);
}
