//! A feed whose `BASE_URL` changes: no validator stands for the bytes of before, and its events stay the
//! same to everybody.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Request;
use feed_core::consumer::Polled;
use feed_core::{Database, EventId, Feed, FeedSettings};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::support::{
    Answer, BASE, NOT_MODIFIED, Publisher, Recorder, Testable, consumer, consumer_database, send,
    serve,
};

harness::on_both_databases! {
    a_tag_stands_for_the_bytes
    a_tag_of_an_empty_feed_stands_for_the_bytes
    a_further_schema_changes_the_tags
    a_title_changes_the_tags
    a_filtered_view_whose_link_changes_has_another_tag
    a_tag_of_another_base_is_still_a_cursor
    a_date_of_another_base_validates_nothing
    a_restart_changes_no_validator
    instances_that_differ_do_not_make_a_consumer_hurry
    the_source_of_events_never_changes
    instances_that_start_together_agree_on_the_source
    a_command_does_not_decide_the_source
}

/// Another scheme, another host, another path.
const OTHERS: [&str; 3] = [
    "http://shop.example/order/",
    "https://www.shop.example/order/",
    "https://shop.example/",
];

const FORMS: [&str; 2] = ["application/atom+xml", "text/html"];

impl<B: Testable> Publisher<B> {
    /// The answer to a request with the entity tag `tag`.
    async fn known(&self, path: &str, accept: &str, tag: &str) -> Answer {
        let headers = [("accept", accept), ("if-none-match", tag)];
        self.get(path, &headers).await
    }
}

async fn a_tag_stands_for_the_bytes<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    publisher.publish(35).await;
    let epoch = publisher.feed.cursor().epoch;
    let paths = [
        "/feed".to_owned(),
        "/feed.atom".to_owned(),
        format!("/feed/{epoch}/1"),
        format!("/feed/{epoch}/3"),
        "/feed?type=order.placed".to_owned(),
        "/feed?type=order.placed&before=20".to_owned(),
        "/feed?subject=order%2F3".to_owned(),
        "/feed?subject=nothing".to_owned(),
    ];
    let same = Publisher::<B>::open(url).await;
    for base in OTHERS {
        let other = Publisher::<B>::at(url, base).await;
        for path in &paths {
            for accept in FORMS {
                let before = publisher.get(path, &[("accept", accept)]).await;
                let tag = before.header("etag");
                let again = same.known(path, accept, &tag).await;
                assert_eq!((again.status, again.header("etag")), (304, tag.clone()));

                let after = other.known(path, accept, &tag).await;
                // As a page for people a document has links without scheme and host.
                if after.status == NOT_MODIFIED {
                    let after = other.get(path, &[("accept", accept)]).await;
                    assert_eq!(after.body, before.body, "{path} as {accept} at {base}");
                } else {
                    assert_eq!(after.status, 200);
                    assert_ne!(after.body, before.body, "{path} as {accept} at {base}");
                    assert_ne!(after.header("etag"), tag, "{path} as {accept} at {base}");
                }
            }
        }
    }
}

/// Instances that differ are restarted in turn.
async fn a_tag_of_an_empty_feed_stands_for_the_bytes<B: Testable>(url: &str) {
    let before = Publisher::<B>::open(url).await.get("/feed", &[]).await;
    Publisher::<B>::at(url, OTHERS[0]).await;
    let after = Publisher::<B>::open(url).await.get("/feed", &[]).await;
    assert_eq!(after.header("etag"), before.header("etag"));
    assert_eq!(after.body, before.body);
}

/// An entry links to the schema of its type.
async fn a_further_schema_changes_the_tags<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    publisher.publish(25).await;
    let mut tags = HashSet::new();
    for types in [&["a"][..], &["a", "b"], &["a", "b", "order.placed"]] {
        let schemas = types.iter().map(|name| ((*name).to_owned(), json!(true)));
        let settings = FeedSettings {
            schemas: schemas.collect(),
            ..FeedSettings::new(BASE.parse().unwrap(), "Orders")
        };
        let database = publisher.database.clone();
        let feed = Feed::open(database, settings, CancellationToken::new()).await;
        let answer = send(feed.unwrap().router(), "GET", "/feed", &[]).await;
        assert!(tags.insert(answer.header("etag")), "{types:?}");
    }
}

async fn a_title_changes_the_tags<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    publisher.publish(25).await;
    let epoch = publisher.feed.cursor().epoch;
    let titled = |title: &str, author: &str| FeedSettings {
        author: author.to_owned(),
        ..FeedSettings::new(BASE.parse().unwrap(), title)
    };
    for settings in [titled("Sales", "Shop"), titled("Orders", "Another shop")] {
        let feed = Feed::open(
            publisher.database.clone(),
            settings,
            CancellationToken::new(),
        );
        let other = Publisher {
            database: publisher.database.clone(),
            feed: feed.await.unwrap(),
            shutdown: CancellationToken::new(),
        };
        for path in [
            "/feed",
            &format!("/feed/{epoch}/1"),
            "/feed?subject=order%2F3",
        ] {
            let tag = publisher.get(path, &[]).await.header("etag");
            assert_eq!(other.known(path, FORMS[0], &tag).await.status, 200);
        }
    }
}

/// The link to newer events is another one once there are more of them.
async fn a_filtered_view_whose_link_changes_has_another_tag<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    publisher.publish(20).await;
    let view = "/feed?type=order.placed&before=15";
    let before = publisher.get(view, &[]).await;
    publisher.publish(20).await;
    let after = publisher
        .known(view, FORMS[0], &before.header("etag"))
        .await;
    assert_ne!(after.link("previous"), before.link("previous"));
    assert_eq!(after.status, 200);
}

async fn a_tag_of_another_base_is_still_a_cursor<B: Testable>(url: &str) {
    let before = Publisher::<B>::open(url).await;
    before.publish(13).await;
    let older = before.get("/feed", &[]).await.header("etag");
    // As the version before wrote tags.
    let plain = format!("W/\"{}\"", before.feed.cursor());
    before.publish(2).await;
    let newest = before.get("/feed", &[]).await.header("etag");

    let after = Publisher::<B>::at(url, OTHERS[0]).await;
    let begin = Instant::now();
    let delta = [("a-im", "feed"), ("prefer", "wait=30")];
    for (tag, new) in [
        (&older, &[15, 14][..]),
        (&plain, &[15, 14]),
        // All links are other ones, but there is nothing new.
        (&newest, &[]),
    ] {
        let condition = ("if-none-match", tag.as_str());
        let answer = after.get("/feed", &[condition, delta[0], delta[1]]).await;
        assert_eq!((answer.status, &*answer.sequences()), (226, new), "{tag}");
        assert_ne!(answer.header("etag"), *tag);
        for headers in [&[condition][..], &[condition, delta[1]]] {
            let answer = after.get("/feed", headers).await;
            assert_eq!((answer.status, answer.sequences().len()), (200, 15));
            assert!(answer.body.contains(OTHERS[0]), "{}", answer.body);
        }
    }
    assert!(begin.elapsed() < Duration::from_secs(20), "it has waited");
    // With the new tag it waits.
    let tag = after.get("/feed", &[]).await.header("etag");
    let again = [
        ("if-none-match", tag.as_str()),
        delta[0],
        ("prefer", "wait=1"),
    ];
    assert_eq!(after.get("/feed", &again).await.status, NOT_MODIFIED);
}

async fn a_date_of_another_base_validates_nothing<B: Testable>(url: &str) {
    let before = Publisher::<B>::open(url).await;
    before.publish(25).await;
    before.close_second().await;
    let date = before.get("/feed", &[]).await.header("last-modified");
    let since = [("if-modified-since", date.as_str())];
    assert_eq!(before.get("/feed", &since).await.status, NOT_MODIFIED);

    let after = Publisher::<B>::at(url, OTHERS[0]).await;
    assert_eq!(after.get("/feed", &since).await.status, 200);
    // Once the second of the change is closed, there is a date again, and it is a later one.
    after.close_second().await;
    let parsed = |date: &str| httpdate::parse_http_date(date).unwrap();
    let answer = after.get("/feed", &since).await;
    let later = answer.header("last-modified");
    assert_eq!(answer.status, 200);
    assert!(parsed(&later) > parsed(&date), "{later}");
    let since = [("if-modified-since", later.as_str())];
    assert_eq!(after.get("/feed", &since).await.status, NOT_MODIFIED);

    // The instance that has the old base still must not hand out such a date, nor believe in it.
    before.feed.publish().await.unwrap();
    let answer = before.get("/feed", &since).await;
    assert_eq!(
        (answer.status, answer.header("last-modified")),
        (200, String::new())
    );
    // Events that come after have later dates still (I4).
    after.publish(1).await;
    let newer = after.get("/feed", &[("if-modified-since", &date)]).await;
    assert_eq!((newer.status, newer.sequences()[0]), (200, 26));
}

async fn a_restart_changes_no_validator<B: Testable>(url: &str) {
    let before = Publisher::<B>::open(url).await;
    before.publish(25).await;
    before.close_second().await;
    let epoch = before.feed.cursor().epoch;
    let after = Publisher::<B>::open(url).await;
    let names = ["etag", "last-modified"];
    for (path, names) in [
        ("/feed", &names[..]),
        (&format!("/feed/{epoch}/1"), &names[..1]),
    ] {
        let (before, after) = (before.get(path, &[]).await, after.get(path, &[]).await);
        for name in names {
            let name = *name;
            assert!(!before.header(name).is_empty());
            assert_eq!(after.header(name), before.header(name), "{path}: {name}");
        }
    }
}

/// Two instances behind one address while `BASE_URL` is being changed: each answers the other's tag at once.
async fn instances_that_differ_do_not_make_a_consumer_hurry<B: Testable>(url: &str) {
    let old = Publisher::<B>::open(url).await;
    let new = Publisher::<B>::at(url, OTHERS[0]).await;
    old.publish(3).await;
    new.feed.publish().await.unwrap();
    let turn = Arc::new(AtomicUsize::new(0));
    let routers = [old.feed.router(), new.feed.router()];
    let in_turn = tower::service_fn(move |request: Request| {
        let turn = turn.fetch_add(1, Ordering::Relaxed);
        routers[turn % 2].clone().oneshot(request)
    });
    let router = Router::new().fallback_service(in_turn);
    let feed = format!("{}/feed", serve(router).await);
    let database: Database<B> = consumer_database(url).await;
    let mut consumer = consumer(&database, &feed, Recorder::default()).await;
    assert_eq!(consumer.poll_once().await.unwrap(), Polled::Applied(3));
    // Now it gets to know a tag.
    consumer.poll_once().await.unwrap();
    for _ in 0..6 {
        // After such a round it pauses.
        let round = consumer.poll_once().await.unwrap();
        assert_eq!(round, Polled::UpToDate { waited: false });
    }
    assert_eq!(crate::support::effects(&database).await.len(), 3);
}

async fn the_source_of_events_never_changes<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    let ids = publisher.publish(2).await;
    for base in OTHERS {
        let other = Publisher::<B>::at(url, base).await;
        assert_eq!(sources(&other, ids[0]).await, [BASE; 4]);
        // A feed that begins again after a restore is still the same source.
        other.feed.change_epoch().await.unwrap();
        assert_eq!(sources(&other, ids[0]).await, [BASE; 4]);
    }
}

/// The source in binary, structured and batch mode, new in memory and read again.
async fn sources<B: Testable>(publisher: &Publisher<B>, id: EventId) -> [String; 4] {
    let epoch = publisher.feed.cursor().epoch;
    let event = format!("/events/{id}");
    let binary = publisher.get(&event, &[]).await.header("ce-source");
    let structured = [("accept", "application/cloudevents+json")];
    let structured = publisher.get(&event, &structured).await.body;
    let structured: serde_json::Value = serde_json::from_str(&structured).unwrap();
    let mut batches = Vec::new();
    for range in ["1-2", "2-2"] {
        let batch = publisher
            .get(&format!("/feed/{epoch}/batch/{range}"), &[])
            .await;
        let batch: serde_json::Value = serde_json::from_str(&batch.body).unwrap();
        batches.push(batch[0]["source"].as_str().unwrap().to_owned());
    }
    let [first, second] = batches.try_into().unwrap();
    let structured = structured["source"].as_str().unwrap().to_owned();
    [binary, structured, first, second]
}

async fn instances_that_start_together_agree_on_the_source<B: Testable>(url: &str) {
    // The database itself is there.
    Database::<B>::open(url).await.unwrap();
    let (one, two, three) = tokio::join!(
        Publisher::<B>::at(url, OTHERS[0]),
        Publisher::<B>::at(url, OTHERS[1]),
        Publisher::<B>::at(url, OTHERS[2]),
    );
    let ids = one.publish(2).await;
    let first = sources(&one, ids[0]).await;
    assert!(OTHERS.contains(&&*first[0]), "{first:?}");
    for other in [&two, &three] {
        assert_eq!(sources(other, ids[0]).await, first);
    }
}

/// Commands are often given without the settings of the service.
async fn a_command_does_not_decide_the_source<B: Testable>(url: &str) {
    let database = Database::<B>::open(url).await.unwrap();
    let settings = FeedSettings::new(OTHERS[0].parse().unwrap(), "Orders");
    let command = Feed::open_for_command(database.clone(), settings)
        .await
        .unwrap();
    command.archive(100).await.unwrap();
    let publisher = Publisher::<B>::open(url).await;
    publisher.publish(1).await;
    publisher.close_second().await;
    let date = publisher.get("/feed", &[]).await.header("last-modified");
    let settings = FeedSettings::new(OTHERS[0].parse().unwrap(), "Orders");
    Feed::open_for_command(database, settings).await.unwrap();
    publisher.feed.publish().await.unwrap();
    let since = [("if-modified-since", date.as_str())];
    assert_eq!(publisher.get("/feed", &since).await.status, NOT_MODIFIED);
    let source = "SELECT source FROM feed_head";
    assert_eq!(B::texts(&publisher.database, source).await, [BASE]);
}
