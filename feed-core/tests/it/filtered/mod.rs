//! The events of one type or subject: the newest with their data, and those after a cursor. A reader that follows them
//! gets each event that matches once, and in sequence, however many others there are.

mod wait;

use std::time::{Duration, Instant};

use feed_core::{Cursor, NewEvent, outbox};
use futures_util::future::join_all;
use harness::DEADLINE;
use serde_json::json;
use sqlx::{AssertSqlSafe, Postgres, Sqlite};

use crate::support::{NOT_MODIFIED, Publisher, Testable, event, until};

harness::on_both_databases! {
    each_event_that_matches_comes_once_while_others_are_published
    every_form_has_the_same_events
    a_document_is_bounded_and_the_next_one_continues
    a_cursor_of_another_history_is_gone
    the_newest_that_match_come_with_their_data
    a_search_through_many_events_continues_in_the_next_document
}

const DATA: (&str, &str) = ("prefer", "event-data");
const JSON: (&str, &str) = ("accept", "application/cloudevents-batch+json");
const WAIT: (&str, &str) = ("prefer", "wait=30");

const TYPES: [&str; 3] = ["order.placed", "order.cancelled", "order.erased"];

fn of_type(event_type: &str, subject: &str) -> NewEvent {
    NewEvent {
        event_type: event_type.to_owned(),
        ..event(subject)
    }
}

/// Commits these events in one transaction.
async fn commit<B: Testable>(publisher: &Publisher<B>, events: &[NewEvent]) {
    let mut tx = publisher.database.begin().await.unwrap();
    for event in events {
        outbox::append(&mut tx, event).await.unwrap();
    }
    tx.commit().await.unwrap();
}

/// Publishes one event.
async fn publish<B: Testable>(publisher: &Publisher<B>, event_type: &str, subject: &str) {
    commit(publisher, &[of_type(event_type, subject)]).await;
    publisher.feed.publish().await.unwrap();
}

/// The sequences of the events that match, in sequence.
async fn stored<B: Testable>(publisher: &Publisher<B>, condition: &str) -> Vec<i64> {
    let sql = format!("SELECT sequence FROM feed_log WHERE {condition} ORDER BY sequence");
    B::numbers(&publisher.database, &sql).await
}

/// The cursor in an address.
fn cursor_in(path: &str) -> Cursor {
    let (_, cursor) = path.split_once("after=").unwrap();
    cursor.parse().unwrap()
}

/// Follows `next` until there is nothing more; returns the sequences, document by document.
async fn walk<B: Testable>(publisher: &Publisher<B>, path: &str) -> Vec<Vec<i64>> {
    let (mut path, mut documents) = (path.to_owned(), Vec::new());
    loop {
        let document = publisher.get(&path, &[JSON]).await;
        assert_eq!(document.status, 200, "{path}: {}", document.body);
        let next = document.next();
        if next == path {
            assert_eq!(document.body, "[]");
            return documents;
        }
        documents.push(document.batch());
        path = next;
    }
}

async fn each_event_that_matches_comes_once_while_others_are_published<B: Testable>(url: &str) {
    const WRITERS: usize = 4;
    const TRANSACTIONS: usize = 40;
    let publisher = Publisher::<B>::open(url).await;
    let running = tokio::spawn({
        let feed = publisher.feed.clone();
        async move { feed.run().await }
    });
    let write = async |writer: usize| {
        for n in 0..TRANSACTIONS {
            let events: Vec<NewEvent> = (0..=n % 3)
                .map(|k| of_type(TYPES[(writer + n + k) % 3], &format!("order/{}", n % 5)))
                .collect();
            commit(&publisher, &events).await;
        }
    };
    let filters = [
        ("type=order.placed", "event_type = 'order.placed'"),
        ("subject=order%2F3", "subject = 'order/3'"),
        (
            "type=order.erased&subject=order%2F2",
            "event_type = 'order.erased' AND subject = 'order/2'",
        ),
    ];
    let total = i64::try_from(WRITERS * (0..TRANSACTIONS).map(|n| n % 3 + 1).sum::<usize>());
    let total = total.unwrap();
    let read = async |filter: &str| {
        let (mut path, mut seen) = (format!("/feed?{filter}&after=start"), Vec::new());
        let begin = Instant::now();
        loop {
            let document = publisher.get(&path, &[JSON, ("prefer", "wait=1")]).await;
            assert_eq!(document.status, 200, "{path}: {}", document.body);
            seen.extend(document.batch());
            path = document.next();
            if cursor_in(&path).sequence == total {
                return seen;
            }
            assert!(begin.elapsed() < DEADLINE, "in vain: {seen:?}");
        }
    };
    let (_, seen) = tokio::join!(
        join_all((0..WRITERS).map(write)),
        join_all(filters.map(|(filter, _)| read(filter)))
    );
    for ((filter, condition), seen) in filters.iter().zip(seen) {
        let expected = stored(&publisher, condition).await;
        assert!(!expected.is_empty());
        assert_eq!(seen, expected, "{filter}");
        assert_eq!(
            walk(&publisher, &format!("/feed?{filter}&after=start"))
                .await
                .concat(),
            expected,
            "{filter}, from a page that is not in memory"
        );
    }
    running.abort();
}

async fn every_form_has_the_same_events<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    for n in 0..40 {
        let event = of_type(TYPES[n % 3], &format!("order/{}", n % 5));
        commit(&publisher, &[event]).await;
    }
    publisher.feed.publish().await.unwrap();
    let path = "/feed?type=order.erased&subject=order%2F1&after=start";
    let json = publisher.get(path, &[JSON]).await;
    let html = ("accept", "text/html");
    let atom = ("accept", "application/atom+xml");
    let expected = stored(
        &publisher,
        "event_type = 'order.erased' AND subject = 'order/1'",
    )
    .await;
    assert_eq!(json.batch(), expected);
    assert_eq!(cursor_in(&json.next()), publisher.feed.cursor());
    for form in [atom, DATA] {
        let document = publisher.get(path, &[form]).await;
        assert_eq!(document.status, 200, "no page, no redirect");
        let mut sequences = document.sequences();
        sequences.reverse();
        assert_eq!(sequences, expected);
        let has_data = document.data().iter().all(|data| !data.is_empty());
        assert_eq!(has_data, form == DATA);
        assert_eq!(document.cursor(), publisher.feed.cursor().to_string());
        let cursor = document.header("feed-cursor");
        assert_eq!(cursor == document.cursor(), form == DATA, "{cursor}");
        assert_eq!(document.link("next"), None, "nothing is left");
        let newest = "/feed?type=order.erased&subject=order%2F1";
        assert!(document.link("self").unwrap().starts_with(newest));
        assert_eq!(document.link("first").unwrap(), newest, "it is a part");
        assert!(document.body.contains("type=order.erased&amp;subject="));
        let name = "<title>Orders: order.erased, order/1</title>";
        assert!(document.body.contains(name), "{}", document.body);
        document.body.parse::<atom_syndication::Feed>().unwrap();
    }
    let page = publisher.get(path, &[html]).await;
    let entries = page.body.matches("<li>").count();
    assert_eq!((page.status, entries), (200, expected.len()));
    let only = "(Some(\"order.erased\"), Some(\"order/1\"))";
    assert!(page.body.contains(only), "{}", page.body);
    assert_eq!(page.header("feed-cursor"), "", "it has no data");
    // Nothing can match an empty filter.
    for bad in [
        "type=",
        "type=a&before=5",
        "subject=a&before=5",
        "before=5",
        "x=1",
    ] {
        let path = format!("/feed?{bad}&after=start");
        assert_eq!(publisher.get(&path, &[JSON]).await.status, 400, "{bad}");
    }
}

async fn a_document_is_bounded_and_the_next_one_continues<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    // A thousand that match and one more, each with another before it.
    let events: Vec<NewEvent> = (0..2_002)
        .map(|n| of_type(TYPES[(n + 1) % 2], "order/1"))
        .collect();
    commit(&publisher, &events).await;
    // Then eleven that are a document each eight.
    let large = json!("x".repeat(1024 * 1024 - 2)).to_string();
    let large = |event_type| NewEvent {
        data: large.clone(),
        ..of_type(event_type, "order/2")
    };
    for _ in 0..11 {
        commit(&publisher, &[large(TYPES[0]), large(TYPES[1])]).await;
    }
    publisher.feed.publish().await.unwrap();
    for filter in ["type=order.placed", "type=order.cancelled"] {
        let documents = walk(&publisher, &format!("/feed?{filter}&after=start")).await;
        let condition = filter.replace("type=", "event_type = '") + "'";
        assert_eq!(
            documents.concat(),
            stored(&publisher, &condition).await,
            "{filter}"
        );
        assert_eq!(documents[0].len(), 1_000);
        assert!(documents.len() >= 4, "{}", documents.len());
    }
    for form in [JSON, DATA] {
        let path = "/feed?type=order.placed&subject=order%2F2&after=start";
        let full = publisher.get(path, &[form]).await;
        assert!((4 << 20..16 << 20).contains(&full.body.len()));
        let next = match form == JSON {
            true => full.next(),
            false => full.link("next").unwrap(),
        };
        assert!(next.starts_with("/feed?type=order.placed&subject=order%2F2&after="));
        assert!(cursor_in(&next).sequence < publisher.feed.cursor().sequence);
    }
}

async fn a_cursor_of_another_history_is_gone<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    let ids = publisher.publish(35).await;
    let end = publisher.feed.cursor();
    let at = |sequence: i64, anchor: usize| Cursor {
        sequence,
        anchor: Some(ids[anchor]),
        ..end.clone()
    };
    let other = Cursor {
        epoch: "zzzzzzzz".parse().unwrap(),
        ..end.clone()
    };
    for form in [JSON, DATA, ("accept", "application/atom+xml")] {
        let get = async |cursor: &Cursor| {
            let path = format!("/feed?type=order.placed&after={cursor}");
            publisher.get(&path, &[form, ("prefer", "wait=0")]).await
        };
        for (cursor, status) in [
            (&other, 410),
            (&Cursor::start(other.epoch), 410),
            (&at(36, 0), 410),
            (&at(35, 0), 410),
            // The head reaches back to 21.
            (&at(25, 0), 410),
            (&at(5, 0), 410),
            (&at(5, 4), 200),
            (&end, 200),
        ] {
            let answer = get(cursor).await;
            assert_eq!(answer.status, status, "{cursor}: {}", answer.body);
        }
    }
    // Also if it changes during the wait.
    let path = format!("/feed?type=order.erased&after={end}");
    let asked = [JSON, WAIT];
    let (gone, ()) = tokio::join!(publisher.get(&path, &asked), async {
        let mut tx = publisher.database.begin().await.unwrap();
        B::execute(&mut tx, "UPDATE feed_head SET epoch = 'yyyyyyyy'")
            .await
            .unwrap();
        outbox::append(&mut tx, &event("order/1")).await.unwrap();
        tx.commit().await.unwrap();
        publisher.feed.publish().await.unwrap();
    });
    assert_eq!(gone.status, 410, "{}", gone.body);
}

async fn the_newest_that_match_come_with_their_data<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    for n in 0..45 {
        commit(&publisher, &[of_type(TYPES[n % 3], "order/1")]).await;
    }
    publisher.feed.publish().await.unwrap();
    let view = "/feed?type=order.cancelled";
    let expected: Vec<i64> = (0..10).map(|n| 17 + 3 * n).collect();
    let newest_first: Vec<i64> = expected.iter().rev().copied().collect();
    let json = publisher.get(view, &[JSON]).await;
    assert_eq!(json.batch(), expected);
    let atom = publisher.get(view, &[DATA]).await;
    assert_eq!(atom.sequences(), newest_first);
    assert!(atom.data().iter().all(|data| !data.is_empty()));
    assert_eq!(atom.header("preference-applied"), "event-data");
    let plain = publisher.get(view, &[]).await;
    assert_eq!(plain.sequences(), newest_first);
    assert!(plain.data().iter().all(String::is_empty));
    assert!(!plain.headers.contains_key("preference-applied"));
    assert!(plain.header("vary").contains("Prefer"));
    assert_eq!(atom.header("feed-cursor"), atom.cursor());
    for private in [&json, &atom] {
        assert_eq!(private.header("cache-control"), "private, no-store");
        assert!(private.header("vary").contains("Prefer"));
    }
    // An event that does not match changes nothing of it, one that matches is at `next`.
    publish(&publisher, "order.erased", "order/1").await;
    for (form, answer) in [(JSON, &json), (DATA, &atom)] {
        let tag = answer.header("etag");
        let again = publisher.get(view, &[form, ("if-none-match", &tag)]).await;
        assert_eq!(again.status, NOT_MODIFIED);
        let other = publisher.get(view, &[("if-none-match", &tag)]).await;
        assert_eq!(other.status, 200);
    }
    publish(&publisher, "order.cancelled", "order/1").await;
    assert_eq!(publisher.get(&json.next(), &[JSON]).await.batch(), [47]);
    let tag = json.header("etag");
    let news = publisher.get(view, &[JSON, ("if-none-match", &tag)]).await;
    assert_eq!((news.status, *news.batch().last().unwrap()), (200, 47));
    // What does not fit in it is at `next`, too.
    let large = json!("x".repeat(1024 * 1024 - 2)).to_string();
    for _ in 0..9 {
        let event = NewEvent {
            data: large.clone(),
            ..of_type("order.shipped", "order/1")
        };
        commit(&publisher, &[event]).await;
    }
    publisher.feed.publish().await.unwrap();
    let full = publisher.get("/feed?type=order.shipped", &[JSON]).await;
    let mut seen = full.batch();
    assert!((1..9).contains(&seen.len()), "{seen:?}");
    seen.extend(publisher.get(&full.next(), &[JSON]).await.batch());
    assert_eq!(seen, (48..=56).collect::<Vec<_>>());
    let full = publisher.get("/feed?type=order.shipped", &[DATA]).await;
    assert_eq!(full.sequences().len(), 9);
    assert!(full.data().iter().any(String::is_empty), "it is linked");
    // Older ones are for people, as before.
    let older = plain.link("next").unwrap();
    assert!(older.contains("before="));
    for form in [JSON, DATA] {
        let document = publisher.get(&older, &[form]).await;
        assert_eq!(document.body, publisher.get(&older, &[]).await.body);
    }
}

/// Publishes so many events, of which only the first and the last are erased ones.
async fn rare<B: Testable>(publisher: &Publisher<B>, count: i64) {
    let sql = format!(
        "INSERT INTO feed_outbox (event_type, subject, data)
         WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < {count})
         SELECT CASE WHEN n IN (1, {count}) THEN 'order.erased' ELSE 'order.placed' END, 'order/1', '{{}}'
         FROM number"
    );
    B::run(&publisher.database, &sql).await;
    until("all are numbered", async || {
        publisher.feed.publish().await.unwrap();
        publisher.feed.cursor().sequence == count
    })
    .await;
}

async fn a_search_through_many_events_continues_in_the_next_document<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    rare(&publisher, 10_000).await;
    let path = "/feed?type=order.erased&after=start";
    assert_eq!(walk(&publisher, path).await, [[1, 10_000]]);
    let path = "/feed?type=order.nothing&subject=order%2F1&after=start";
    let none = publisher.get(path, &[JSON]).await;
    assert_eq!(none.body, "[]");
    assert_eq!(cursor_in(&none.next()), publisher.feed.cursor());

    // Nothing in more events than one document searches, as if so many had been published.
    let far = 205_000;
    let more = format!(
        "INSERT INTO feed_archive (sequence, id, event_type, subject, time, updated, title, summary, link, data)
         WITH RECURSIVE number (n) AS (SELECT 10001 UNION ALL SELECT n + 1 FROM number WHERE n < {far})
         SELECT n, {}, event_type, subject, time, updated, title, summary, link, data
         FROM number, feed_event WHERE sequence = 2",
        [
            "('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid",
            "printf('00000000-0000-7000-8000-%012x', n)",
        ][B::DIALECT]
    );
    B::run(&publisher.database, &more).await;
    let head = format!(
        "UPDATE feed_head SET sequence = {far}, anchor = (SELECT id FROM feed_log WHERE sequence = {far})"
    );
    B::run(&publisher.database, &head).await;
    publisher.feed.publish().await.unwrap();
    publish(&publisher, "order.erased", "order/1").await;
    let path = "/feed?type=order.erased&after=start";
    let documents = walk(&publisher, path).await;
    assert_eq!(documents, [vec![1, 10_000], vec![], vec![205_001]]);
    // It does not wait where there is more to search.
    let begin = Instant::now();
    let path = "/feed?type=order.nothing&after=start";
    let first = publisher.get(path, &[JSON, WAIT]).await;
    assert!(begin.elapsed() < Duration::from_secs(20));
    assert_eq!(
        (first.body.as_str(), cursor_in(&first.next()).sequence),
        ("[]", 100_000)
    );
}

/// As SQLite says, which has no statistics.
#[tokio::test]
async fn a_search_goes_by_an_index() {
    let database = harness::FreshDatabase::sqlite();
    let publisher = Publisher::<Sqlite>::open(database.url()).await;
    let statements = include_str!("../../../src/store/statements/publish.rs");
    let (_, statement) = statements.split_once("SELECT -- feed::matching").unwrap();
    let (statement, _) = statement.split_once("\",").unwrap();
    for (condition, index) in [
        ("AND event_type = $4", "by_type (event_type=?"),
        ("AND subject = $4", "by_subject (subject=?"),
        (
            "AND event_type = $4 AND subject = $5",
            "by_subject (subject=?",
        ),
    ] {
        assert!(statements.contains(&format!("matching!(\"{condition}\")")));
        let plan = format!(
            "EXPLAIN QUERY PLAN SELECT {}",
            statement.replace("{}", condition)
        );
        let plan = sqlx::query_as(AssertSqlSafe(plan)).fetch_all(publisher.database.reader());
        let plan: Vec<(i64, i64, i64, String)> = plan.await.unwrap();
        let steps: Vec<_> = plan.into_iter().map(|(.., step)| step).collect();
        let range = format!("{index} AND sequence>? AND sequence<?)");
        let searches = steps.iter().filter(|step| step.ends_with(&range));
        assert_eq!(searches.count(), 2, "log and archive: {steps:?}");
        let reads_more = |step: &String| step.contains("SCAN") || step.contains("TEMP");
        assert!(!steps.iter().any(reads_more), "{steps:?}");
    }
}

/// As PostgreSQL counts, whose plan depends on its statistics.
#[tokio::test]
async fn a_search_reads_no_more_than_what_matches() {
    let database = harness::FreshDatabase::postgres().await;
    let publisher = Publisher::<Postgres>::open(database.url()).await;
    rare(&publisher, 10_000).await;
    let begin = "CREATE EXTENSION IF NOT EXISTS pg_stat_statements";
    Postgres::run(&publisher.database, begin).await;
    let blocks = async || {
        let sql = "SELECT COALESCE(sum(shared_blks_hit + shared_blks_read), 0)::bigint
                   FROM pg_stat_statements
                   JOIN pg_database ON pg_database.oid = dbid AND datname = current_database()
                   WHERE query LIKE 'SELECT -- feed::matching%'";
        Postgres::numbers(&publisher.database, sql).await[0]
    };
    // Without statistics, and with them.
    for prepare in ["SELECT 1", "ANALYZE"] {
        Postgres::run(&publisher.database, prepare).await;
        let before = blocks().await;
        for filter in [
            "type=order.erased",
            "type=order.nothing",
            "subject=order%2F2",
        ] {
            walk(&publisher, &format!("/feed?{filter}&after=start")).await;
        }
        let read = blocks().await - before;
        assert!((1..100).contains(&read), "{prepare}: {read} blocks");
    }
}
