//! An operator corrects a published event by an UPDATE, which needs no other right, and readers see it at once.

use feed_core::EventId;
use harness::FreshDatabase;
use sqlx::Postgres;

use crate::support::{Publisher, Testable, send, until};

harness::on_both_databases! {
    a_corrected_event_is_shown_at_once
}

/// By an operator whose role has no other right.
#[tokio::test]
async fn the_right_to_update_is_enough_to_correct_an_event() {
    let fresh = FreshDatabase::postgres().await;
    let publisher = Publisher::<Postgres>::open(fresh.url()).await;
    publisher.publish(1).await;
    let revision = "SELECT revision FROM feed_head";
    let before = Postgres::numbers(&publisher.database, revision).await[0];
    let role = format!(
        "corrector_{}",
        EventId::new().urn().replace(['-', ':'], "_")
    );
    fresh
        .execute(&format!(
            "CREATE ROLE {role};
             GRANT SELECT, UPDATE ON feed_event TO {role};
             SET ROLE {role};
             CREATE TEMPORARY TABLE feed_head (revision BIGINT);
             UPDATE feed_event SET data = '{{}}' WHERE sequence = 1;
             UPDATE feed_event SET subject = 'order/17' WHERE sequence = 1;
             RESET ROLE;
             DROP OWNED BY {role};
             DROP ROLE {role}"
        ))
        .await;
    let after = Postgres::numbers(&publisher.database, revision).await[0];
    assert_eq!(after, before + 2);
}

async fn a_corrected_event_is_shown_at_once<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    publisher.publish(25).await;
    publisher.close_second().await;
    let other = Publisher::<B>::open(url).await;
    let running = tokio::spawn({
        let feed = other.feed.clone();
        async move { feed.run().await }
    });
    let epoch = publisher.feed.cursor().epoch;
    let page = format!("/feed/{epoch}/2");
    let before = other.get("/feed", &[]).await;
    let (tag, date) = (before.header("etag"), before.header("last-modified"));
    assert!(!date.is_empty());
    let paged = other.get(&page, &[]).await;
    let batch = before.link("related").unwrap();
    other.get(&batch, &[]).await;
    // Readers that wait hear of it.
    let waiting = tokio::spawn({
        let router = other.feed.router();
        let tag = tag.clone();
        async move {
            let headers = [("if-none-match", tag.as_str()), ("prefer", "wait=30")];
            send(router, "GET", "/feed", &headers).await
        }
    });
    let correction = "UPDATE feed_event SET time = '2001-02-03T04:05:06.789Z' WHERE sequence = 15";
    B::run(&publisher.database, correction).await;
    let is_shown = async |path: &str, headers: &[(&str, &str)]| {
        let answer = other.get(path, headers).await;
        answer.status == 200 && answer.body.contains("2001-02-03T04:05:06.789Z")
    };
    for (path, headers) in [
        ("/feed", [("if-none-match", tag.as_str())]),
        ("/feed", [("if-modified-since", date.as_str())]),
        (&page, [("if-none-match", &paged.header("etag"))]),
        (&batch, [("accept", "*/*")]),
    ] {
        until(&format!("{path} {headers:?}"), async || {
            is_shown(path, &headers).await
        })
        .await;
    }
    assert_eq!(waiting.await.unwrap().status, 200);
    // Its data is in these, which are kept.
    let with_data = [
        ("/feed", ("prefer", "event-data")),
        ("/feed", ("accept", "application/cloudevents-batch+json")),
        (&batch, ("accept", "*/*")),
    ];
    let mut asked = Vec::new();
    for (path, form) in with_data {
        let tag = other.get(path, &[form]).await.header("etag");
        asked.push((path, [form, ("if-none-match", &*tag.leak())]));
    }
    let correction = "UPDATE feed_event SET data = '\"corrected\"' WHERE sequence IN (15, 25)";
    B::run(&publisher.database, correction).await;
    for (path, headers) in asked {
        until(&format!("{path} {headers:?}"), async || {
            let answer = other.get(path, &headers).await;
            let shown = answer.data().concat() + &answer.body;
            answer.status == 200 && shown.contains("corrected")
        })
        .await;
    }
    // A tag with a correction in it is a cursor like any other.
    let after = other.get("/feed", &[]).await.header("etag");
    publisher.publish(1).await;
    let asked = [
        ("if-none-match", after.as_str()),
        ("a-im", "feed"),
        ("prefer", "wait=30"),
    ];
    let delta = other.get("/feed", &asked).await;
    assert_eq!((delta.status, delta.sequences()), (226, vec![26]));
    other.shutdown.cancel();
    running.await.unwrap();
}
