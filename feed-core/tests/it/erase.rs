//! A person is erased: the data of events is rewritten in place, in the outbox and in the feed,
//! and an event reports it to the readers that have the old data. The feed keeps its bytes.

use std::time::Duration;

use feed_core::{NewEvent, outbox};
use serde_json::json;
use sqlx::{Postgres, Sqlite};

use crate::support::{
    Answer, Fail, Publisher, Recorder, Testable, consumer, consumer_database, event, serve, until,
};

harness::on_both_databases! {
    data_is_rewritten_and_pages_keep_their_bytes
    a_second_instance_lets_go_what_it_has
    what_is_no_json_is_refused_and_nothing_has_changed
    a_rewrite_meets_events_on_their_way
    parked_events_get_the_data_that_is_left
    an_event_beyond_a_limit_of_today_is_erased
}

const PERSON: &str = "Skłodowska";

fn of(subject: &str) -> NewEvent {
    let data = json!({"id": 7, "name": PERSON}).to_string();
    NewEvent {
        data,
        ..event(subject)
    }
}

fn erased(subject: &str) -> NewEvent {
    NewEvent::new("order.erased", subject, r#"{"id":7}"#)
}

fn without_person(_: &str, _: &str) -> serde_json::Result<String> {
    Ok(r#"{"id":7}"#.to_owned())
}

/// A version without this limit has published it. What is left may be beyond it, too.
async fn an_event_beyond_a_limit_of_today_is_erased<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    publisher.append(&of("order/7")).await;
    publisher.feed.publish().await.unwrap();
    let deep = |inner: &str| format!("{}{inner}{}", "[".repeat(150), "]".repeat(150));
    let stored = format!(
        "UPDATE feed_event SET data = '{}'",
        deep(&format!("\"{PERSON}\""))
    );
    B::run(&publisher.database, &stored).await;
    let mut tx = publisher.database.begin().await.unwrap();
    let left = deep("7");
    let rewritten = outbox::rewrite(&mut tx, &erased("order/7"), |_, _| Ok(left.clone())).await;
    assert_eq!(rewritten.unwrap(), 1);
    tx.commit().await.unwrap();
    let data = "SELECT data FROM feed_log WHERE sequence = 1";
    assert_eq!(B::texts(&publisher.database, data).await, [left]);
}

impl<B: Testable> Publisher<B> {
    async fn append(&self, event: &NewEvent) {
        let mut tx = self.database.begin().await.unwrap();
        outbox::append(&mut tx, event).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn erase(&self, subject: &str) -> u64 {
        let mut tx = self.database.begin().await.unwrap();
        let rewritten = outbox::rewrite(&mut tx, &erased(subject), without_person).await;
        tx.commit().await.unwrap();
        rewritten.unwrap()
    }

    /// All that can be read of the first 20 events but for their data: the documents of the feed.
    async fn pages(&self) -> Vec<String> {
        let first = self.get("/feed?after=start", &[]).await.header("location");
        let mut next = Some(format!("/{}", first.trim_start_matches("../")));
        let mut pages = Vec::new();
        while let Some(path) = next.filter(|_| pages.len() < 2) {
            let page = self.get(&path, &[]).await;
            assert_eq!(page.status, 200, "{path}");
            assert!(!page.body.contains(PERSON));
            next = page.link("next-archive");
            pages.push(page.body);
        }
        assert_eq!(pages.len(), 2);
        pages
    }

    /// All data there is, in batches of the head's and of the first two pages.
    async fn data(&self) -> Vec<Answer> {
        let head = self.get("/feed", &[]).await;
        let newest = head.link("related").unwrap();
        let (folder, _) = newest.rsplit_once('/').unwrap();
        let mut answers = vec![self.get(&newest, &[]).await];
        for range in ["1-10", "11-20"] {
            answers.push(self.get(&format!("{folder}/{range}"), &[]).await);
        }
        for answer in &answers {
            assert_eq!(answer.status, 200);
            assert_eq!(answer.header("cache-control"), "private, no-cache");
            // No answer without a body can keep an old one alive.
            assert!(!answer.headers.contains_key("etag"));
            assert!(!answer.headers.contains_key("last-modified"));
        }
        answers
    }
}

/// 31 events about two subjects, all with a person.
async fn filled<B: Testable>(publisher: &Publisher<B>) {
    for n in 0..31 {
        publisher.append(&of(&format!("order/{}", n % 2))).await;
    }
    publisher.feed.publish().await.unwrap();
}

fn named(answers: &[Answer]) -> Vec<usize> {
    let count = |answer: &Answer| answer.body.matches(PERSON).count();
    answers.iter().map(count).collect()
}

async fn data_is_rewritten_and_pages_keep_their_bytes<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    filled(&publisher).await;
    let pages = publisher.pages().await;
    let head = publisher.get("/feed", &[]).await;
    assert_eq!(named(&publisher.data().await), [11, 10, 10]);
    let urn = "SELECT id FROM feed_event WHERE sequence = 3";
    let id = match url.starts_with("sqlite") {
        true => B::texts(&publisher.database, urn).await,
        false => B::texts(&publisher.database, &urn.replace("id ", "id::text ")).await,
    };
    let path = format!("/events/{}", id[0]);
    assert!(publisher.get(&path, &[]).await.body.contains(PERSON));

    assert_eq!(publisher.erase("order/0").await, 16);
    publisher.feed.publish().await.unwrap();
    assert_eq!(publisher.pages().await, pages);
    // The head has one event more, and is another one.
    let again = [("if-none-match", head.header("etag"))];
    let again = again.each_ref().map(|(name, tag)| (*name, tag.as_str()));
    let moved = publisher.get("/feed", &again).await;
    assert_eq!((moved.status, moved.sequences()[0]), (200, 32));
    assert_eq!(named(&publisher.data().await), [5, 5, 5]);
    for accept in ["application/json", "application/cloudevents+json"] {
        let one = publisher.get(&path, &[("accept", accept)]).await;
        assert_eq!(one.status, 200);
        assert_eq!(one.header("cache-control"), "private, no-cache");
        assert!(one.body.contains("\"id\":7") && !one.body.contains(PERSON));
    }
    // Once more: there is nothing left to do but to say so.
    assert_eq!(publisher.erase("order/0").await, 0);
}

async fn a_second_instance_lets_go_what_it_has<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    let other = Publisher::<B>::open(url).await;
    let feed = other.feed.clone();
    let running = tokio::spawn(async move { feed.run().await });
    filled(&publisher).await;
    until("the other instance knows all", async || {
        other.feed.cursor().sequence == 31
    })
    .await;
    // Now it has batches in memory, and the data of what came last.
    publisher.append(&of("order/0")).await;
    publisher.feed.publish().await.unwrap();
    until("the other instance knows that too", async || {
        other.feed.cursor().sequence == 32
    })
    .await;
    let kept = named(&other.data().await);
    assert_eq!(kept, named(&other.data().await));
    assert!(kept.iter().all(|count| *count > 0));

    publisher.erase("order/0").await;
    publisher.erase("order/1").await;
    publisher.feed.publish().await.unwrap();
    // The new head tells the other instance: a reader that gets the event from it sees no person.
    until("the other instance has heard of it", async || {
        other.feed.cursor().sequence == 34
    })
    .await;
    assert_eq!(named(&other.data().await), [0; 3]);
    assert_eq!(other.get("/feed", &[]).await.sequences()[0], 34);
    other.shutdown.cancel();
    running.await.unwrap();
}

async fn what_is_no_json_is_refused_and_nothing_has_changed<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    publisher.append(&of("order/1")).await;
    publisher.feed.publish().await.unwrap();
    let mut tx = publisher.database.begin().await.unwrap();
    let refused = outbox::rewrite(&mut tx, &erased("order/1"), |_, _| Ok("{".to_owned())).await;
    assert!(
        matches!(refused, Err(sqlx::Error::Encode(_))),
        "{refused:?}"
    );
    tx.rollback().await.unwrap();
    publisher.feed.publish().await.unwrap();
    let data = B::texts(&publisher.database, "SELECT data FROM feed_event").await;
    assert_eq!(data, [of("order/1").data]);
}

/// While others append to the same subjects and give out numbers, no event with the person is left that
/// was committed before.
async fn a_rewrite_meets_events_on_their_way<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    let numbering = tokio::spawn({
        let publisher = Publisher::<B>::open(url).await;
        async move {
            loop {
                publisher.feed.publish().await.unwrap();
                tokio::task::yield_now().await;
            }
        }
    });
    let noise = tokio::spawn({
        let publisher = Publisher::<B>::open(url).await;
        async move {
            loop {
                publisher.append(&event("order/noise")).await;
            }
        }
    });
    for round in 0..60 {
        let subject = format!("order/{round}");
        for _ in 0..3 {
            publisher.append(&of(&subject)).await;
        }
        // Some are numbered by now, some are being numbered, some are not.
        tokio::time::sleep(Duration::from_micros(fastrand::u64(0..3_000))).await;
        assert_eq!(publisher.erase(&subject).await, 3, "{subject}");
    }
    numbering.abort();
    noise.abort();
    let _ = (numbering.await, noise.await);
    publisher.feed.publish().await.unwrap();
    let left = format!("SELECT count(*) FROM feed_event WHERE data LIKE '%{PERSON}%'");
    assert_eq!(B::numbers(&publisher.database, &left).await, [0]);
    let told = "SELECT count(*) FROM feed_event WHERE event_type = 'order.erased'";
    assert_eq!(B::numbers(&publisher.database, told).await, [60]);
    // `order.erased` comes after all that it is about.
    let last = "SELECT count(*) FROM feed_event AS erased JOIN feed_event AS other
                ON other.subject = erased.subject AND other.sequence > erased.sequence
                WHERE erased.event_type = 'order.erased'";
    assert_eq!(B::numbers(&publisher.database, last).await, [0]);
}

async fn parked_events_get_the_data_that_is_left<B: Testable>(url: &str) {
    let source = harness::FreshDatabase::sqlite();
    let publisher = Publisher::<Sqlite>::open(source.url()).await;
    let feed = format!("{}/feed", serve(publisher.feed.router()).await);
    for subject in ["order/1", "order/1", "order/2"] {
        publisher.append(&of(subject)).await;
    }
    publisher.feed.publish().await.unwrap();
    let database = consumer_database::<B>(url).await;
    let recorder = Recorder::failing("order/1", Fail::Retry);
    let consumer = consumer(&database, &feed, recorder.clone()).await;
    let (handle, shutdown) = (consumer.handle(), consumer.shutdown());
    let running = tokio::spawn(consumer.run());
    let stands = async |sequence, parked, waiting| {
        let status = handle.status().await.unwrap();
        (status.sequence, status.parked, status.waiting) == (sequence, parked, waiting)
    };
    until("one is parked, one waits", async || stands(3, 1, 1).await).await;
    let parked = "SELECT event FROM feed_parked ORDER BY position";
    let kept = B::texts(&database, parked).await;
    assert!(kept.iter().all(|event| event.contains(PERSON)));

    publisher.erase("order/1").await;
    publisher.feed.publish().await.unwrap();
    until("the erasure waits for them", async || stands(4, 1, 2).await).await;
    let kept = B::texts(&database, parked).await;
    assert!(kept.iter().all(|event| !event.contains(PERSON)), "{kept:?}");
    // Each is still the event it was.
    let placed = |event: &String| event.contains("order.placed");
    let types: Vec<bool> = kept.iter().map(placed).collect();
    assert_eq!(types, [true, true, false]);

    // What failed is tried again by itself, since what was wrong may be gone.
    recorder.repair();
    publisher.erase("order/1").await;
    publisher.feed.publish().await.unwrap();
    until("all is applied", async || stands(5, 0, 0).await).await;
    let applied = "SELECT subject || ' ' || data FROM effect ORDER BY position";
    let applied = B::texts(&database, applied).await;
    let left = || "order/1 ".to_owned() + &without_person("", "").unwrap();
    let other = "order/2 ".to_owned() + &of("order/2").data;
    assert_eq!(applied, [other, left(), left(), left(), left()]);
    shutdown.cancel();
    running.await.unwrap();
}

/// On PostgreSQL an event may wait for its number: it gets it with the data that is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_without_a_number_is_rewritten() {
    let database = harness::FreshDatabase::postgres().await;
    let publisher = Publisher::<Postgres>::open(database.url()).await;
    publisher.commit_unnumbered(&of("order/1")).await;
    let waiting = "SELECT count(*) FROM feed_outbox";
    assert_eq!(
        <Postgres as Testable>::numbers(&publisher.database, waiting).await,
        [1]
    );
    assert_eq!(publisher.erase("order/1").await, 1);
    publisher.feed.publish().await.unwrap();
    let data = "SELECT data FROM feed_event ORDER BY sequence";
    let data = <Postgres as Testable>::texts(&publisher.database, data).await;
    assert_eq!(data, [r#"{"id":7}"#; 2]);
}

/// Its snapshot may be from before events that the lock of the subject orders before it.
#[tokio::test]
async fn a_rewrite_at_another_isolation_is_refused() {
    let database = harness::FreshDatabase::postgres().await;
    let publisher = Publisher::<Postgres>::open(database.url()).await;
    publisher.append(&of("order/7")).await;
    let mut tx = publisher.database.begin().await.unwrap();
    sqlx::query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        .execute(&mut *tx)
        .await
        .unwrap();
    let refused = outbox::rewrite(&mut tx, &erased("order/7"), without_person).await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("repeatable read"), "{refused}");
}
