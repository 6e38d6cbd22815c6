//! A time with a second 60 is stored and served as the next second, on both databases and by SQL as by feed-core: RFC
//! 3339 has a second 60 at leap seconds alone, and parsers in many languages never.

use feed_core::transfer::{Import, export, import};
use feed_core::{Database, NewEvent, outbox};
use sqlx::{Postgres, Sqlite};

use crate::row_cases::{quoted, with};
use crate::support::{Publisher, Testable, event};

harness::on_both_databases! {
    the_next_second_is_stored_and_served
    no_other_time_changes
}

const JSON: (&str, &str) = ("accept", "application/cloudevents-batch+json");

/// Times with a second 60, and the times that are stored.
const LEAPS: [(&str, &str); 4] = [
    ("2016-12-31T23:59:60.000Z", "2017-01-01T00:00:00.000Z"),
    ("2026-03-05T12:34:60.000Z", "2026-03-05T12:35:00.000Z"),
    ("2026-03-05T12:34:60.999Z", "2026-03-05T12:35:00.999Z"),
    ("2024-02-28T23:59:60.000Z", "2024-02-29T00:00:00.000Z"),
];

async fn the_next_second_is_stored_and_served<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    for (time, _) in LEAPS {
        let mut tx = publisher.database.begin().await.unwrap();
        let leap = NewEvent {
            time: time.parse().unwrap(),
            ..event("order/1")
        };
        outbox::append(&mut tx, &leap).await.unwrap();
        tx.commit().await.unwrap();
        B::run(&publisher.database, &with("time", quoted(time))).await;
    }
    publisher.feed.publish().await.unwrap();
    let expected: Vec<&str> = LEAPS.iter().flat_map(|(_, stored)| [*stored; 2]).collect();
    let batch = publisher.get("/feed?after=start", &[JSON]).await;
    let events: Vec<serde_json::Value> = serde_json::from_str(&batch.body).unwrap();
    let times = events.iter().map(|event| event["time"].as_str().unwrap());
    assert_eq!(times.collect::<Vec<_>>(), expected);
    let head = publisher.get("/feed", &[]).await;
    for time in expected {
        let published = format!("<published>{time}</published>");
        assert!(head.body.contains(&published), "{}", head.body);
    }
    assert!(!head.body.contains(":60."));
    // What is no time stays none, and the year 10000 is too late.
    for none in [
        "2026-02-30T12:34:60.000Z",
        "2026-03-05T12:34:61.000Z",
        "9999-12-31T23:59:60.000Z",
    ] {
        let refused = B::try_run(&publisher.database, &with("time", quoted(none))).await;
        assert!(refused.is_err(), "{none}");
    }
}

async fn no_other_time_changes<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    for time in [
        "0001-01-01T00:00:00.000Z",
        "1969-12-31T23:59:59.999Z",
        "2026-03-05T12:34:59.999Z",
        "9999-12-31T23:59:59.999Z",
    ] {
        let mut tx = publisher.database.begin().await.unwrap();
        let exact = NewEvent {
            time: time.parse().unwrap(),
            ..event("order/1")
        };
        outbox::append(&mut tx, &exact).await.unwrap();
        tx.commit().await.unwrap();
        B::run(&publisher.database, &with("time", quoted(time))).await;
        publisher.feed.publish().await.unwrap();
        let head = publisher.get("/feed", &[]).await;
        let published = format!("<published>{time}</published>");
        assert_eq!(head.body.matches(&published).count(), 2, "{time}");
    }
}

/// What a version before has stored is in pages whose bytes never change. Readers of JSON get the next second, and so
/// does the other database.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_60_of_an_earlier_version_moves_to_the_other_database() {
    let fresh = harness::FreshDatabase::sqlite();
    let publisher = Publisher::<Sqlite>::open(fresh.url()).await;
    let ids = publisher.publish(3).await;
    let before = "UPDATE feed_event SET time = '2016-12-31T23:59:60.500Z' WHERE sequence = 2";
    let refused = Sqlite::try_run(&publisher.database, before).await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("a second 60"), "{refused}");
    Sqlite::run(&publisher.database, "DROP TRIGGER feed_event_leaps").await;
    Sqlite::run(&publisher.database, before).await;
    let head = publisher.get("/feed?type=order.placed", &[]).await;
    let published = "<published>2016-12-31T23:59:60.500Z</published>";
    assert!(head.body.contains(published), "{}", head.body);
    let next = "2017-01-01T00:00:00.500Z";
    let batch = publisher.get("/feed?after=start", &[JSON]).await;
    assert!(batch.body.contains(&format!("\"time\":\"{next}\"")));
    let one = publisher.get(&format!("/events/{}", ids[1]), &[]).await;
    assert_eq!(one.header("ce-time"), next);

    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("feed.jsonl");
    export(&publisher.database, &[], &file).await.unwrap();
    let other = harness::FreshDatabase::postgres().await;
    let database = Database::<Postgres>::open(other.url()).await.unwrap();
    let rows = import(&database, &[], &file, Import::ForGood)
        .await
        .unwrap();
    assert!(rows > 3);
    let moved = Publisher::<Postgres>::open(other.url()).await;
    let one = moved.get(&format!("/events/{}", ids[1]), &[]).await;
    assert_eq!(one.header("ce-time"), next);
}
