//! The data of many events in one answer: if that is unusable, each event is fetched by itself.

use harness::fake::{Numbered, Reply};

use crate::support::{Reader, Recording, numbered};

harness::on_both_databases! {
    a_batch_that_cannot_be_had_is_replaced_by_single_fetches
    a_bad_batch_holds_no_event
    events_that_a_batch_lacks_are_fetched_alone
    a_feed_without_batches_is_read
    a_bad_event_of_a_batch_is_parked_alone
}

const BATCH: &str = "application/cloudevents-batch+json";

async fn a_bad_batch_holds_no_event<B: Recording>(url: &str) {
    let json = |text: &str| Reply::ok(BATCH, text);
    let good = Numbered::batch(1, 5);
    let swapped = good.replace("0192f0c1-", "0192f0c2-");
    for (name, reply) in [
        (
            "a page",
            Reply::ok("text/html", "<html>Please log in</html>"),
        ),
        ("nothing", json("")),
        ("no list", json("{}")),
        ("null", json("null")),
        ("an empty list", json("[]")),
        ("numbers", json("[1,2,3,4,5]")),
        ("truncated", json(&good[..good.len() / 2])),
        ("two", json(&good.repeat(2))),
        ("without data", json(&good.replace("\"data\"", "\"date\""))),
        (
            "other data",
            json(&good.replace("\"data\":", "\"data_base64\":\"e30=\",\"x\":")),
        ),
        ("other ids", json(&swapped)),
        (
            "ids in capitals",
            json(&good.replace("0192f0c1-e0d0", "0192F0C1-E0D0")),
        ),
        ("ids that are numbers", json("[{\"id\":1,\"data\":{}}]")),
        ("deep", json(&"[".repeat(100_000))),
        (
            "deep data",
            json(&format!("[{{\"id\":\"x\",\"data\":{}", "[".repeat(100_000))),
        ),
        (
            "not UTF-8",
            Reply::ok(BATCH, [b'[', b'"', 0xff, b'"', b']']),
        ),
        ("204", Reply::status(204)),
        ("404", Reply::status(404)),
        ("406", Reply::status(406)),
        ("410", Reply::status(410)),
        ("500", Reply::status(500)),
    ] {
        println!("{name}");
        let fake = numbered(5).await;
        fake.at("/batch/*", reply);
        let mut reader = Reader::<B>::of(name, url, &fake.url("/feed")).await;
        reader.takes(&Numbered::ids(5)).await;
        let data: Vec<_> = (1..=5).map(Numbered::data).collect();
        assert_eq!(reader.data().await, data, "{name}");
        let targets = fake.targets();
        for event in 1..=5 {
            assert!(
                targets.contains(&format!("/events/{event}")),
                "{name}: {targets:?}"
            );
        }
        // The next one is good again.
        Numbered::new(8).serve(&fake);
        reader.takes(&Numbered::ids(8)).await;
        let alone = fake
            .targets()
            .iter()
            .any(|target| target.starts_with("/events/"));
        assert!(!alone, "{name}");
    }
}

async fn events_that_a_batch_lacks_are_fetched_alone<B: Recording>(url: &str) {
    let fake = numbered(5).await;
    // One twice, and one that was not requested.
    let events = [
        Numbered::batch(2, 3),
        Numbered::batch(2, 2),
        Numbered::batch(70, 70),
    ];
    let events: Vec<_> = events
        .iter()
        .map(|batch| &batch[1..batch.len() - 1])
        .collect();
    fake.at(
        "/batch/*",
        Reply::ok(BATCH, format!("[{}]", events.join(","))),
    );
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    reader.takes(&Numbered::ids(5)).await;
    let data: Vec<_> = (1..=5).map(Numbered::data).collect();
    assert_eq!(reader.data().await, data);
    let targets = fake.targets();
    let alone = |event: i64| targets.contains(&format!("/events/{event}"));
    assert!(alone(1) && alone(4) && alone(5), "{targets:?}");
}

async fn a_feed_without_batches_is_read<B: Recording>(url: &str) {
    let fake = numbered(25).await;
    let feed = Numbered::new(25);
    let tag = feed.tag();
    let without = |xml: String| xml.replace("rel=\"related\"", "rel=\"enclosure\"");
    let (head, rest) = (
        without(feed.head().xml()),
        without(feed.document(21, 25).xml()),
    );
    fake.each("/feed", move |asked| match asked.query("after") {
        _ if asked.header("if-none-match") == Some(&tag) => Reply::status(304),
        Some("start") => Reply::redirect(303, "/one"),
        Some(cursor) if cursor.contains(".10.") => Reply::redirect(303, "/two"),
        Some(_) => Reply::feed(rest.clone()),
        None => Reply::feed(head.clone()).header("etag", &tag),
    });
    fake.at("/one", Reply::feed(without(feed.page(1).xml())));
    fake.at("/two", Reply::feed(without(feed.page(2).xml())));
    for page in [1, 2] {
        fake.at(
            &feed.address(page),
            Reply::feed(without(feed.page(page).xml())),
        );
    }
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    reader.takes(&Numbered::ids(25)).await;
    let targets = fake.targets();
    assert!(!targets.iter().any(|target| target.starts_with("/batch/")));
    let data: Vec<_> = (1..=25).map(Numbered::data).collect();
    assert_eq!(reader.data().await, data);
}

async fn a_bad_event_of_a_batch_is_parked_alone<B: Recording>(url: &str) {
    let fake = numbered(5).await;
    fake.at("/batch/*", Reply::status(404));
    fake.at("/events/3", Reply::status(404));
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    reader.drain().await;
    let mut others = Numbered::ids(5);
    let third = others.remove(2);
    assert_eq!(reader.ids().await, others);
    let parked = reader.parked().await;
    assert_eq!((parked.len(), &parked[0].id), (1, &third));
    let reason = parked[0].reason.clone().unwrap_or_default();
    assert!(
        reason.contains("404") && reason.contains("/events/3"),
        "{reason}"
    );
    // What comes after it is not held back.
    Numbered::new(7).serve(&fake);
    reader.drain().await;
    assert_eq!(reader.ids().await.len(), 6);
}

/// Whatever is wrong with it: each event can be fetched.
async fn a_batch_that_cannot_be_had_is_replaced_by_single_fetches<B: Recording>(url: &str) {
    for (name, batch) in [
        ("401", Reply::status(401)),
        ("403", Reply::status(403)),
        (
            "to another origin",
            Reply::redirect(302, "http://other.example/"),
        ),
        ("in a circle", Reply::redirect(302, "/batch/1-4")),
        ("reset", Reply::reset()),
        (
            "cut",
            Reply::ok("application/cloudevents-batch+json", "[]").cut_short(),
        ),
    ] {
        let fake = numbered(4).await;
        fake.at("/batch/*", batch);
        let mut reader = Reader::<B>::of(name, url, &fake.url("/feed")).await;
        reader.takes(&Numbered::ids(4)).await;
        assert_eq!(reader.data().await[3], Numbered::data(4), "{name}");
    }
    let elsewhere =
        |text: String| text.replace("href=\"/batch", "href=\"http://other.example/batch");
    let fake = numbered(4).await;
    let head = elsewhere(Numbered::new(4).head().xml());
    assert!(head.contains("other.example"), "{head}");
    fake.at("/feed", Reply::feed(head));
    let mut reader = Reader::<B>::of("a link elsewhere", url, &fake.url("/feed")).await;
    reader.takes(&Numbered::ids(4)).await;
    assert_eq!(reader.data().await[3], Numbered::data(4));
}
