//! The read side over HTTP: which document holds which event, and what a 304 promises (I2–I4).

use std::time::{Duration, Instant};

use feed_core::Cursor;

use crate::support::{NOT_MODIFIED, PAGE_SIZE, Publisher, Testable};

harness::on_both_databases! {
    an_empty_feed_is_a_feed
    the_walk_back_from_the_head_meets_each_event_once
    catching_up_meets_each_event_once
    an_immutable_page_never_changes
    a_page_that_is_not_sealed_has_no_address
    a_tag_answers_304_without_a_query
    a_waiting_reader_is_answered_at_once
    a_wait_ends_when_its_time_is_over
    a_reader_who_asks_for_both_gets_only_what_is_new
    an_answer_to_a_reader_who_waits_is_never_stored
    of_several_tags_the_oldest_counts
    a_lost_cursor_is_gone
    a_late_instance_reads_its_database_first
    an_event_is_for_ever_as_it_was
    a_hole_hides_no_other_event
    a_document_with_data_has_each_event_beside_a_hole_once
    a_page_without_an_event_is_gone
    a_filtered_view_changes_only_with_what_it_shows
    a_malformed_request_is_refused
}

async fn an_empty_feed_is_a_feed<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    let head = publisher.get("/feed", &[]).await;
    assert_eq!(head.status, 200);
    let feed: atom_syndication::Feed = head.body.parse().unwrap();
    assert!(feed.entries.is_empty());
    assert!(feed.updated.timestamp() > 1_700_000_000);
    let again = [("if-none-match", head.headers["etag"].to_str().unwrap())];
    assert_eq!(publisher.get("/feed", &again).await.status, NOT_MODIFIED);
    let forward = publisher.get("/feed?after=start", &[]).await;
    assert_eq!((forward.status, forward.sequences()), (200, vec![]));
    assert_eq!(forward.cursor(), head.cursor());
}

async fn the_walk_back_from_the_head_meets_each_event_once<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    for newest in [9, 10, 11, 20, 25, 30] {
        let missing = newest - publisher.feed.cursor().sequence;
        publisher.publish(missing).await;
        let mut document = publisher.get("/feed", &[]).await;
        let mut seen = document.sequences();
        while let Some(previous) = document.link("prev-archive") {
            document = publisher.get(&previous, &[]).await;
            assert_eq!(document.status, 200, "{previous}");
            assert!(
                document.header("cache-control").contains("immutable"),
                "{previous}"
            );
            seen.extend(document.sequences());
        }
        assert_eq!(seen, (1..=newest).rev().collect::<Vec<_>>());
    }
}

async fn catching_up_meets_each_event_once<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    publisher.publish(34).await;
    let (mut seen, mut place) = (Vec::new(), "start".to_owned());
    loop {
        let answer = publisher.get(&format!("/feed?after={place}"), &[]).await;
        assert_eq!(answer.header("cache-control"), "no-store");
        let document = match answer.status {
            303 => {
                publisher
                    .get(&format!("/{}", answer.header("location")), &[])
                    .await
            }
            _ => answer,
        };
        let mut sequences = document.sequences();
        sequences.reverse();
        seen.extend(sequences);
        if document.link("next-archive").is_none() && document.sequences().len() < 10 {
            break;
        }
        place = document.cursor();
    }
    assert_eq!(seen, (1..=34).collect::<Vec<_>>());
}

async fn an_immutable_page_never_changes<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    publisher.publish(2 * PAGE_SIZE).await;
    let epoch = publisher.feed.cursor().epoch;
    let page = format!("/feed/{epoch}/1");
    let before = publisher.get(&page, &[]).await;
    assert!(before.header("cache-control").contains("immutable"));

    // The successor is sealed but not final: it still waits for its link.
    let sealed = publisher.get(&format!("/feed/{epoch}/2"), &[]).await;
    assert_eq!(sealed.status, 200);
    assert!(!sealed.header("cache-control").contains("immutable"));
    assert_eq!(sealed.link("next-archive"), None);

    publisher.publish(3 * PAGE_SIZE).await;
    let final_form = publisher.get(&format!("/feed/{epoch}/2"), &[]).await;
    assert_eq!(
        final_form.link("next-archive"),
        Some(format!("/feed/{epoch}/3"))
    );
    assert_ne!(final_form.header("etag"), sealed.header("etag"));
    let conditional = [("if-none-match", sealed.headers["etag"].to_str().unwrap())];
    let again = publisher
        .get(&format!("/feed/{epoch}/2"), &conditional)
        .await;
    assert_eq!(
        again.status, 200,
        "the sealed form must not pass for the final one"
    );

    let other = Publisher::<B>::open(url).await;
    for publisher in [&publisher, &other] {
        let after = publisher.get(&page, &[]).await;
        assert_eq!(after.body, before.body);
        assert_eq!(after.header("etag"), before.header("etag"));
    }
}

async fn a_page_that_is_not_sealed_has_no_address<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    publisher.publish(PAGE_SIZE + 1).await;
    let epoch = publisher.feed.cursor().epoch;
    let wrong = [
        "2",
        "3",
        "0",
        "-1",
        "01",
        "+1",
        "1.0",
        "x",
        "9223372036854775807",
        "99999999999999999999",
    ];
    for page in wrong {
        let answer = publisher.get(&format!("/feed/{epoch}/{page}"), &[]).await;
        assert_eq!(answer.status, 404, "{page}");
        assert_eq!(answer.header("cache-control"), "no-store", "{page}");
        assert_eq!(answer.header("content-type"), "application/problem+json");
    }
    assert_eq!(publisher.get("/feed/zzzzzzzz/1", &[]).await.status, 404);
    assert_eq!(
        publisher.get(&format!("/feed/{epoch}/1"), &[]).await.status,
        200
    );
}

async fn a_tag_answers_304_without_a_query<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    publisher.publish(3).await;
    let head = publisher.get("/feed", &[]).await;
    let tag = head.header("etag");
    assert!(tag.starts_with("W/\""), "{tag}");

    // With its database gone a query would fail.
    publisher.database.close().await;
    for condition in [tag.as_str(), "*", &format!("\"x\", {tag}")] {
        let again = publisher
            .get("/feed", &[("if-none-match", condition)])
            .await;
        assert_eq!((again.status, again.body.as_str()), (NOT_MODIFIED, ""));
        for name in ["etag", "cache-control", "vary", "date"] {
            if name != "date" {
                assert_eq!(again.header(name), head.header(name), "{name}");
            }
            assert!(again.headers.contains_key(name), "{name}");
        }
    }
    let other = publisher.get("/feed", &[("if-none-match", "\"x\"")]).await;
    assert_eq!(other.status, 200, "the head itself is in memory too");
}

async fn a_waiting_reader_is_answered_at_once<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    publisher.publish(1).await;
    let tag = publisher.get("/feed", &[]).await.header("etag");
    let router = publisher.feed.router();
    let waiting = tokio::spawn(async move {
        let conditions = [("if-none-match", tag.as_str()), ("prefer", "wait=30")];
        crate::support::send(router, "GET", "/feed", &conditions).await
    });
    tokio::task::yield_now().await;
    let begin = Instant::now();
    publisher.publish(1).await;
    let answer = waiting.await.unwrap();
    assert_eq!((answer.status, answer.sequences()), (200, vec![2, 1]));
    assert_eq!(answer.header("preference-applied"), "wait=30");
    assert!(
        begin.elapsed() < Duration::from_secs(20),
        "it waited to the end"
    );
}

async fn a_wait_ends_when_its_time_is_over<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    let tag = publisher.get("/feed", &[]).await.header("etag");
    let long = [("if-none-match", tag.as_str()), ("prefer", "wait=30")];
    let begin = Instant::now();
    let head = publisher.send("HEAD", "/feed", &long).await;
    assert_eq!(head.status, NOT_MODIFIED);
    assert!(begin.elapsed() < Duration::from_secs(20));
    let conditions = [("if-none-match", tag.as_str()), ("prefer", "wait=1")];
    let begin = Instant::now();
    let get = publisher.get("/feed", &conditions).await;
    assert_eq!(get.status, NOT_MODIFIED);
    assert!(begin.elapsed() >= Duration::from_secs(1));

    // A service that stops lets its readers go.
    let stop = publisher.shutdown.clone();
    let begin = Instant::now();
    let (answer, ()) = tokio::join!(publisher.get("/feed", &long), async { stop.cancel() });
    assert_eq!(answer.status, NOT_MODIFIED);
    assert!(begin.elapsed() < Duration::from_secs(20));
}

async fn a_reader_who_asks_for_both_gets_only_what_is_new<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    publisher.publish(13).await;
    let tag = publisher.get("/feed", &[]).await.header("etag");
    publisher.publish(2).await;
    let condition = ("if-none-match", tag.as_str());
    let delta = [condition, ("a-im", "feed"), ("prefer", "wait=5")];
    let answer = publisher.get("/feed", &delta).await;
    assert_eq!((answer.status, answer.sequences()), (226, vec![15, 14]));
    assert_eq!(answer.header("im"), "feed");
    assert_eq!(answer.header("cache-control"), "no-store, im");
    assert_ne!(answer.header("etag"), tag);
    assert!(answer.link("related").unwrap().ends_with("/batch/14-15"));
    // Some readers send `A-IM` and fail on a 226; none sends `Prefer`.
    for one in [("a-im", "feed"), ("prefer", "wait=5")] {
        let answer = publisher.get("/feed", &[condition, one]).await;
        assert_eq!(
            (answer.status, answer.sequences().len()),
            (200, 15),
            "{one:?}"
        );
    }
    // The head no longer reaches back to the tag: all of it.
    publisher.publish(20).await;
    let answer = publisher.get("/feed", &delta).await;
    assert_eq!((answer.status, answer.sequences().len()), (200, 15));
}

/// A cache that has stored one would ask with its own tag for the next reader, who has another one.
async fn an_answer_to_a_reader_who_waits_is_never_stored<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    publisher.publish(3).await;
    let wait = ("prefer", "wait=1");
    let tag = publisher.get("/feed", &[]).await.header("etag");
    let condition = ("if-none-match", tag.as_str());
    for delta in [&[][..], &[("a-im", "feed")]] {
        for (method, conditions, status) in [
            ("GET", &[][..], 200),
            ("GET", &[condition], 304),
            ("HEAD", &[], 200),
            ("HEAD", &[condition], 304),
        ] {
            let headers = [&[wait], delta, conditions].concat();
            let answer = publisher.send(method, "/feed", &headers).await;
            assert_eq!(answer.status, status, "{method} {headers:?}");
            assert_eq!(answer.header("cache-control"), "no-store", "{headers:?}");
            let path = "/feed?type=order.placed";
            let of_type = publisher.send(method, path, &headers).await;
            assert_eq!(of_type.header("cache-control"), "no-store", "{headers:?}");
        }
    }
}

/// A cache may send the tags of what it has in addition to that of its reader.
async fn of_several_tags_the_oldest_counts<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    let mut tags = Vec::new();
    for _ in 0..3 {
        publisher.publish(1).await;
        tags.push(publisher.get("/feed", &[]).await.header("etag"));
    }
    let delta = async |tags: &str| {
        let headers = [
            ("if-none-match", tags),
            ("a-im", "feed"),
            ("prefer", "wait=0"),
        ];
        let answer = publisher.get("/feed", &headers).await;
        let base = answer.headers.get("delta-base");
        let base = base.map(|base| base.to_str().unwrap().to_owned());
        (answer.status, answer.sequences(), base)
    };
    publisher.publish(1).await;
    let [first, second, third] = &*tags else {
        panic!("{tags:?}")
    };
    for (tags, expected) in [
        (format!("{second}, {third}"), (vec![4, 3], second)),
        (format!("{third}, {second}"), (vec![4, 3], second)),
        (format!("{third}, {first}"), (vec![4, 3, 2], first)),
        (format!("\"other\", {third}"), (vec![4], third)),
    ] {
        let (events, base) = expected;
        assert_eq!(
            delta(&tags).await,
            (226, events, Some(base.clone())),
            "{tags}"
        );
    }
    // The head no longer reaches back to one of them: all of it.
    publisher.publish(25).await;
    let newest = publisher.get("/feed", &[]).await.header("etag");
    publisher.publish(1).await;
    assert_eq!(delta(&newest).await, (226, vec![30], None));
    let (status, events, _) = delta(&format!("{newest}, {first}")).await;
    assert_eq!((status, events.first()), (200, Some(&30)));
    assert!(events.len() > 1, "{events:?}");
}

async fn a_lost_cursor_is_gone<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    let ids = publisher.publish(12).await;
    let here = publisher.feed.cursor();
    let wrong = [
        Cursor {
            epoch: "zzzzzzzz".parse().unwrap(),
            ..here.clone()
        },
        Cursor {
            sequence: 13,
            ..here.clone()
        },
        Cursor {
            anchor: Some(ids[0]),
            ..here.clone()
        },
        Cursor {
            sequence: 5,
            ..here.clone()
        },
    ];
    for cursor in wrong {
        let answer = publisher.get(&format!("/feed?after={cursor}"), &[]).await;
        assert_eq!(answer.status, 410, "{cursor}");
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert!(answer.body.contains(here.epoch.as_str()), "{}", answer.body);
        assert!(
            answer.body.contains(&format!("{}.0.0", here.epoch)),
            "{}",
            answer.body
        );
    }
    let right = Cursor {
        sequence: 5,
        anchor: Some(ids[4]),
        ..here
    };
    assert_eq!(
        publisher
            .get(&format!("/feed?after={right}"), &[])
            .await
            .status,
        303
    );
}

async fn a_late_instance_reads_its_database_first<B: Testable>(url: &str) {
    let late = Publisher::<B>::open(url).await;
    let early = Publisher::<B>::open(url).await;
    early.publish(21).await;
    assert_eq!(late.feed.cursor().sequence, 0);
    let cursor = early.feed.cursor();
    let page = format!("/feed/{}/1", cursor.epoch);
    let batch = format!("/feed/{}/batch/1-10", cursor.epoch);
    for path in [format!("/feed?after={cursor}"), page, batch] {
        let late = Publisher::<B>::open(url).await;
        assert_eq!(late.get(&path, &[]).await.status, 200, "{path}");
    }
    let tag = early.get("/feed", &[]).await.header("etag");
    let answer = late.get("/feed", &[("if-none-match", tag.as_str())]).await;
    assert_eq!(
        answer.status, NOT_MODIFIED,
        "an old head would send the reader back"
    );
}

async fn an_event_is_for_ever_as_it_was<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    let ids = publisher.publish(2).await;
    let path = format!("/events/{}", ids[1]);
    let binary = publisher.get(&path, &[]).await;
    let data = "SELECT data FROM feed_event WHERE sequence = 2";
    assert_eq!(B::texts(&publisher.database, data).await, [&*binary.body]);
    let expected = [
        ("content-type", "application/json"),
        ("ce-specversion", "1.0"),
        ("ce-type", "order.placed"),
        ("ce-subject", "order/1"),
        ("ce-sequence", "2"),
        ("ce-source", "https://shop.example/order/"),
        ("cache-control", "private, no-cache"),
    ];
    for (name, value) in expected {
        assert_eq!(binary.header(name), value, "{name}");
    }
    let structured = [("accept", "application/cloudevents+json")];
    let structured = publisher.get(&path, &structured).await;
    let structured: serde_json::Value = serde_json::from_str(&structured.body).unwrap();
    assert_eq!(structured["id"], ids[1].to_string());
    let data: serde_json::Value = serde_json::from_str(&binary.body).unwrap();
    assert_eq!(structured["data"], data);
    assert_eq!(structured["sequence"], "2");
    for wrong in [
        "x",
        "00000000-0000-0000-0000-000000000000",
        &ids[1].0.simple().to_string(),
    ] {
        assert_eq!(
            publisher.get(&format!("/events/{wrong}"), &[]).await.status,
            404
        );
    }
    let wrong = publisher.get(&path, &[("accept", "image/png")]).await;
    assert_eq!(wrong.status, 406);
}

async fn a_filtered_view_changes_only_with_what_it_shows<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    publisher.publish(145).await;
    let view = publisher.get("/feed?subject=order%2F3", &[]).await;
    let all: Vec<i64> = (0..145)
        .filter(|n| n % 10 == 3)
        .map(|n| n + 1)
        .rev()
        .collect();
    assert_eq!(view.sequences(), all[..10]);
    let older = publisher.get(&view.link("next").unwrap(), &[]).await;
    assert_eq!(older.sequences(), all[10..]);
    assert_eq!(older.link("next"), None);

    let tag = view.header("etag");
    publisher.commit("order/4").await;
    publisher.feed.publish().await.unwrap();
    let condition = [("if-none-match", tag.as_str())];
    let again = publisher.get("/feed?subject=order%2F3", &condition).await;
    assert_eq!(again.status, NOT_MODIFIED);
    publisher.commit("order/3").await;
    publisher.feed.publish().await.unwrap();
    let again = publisher.get("/feed?subject=order%2F3", &condition).await;
    assert_eq!((again.status, again.sequences()[0]), (200, 147));
    assert_eq!(
        publisher
            .get("/feed?type=order.placed", &[])
            .await
            .sequences()
            .len(),
        10
    );
    assert_eq!(
        publisher.get("/feed?type=nothing", &[]).await.sequences(),
        [0_i64; 0]
    );
}

async fn a_malformed_request_is_refused<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    publisher.publish(PAGE_SIZE).await;
    let epoch = publisher.feed.cursor().epoch;
    let page = format!("/feed/{epoch}/1?x=1");
    let bad = [
        "/feed?x=1",
        "/feed?after=",
        "/feed?after=1",
        "/feed?after=start&after=start",
        "/feed?after=start&before=5",
        "/feed?after=start&type=a&before=5",
        "/feed?before=1",
        "/feed?type=a&before=0",
        "/feed?type=a&before=x",
        "/feed?type=a&before=9223372036854775807",
        "/feed?type=a%00b",
        "/feed?subject=%00",
        &page,
    ];
    for path in bad {
        let answer = publisher.get(path, &[]).await;
        assert_eq!(answer.status, 400, "{path}");
        assert_eq!(answer.header("content-type"), "application/problem+json");
    }
    for path in ["/events/%ff", "/feed/%ff/1", "/feed/%ff/batch/1-2"] {
        let answer = publisher.get(path, &[]).await;
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.header("content-type"), "application/problem+json");
    }
    for path in ["/feed", &format!("/feed/{epoch}/1"), "/events/x"] {
        let answer = publisher.send("POST", path, &[]).await;
        assert_eq!(
            (answer.status, answer.header("allow")),
            (405, "GET, HEAD, OPTIONS".to_owned())
        );
    }
}

/// Someone has deleted an event. Readers see that it is missing, and all others.
async fn a_document_with_data_has_each_event_beside_a_hole_once<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    publisher.publish(25).await;
    // The head is in memory.
    publisher.get("/feed", &[]).await;
    for deleted in [22, 25] {
        let delete = format!("DELETE FROM feed_event WHERE sequence = {deleted}");
        B::run(&publisher.database, &delete).await;
        let answer = publisher.get("/feed", &[("prefer", "event-data")]).await;
        assert_eq!(answer.sequences()[..4], [25, 24, 23, 21]);
    }
}

async fn a_page_without_an_event_is_gone<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    publisher.publish(25).await;
    B::run(
        &publisher.database,
        "DELETE FROM feed_event WHERE sequence <= 10",
    )
    .await;
    let page = format!("/feed/{}/1", publisher.feed.cursor().epoch);
    let answer = publisher.get(&page, &[]).await;
    assert_eq!(answer.status, 410);
    assert!(answer.body.contains("1 to 10"), "{}", answer.body);
}

async fn a_hole_hides_no_other_event<B: Testable>(url: &str) {
    let publisher = Publisher::<B>::open(url).await;
    publisher.publish(25).await;
    B::run(
        &publisher.database,
        "DELETE FROM feed_event WHERE sequence = 22",
    )
    .await;
    let restarted = Publisher::<B>::open(url).await;
    let (head, cursor) = (restarted.get("/feed", &[]).await, restarted.feed.cursor());
    let tag = head.header("etag");
    let delta = [
        ("if-none-match", tag.as_str()),
        ("a-im", "feed"),
        ("prefer", "wait=1"),
    ];
    let after = format!("/feed?after={cursor}");
    let of_type = format!("/feed?type=order.placed&after={cursor}");
    for newest in [26, 27, 28] {
        restarted.publish(1).await;
        let expected: Vec<i64> = (26..=newest).rev().collect();
        assert_eq!(restarted.get("/feed", &delta).await.sequences(), expected);
        for path in [&after, &of_type] {
            for preferences in ["wait=1", "wait=1, event-data"] {
                let answer = restarted.get(path, &[("prefer", preferences)]).await;
                let mut sequences = answer.sequences();
                sequences.sort_unstable_by(|a, b| b.cmp(a));
                assert_eq!(sequences, expected, "{path} {preferences}");
            }
        }
    }
}
