//! Readers that wait after a cursor, without data: one answer is for all of them, and a shared cache may give it to
//! all. An answer that a cache has kept loses no event, shows none twice, and changes no order.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use feed_core::Cursor;
use futures_util::future::join_all;
use sqlx::Postgres;

use crate::support::{Answer, Publisher, Testable, send};

harness::on_both_databases! {
    all_that_wait_after_a_cursor_get_the_next_event_at_once
    a_wait_after_a_cursor_ends_when_its_time_is_over
    what_may_be_shared_says_so_and_nothing_else_does
    readers_that_wait_get_a_document_also_where_a_page_is_full
    a_history_that_changes_during_a_wait_is_gone
    a_cache_that_gives_old_answers_loses_no_event
}

const WAIT: (&str, &str) = ("prefer", "wait=30");
const NEWS: &str = "max-age=5";
const NO_NEWS: &str = "max-age=1, stale-while-revalidate=0";

fn after(cursor: &Cursor) -> String {
    format!("/feed?after={cursor}")
}

/// The answers to so many readers at the newest cursor, who wait when `news` begins.
async fn waited<B: Testable>(
    publisher: &Publisher<B>,
    readers: usize,
    news: impl Future,
) -> Vec<Answer> {
    let router = publisher.feed.router();
    // The head is as new as it has to be, so that nothing comes before the wait.
    publisher.feed.publish().await.unwrap();
    let path = after(&publisher.feed.cursor());
    let waiting = (0..readers).map(|_| send(router.clone(), "GET", &path, &[WAIT]));
    let begin = Instant::now();
    // Each reader is polled until it waits, and then the news.
    let (answers, _) = tokio::join!(join_all(waiting), news);
    assert!(
        begin.elapsed() < Duration::from_secs(20),
        "it waited to the end"
    );
    answers
}

async fn all_that_wait_after_a_cursor_get_the_next_event_at_once<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    for known in [0, 7] {
        publisher.publish(known).await;
        let next = publisher.feed.cursor().sequence + 1;
        let answers = waited(&publisher, 100, publisher.publish(1)).await;
        let cursor = publisher.feed.cursor().to_string();
        for answer in &answers {
            assert_eq!((answer.status, answer.sequences()), (200, vec![next]));
            assert_eq!(answer.cursor(), cursor);
            assert_eq!(answer.header("preference-applied"), "wait=30");
            assert_eq!(answer.header("cache-control"), NEWS);
            assert_eq!(answer.body, answers[0].body, "it is the same for all");
        }
    }
}

/// As the server counts: SQLite has no such count, and its queries are made by the same code.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_that_wait_after_a_cursor_cost_one_query() {
    let database = harness::FreshDatabase::postgres().await;
    let publisher = Publisher::<Postgres>::open(database.url()).await;
    publisher.publish(15).await;
    publisher.get("/feed", &[]).await;
    let begin = "CREATE EXTENSION IF NOT EXISTS pg_stat_statements";
    Postgres::run(&publisher.database, begin).await;
    let events = 6;
    let queries = async || {
        let sql = "SELECT COALESCE(sum(calls), 0)::bigint FROM pg_stat_statements
                   JOIN pg_database ON pg_database.oid = dbid AND datname = current_database()
                   WHERE query ~ '^SELECT -- feed::(entries|events|event|id_at)'";
        Postgres::numbers(&publisher.database, sql).await[0]
    };
    let before = queries().await;
    for _ in 0..events {
        waited(&publisher, 100, publisher.publish(1)).await;
    }
    assert_eq!(queries().await - before, events, "one for each event");
}

async fn a_wait_after_a_cursor_ends_when_its_time_is_over<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    publisher.publish(3).await;
    let path = after(&publisher.feed.cursor());
    let begin = Instant::now();
    let head = publisher.send("HEAD", &path, &[WAIT]).await;
    assert_eq!(
        (head.status, head.header("cache-control").as_str()),
        (200, NO_NEWS)
    );
    assert!(!head.headers.contains_key("preference-applied"));
    assert!(
        begin.elapsed() < Duration::from_secs(20),
        "HEAD never waits"
    );

    let begin = Instant::now();
    let none = publisher.get(&path, &[("prefer", "wait=1")]).await;
    assert!(begin.elapsed() >= Duration::from_secs(1));
    assert_eq!((none.status, none.sequences().len()), (200, 0));
    assert_eq!(after(&none.cursor().parse().unwrap()), path);
    assert_eq!(none.header("preference-applied"), "wait=1");

    // A service that stops lets its readers go.
    let answers = waited(&publisher, 3, async { publisher.shutdown.cancel() }).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
}

async fn what_may_be_shared_says_so_and_nothing_else_does<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    let ids = publisher.publish(35).await;
    let end = publisher.feed.cursor();
    // The head shows the events from 21 on.
    let at = |sequence: i64| Cursor {
        sequence,
        anchor: Some(ids[usize::try_from(sequence).unwrap() - 1]),
        ..end.clone()
    };
    let lost = Cursor {
        sequence: 36,
        ..end.clone()
    };
    let no_wait = ("prefer", "wait=soon");
    let now = ("prefer", "wait=0");
    let data = ("prefer", "event-data, wait=0");
    let json = ("accept", "application/cloudevents-batch+json");
    let html = ("accept", "text/html");
    let private = "private, no-store";
    for (cursor, asked, status, caching) in [
        (&end, &[now][..], 200, NO_NEWS),
        (&end, &[now, html], 200, NO_NEWS),
        (&at(31), &[WAIT], 200, NEWS),
        (&at(20), &[WAIT], 200, NEWS),
        (&at(19), &[WAIT], 303, NEWS),
        (&end, &[], 200, "no-store"),
        (&end, &[no_wait], 200, "no-store"),
        (&at(29), &[], 303, "no-store"),
        (&at(29), &[no_wait], 303, "no-store"),
        (&end, &[data], 200, private),
        (&at(19), &[data], 200, private),
        (&end, &[now, json], 200, private),
        (&lost, &[WAIT], 410, "no-store"),
        (
            &Cursor {
                sequence: 5,
                ..end.clone()
            },
            &[WAIT],
            410,
            "no-store",
        ),
    ] {
        let answer = publisher.get(&after(cursor), asked).await;
        let found = (answer.status, answer.header("cache-control"));
        assert_eq!(found, (status, caching.to_owned()), "{cursor} {asked:?}");
        if status != 410 {
            let vary = answer.header("vary");
            for name in ["Accept", "Accept-Encoding", "Prefer"] {
                assert!(
                    vary.split(", ").any(|each| each == name),
                    "{cursor} {asked:?}: {vary}"
                );
            }
        }
    }
    let some = publisher.get("/feed?after=start&type=a", &[WAIT]).await;
    assert_eq!(some.header("cache-control"), private);
    for malformed in ["/feed?after=x", "/feed?after=start&before=1"] {
        let answer = publisher.get(malformed, &[WAIT]).await;
        let found = (answer.status, answer.header("cache-control"));
        assert_eq!(found, (400, "no-store".to_owned()), "{malformed}");
    }
}

/// Varnish stores no `303`: each of them would come here.
async fn readers_that_wait_get_a_document_also_where_a_page_is_full<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    publisher.publish(8).await;
    let path = after(&publisher.feed.cursor());
    // The event at which the page is full, and the first one of the next page.
    for events in [2, 1] {
        let [answer] = &waited(&publisher, 1, publisher.publish(events)).await[..] else {
            panic!("one answer");
        };
        assert_eq!(
            (answer.status, answer.sequences().len()),
            (200, usize::try_from(events).unwrap())
        );
    }
    let late = publisher.get(&path, &[WAIT]).await;
    assert_eq!((late.status, late.sequences()), (200, vec![11, 10, 9]));
    assert_eq!(
        publisher.get(&path, &[]).await.status,
        303,
        "as ever without a wait"
    );
}

async fn a_history_that_changes_during_a_wait_is_gone<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    publisher.publish(12).await;
    let restored = async {
        for sql in [
            "DELETE FROM feed_event WHERE sequence > 10",
            "UPDATE feed_head SET sequence = 10,
                 anchor = (SELECT id FROM feed_event WHERE sequence = 10)",
        ] {
            B::run(&publisher.database, sql).await;
        }
        publisher.publish(5).await;
    };
    let another_epoch = async {
        publisher.feed.change_epoch().await.unwrap();
    };
    for answers in [
        waited(&publisher, 3, restored).await,
        waited(&publisher, 3, another_epoch).await,
    ] {
        for answer in answers {
            let found = (answer.status, answer.header("cache-control"));
            assert_eq!(found, (410, "no-store".to_owned()));
        }
    }
}

/// A cache that keeps what it may share, and gives it away whatever its age.
#[derive(Default)]
struct OldAnswers(HashMap<String, Vec<Answer>>);

impl OldAnswers {
    /// One of the answers that were given under that address, or a new one.
    async fn get<B: Testable>(&mut self, publisher: &Publisher<B>, path: &str) -> &Answer {
        let kept = self.0.entry(path.to_owned()).or_default();
        let chosen = fastrand::usize(0..=kept.len());
        if chosen == kept.len() {
            let answer = publisher.get(path, &[("prefer", "wait=0")]).await;
            assert!(
                answer.header("cache-control").contains("max-age"),
                "{path}: {answer:?}"
            );
            kept.push(answer);
        }
        &kept[chosen]
    }
}

async fn a_cache_that_gives_old_answers_loses_no_event<B: Testable>(url: &str) {
    const EVENTS: i64 = 60;
    let publisher = Publisher::<B>::open(url).await;
    let mut cache = OldAnswers::default();
    let mut readers = vec![(Vec::new(), "/feed?after=start".to_owned()); 5];
    let all: Vec<i64> = (1..=EVENTS).collect();
    while readers.iter().any(|(seen, _)| seen.len() < all.len()) {
        let left = EVENTS - publisher.feed.cursor().sequence;
        if fastrand::u8(0..4) == 0 {
            publisher.publish(fastrand::i64(1..=3).min(left)).await;
        }
        let (seen, path) = fastrand::choice(&mut readers).unwrap();
        let answer = cache.get(&publisher, path).await;
        let page;
        let document = match answer.status {
            303 => {
                page = publisher
                    .get(&format!("/{}", answer.header("location")), &[])
                    .await;
                &page
            }
            _ => answer,
        };
        assert_eq!(document.status, 200, "{path}");
        let mut new = document.sequences();
        new.reverse();
        // A page may begin before the cursor.
        let known = i64::try_from(seen.len()).unwrap();
        new.retain(|sequence| answer.status == 200 || *sequence > known);
        seen.extend(new);
        assert_eq!(seen[..], all[..seen.len()], "{path}");
        *path = after(&document.cursor().parse().unwrap());
    }
    // What was kept from another history leads to a halt, and not to other events.
    let (_, path) = &readers[0];
    publisher.feed.change_epoch().await.unwrap();
    assert_eq!(publisher.get(path, &[WAIT]).await.status, 410);
}
