//! What following our own feed costs its producer, request by request.

use std::collections::BTreeMap;

use feed_core::consumer::Polled;
use harness::fake::{Fake, Numbered};
use harness::producer::{LINES, Producer};

use crate::support::{Reader, Recording, numbered};

harness::on_both_databases! {
    nothing_new_costs_one_conditional_request
    new_events_cost_one_request_more
    catching_up_costs_each_page_once
    catching_up_with_the_real_feed_costs_one_request_for_a_thousand_events
}

async fn nothing_new_costs_one_conditional_request<B: Recording>(url: &str) {
    let fake = numbered(15).await;
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    reader.takes(&Numbered::ids(15)).await;
    fake.news();
    for _ in 0..3 {
        let polled = reader.poll().await;
        assert!(matches!(polled, Ok(Polled::UpToDate { .. })), "{polled:?}");
        let [asked] = fake.news().try_into().unwrap();
        assert_eq!(
            (asked.method.as_str(), asked.target.as_str()),
            ("GET", "/feed")
        );
        assert_eq!(
            asked.header("if-none-match"),
            Some(Numbered::new(15).tag().as_str())
        );
        assert_eq!(asked.header("a-im"), Some("feed"));
        assert_eq!(asked.header("prefer"), Some("wait=20, event-data"));
        let accept = asked.header("accept").unwrap();
        assert!(accept.contains("application/atom+xml"), "{accept}");
    }
}

async fn new_events_cost_one_request_more<B: Recording>(url: &str) {
    let fake = numbered(15).await;
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    reader.takes(&Numbered::ids(15)).await;
    fake.news();
    for (newest, second) in [
        (17, "/batch/16-17"),
        (18, "/batch/18-18"),
        (23, "/batch/19-23"),
    ] {
        Numbered::new(newest).serve(&fake);
        reader.poll().await.unwrap();
        assert_eq!(fake.targets(), ["/feed", second]);
        assert_eq!(reader.ids().await, Numbered::ids(newest));
        // The tag is that of the answer.
        let polled = reader.poll().await;
        assert!(matches!(polled, Ok(Polled::UpToDate { .. })), "{polled:?}");
        let [asked] = fake.news().try_into().unwrap();
        assert_eq!(
            asked.header("if-none-match"),
            Some(Numbered::new(newest).tag().as_str())
        );
    }
}

/// How often each target was asked for.
fn counts(fake: &Fake) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for target in fake.targets() {
        *counts.entry(target).or_default() += 1;
    }
    counts
}

/// Fails unless the pages and batches were fetched once each, and little else.
fn assert_once(counts: &BTreeMap<String, usize>, pages: &[String]) {
    let often = |pattern: &str| {
        let found = counts.iter().filter(|(target, _)| target.contains(pattern));
        found.map(|(_, count)| count).sum::<usize>()
    };
    for page in pages {
        assert_eq!(counts.get(page), Some(&1), "{page} in {counts:#?}");
    }
    for (target, count) in counts {
        let head = target == "/feed";
        assert!(head || *count == 1, "{target} in {counts:#?}");
    }
    // From the head on, to the first page; and from the last page to what is newer.
    assert!(
        often("after=") <= 2,
        "the way from page to page is next-archive: {counts:#?}"
    );
    // One for each page, and one for the rest.
    assert!(often("batch/") <= pages.len() + 2, "{counts:#?}");
    assert_eq!(often("events/"), 0, "{counts:#?}");
}

async fn catching_up_costs_each_page_once<B: Recording>(url: &str) {
    let fake = numbered(95).await;
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    reader.takes(&Numbered::ids(95)).await;
    // The head shows the ninth page, too.
    let pages: Vec<_> = (1..=8)
        .map(|page| Numbered::new(95).address(page))
        .collect();
    assert_once(&counts(&fake), &pages);
}

async fn catching_up_with_the_real_feed_costs_one_request_for_a_thousand_events<B: Recording>(
    url: &str,
) {
    const EVENTS: i64 = 1_050;
    let producer = Producer::new().await;
    for id in 1..=EVENTS {
        producer.placed(id, LINES).await;
    }
    let newest = producer.publish().await;
    assert_eq!(newest, EVENTS);
    let fake = Fake::start().await;
    fake.forward(producer.feed_url.strip_suffix("/feed").unwrap());
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    // Without the round that would wait at the server.
    while reader.ids().await.len() < 1_050 {
        let polled = reader.poll().await;
        assert!(matches!(polled, Ok(Polled::Applied(_))), "{polled:?}");
    }
    assert_eq!(reader.ids().await.len(), 1_050);
    let data = reader.data().await;
    for (number, data) in (1..).zip(&data) {
        let order: serde_json::Value = serde_json::from_str(data).unwrap();
        assert_eq!(order["id"], number);
    }
    let asked = fake.targets();
    assert_eq!(asked.len(), 3, "{asked:?}");
    assert_eq!(asked[..2], ["/feed", "/feed?after=start"]);
    assert!(
        asked[2].contains("/feed?after=") && asked[2].contains(".1000."),
        "{asked:?}"
    );
    // The next event is delivered while it waits at the server, once it knows the tag of the head
    // with data.
    reader.poll().await.unwrap();
    reader.poll().await.unwrap();
    fake.news();
    let published = async {
        harness::until("it waits", async || {
            (!fake.asked().is_empty()).then_some(())
        })
        .await;
        producer.placed(EVENTS + 1, LINES).await;
        producer.publish().await;
    };
    let (polled, ()) = tokio::join!(reader.poll(), published);
    assert_eq!(polled, Ok(Polled::Applied(1)));
    assert_eq!(fake.targets(), ["/feed"], "its data comes with it");
}
