//! A reader that waits for the events of one type or subject: it gets the next one that matches, and a correction of what
//! it has, and costs no query of its own.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use sqlx::Postgres;

use super::{DATA, JSON, TYPES, cursor_in, publish};
use crate::support::{Answer, Publisher, Testable, send};

harness::on_both_databases! {
    a_wait_ends_with_an_event_that_matches
    a_wait_at_the_newest_ends_with_an_event_that_matches
    a_wait_at_the_newest_ends_with_a_correction
}

const WAIT: (&str, &str) = ("prefer", "wait=30");

async fn a_wait_at_the_newest_ends_with_an_event_that_matches<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    publish(&publisher, "order.erased", "order/1").await;
    let path = "/feed?type=order.erased";
    for form in [("accept", "application/atom+xml"), JSON, DATA] {
        let known = publisher.get(path, &[form]).await.header("etag");
        let begin = Instant::now();
        let known = ("if-none-match", known);
        let waiting = tokio::spawn({
            let (router, known) = (publisher.feed.router(), known.clone());
            async move { send(router, "GET", path, &[form, WAIT, (known.0, &known.1)]).await }
        });
        for n in 0..3 {
            publish(&publisher, TYPES[n % 2], "order/1").await;
            tokio::task::yield_now().await;
            assert!(!waiting.is_finished(), "{form:?}");
        }
        publish(&publisher, "order.erased", "order/1").await;
        let answer = waiting.await.unwrap();
        assert!(begin.elapsed() < Duration::from_secs(20), "it timed out");
        assert_eq!(answer.status, 200);
        let applied = answer.headers.get_all("preference-applied").iter();
        assert!(
            applied.into_iter().any(|value| value == "wait=30"),
            "{form:?}"
        );
        // Nothing matches meanwhile.
        let newest = answer.header("etag");
        let asked = [form, ("prefer", "wait=1"), ("if-none-match", &*newest)];
        let begin = Instant::now();
        let (none, ()) = tokio::join!(
            publisher.get(path, &asked),
            publish(&publisher, "order.placed", "order/1")
        );
        assert!(begin.elapsed() >= Duration::from_secs(1));
        assert_eq!(none.status, 304, "{form:?}");
    }
}

async fn a_wait_at_the_newest_ends_with_a_correction<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    publish(&publisher, "order.erased", "order/1").await;
    publish(&publisher, "order.placed", "order/1").await;
    let path = "/feed?type=order.erased";
    let known = publisher.get(path, &[]).await.header("etag");
    let waiting = tokio::spawn({
        let router = publisher.feed.router();
        async move { send(router, "GET", path, &[WAIT, ("if-none-match", &known)]).await }
    });
    let corrected = "UPDATE feed_event SET title = 'Corrected' WHERE sequence = 1";
    B::run(&publisher.database, corrected).await;
    let begin = Instant::now();
    publisher.feed.publish().await.unwrap();
    let answer = waiting.await.unwrap();
    assert!(begin.elapsed() < Duration::from_secs(20), "it timed out");
    assert!(answer.body.contains("Corrected"), "{answer:?}");
}

async fn a_wait_ends_with_an_event_that_matches<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    publisher.publish(13).await;
    let begin = Instant::now();
    // Nothing that matches is between this cursor and the newest event.
    let path = "/feed?type=order.erased&after=start";
    let waiting = tokio::spawn({
        let router = publisher.feed.router();
        async move { send(router, "GET", path, &[JSON, WAIT]).await }
    });
    for n in 0..15 {
        // Another reader is awake for each event that does not match, and this one sleeps on.
        let newest = format!("/feed?after={}", publisher.feed.cursor());
        let asked = [JSON, WAIT];
        let (other, ()) = tokio::join!(
            publisher.get(&newest, &asked),
            publish(&publisher, TYPES[n % 2], "order/1")
        );
        assert_eq!(other.batch().len(), 1);
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
    }
    publish(&publisher, "order.erased", "order/1").await;
    let answer = waiting.await.unwrap();
    assert!(begin.elapsed() < Duration::from_secs(20), "it timed out");
    assert_eq!(answer.batch(), [29]);
    assert_eq!(answer.header("preference-applied"), "wait=30");
    assert_eq!(cursor_in(&answer.next()), publisher.feed.cursor());

    // What is there already is not waited for.
    let at_once = publisher.get(path, &[JSON, WAIT]).await;
    assert_eq!(at_once.batch(), [29]);
    assert!(!at_once.headers.contains_key("preference-applied"));
    // After a wait for nothing the reader is where the feed is.
    let path = at_once.next();
    let begin = Instant::now();
    let asked = [JSON, ("prefer", "wait=1")];
    let (none, ()) = tokio::join!(
        publisher.get(&path, &asked),
        publish(&publisher, "order.placed", "order/1")
    );
    assert!(begin.elapsed() >= Duration::from_secs(1));
    assert_eq!((none.status, none.body.as_str()), (200, "[]"));
    assert_eq!(none.header("preference-applied"), "wait=1");
    assert_eq!(cursor_in(&none.next()).sequence, 30);
    assert_eq!(cursor_in(&none.next()), publisher.feed.cursor());
    let begin = Instant::now();
    let head = publisher.send("HEAD", &none.next(), &[JSON, WAIT]).await;
    assert_eq!(head.status, 200);
    // A service that stops lets its readers go.
    let path = none.next();
    let asked = [JSON, WAIT];
    let (last, ()) = tokio::join!(publisher.get(&path, &asked), async {
        publisher.shutdown.cancel();
    });
    assert_eq!((last.status, last.next()), (200, path));
    assert!(begin.elapsed() < Duration::from_secs(20));
}

/// As the server counts: SQLite has no such count, and its queries are made by the same code.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_that_wait_for_some_events_cost_one_query_for_each_event() {
    let database = harness::FreshDatabase::postgres().await;
    let publisher = Publisher::<Postgres>::open(database.url()).await;
    publisher.publish(15).await;
    publisher.get("/feed", &[]).await;
    let begin = "CREATE EXTENSION IF NOT EXISTS pg_stat_statements";
    Postgres::run(&publisher.database, begin).await;
    let queries = async || {
        let sql = "SELECT COALESCE(sum(calls), 0)::bigint FROM pg_stat_statements
                   JOIN pg_database ON pg_database.oid = dbid AND datname = current_database()
                   WHERE query ~ '^SELECT -- feed::(entries|events|event|id_at|matching|events_at)'";
        Postgres::numbers(&publisher.database, sql).await[0]
    };
    let before = queries().await;
    let path = format!("/feed?type=order.erased&after={}", publisher.feed.cursor());
    let router = publisher.feed.router();
    let asked = [JSON, WAIT];
    let waiting = (0..100).map(|_| send(router.clone(), "GET", &path, &asked));
    let (answers, ()): (Vec<Answer>, ()) = tokio::join!(join_all(waiting), async {
        for event_type in [TYPES[0], TYPES[1], TYPES[2]] {
            publish(&publisher, event_type, "order/1").await;
        }
    });
    for answer in &answers {
        assert_eq!(answer.batch(), [18]);
        assert_eq!(answer.body, answers[0].body);
    }
    let count = queries().await - before;
    assert!((1..=3).contains(&count), "{count}");
}
