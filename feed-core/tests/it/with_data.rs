//! Documents that contain the data of their events: one request is one step of a consumer. They are for one reader
//! each, and never part of a page.

use std::sync::{Arc, Mutex};

use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use base64::Engine;
use feed_core::{NewEvent, outbox};
use serde_json::{Value, json};

use crate::support::{
    Answer, NOT_MODIFIED, Publisher, Recorder, Testable, consumer, consumer_database, effects,
    event, serve, until, urns,
};

harness::on_both_databases! {
    the_head_has_the_data_of_its_entries
    a_tag_is_that_of_one_form
    only_what_is_new_comes_with_its_data_in_one_request
    the_events_after_a_cursor_come_with_their_data_however_many
    a_document_is_bounded_in_bytes_and_each_event_comes_once
    a_reader_of_some_partitions_gets_their_events_and_learns_what_is_omitted
    some_partitions_of_many_events_come_once
    a_subject_that_xml_changes_is_in_every_share
    json_alone_leads_through_the_feed_and_waits_at_its_end
    pages_have_no_data
    erased_data_is_in_no_document
    data_that_cannot_be_read_is_linked
    a_consumer_takes_a_step_in_one_request
    a_consumer_follows_links_where_a_feed_has_no_data
}

const DATA: (&str, &str) = ("prefer", "event-data");
const JSON: (&str, &str) = ("accept", "application/cloudevents-batch+json");

impl Answer {
    /// The data in the document, newest first; empty where the entry links to it.
    pub(crate) fn data(&self) -> Vec<String> {
        let contents = self
            .body
            .split("<content type=\"application/json\"")
            .skip(1);
        contents
            .map(|content| match content.strip_prefix('>') {
                Some(inline) => {
                    let packed = inline.split('<').next().unwrap();
                    let data = base64::engine::general_purpose::STANDARD.decode(packed);
                    String::from_utf8(data.unwrap()).unwrap()
                }
                None => String::new(),
            })
            .collect()
    }

    /// The sequences of a batch.
    pub(crate) fn batch(&self) -> Vec<i64> {
        let events: Vec<Value> = serde_json::from_str(&self.body).unwrap();
        let sequences = events
            .iter()
            .map(|event| event["sequence"].as_str().unwrap().parse());
        sequences.map(Result::unwrap).collect()
    }

    /// The path of the next batch, from the batch's `Link`.
    pub(crate) fn next(&self) -> String {
        let links = self.headers.get_all("link").iter();
        let mut links = links.map(|link| link.to_str().unwrap());
        let rel = "rel=\"next\"; type=\"application/cloudevents-batch+json\"";
        let next = links.find(|link| link.contains(rel)).unwrap();
        let (address, _) = next.trim_start_matches('<').split_once('>').unwrap();
        // A reader that keeps the cursor alone continues at the same address.
        let (_, cursor) = address.split_once("after=").unwrap();
        assert_eq!(cursor, self.header("feed-cursor"));
        let path = address.strip_prefix("https://shop.example/order");
        path.unwrap().to_owned()
    }
}

async fn append<B: Testable>(publisher: &Publisher<B>, data: &str) {
    let event = NewEvent {
        data: data.to_owned(),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
        ..event("order/1")
    };
    let mut tx = publisher.database.begin().await.unwrap();
    outbox::append(&mut tx, &event).await.unwrap();
    tx.commit().await.unwrap();
    publisher.feed.publish().await.unwrap();
}

fn is_for_one_reader(answer: &Answer) {
    assert_eq!(answer.header("cache-control"), "private, no-store");
    assert!(answer.header("vary").contains("Prefer"));
    if answer
        .header("content-type")
        .starts_with("application/atom+xml")
    {
        assert_eq!(answer.header("feed-cursor"), answer.cursor());
    }
}

async fn the_head_has_the_data_of_its_entries<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    let data = [r#"{"n": 1.50, "text": "<&]]>é"}"#, " [2]\n", "3"];
    for data in data {
        append(&publisher, data).await;
    }
    let head = publisher.get("/feed", &[DATA]).await;
    assert_eq!((head.status, head.sequences()), (200, vec![3, 2, 1]));
    assert_eq!(head.data(), [data[2], "[2]", data[0]], "byte for byte");
    assert_eq!(
        head.body
            .matches("<event:traceparent>00-0af7651916cd43dd8448eb211c80319c-")
            .count(),
        3
    );
    assert_eq!(head.header("preference-applied"), "event-data");
    assert_eq!(
        head.header("content-type"),
        "application/atom+xml; charset=utf-8"
    );
    is_for_one_reader(&head);
    let feed: atom_syndication::Feed = head.body.parse().unwrap();
    assert!(
        feed.entries
            .iter()
            .all(|entry| entry.content().unwrap().src().is_none())
    );
    // Otherwise it is the same document, without a link to data that is here.
    let linked = publisher.get("/feed", &[]).await;
    assert_eq!(head.cursor(), linked.cursor());
    assert!(linked.link("related").is_some() && head.link("related").is_none());
    let again = publisher.get("/feed", &[DATA]).await;
    assert!(again.link("related").is_none(), "the document that is kept");
    let json = publisher.get("/feed", &[JSON]).await;
    assert_eq!(json.batch(), [1, 2, 3]);
    assert_eq!(json.header("content-type"), JSON.1);
    is_for_one_reader(&json);
}

async fn a_tag_is_that_of_one_form<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    publisher.publish(3).await;
    let html = ("accept", "text/html");
    let forms = [vec![], vec![DATA], vec![JSON], vec![html]];
    for form in &forms {
        let tag = publisher.get("/feed", form).await.header("etag");
        let condition = ("if-none-match", tag.as_str());
        for other in &forms {
            let asked = [other.as_slice(), &[condition]].concat();
            let status = publisher.get("/feed", &asked).await.status;
            assert_eq!(
                status == NOT_MODIFIED,
                form == other,
                "{form:?} {other:?}: {status}"
            );
        }
    }
}

async fn only_what_is_new_comes_with_its_data_in_one_request<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    publisher.publish(13).await;
    for (form, is_json) in [(DATA, false), (JSON, true)] {
        let tag = publisher.get("/feed", &[form]).await.header("etag");
        let asked = [
            form,
            ("if-none-match", &tag),
            ("a-im", "feed"),
            ("prefer", "wait=30"),
        ];
        let new = async {
            append(&publisher, "[14]").await;
        };
        let (answer, ()) = tokio::join!(publisher.get("/feed", &asked), new);
        let sequence = publisher.feed.cursor().sequence;
        assert_eq!((answer.status, answer.header("im").as_str()), (226, "feed"));
        is_for_one_reader(&answer);
        let applied = answer.headers.get_all("preference-applied");
        let applied: Vec<_> = applied
            .iter()
            .map(|value| value.to_str().unwrap())
            .collect();
        assert!(applied.contains(&"wait=30"), "{applied:?}");
        match is_json {
            true => assert_eq!(answer.batch(), [sequence]),
            false => assert_eq!(
                (answer.sequences(), answer.data()),
                (vec![sequence], vec!["[14]".to_owned()])
            ),
        }
        // A request with its tag gets nothing new.
        let again = publisher
            .get("/feed", &[form, ("if-none-match", &answer.header("etag"))])
            .await;
        assert_eq!(again.status, NOT_MODIFIED);
        is_for_one_reader(&again);
    }
}

async fn the_events_after_a_cursor_come_with_their_data_however_many<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    publisher.publish(35).await;
    let all = publisher.get("/feed?after=start", &[DATA]).await;
    assert_eq!(
        (all.status, all.sequences().len()),
        (200, 35),
        "no page, no redirect"
    );
    assert!(all.data().iter().all(|data| !data.is_empty()));
    assert_eq!(all.link("next"), None, "nothing is left");
    is_for_one_reader(&all);
    let rest = all.cursor();
    let none = publisher.get(&format!("/feed?after={rest}"), &[DATA]).await;
    assert_eq!(
        (none.status, none.sequences().len(), none.cursor()),
        (200, 0, rest.clone())
    );
    let waiting = [DATA, ("prefer", "wait=30")];
    let path = format!("/feed?after={rest}");
    let (one, _) = tokio::join!(publisher.get(&path, &waiting), publisher.publish(1));
    assert_eq!(one.sequences(), [36]);
    let lost = rest.replace(|c: char| c.is_ascii_digit(), "0");
    for form in [DATA, JSON] {
        let gone = publisher.get(&format!("/feed?after={lost}"), &[form]).await;
        assert!(matches!(gone.status, 400 | 410), "{}", gone.status);
    }
}

async fn a_document_is_bounded_in_bytes_and_each_event_comes_once<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    let large = json!("x".repeat(1024 * 1024 - 2)).to_string();
    for _ in 0..14 {
        append(&publisher, &large).await;
    }
    append(&publisher, "15").await;
    let mut path = Some("/feed?after=start".to_owned());
    let mut seen = Vec::new();
    while let Some(next) = path {
        let document = publisher.get(&next, &[DATA]).await;
        assert!(
            document.body.len() < 16 * 1024 * 1024,
            "{}",
            document.body.len()
        );
        let mut here = document.sequences();
        here.reverse();
        seen.extend(here);
        path = document.link("next");
    }
    assert_eq!(seen, (1..=15).collect::<Vec<_>>());
    // The head still shows all its entries; what does not fit is linked.
    let head = publisher.get("/feed", &[DATA]).await;
    assert!(head.body.len() < 16 * 1024 * 1024);
    assert_eq!(head.sequences().len(), 15);
    let linked = head.data().iter().filter(|data| data.is_empty()).count();
    assert!((1..15).contains(&linked), "{linked}");
    let rest = format!("/batch/{}-15", 16 - linked);
    assert!(head.link("related").unwrap().ends_with(&rest), "{rest}");
    // In JSON the rest is where it says.
    let mut batch = publisher.get("/feed", &[JSON]).await;
    let mut seen = Vec::new();
    while !batch.batch().is_empty() {
        assert!(batch.body.len() < 16 * 1024 * 1024);
        seen.extend(batch.batch());
        batch = publisher.get(&batch.next(), &[JSON]).await;
    }
    assert_eq!(seen, (1..=15).collect::<Vec<_>>());
    // Also for a reader that follows the tag.
    let delta = ("a-im", "feed");
    let first = publisher.get("/feed", &[JSON, delta]).await;
    let (mut tag, mut seen) = (first.header("etag"), first.batch());
    loop {
        let asked = [JSON, ("if-none-match", &tag), delta];
        let answer = publisher.get("/feed", &asked).await;
        if answer.status == NOT_MODIFIED {
            break;
        }
        assert_eq!(answer.status, 226);
        assert_ne!(answer.header("etag"), tag);
        assert_eq!(answer.header("last-modified"), "");
        seen.extend(answer.batch());
        tag = answer.header("etag");
    }
    assert_eq!(seen, (1..=15).collect::<Vec<_>>());
    // A consumer takes them all.
    let feed = format!("{}/feed", serve(publisher.feed.router()).await);
    let database = consumer_database::<B>(url).await;
    let mut consumer = consumer(&database, &feed, Recorder::default()).await;
    until("all are taken", async || {
        consumer.poll_once().await.unwrap();
        effects(&database).await.len() == 15
    })
    .await;
}

/// The instances of a consumer read each event once between them.
async fn a_reader_of_some_partitions_gets_their_events_and_learns_what_is_omitted<B: Testable>(
    url: &str,
) {
    let publisher = Publisher::<B>::open(url).await;
    for subject in ["order/1", "order/17", "order/17", "order/1", "order/17"] {
        publisher.commit(subject).await;
    }
    publisher.feed.publish().await.unwrap();
    let whole = publisher.get("/feed?after=start", &[DATA]).await;
    for (partitions, expected, omitted) in [
        (
            "4",
            vec![4, 1],
            "<event:omitted partitions=\"4\">2-3 5</event:omitted>",
        ),
        (
            "0 2",
            vec![5, 3, 2],
            "<event:omitted partitions=\"0 2\">1 4</event:omitted>",
        ),
        (
            "0",
            vec![],
            "<event:omitted partitions=\"0\">1-5</event:omitted>",
        ),
    ] {
        let prefers = format!("event-data; partitions=\"{partitions}\"");
        let asked = [("prefer", prefers.as_str())];
        let some = publisher.get("/feed?after=start", &asked).await;
        assert_eq!(some.sequences(), expected);
        assert_eq!(some.data().len(), expected.len());
        assert!(some.body.contains(omitted), "{}", some.body);
        assert_eq!(some.cursor(), whole.cursor());
        assert_eq!(some.header("preference-applied"), prefers);
        is_for_one_reader(&some);
        // The head is written for all readers at once.
        let head = publisher.get("/feed", &asked).await;
        assert_eq!(head.sequences(), [5, 4, 3, 2, 1]);
        assert_eq!(head.header("preference-applied"), "event-data");
        let json = publisher.get("/feed?after=start", &[asked[0], JSON]).await;
        assert_eq!(json.batch(), [1, 2, 3, 4, 5]);
    }
    let all = (0..16).map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
    for ignored in [&all, "16", "4,2", ""] {
        let prefers = format!("event-data; partitions=\"{ignored}\"");
        let document = publisher
            .get("/feed?after=start", &[("prefer", prefers.as_str())])
            .await;
        assert_eq!(document.body, whole.body, "{ignored}");
    }
}

/// However many: each document continues where the one before has looked.
async fn some_partitions_of_many_events_come_once<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    let mut tx = publisher.database.begin().await.unwrap();
    let mut ours = Vec::new();
    for n in 1..=5_200 {
        // A thousand in one row, then every third.
        let is_ours = n <= 1_005 || n % 3 == 0;
        if is_ours {
            ours.push(n);
        }
        let subject = if is_ours { "order/1" } else { "order/17" };
        outbox::append(&mut tx, &event(subject)).await.unwrap();
    }
    tx.commit().await.unwrap();
    publisher.feed.publish().await.unwrap();
    let (mut taken, mut path) = (Vec::new(), "/feed?after=start".to_owned());
    let asked = [("prefer", "event-data; partitions=\"4\"")];
    loop {
        let document = publisher.get(&path, &asked).await;
        let mut sequences = document.sequences();
        sequences.reverse();
        assert!(sequences.len() <= 1_000);
        taken.extend(sequences);
        let next = format!("/feed?after={}", document.cursor());
        if next == path {
            break;
        }
        path = next;
    }
    assert_eq!(taken, ours);
}

/// A reader knows the partition of the subject that it reads, and not of the one that an older version has stored.
async fn a_subject_that_xml_changes_is_in_every_share<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    publisher.publish(1).await;
    B::run(
        &publisher.database,
        "UPDATE feed_event SET subject = 'order/\u{1}7'",
    )
    .await;
    for partition in 0..16 {
        let prefers = format!("event-data; partitions={partition}");
        let asked = [("prefer", prefers.as_str())];
        let document = publisher.get("/feed?after=start", &asked).await;
        assert_eq!(document.sequences(), [1], "{partition}");
    }
}

async fn json_alone_leads_through_the_feed_and_waits_at_its_end<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    publisher.publish(1_203).await;
    let mut batch = publisher.get("/feed?after=start", &[JSON]).await;
    let mut seen = Vec::new();
    while seen.len() < 1_203 {
        assert_eq!(batch.status, 200);
        is_for_one_reader(&batch);
        assert!((1..=1_000).contains(&batch.batch().len()));
        seen.extend(batch.batch());
        batch = publisher.get(&batch.next(), &[JSON]).await;
    }
    assert_eq!(seen, (1..=1_203).collect::<Vec<_>>());
    assert_eq!(batch.body, "[]");
    let waiting = [JSON, ("prefer", "wait=30")];
    let path = batch.next();
    let (new, _) = tokio::join!(publisher.get(&path, &waiting), publisher.publish(1));
    assert_eq!(new.batch(), [1_204]);
    assert_eq!(new.header("preference-applied"), "wait=30");
    // A wait that ends with nothing.
    let path = new.next();
    let none = publisher.get(&path, &[JSON, ("prefer", "wait=1")]).await;
    assert_eq!(
        (none.status, none.body.as_str(), none.next()),
        (200, "[]", path)
    );
}

async fn pages_have_no_data<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    publisher.publish(35).await;
    let page = publisher
        .get("/feed", &[])
        .await
        .link("prev-archive")
        .unwrap();
    for path in [
        page.as_str(),
        "/feed?type=order.placed&before=30",
        "/feed.atom",
    ] {
        let plain = publisher.get(path, &[]).await;
        for form in [DATA, JSON] {
            let same = publisher.get(path, &[form]).await;
            assert_eq!((same.status, &same.body), (200, &plain.body), "{path}");
            for header in [
                "cache-control",
                "etag",
                "preference-applied",
                "content-type",
            ] {
                assert_eq!(
                    same.header(header),
                    plain.header(header),
                    "{path}: {header}"
                );
            }
        }
    }
}

async fn erased_data_is_in_no_document<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    let documents = async || {
        let mut data = publisher.get("/feed", &[DATA]).await.data();
        data.extend(publisher.get("/feed?after=start", &[DATA]).await.data());
        data.push(publisher.get("/feed", &[JSON]).await.body);
        data.push(publisher.get("/feed?after=start", &[JSON]).await.body);
        data
    };
    publisher.publish(1).await;
    append(&publisher, r#"{"name": "Curie"}"#).await;
    let before = documents().await;
    assert_eq!(
        before.iter().filter(|data| data.contains("Curie")).count(),
        4
    );
    let mut tx = publisher.database.begin().await.unwrap();
    let erased = NewEvent::new("order.erased", "order/1", "{}");
    outbox::rewrite(&mut tx, &erased, |_, _| Ok("{}".to_owned()))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    publisher.feed.publish().await.unwrap();
    let after = documents().await;
    assert_eq!(
        after.iter().filter(|data| data.contains("Curie")).count(),
        0
    );
}

async fn data_that_cannot_be_read_is_linked<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    publisher.publish(3).await;
    let unprotected = match url.starts_with("sqlite") {
        true => "DROP TRIGGER feed_event_serves",
        false => "ALTER TABLE feed_event DROP CONSTRAINT feed_serves",
    };
    B::run(&publisher.database, unprotected).await;
    B::run(
        &publisher.database,
        "UPDATE feed_event SET data = '{' WHERE sequence = 2",
    )
    .await;
    for path in ["/feed", "/feed?after=start"] {
        let document = publisher.get(path, &[DATA]).await;
        assert_eq!(document.sequences(), [3, 2, 1]);
        let is_linked: Vec<bool> = document.data().iter().map(String::is_empty).collect();
        assert_eq!(is_linked, [false, true, false]);
        assert_eq!(publisher.get(path, &[JSON]).await.batch(), [1, 3]);
    }
    // It is there as soon as it is corrected.
    B::run(
        &publisher.database,
        "UPDATE feed_event SET data = '2' WHERE sequence = 2",
    )
    .await;
    for path in ["/feed", "/feed?after=start"] {
        assert_eq!(publisher.get(path, &[DATA]).await.data()[1], "2");
    }
}

/// What a consumer asks for: paths, and whether with data.
type Asked = Arc<Mutex<Vec<String>>>;

/// Takes `count` events, then one more; returns what was asked for each.
async fn asked_by_a_consumer<B: Testable>(
    url: &str,
    count: i64,
    has_data: bool,
) -> [Vec<String>; 2] {
    let publisher = Publisher::<B>::open(url).await;
    let mut ids = publisher.publish(count).await;
    let asked = Asked::default();
    let record = from_fn({
        let asked = Arc::clone(&asked);
        move |mut request: Request, next: Next| {
            let mut path = request.uri().path().to_owned();
            if request.uri().query().is_some() {
                path += "?after";
            }
            asked.lock().unwrap().push(path);
            // A feed that knows of waits alone.
            if let Some(prefers) = request.headers().get("prefer").cloned()
                && !has_data
            {
                let waits = prefers.to_str().unwrap().replace("event-data", "unknown");
                let waits = waits.parse().unwrap();
                request.headers_mut().insert("prefer", waits);
            }
            async move { next.run(request).await as Response }
        }
    });
    let router = publisher.feed.router().layer(record);
    let feed = format!("{}/feed", serve(router).await);
    let database = consumer_database::<B>(url).await;
    let mut consumer = consumer(&database, &feed, Recorder::default()).await;
    let mut steps = [Vec::new(), Vec::new()];
    for step in &mut steps {
        let taken = ids.len();
        until("all are taken", async || {
            consumer.poll_once().await.unwrap();
            effects(&database).await.len() == taken
        })
        .await;
        *step = std::mem::take(&mut *asked.lock().unwrap());
        // It learns the tag of the head.
        consumer.poll_once().await.unwrap();
        asked.lock().unwrap().clear();
        ids.extend(publisher.publish(1).await);
    }
    let mut expected = urns(&ids[..ids.len() - 1]);
    let mut taken = effects(&database).await;
    expected.sort();
    taken.sort();
    assert_eq!(taken, expected);
    steps
}

async fn a_consumer_takes_a_step_in_one_request<B: Testable>(url: &str) {
    let [catching_up, tailing] = asked_by_a_consumer::<B>(url, 35, true).await;
    assert_eq!(
        catching_up,
        ["/feed", "/feed?after"],
        "the head shows that it is behind"
    );
    assert_eq!(tailing, ["/feed"]);
}

async fn a_consumer_follows_links_where_a_feed_has_no_data<B: Testable>(url: &str) {
    let [catching_up, tailing] = asked_by_a_consumer::<B>(url, 35, false).await;
    assert!(
        catching_up.iter().any(|path| path.contains("/batch/")),
        "{catching_up:?}"
    );
    assert_eq!(tailing.len(), 2, "{tailing:?}");
}
