//! The query of the feed: what it cannot mean is refused. A reader with a mistake in its filter would wait for ever, and
//! each other spelling of an address would be another key of the same bytes in every cache.

use feed_core::{NewEvent, outbox};
use url::form_urlencoded::byte_serialize;

use crate::support::{Publisher, Testable};

harness::on_both_databases! {
    a_filter_that_no_event_can_match_is_refused
    every_name_that_an_event_can_have_is_found
    a_query_has_one_spelling
    a_page_has_one_address
    a_page_whose_events_were_deleted_is_gone
}

const JSON: (&str, &str) = ("accept", "application/cloudevents-batch+json");

async fn refused<B: Testable>(publisher: &Publisher<B>, query: &str, why: &str) {
    for form in [vec![], vec![JSON], vec![("prefer", "wait=30")]] {
        let answer = publisher.get(&format!("/feed?{query}"), &form).await;
        let shown = &query[..query.len().min(60)];
        assert_eq!(answer.status, 400, "{shown}: {}", answer.body);
        assert!(answer.body.contains(why), "{shown}: {}", answer.body);
        assert!(answer.body.len() < 1_000);
    }
}

async fn a_filter_that_no_event_can_match_is_refused<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    publisher.publish(3).await;
    for name in ["type", "subject"] {
        for value in [
            String::new(),
            "order.placed%20".to_owned(),
            "+order.placed".to_owned(),
            "%09order.placed".to_owned(),
            "order.placed%C2%A0".to_owned(),
            "%E3%80%80order.placed".to_owned(),
            "a%01".to_owned(),
            "a%1Fb".to_owned(),
            "a%EF%BF%BEb".to_owned(),
            "a".repeat(2_001),
            "%C3%A9".repeat(1_001),
        ] {
            for query in [
                format!("{name}={value}"),
                format!("{name}={value}&after=start"),
                format!("after=start&{name}={value}"),
                format!("{name}={value}&before=2"),
            ] {
                refused(&publisher, &query, &format!("no event can match `{name}`")).await;
            }
        }
        refused(&publisher, name, "no event can match").await;
        refused(&publisher, &format!("{name}=a%00b"), "contains a NUL").await;
        for value in ["%FF", "caf%E9", "%C3", "%ED%A0%80", "%F0%9F%98"] {
            let query = format!("after=start&{name}={value}");
            refused(&publisher, &query, "not UTF-8").await;
        }
        let twice = format!("{name}=a&{name}=a");
        refused(&publisher, &twice, "is given twice").await;
    }
    refused(&publisher, "after=start&after=start", "is given twice").await;
    refused(&publisher, "after=a%00", "contains a NUL").await;
    refused(&publisher, "type=a&before=2&after=start", "`before`").await;
}

async fn every_name_that_an_event_can_have_is_found<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    let names = [
        "a b+c%20&d=e;f#g?h/i".to_owned(),
        "caf\u{e9} \u{1f600} \u{fffd} a\tb".to_owned(),
        "x".repeat(2_000),
        "\u{e9}".repeat(1_000),
    ];
    for name in &names {
        let mut tx = publisher.database.begin().await.unwrap();
        let event = NewEvent::new(name, name, "1");
        outbox::append(&mut tx, &event).await.unwrap();
        tx.commit().await.unwrap();
    }
    publisher.feed.publish().await.unwrap();
    for (name, sequence) in names.iter().zip(1..) {
        let encoded: String = byte_serialize(name.as_bytes()).collect();
        for filter in [
            format!("type={encoded}"),
            format!("subject={encoded}"),
            format!("type={encoded}&subject={encoded}"),
        ] {
            let path = format!("/feed?{filter}&after=start");
            let answer = publisher.get(&path, &[JSON]).await;
            assert_eq!((answer.status, answer.batch()), (200, vec![sequence]));
            assert!(answer.next().starts_with(&format!("/feed?{filter}&after=")));
            // Node's fetch reads so many bytes of headers, names and line ends among them.
            for form in [JSON, ("accept", "*/*"), ("accept", "text/html")] {
                for path in [&path, &format!("/feed?{filter}")] {
                    let answer = publisher.get(path, &[form]).await;
                    let headers = answer.headers.iter();
                    let size: usize = headers.map(|(n, v)| n.as_str().len() + v.len() + 4).sum();
                    assert!(size < 16 * 1024, "{size}");
                    if !answer.body.starts_with('[') && form.1 == "*/*" {
                        assert!(answer.body.contains("<link rel=\"self\""));
                    }
                }
            }
        }
    }
}

/// Item 82 of the checklist.
async fn a_query_has_one_spelling<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    publisher.publish(3).await;
    for query in [
        "",
        "&",
        "&&&",
        "type=order.placed&",
        "&after=start",
        "type=a&&after=start",
    ] {
        refused(&publisher, query, "an empty parameter").await;
    }
}

async fn a_page_has_one_address<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    publisher.publish(35).await;
    let epoch = publisher.feed.cursor().epoch;
    let page = publisher.get(&format!("/feed/{epoch}/1"), &[]).await;
    assert_eq!(page.status, 200);
    for (path, why) in [
        (format!("/feed/{epoch}/%31"), "no number of a page"),
        (format!("/feed/{epoch}/01"), "no number of a page"),
        (format!("/feed/{epoch}/+1"), "no number of a page"),
        (format!("/feed/{epoch}/0"), "no number of a page"),
        (format!("/feed/{epoch}/-1"), "no number of a page"),
        (format!("/feed/{epoch}/one"), "no number of a page"),
        (format!("/feed/{epoch}/99"), "no page 99 in epoch"),
        ("/feed/unknown/1".to_owned(), "this feed is of epoch"),
        ("/feed/zzzzzzzz/1".to_owned(), "another history"),
    ] {
        let answer = publisher.get(&path, &[]).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.body.contains(why), "{path}: {}", answer.body);
        let passes = path.ends_with("/99");
        assert_eq!(answer.body.contains(" yet"), passes, "{}", answer.body);
    }
    let first: String = epoch
        .to_string()
        .bytes()
        .map(|byte| format!("%{byte:02X}"))
        .collect();
    let encoded = publisher.get(&format!("/feed/{first}/1"), &[]).await;
    assert_eq!(encoded.status, 404);
}

/// Item 58 of the checklist: other than a page that there never was.
async fn a_page_whose_events_were_deleted_is_gone<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    publisher.publish(35).await;
    let delete = "DELETE FROM feed_event WHERE sequence BETWEEN 11 AND 20";
    B::run(&publisher.database, delete).await;
    let epoch = publisher.feed.cursor().epoch;
    for form in [vec![], vec![("accept", "text/html")], vec![JSON]] {
        let gone = publisher.get(&format!("/feed/{epoch}/2"), &form).await;
        assert_eq!(gone.status, 410, "{}", gone.body);
        assert!(gone.body.contains("page-gone"), "{}", gone.body);
        assert!(gone.body.contains("11 to 20"), "{}", gone.body);
    }
    for page in [1, 3] {
        let there = publisher.get(&format!("/feed/{epoch}/{page}"), &[]).await;
        assert_eq!(there.status, 200);
    }
}
