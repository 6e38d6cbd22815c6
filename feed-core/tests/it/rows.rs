//! What another program writes into our tables: an event like any other, or it is refused where it is written.
//! A row that is there nevertheless is in quarantine, and does not delay the others.

use chrono::{DateTime, Utc};
use feed_core::http::with_causes;
use feed_core::transfer::{Table, export};
use feed_core::{Database, InvalidEvent, NewEvent, outbox};
use serde_json::Value;
use sqlx::{Postgres, Sqlite};

use crate::row_cases::{beyond_jsonb, insert, of, quoted, refused, row, taken, with};
use crate::support::{
    Publisher, Recorder, Testable, consumer, consumer_database, effects, event, serve, until, urns,
};

harness::on_both_databases! {
    what_append_refuses_the_outbox_refuses
    what_append_takes_the_outbox_takes_and_a_consumer
    what_is_no_event_at_all_is_refused
    an_id_and_a_time_need_not_be_given
    what_people_read_need_not_be_given
    a_doubled_id_stops_nobody
    events_beyond_the_head_are_published
    a_published_event_cannot_be_spoilt
    data_that_cannot_be_read_is_left_out_until_it_is_corrected
    an_erased_person_is_not_in_quarantine
}

async fn append<B: Testable>(publisher: &Publisher<B>, event: &NewEvent) -> sqlx::Result<()> {
    let mut tx = publisher.database.begin().await.unwrap();
    let appended = outbox::append(&mut tx, event).await.map(|_| ());
    // What is refused leaves the caller's transaction as it was.
    B::execute(&mut tx, "SELECT 1").await.unwrap();
    tx.commit().await.unwrap();
    appended
}

async fn what_append_refuses_the_outbox_refuses<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    for (column, text) in refused() {
        let appended = append(&publisher, &of(column, &text)).await;
        let Err(sqlx::Error::Encode(error)) = &appended else {
            panic!("{column} {text:.60}: {appended:?}");
        };
        assert!(error.is::<InvalidEvent>(), "{error}");
        let inserted = B::try_run(&publisher.database, &with(column, quoted(&text))).await;
        assert!(inserted.is_err(), "{column} {text:.60}");
    }
    for number in beyond_jsonb() {
        let appended = append(&publisher, &of("data", &number)).await;
        assert!(appended.is_err(), "{number:.60}");
        if url.starts_with("postgres") {
            let row = with("data", quoted(&number));
            let refused = B::try_run(&publisher.database, &row).await.unwrap_err();
            assert!(
                refused.to_string().contains("a number"),
                "{number:.60}: {refused}"
            );
        }
    }
    publisher.publish(1).await;
    assert_eq!(publisher.get("/feed", &[]).await.sequences(), [1]);
}

/// A consumer takes them from a batch that is over its bound, too: twice 1 MiB twenty times.
async fn what_append_takes_the_outbox_takes_and_a_consumer<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    let feed = format!("{}/feed", serve(publisher.feed.router()).await);
    let mut count = 0;
    let mut put = async |column, text: &str| {
        append(&publisher, &of(column, text)).await.unwrap();
        let row = with(column, quoted(text));
        B::try_run(&publisher.database, &row).await.unwrap();
        count += 2;
    };
    for (column, text) in taken() {
        put(column, &text).await;
    }
    let large = format!("\"{}\"", "x".repeat(1024 * 1024 - 2));
    for _ in 0..10 {
        put("data", &large).await;
    }
    publisher.feed.publish().await.unwrap();
    let database = consumer_database::<B>(url).await;
    let consumer = consumer(&database, &feed, Recorder::default()).await;
    let (handle, shutdown) = (consumer.handle(), consumer.shutdown());
    let running = tokio::spawn(consumer.run());
    // Their data is large.
    let taken = "SELECT count(*) FROM effect";
    until("all is taken", async || {
        B::numbers(&database, taken).await == [count as i64]
    })
    .await;
    let status = handle.status().await.unwrap();
    assert_eq!((status.parked, status.halted), (0, None));
    shutdown.cancel();
    running.await.unwrap();
    let data = "SELECT count(*) FROM feed_event JOIN effect ON effect.event_id = 'urn:uuid:' || feed_event.id
                WHERE effect.data = trim(feed_event.data)";
    assert_eq!(B::numbers(&database, data).await, [count as i64]);
}

/// As older applications have it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_reads_backslashes_as_escapes_may_insert() {
    let database = harness::FreshDatabase::postgres().await;
    let publisher = Publisher::<Postgres>::open(database.url()).await;
    for data in ["{}", "[1e10]", "{\"a\": \"é\"}"] {
        let row = with("data", quoted(data));
        let insert = format!("SET LOCAL standard_conforming_strings = off; {row}");
        Postgres::run(&publisher.database, &insert).await;
    }
    let row = with("data", quoted("[1e309]"));
    let insert = format!("SET LOCAL standard_conforming_strings = off; {row}");
    assert!(
        Postgres::try_run(&publisher.database, &insert)
            .await
            .is_err()
    );
    publisher.feed.publish().await.unwrap();
    assert_eq!(publisher.get("/feed", &[]).await.sequences(), [3, 2, 1]);
}

/// What [`NewEvent`] cannot even say.
async fn what_is_no_event_at_all_is_refused<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let texts = ["event_type", "subject", "title", "summary", "link", "data"];
    let needed = ["event_type", "subject", "data"];
    let mut rows: Vec<String> = needed.map(|column| with(column, "NULL")).into();
    // On PostgreSQL this is a text of zeros and ones.
    if url.starts_with("sqlite") {
        rows.extend(texts.map(|column| with(column, "X'DEADBEEF'")));
        for bytes in ["4DFC6C", "636166E9", "80", "61B062", "EDA080", "E282"] {
            let json = format!("CAST(X'22{bytes}22' AS TEXT)");
            rows.extend(texts.map(|column| with(column, json.clone())));
        }
    }
    for id in [
        "'x'",
        "''",
        "X'00'",
        "'00000000-0000-7000-8000-00000000000'",
    ] {
        rows.push(with("id", id));
    }
    for time in [
        "'infinity'",
        "'-infinity'",
        "'0044-03-15 12:00:00+00 BC'",
        "'10000-01-01 00:00:00+00'",
        "'soon'",
        "5",
        "''",
        "'2026-02-31T00:00:00.000Z'",
        "X'00'",
    ] {
        rows.push(with("time", time));
    }
    let cases = [
        good.to_uppercase(),
        good.replacen("00", "01", 1),
        format!("{good}-x"),
        good.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
        good.replace("b7ad6b7169203331", &"0".repeat(16)),
        "x".repeat(1 << 20),
    ];
    for traceparent in cases.iter().map(String::as_str).chain(["", "00"]) {
        rows.push(with("traceparent", quoted(traceparent)));
        // Who has one from a client need not look at it.
        let event = NewEvent {
            traceparent: Some(traceparent.to_owned()),
            ..event("order/1")
        };
        append(&publisher, &event).await.unwrap();
    }
    for row in &rows {
        let inserted = B::try_run(&publisher.database, row).await;
        assert!(inserted.is_err(), "{row:.400}");
    }
    B::run(&publisher.database, &with("traceparent", quoted(good))).await;
    publisher.feed.publish().await.unwrap();
    let head = publisher.get("/feed", &[]).await;
    assert_eq!(head.sequences().len(), 9);
    let batch = publisher.get(&head.link("related").unwrap(), &[]).await;
    assert_eq!(batch.body.matches("traceparent").count(), 1);
}

async fn an_id_and_a_time_need_not_be_given<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    let before = Utc::now() - chrono::TimeDelta::seconds(1);
    for _ in 0..2 {
        let mut row = row();
        row.retain(|column, _| !["id", "time"].contains(column));
        B::run(&publisher.database, &insert("feed_outbox", &row)).await;
    }
    publisher.feed.publish().await.unwrap();
    let head = publisher.get("/feed", &[]).await;
    assert_eq!(head.sequences(), [2, 1]);
    let batch = publisher.get(&head.link("related").unwrap(), &[]).await;
    let events: Vec<Value> = serde_json::from_str(&batch.body).unwrap();
    assert_ne!(events[0]["id"], events[1]["id"]);
    for event in events {
        let time: DateTime<Utc> = event["time"].as_str().unwrap().parse().unwrap();
        assert!((before..=Utc::now()).contains(&time), "{time}");
        let id = event["id"].as_str().unwrap();
        assert_eq!(
            publisher.get(&format!("/events/{id}"), &[]).await.status,
            200
        );
    }
}

/// It comes from the type and the subject, which may be as long as they can be.
async fn what_people_read_need_not_be_given<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    let long = "\u{1f600}".repeat(500);
    for subject in ["order/1", &long] {
        let mut row = row();
        row.retain(|column, _| !["title", "summary", "link"].contains(column));
        row.insert("subject", quoted(subject));
        row.insert("id", quoted(&uuid::Uuid::now_v7().to_string()));
        B::run(&publisher.database, &insert("feed_outbox", &row)).await;
        row.insert("title", quoted("A title"));
        row.insert("id", quoted(&uuid::Uuid::now_v7().to_string()));
        B::run(&publisher.database, &insert("feed_outbox", &row)).await;
    }
    publisher.feed.publish().await.unwrap();
    for (such, events) in [
        ("title = 'A title' AND summary = title", 2),
        ("title = 'order.placed: order/1' AND summary = title", 1),
        ("link = 'events/' || id", 4),
    ] {
        let count = format!("SELECT count(*) FROM feed_event WHERE {such}");
        assert_eq!(
            B::numbers(&publisher.database, &count).await,
            [events],
            "{such}"
        );
    }
    let head = publisher.get("/feed", &[]).await;
    assert_eq!(head.sequences(), [4, 3, 2, 1]);
}

/// Of one that waits, of a published one, of one in the archive. On SQLite all are refused; on PostgreSQL the
/// latter two are seen when they would get their numbers.
async fn a_doubled_id_stops_nobody<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    let ids = publisher.publish(40).await;
    assert!(publisher.feed.archive(10).await.unwrap() > 0);
    let doubled = |id: feed_core::EventId| with("id", quoted(&id.to_string()));
    let mut refused = 0;
    for id in [ids[0], ids[39]] {
        refused += usize::from(B::try_run(&publisher.database, &doubled(id)).await.is_err());
        publisher.commit("order/new").await;
    }
    let waiting = publisher.commit_unnumbered(&event("order/new")).await;
    assert!(
        B::try_run(&publisher.database, &doubled(waiting))
            .await
            .is_err()
    );
    publisher.feed.publish().await.unwrap();
    let head = publisher.get("/feed", &[]).await;
    assert_eq!(head.sequences()[0], 43);
    assert_eq!(
        publisher
            .get("/feed?subject=order/new", &[])
            .await
            .sequences(),
        [43, 42, 41]
    );
    let quarantined = quarantined(&publisher).await;
    assert_eq!(quarantined.len() + refused, 2);
    for (row, id) in quarantined.iter().zip([ids[0], ids[39]]) {
        assert_eq!(row["id"], id.to_string());
        assert_eq!(row["sequence"], Value::Null);
    }
    // As an operator does it: with another id it is an event.
    for row in &quarantined {
        let place = &row["position"];
        let again = format!(
            "INSERT INTO feed_outbox (event_type, subject, title, summary, link, data)
             SELECT event_type, subject, title, summary, link, data FROM feed_quarantine WHERE position = {place}"
        );
        B::run(&publisher.database, &again).await;
        B::run(
            &publisher.database,
            &format!("DELETE FROM feed_quarantine WHERE position = {place}"),
        )
        .await;
    }
    publisher.feed.publish().await.unwrap();
    assert_eq!(
        publisher.get("/feed", &[]).await.sequences()[0],
        43 + quarantined.len() as i64
    );
    assert_eq!(self::quarantined(&publisher).await, [Value::Null; 0]);
}

async fn quarantined<B: Testable>(publisher: &Publisher<B>) -> Vec<Value> {
    let status = publisher.get("/feed/status", &[]).await;
    assert_eq!(status.status, 200, "{}", status.body);
    let status: Value = serde_json::from_str(&status.body).unwrap();
    let rows = status["quarantine"].as_array().unwrap().clone();
    assert_eq!(status["quarantined"], rows.len());
    rows
}

/// Another program has written into the log itself, at the head's next sequence and beyond; or an older head
/// was restored. An event that has a sequence keeps it.
async fn events_beyond_the_head_are_published<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    publisher.publish(3).await;
    for sequence in [4, 5, 8] {
        let mut row = row();
        row.insert("sequence", sequence.to_string());
        row.insert("updated", quoted("2026-01-01T00:00:01.000Z"));
        B::run(&publisher.database, &insert("feed_event", &row)).await;
    }
    for sequence in ["0", "-1", "NULL", "9007199254740993"] {
        let mut row = row();
        row.insert("sequence", sequence.to_owned());
        row.insert("updated", quoted("2026-01-01T00:00:01.000Z"));
        let inserted = B::try_run(&publisher.database, &insert("feed_event", &row)).await;
        assert!(inserted.is_err(), "{sequence}");
    }
    for _ in 0..4 {
        publisher.commit("order/new").await;
    }
    publisher.feed.publish().await.unwrap();
    let new = publisher.get("/feed?subject=order/new", &[]).await;
    assert_eq!(new.sequences(), [10, 9, 7, 6]);
    let head = publisher.get("/feed", &[]).await;
    assert_eq!(head.sequences(), (1..=10).rev().collect::<Vec<_>>());
    assert!(!quarantined(&publisher).await.is_empty(), "it is said");
}

async fn a_published_event_cannot_be_spoilt<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    publisher.publish(31).await;
    publisher.feed.archive(0).await.unwrap();
    for change in [
        "time = 'infinity'",
        "updated = 'infinity'",
        "time = '10000-01-01 00:00:00+00'",
        "data = '{'",
        "data = 'nul'",
        "time = NULL",
        "subject = NULL",
        "id = 'x'",
        "id = NULL",
    ] {
        for table in ["feed_event", "feed_archive"] {
            let sql = format!("UPDATE {table} SET {change} WHERE sequence IN (2, 31)");
            assert!(
                B::try_run(&publisher.database, &sql).await.is_err(),
                "{sql}"
            );
        }
    }
    let long = "x".repeat(20_001);
    for column in ["event_type", "subject", "title", "summary", "link"] {
        let sql = format!("UPDATE feed_event SET {column} = '{long}' WHERE sequence = 31");
        assert!(
            B::try_run(&publisher.database, &sql).await.is_err(),
            "{column}"
        );
    }
    assert_eq!(publisher.get("/feed", &[]).await.sequences()[0], 31);
}

/// As the migration leaves it, and as it might come back with a damaged file.
async fn data_that_cannot_be_read_is_left_out_until_it_is_corrected<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    let ids = publisher.publish(5).await;
    let feed = format!("{}/feed", serve(publisher.feed.router()).await);
    let database = consumer_database::<B>(url).await;
    let consumer = consumer(&database, &feed, Recorder::default()).await;
    let (handle, shutdown) = (consumer.handle(), consumer.shutdown());
    let unprotected = match url.starts_with("sqlite") {
        true => "DROP TRIGGER feed_event_serves",
        false => "ALTER TABLE feed_event DROP CONSTRAINT feed_serves",
    };
    B::run(&database, unprotected).await;
    for (data, sequence) in [("", 2), ("{", 4)] {
        let sql = format!("UPDATE feed_event SET data = '{data}' WHERE sequence = {sequence}");
        B::run(&database, &sql).await;
    }
    let batch = publisher.get("/feed", &[]).await.link("related").unwrap();
    let listed = async || {
        let batch = publisher.get(&batch, &[]).await;
        assert_eq!(batch.status, 200);
        let events: Vec<Value> = serde_json::from_str(&batch.body).unwrap();
        let sequences = events
            .iter()
            .map(|event| event["sequence"].as_str().unwrap().to_owned());
        sequences.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(listed().await, "1 3 5");
    for accept in ["application/json", "application/cloudevents+json"] {
        let one = publisher
            .get(&format!("/events/{}", ids[1]), &[("accept", accept)])
            .await;
        assert_eq!(one.status, 404);
        assert!(one.body.contains("quarantine"), "{}", one.body);
    }
    let running = tokio::spawn(consumer.run());
    until("the others are taken", async || {
        let status = handle.status().await.unwrap();
        (status.sequence, status.parked) == (5, 2)
    })
    .await;
    let mut taken = effects(&database).await;
    taken.sort();
    assert_eq!(taken, urns(&[ids[0], ids[2], ids[4]]));

    B::run(
        &database,
        "UPDATE feed_event SET data = '{}' WHERE sequence IN (2, 4)",
    )
    .await;
    assert_eq!(listed().await, "1 2 3 4 5");
    for id in [ids[1], ids[3]] {
        handle.retry(&id.urn(), "eve").await.unwrap();
    }
    until("these too", async || effects(&database).await.len() == 5).await;
    shutdown.cancel();
    running.await.unwrap();
}

async fn an_erased_person_is_not_in_quarantine<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    publisher.publish(1).await;
    let row = "INSERT INTO feed_quarantine (reason, id, subject, data) VALUES ('?', 'x', 'order/0', 'Curie'),
               ('?', 'y', 'order/1', 'Curie')";
    B::run(&publisher.database, row).await;
    B::run(&publisher.database, "UPDATE feed_event SET data = ''").await;
    let mut tx = publisher.database.begin().await.unwrap();
    let erased = NewEvent::new("order.erased", "order/0", "{}");
    outbox::rewrite(&mut tx, &erased, |_, data| serde_json::from_str(data))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let left = B::texts(
        &publisher.database,
        "SELECT id FROM feed_quarantine WHERE data IS NOT NULL",
    )
    .await;
    assert_eq!(left, ["y"]);
}

/// Earlier versions have taken such times from feeds of others. SQLite compares times as texts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_names_the_row_whose_time_is_outside_the_years_of_a_text() {
    let fresh = harness::FreshDatabase::postgres().await;
    let database = Database::<Postgres>::open(fresh.url()).await.unwrap();
    Postgres::run(&database, "CREATE TABLE theirs (at TIMESTAMPTZ)").await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("feed.jsonl");
    for (time, in_years) in [
        ("0001-01-01Z", true),
        ("9999-12-31T23:59:59.999Z", true),
        ("10000-01-01Z", false),
        ("0001-12-31Z BC", false),
        ("infinity", false),
    ] {
        let set = format!("DELETE FROM theirs; INSERT INTO theirs VALUES (NULL), ('{time}')");
        Postgres::run(&database, &set).await;
        let exported = export(&database, &[Table::new("theirs")], &file).await;
        if in_years {
            assert!(exported.is_ok(), "{time}: {exported:?}");
            continue;
        }
        let refused = with_causes(&exported.unwrap_err());
        assert!(refused.contains("row 2 of theirs"), "{refused}");
        let said = "a time outside the years 1 to 9999: ";
        assert!(refused.contains(said), "{refused}");
    }
}

/// SQLite keeps any bytes as text. An operator must know which ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_names_the_row_that_cannot_be_read() {
    let database = harness::FreshDatabase::sqlite();
    let publisher = Publisher::<Sqlite>::open(database.url()).await;
    publisher.publish(20).await;
    let cut = "UPDATE feed_event SET title = CAST(x'f09f98' AS TEXT) WHERE sequence = 17";
    Sqlite::run(&publisher.database, cut).await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("feed.jsonl");
    let refused = export(&publisher.database, &[], &file).await.unwrap_err();
    assert!(
        refused.to_string().contains("row 17 of feed_event"),
        "{refused}"
    );
}
