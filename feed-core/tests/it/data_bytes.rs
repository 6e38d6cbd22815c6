//! An event's data has the same bytes on each way to a reader.

use feed_core::consumer::{Tail, TailFrom};
use feed_core::{NewEvent, Subscription, outbox};

use crate::row_cases::{quoted, with};
use crate::support::{
    Publisher, Recorder, Testable, consumer, consumer_database, event, serve, until,
};

harness::on_both_databases! {
    data_has_the_same_bytes_on_each_way
}

const WRITTEN: [&str; 3] = ["{ \"a\" : 1 }\n", "\r\n\t [1.50, \" \u{a0}\" ] ", "{}"];
const READ: [&str; 3] = ["{ \"a\" : 1 }", "[1.50, \" \u{a0}\" ]", "{}"];

/// From a program in Rust and from one that inserts rows; in a batch, alone, and in the entry.
async fn data_has_the_same_bytes_on_each_way<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    let append = async || {
        for data in WRITTEN {
            let mut tx = publisher.database.begin().await.unwrap();
            let event = NewEvent {
                data: data.to_owned(),
                ..event("order/1")
            };
            outbox::append(&mut tx, &event).await.unwrap();
            tx.commit().await.unwrap();
            B::run(&publisher.database, &with("data", quoted(data))).await;
        }
        publisher.feed.publish().await.unwrap();
    };
    append().await;
    let expected: Vec<&str> = READ.iter().flat_map(|data| [*data, *data]).collect();
    let mut newest_first = expected.clone();
    newest_first.reverse();

    let ids = "SELECT CAST(id AS TEXT) FROM feed_event ORDER BY sequence";
    let mut alone = Vec::new();
    for id in B::texts(&publisher.database, ids).await {
        alone.push(publisher.get(&format!("/events/{id}"), &[]).await.body);
    }
    assert_eq!(alone, expected);
    let head = publisher.get("/feed", &[("prefer", "event-data")]).await;
    assert_eq!(head.data(), newest_first);
    let batch = publisher.get("/feed", &[]).await.link("related").unwrap();
    let batch = publisher.get(&batch, &[]).await.body;
    for data in READ {
        assert_eq!(
            batch.matches(&format!("\"data\":{data}")).count(),
            2,
            "{batch}"
        );
    }

    // The first round takes a batch, the second one what has come since.
    let feed = format!("{}/feed", serve(publisher.feed.router()).await);
    let database = consumer_database::<B>(url).await;
    let mut consumer = consumer(&database, &feed, Recorder::default()).await;
    for rounds in 1..=2 {
        until("all is taken", async || {
            consumer.poll_once().await.unwrap();
            let status = consumer.handle().status().await.unwrap();
            status.sequence == rounds * 6
        })
        .await;
        if rounds == 1 {
            append().await;
        }
    }
    let data = "SELECT data FROM effect ORDER BY position";
    assert_eq!(
        B::texts(&database, data).await,
        [expected.clone(), expected.clone()].concat()
    );

    for count in [1, 6, 12] {
        let subscription = Subscription::new("tail", feed.parse().unwrap());
        let mut tail = Tail::new(&subscription, TailFrom::Newest(count));
        let events = tail.next().await.unwrap().events.into_iter();
        let data: Vec<String> = events.map(|event| event.data).collect();
        let twice = [expected.clone(), expected.clone()].concat();
        assert_eq!(data, twice[12 - count..]);
    }
}
