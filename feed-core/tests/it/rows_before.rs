//! Rows that other programs have written before our tables refused them: the next version takes them aside, and
//! readers get all others, and something for these.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Postgres, Sqlite, SqliteConnection};

use crate::row_cases::{insert, quoted, row};
use crate::support::{Publisher, Recorder, Testable, consumer, consumer_database, serve, until};
use crate::upgrade::migrations;

/// Events that were published; the first ten are in the archive.
const PUBLISHED: i64 = 25;

/// The statements that make a feed as it was, with other values in some columns of some events.
fn published(is_true: &str, odd: &BTreeMap<i64, Vec<(&'static str, String)>>) -> String {
    let mut sql = format!(
        "INSERT INTO feed_head (only_row, feed_id, epoch, page_size, created, sequence, anchor, updated)
         VALUES ({is_true}, '{}', 'oldepoch', 10, '2026-01-01T00:00:00.000Z', {PUBLISHED}, '{}',
                 '2026-01-01T00:00:25.000Z');",
        id(999),
        id(PUBLISHED)
    );
    for n in 1..=PUBLISHED {
        let mut row = row();
        row.insert("sequence", n.to_string());
        row.insert("id", quoted(&id(n)));
        row.insert("subject", quoted(&format!("order/{n}")));
        row.insert("updated", quoted(&format!("2026-01-01T00:00:{n:02}.000Z")));
        row.extend(odd.get(&n).into_iter().flatten().cloned());
        let table = if n <= 10 {
            "feed_archive"
        } else {
            "feed_event"
        };
        sql += &insert(table, &row);
        sql.push(';');
    }
    sql
}

fn id(n: i64) -> String {
    format!("00000000-0000-7000-8000-000000000{n:03}")
}

fn odd(events: Vec<(i64, &'static str, String)>) -> BTreeMap<i64, Vec<(&'static str, String)>> {
    let mut odd: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (n, column, value) in events {
        odd.entry(n).or_default().push((column, value));
    }
    odd
}

/// What the log of this thread holds from now on.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn begin(&self) -> tracing::subscriber::DefaultGuard {
        let log = self.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || log.clone())
            .with_ansi(false);
        tracing::subscriber::set_default(subscriber.finish())
    }

    fn lines(&self) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

/// The event whose data is JSON that not everybody can parse: it is not in a batch.
const APART: i64 = 20;

/// Opens the feed, and reads all of it in each way. `unreadable` are the events without data, `quarantined` the
/// rows that are in quarantine by their ids, `newest` is the number of events then.
async fn assert_continues<B: Testable>(
    url: &str,
    unreadable: &[i64],
    quarantined: &[&str],
    newest: i64,
) {
    let log = Log::default();
    let logging = log.begin();
    let publisher = Publisher::<B>::open(url).await;
    let cursor = publisher.feed.publish().await.unwrap();
    assert_eq!(
        (cursor.epoch.as_str(), cursor.sequence),
        ("oldepoch", newest)
    );
    let known = publisher.get("/feed/status", &[]).await;
    // An instance that serves the feed reads the database once a second.
    until("each is named", async || {
        publisher.get("/feed", &[]).await;
        let lines = log.lines();
        let named = lines
            .iter()
            .filter(|line| line.contains("is in quarantine"));
        named.count() >= quarantined.len()
    })
    .await;
    drop(logging);

    // Each is named once in the log, and in the status.
    let known: Value = serde_json::from_str(&known.body).unwrap();
    let rows = known["quarantine"].as_array().unwrap();
    let ids = |rows: &[Value]| -> Vec<String> {
        rows.iter()
            .map(|row| row["id"].as_str().unwrap().to_owned())
            .collect()
    };
    let mut expected = quarantined.to_vec();
    let mut found = ids(rows);
    expected.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, expected);
    for row in rows {
        let (id, reason) = (row["id"].as_str().unwrap(), row["reason"].as_str().unwrap());
        let line = format!("event {id} is in quarantine, all others are published: {reason}");
        let lines = log.lines();
        let named = lines
            .iter()
            .filter(|text| text.contains("ERROR") && text.contains(&line));
        let twice = rows
            .iter()
            .filter(|other| other["id"] == id && other["reason"] == reason);
        assert_eq!(named.count(), twice.count(), "{line}: {lines:#?}");
    }

    // All documents are there, whole, for programs and for people.
    let mut seen = BTreeSet::new();
    let mut documents = vec!["/feed".to_owned()];
    while let Some(path) = documents.pop() {
        let html = publisher.get(&path, &[("accept", "text/html")]).await;
        assert_eq!(html.status, 200, "{path}");
        let document = publisher.get(&path, &[]).await;
        assert_eq!(document.status, 200, "{path}");
        document.body.parse::<atom_syndication::Feed>().unwrap();
        let batch = publisher.get(&document.link("related").unwrap(), &[]).await;
        assert_eq!(batch.status, 200, "{path}");
        let events: Vec<Value> = serde_json::from_str(&batch.body).unwrap();
        let with_data: BTreeSet<i64> = events
            .iter()
            .map(|event| event["sequence"].as_str().unwrap().parse().unwrap())
            .collect();
        for sequence in document.sequences() {
            assert!(seen.insert(sequence), "{sequence} is there twice");
            assert_eq!(
                with_data.contains(&sequence),
                !unreadable.contains(&sequence) && sequence != APART,
                "{sequence}"
            );
        }
        documents.extend(document.link("prev-archive"));
    }
    assert_eq!(seen, (1..=newest).collect());
    let mut filtered = Vec::new();
    let mut next = Some("/feed?type=order.placed".to_owned());
    while let Some(path) = next {
        let view = publisher.get(&path, &[]).await;
        assert_eq!(view.status, 200, "{path}");
        filtered.extend(view.sequences());
        next = view.link("next");
    }
    assert!(
        filtered.len() >= usize::try_from(newest).unwrap() - 1,
        "{filtered:?}"
    );
    for n in 1..=PUBLISHED {
        let one = publisher.get(&format!("/events/{}", id(n)), &[]).await;
        let expected = if unreadable.contains(&n) { 404 } else { 200 };
        // One whose id was none has another one now.
        let has_its_id = !quarantined.contains(&"none") || n != 2;
        assert_eq!(
            one.status,
            if has_its_id { expected } else { 404 },
            "{n}: {}",
            one.body
        );
    }

    // Our own consumer takes all of them, and parks what has no data.
    let feed = format!("{}/feed", serve(publisher.feed.router()).await);
    let database = consumer_database::<B>(url).await;
    let consumer = consumer(&database, &feed, Recorder::default()).await;
    let (handle, shutdown) = (consumer.handle(), consumer.shutdown());
    let running = tokio::spawn(consumer.run());
    until("the others are taken", async || {
        let status = handle.status().await.unwrap();
        let parked = i64::try_from(unreadable.len()).unwrap();
        (status.sequence, status.parked, status.halted) == (newest, parked, None)
    })
    .await;
    shutdown.cancel();
    running.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_on_postgres_from_before_they_were_refused() {
    let instant = |text: &str| quoted(text);
    let odd = odd(vec![
        (2, "time", instant("infinity")),
        (3, "time", instant("-infinity")),
        (3, "data", quoted("{")),
        (4, "time", instant("12026-01-01 00:00:00+00")),
        (11, "time", instant("0044-03-15 00:00:00+00 BC")),
        (12, "data", quoted("nul")),
        (13, "data", quoted("")),
        (14, "subject", "repeat('a', 10000)".to_owned()),
        (15, "event_type", "repeat('b', 10000)".to_owned()),
        (16, "title", "repeat('c', 17000000)".to_owned()),
        (17, "traceparent", "repeat('d', 17000000)".to_owned()),
        (18, "updated", instant("infinity")),
        (25, "time", instant("infinity")),
        // Beyond what is taken now, and nobody's trouble: it stays as it was.
        (19, "subject", quoted(" order/19 ")),
        (20, "data", quoted(r#"["\ud83d","\u0000",1e999]"#)),
    ]);
    let mut waiting = Vec::new();
    for (n, column, value) in [
        (101, "time", instant("infinity")),
        (102, "data", quoted("{")),
        (103, "title", quoted("good")),
        (104, "id", quoted(&id(103))),
        (105, "id", quoted(&id(5))),
        (106, "id", quoted(&id(20))),
        (
            107,
            "subject",
            "(SELECT string_agg(md5(n::text), '') FROM generate_series(1, 300) AS n)".to_owned(),
        ),
        (108, "title", quoted("good, too")),
    ] {
        let mut row = row();
        row.insert("id", quoted(&id(n)));
        row.insert(column, value);
        waiting.push(insert("feed_outbox", &row));
    }
    let database = harness::FreshDatabase::postgres().await;
    let mut connection = PgConnection::connect(database.url()).await.unwrap();
    let migrator = migrations("postgres").await;
    migrator.run_to(4, &mut connection).await.unwrap();
    let sql = published("TRUE", &odd) + &waiting.join(";");
    connection.execute(AssertSqlSafe(sql)).await.unwrap();
    connection.close().await.unwrap();
    let [n2, n3, n4, n11, n12, n13, n14, n15, n16, n18, n25] =
        [2, 3, 4, 11, 12, 13, 14, 15, 16, 18, 25].map(id);
    let [n101, n102, n103, n5, n20, n107] = [101, 102, 103, 5, 20, 107].map(id);
    let quarantined = [
        &*n2, &n3, &n4, &n11, &n12, &n13, &n14, &n15, &n16, &n18, &n25, &n101, &n102, &n103, &n5,
        &n20, &n107,
    ];
    assert_continues::<Postgres>(database.url(), &[3, 12, 13], &quarantined, PUBLISHED + 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_on_sqlite_from_before_they_were_refused() {
    let odd = odd(vec![
        (2, "id", quoted("none")),
        (3, "time", quoted("infinity")),
        (3, "data", quoted("{")),
        (4, "time", "1767225600".to_owned()),
        (5, "id", quoted(&id(5).to_uppercase())),
        (6, "subject", "CAST(X'4DFC6C6C6572' AS TEXT)".to_owned()),
        (11, "time", "X'00'".to_owned()),
        (12, "data", quoted("nul")),
        (13, "data", "X'7B'".to_owned()),
        (14, "subject", quoted(&"a".repeat(10_000))),
        (15, "event_type", "X'616263'".to_owned()),
        (16, "title", quoted(&"c".repeat(17_000_000))),
        (17, "traceparent", quoted(&"d".repeat(17_000_000))),
        (18, "updated", quoted("soon")),
        (25, "time", quoted("+12026-01-01T00:00:00.000Z")),
        // Beyond what is taken now, and nobody's trouble: it stays as it was.
        (19, "subject", quoted(" order/19 ")),
        (20, "data", quoted(r#"["\ud83d","\u0000",1e999]"#)),
        (21, "time", quoted("2026-01-01 12:00:00+02:00")),
        (22, "time", quoted("2016-12-31T23:59:60.500Z")),
    ]);
    let database = harness::FreshDatabase::sqlite();
    let url = format!("{}?mode=rwc", database.url());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    migrations("sqlite")
        .await
        .run_to(3, &mut connection)
        .await
        .unwrap();
    connection
        .execute(AssertSqlSafe(published("1", &odd)))
        .await
        .unwrap();
    connection.close().await.unwrap();
    let [n3, n4, n11, n12, n13, n14, n15, n16, n18, n25] =
        [3, 4, 11, 12, 13, 14, 15, 16, 18, 25].map(id);
    let quarantined = [
        "none", &*n3, &n4, &n11, &n12, &n13, &n14, &n15, &n16, &n18, &n25,
    ];
    assert_continues::<Sqlite>(database.url(), &[3, 12, 13], &quarantined, PUBLISHED).await;
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    let times: Vec<String> =
        sqlx::query_scalar("SELECT time FROM feed_event WHERE sequence IN (21, 22)")
            .fetch_all(&mut connection)
            .await
            .unwrap();
    assert_eq!(
        times,
        ["2026-01-01T10:00:00.000Z", "2016-12-31T23:59:60.500Z"]
    );
}
