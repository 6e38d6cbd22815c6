//! One instance, redirect or cache that is at fault, where a request on another way would succeed: a reader leaves it.

use std::time::{Duration, Instant};

use feed_core::consumer::{FeedClient, Polled, Tail, TailFrom};
use feed_core::{Consumer, Subscription};
use harness::fake::{Asked, Atom, Fake, Numbered, Reply};
use tokio_util::sync::CancellationToken;

use crate::support::{Recorder, Testable, consumer, consumer_database, effects};

harness::on_both_databases! {
    an_instance_that_fails_is_left_for_another_one
    an_instance_without_news_is_left_for_another_one
}

/// A balancer assigns connections, and the first one to an instance that fails.
async fn an_instance_that_fails_is_left_for_another_one<B: Testable>(url: &str) {
    let database = consumer_database::<B>(url).await;
    for (name, client) in [
        ("plain", None),
        ("own", Some(FeedClient::new(|client| client))),
    ] {
        let fake = Fake::start().await;
        let feed = Numbered::new(3);
        feed.serve(&fake);
        fake.each("/feed", move |asked| match asked.connection {
            1 => Reply::status(503),
            _ => feed.reply(asked),
        });
        let subscription = Subscription {
            client,
            ..Subscription::new(name, fake.url("/feed").parse().unwrap())
        };
        let (effect, stop) = (Recorder::default(), CancellationToken::new());
        let opened = Consumer::open(database.clone(), subscription, effect, stop).await;
        let mut consumer = opened.unwrap();
        consumer.poll_once().await.unwrap_err();
        assert_eq!(consumer.poll_once().await.unwrap(), Polled::Applied(3));
        B::run(&database, "DELETE FROM effect").await;
    }
}

/// Such as one that reads from a copy of the database that no longer changes.
async fn an_instance_without_news_is_left_for_another_one<B: Testable>(url: &str) {
    let fake = Fake::start().await;
    let feed = Numbered::new(3);
    feed.serve(&fake);
    let old = Numbered::new(2);
    fake.each("/feed", move |asked| match asked.connection {
        1 => old.reply(asked),
        _ => feed.reply(asked),
    });
    let database = consumer_database::<B>(url).await;
    let mut consumer = consumer(&database, &fake.url("/feed"), Recorder::default()).await;
    consumer.poll_once().await.unwrap();
    assert_eq!(effects(&database).await, Numbered::ids(2));
    consumer.handle().poll_now();
    consumer.poll_once().await.unwrap();
    assert_eq!(effects(&database).await, Numbered::ids(3));
}

/// Follows the feed from its newest event, which the first call returns.
async fn follow(fake: &Fake, poll_interval: Duration) -> Tail {
    let subscription = Subscription {
        poll_interval,
        ..Subscription::new("tail", fake.url("/feed").parse().unwrap())
    };
    let mut tail = Tail::new(&subscription, TailFrom::Newest(1));
    assert_eq!(next(&mut tail).await.len(), 1);
    tail
}

async fn next(tail: &mut Tail) -> Vec<String> {
    let events = tail.next().await.unwrap().events;
    events.into_iter().map(|event| event.id).collect()
}

const SOON: Duration = Duration::from_millis(1);

#[tokio::test]
async fn a_tail_forgets_a_permanent_redirect_that_was_undone() {
    let fake = Fake::start().await;
    let feed = Numbered::new(3);
    feed.serve(&fake);
    fake.at("/feed", Reply::redirect(301, "/new"));
    fake.each("/new", move |asked| feed.reply(asked));
    let mut tail = follow(&fake, SOON).await;
    Numbered::new(4).serve(&fake);
    fake.forget("/new");
    tail.next().await.unwrap_err();
    assert_eq!(next(&mut tail).await, [Numbered::id(4)]);
}

/// Lets more time pass than "nothing new" is believed.
async fn pass_time() {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(301)).await;
    tokio::time::resume();
}

#[tokio::test]
async fn a_tail_bypasses_a_cache_that_repeats_itself() {
    let not_modified: fn(&Asked) -> Reply = |_| Reply::status(304);
    let old_head: fn(&Asked) -> Reply = |_| Reply::feed(Numbered::new(3).head().xml());
    for repeated in [not_modified, old_head] {
        let fake = Fake::start().await;
        Numbered::new(3).serve(&fake);
        let mut tail = follow(&fake, SOON).await;
        let feed = Numbered::new(4);
        feed.serve(&fake);
        fake.each("/feed", move |asked| match asked.query("after") {
            Some(_) => feed.reply(asked),
            None => repeated(asked),
        });
        assert!(next(&mut tail).await.is_empty());
        assert!(next(&mut tail).await.is_empty());
        pass_time().await;
        assert_eq!(next(&mut tail).await, [Numbered::id(4)]);
    }
}

#[tokio::test]
async fn a_tail_bypasses_a_cache_also_in_a_feed_without_sequences() {
    let fake = Fake::start().await;
    let serve = |newest| {
        let feed = Reply::feed(Atom::of(1..=newest).xml()).header("etag", "\"tag\"");
        fake.each("/feed", move |asked| match asked.header("if-none-match") {
            Some(_) => Reply::status(304),
            None => feed.clone(),
        });
    };
    serve(3);
    let mut tail = follow(&fake, SOON).await;
    serve(4);
    assert!(next(&mut tail).await.is_empty());
    pass_time().await;
    assert_eq!(next(&mut tail).await.len(), 1);
}

#[tokio::test]
async fn a_tail_does_not_ask_in_a_loop_where_a_server_knows_no_conditions() {
    let fake = Fake::start().await;
    Numbered::new(3).serve(&fake);
    let interval = Duration::from_millis(200);
    let mut tail = follow(&fake, interval).await;
    for newest in [3, 2] {
        let head = Numbered::new(newest).head().xml();
        let feed = Numbered::new(3);
        fake.each("/feed", move |asked| match asked.query("after") {
            Some(_) => feed.reply(asked),
            None => Reply::feed(head.clone()),
        });
        let begin = Instant::now();
        // An old head, and what comes after it.
        for _ in 0..4 {
            assert!(next(&mut tail).await.is_empty());
        }
        assert!(begin.elapsed() >= 2 * interval, "{newest}");
    }
}
