//! Contents that a server refuses, or never sends, while it serves the others.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use harness::fake::{Atom, Entry, Reply};
use harness::until;

use crate::support::{Reader, Recording, Seen, ids, serving};

harness::on_both_databases! {
    a_busy_server_is_read_in_parts
    one_content_that_fails_stops_no_other
    a_server_that_is_away_parks_nothing
    a_cut_content_of_any_type_is_parked
    a_content_with_retry_after_stops_no_other
    a_silent_content_delays_no_other_for_long
    a_retry_of_a_silent_content_delays_no_other
    what_is_read_is_applied_before_the_rest
}

/// An entry whose content is at `/NUMBER`.
fn linking(number: u32) -> Entry {
    let bare = Entry::new(&ids([number])[0], &Entry::foreign(number).updated);
    let content = format!("<content type=\"application/json\" src=\"/{number}\"/>");
    bare.with(&content)
}

fn data() -> Reply {
    Reply::ok("application/json", "{}")
}

async fn a_busy_server_is_read_in_parts<B: Recording>(url: &str) {
    let fake = serving(&Atom::foreign((1..=20).map(linking))).await;
    let requests = AtomicUsize::new(0);
    fake.each("/*", move |_| {
        match requests.fetch_add(1, Ordering::Relaxed) % 5 {
            4 => Reply::status(503),
            _ => data(),
        }
    });
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    for _ in 0..20 {
        let _ = reader.poll().await;
    }
    assert_eq!(reader.ids().await, ids(1..=20));
    assert!(reader.parked().await.is_empty());
}

async fn one_content_that_fails_stops_no_other<B: Recording>(url: &str) {
    for status in [400_u16, 402, 403, 406, 451, 203, 204, 206, 304, 500] {
        let fake = serving(&Atom::foreign((1..=3).map(linking))).await;
        fake.at("/*", data());
        fake.at("/2", Reply::status(status));
        let mut reader = Reader::<B>::of(&status.to_string(), url, &fake.url("/feed")).await;
        reader.drain().await;
        assert_eq!(reader.ids().await, ids([1, 3]), "{status}");
        let parked = reader.parked().await;
        assert_eq!(parked.len(), 1, "{status}");
        assert!(parked[0].retry_at.is_some(), "{status}");
        let reason = parked[0].reason.clone().unwrap_or_default();
        let names_it = reason.contains(&status.to_string()) && reason.contains("/2");
        assert!(names_it, "{reason}");
        if status == 500 {
            fake.at("/2", data());
            until("it is fetched again", async || {
                reader.poll().await.unwrap();
                (reader.ids().await.len() == 3).then_some(())
            })
            .await;
        }
    }
}

async fn a_server_that_is_away_parks_nothing<B: Recording>(url: &str) {
    for status in [401_u16, 403, 429, 500, 503] {
        let fake = serving(&Atom::foreign((1..=3).map(linking))).await;
        fake.at("/*", Reply::status(status));
        let mut reader = Reader::<B>::of(&status.to_string(), url, &fake.url("/feed")).await;
        for _ in 0..2 {
            let error = reader.fails().await;
            assert!(error.contains(&status.to_string()), "{error}");
        }
        assert!(reader.parked().await.is_empty(), "{status}");
        fake.at("/*", data());
        reader.takes(&ids(1..=3)).await;
    }
    // A limit for our requests is no fault of an event either.
    for (name, works, refused) in [("away", false, 503), ("limit", true, 429)] {
        let fake = serving(&Atom::foreign((1..=3).map(linking))).await;
        let refusal = Reply::status(refused).header("retry-after", "0");
        fake.at("/*", if works { data() } else { refusal.clone() });
        fake.at("/1", refusal);
        let mut reader = Reader::<B>::of(name, url, &fake.url("/feed")).await;
        for _ in 0..8 {
            reader.fails().await;
        }
        assert!(reader.parked().await.is_empty(), "{name}");
    }
}

/// Some balancers add it to each `503`.
async fn a_content_with_retry_after_stops_no_other<B: Recording>(url: &str) {
    let fake = serving(&Atom::foreign((1..=3).map(linking))).await;
    fake.at("/*", data());
    fake.at("/2", Reply::status(503).header("retry-after", "1"));
    let mut reader = Reader::<B>::open(url, &fake.url("/feed")).await;
    // The pauses are kept at first.
    let error = reader.fails().await;
    assert!(error.contains("503"), "{error}");
    until("the others are taken", async || {
        let _ = reader.poll().await;
        (reader.ids().await == ids([1, 3])).then_some(())
    })
    .await;
    assert_eq!(reader.parked().await.len(), 1);
}

/// Waits until `count` effects are there; returns how long that took.
async fn taking<B: Recording>(reader: &Seen<B>, count: usize) -> Duration {
    let begun = Instant::now();
    reader.has(count).await;
    begun.elapsed()
}

/// The time limit for a request is 20 s.
async fn a_silent_content_delays_no_other_for_long<B: Recording>(url: &str) {
    let fake = serving(&Atom::foreign((1..=5).map(linking))).await;
    fake.at("/*", data());
    fake.at("/4", Reply::never());
    let reader = Reader::<B>::open(url, &fake.url("/feed")).await.run();
    let took = taking(&reader, 3).await;
    assert!(took.as_secs() < 15, "before it: {took:?}");
    let took = taking(&reader, 4).await;
    assert!(took.as_secs() < 40, "after it: {took:?}");
    assert_eq!(reader.ids().await, ids([1, 2, 3, 5]));
}

async fn a_retry_of_a_silent_content_delays_no_other<B: Recording>(url: &str) {
    let fake = serving(&Atom::foreign((1..=3).map(linking))).await;
    fake.at("/*", data());
    fake.at("/2", Reply::status(404));
    let reader = Reader::<B>::open(url, &fake.url("/feed")).await.run();
    reader.has(2).await;
    fake.news();
    fake.at("/2", Reply::never());
    until("it is fetched again", async || {
        fake.targets().contains(&"/2".to_owned()).then_some(())
    })
    .await;
    let more = Atom::foreign((1..=4).map(linking));
    fake.at("/feed", Reply::feed(more.xml()));
    let took = taking(&reader, 3).await;
    assert!(took.as_secs() < 15, "{took:?}");
    assert_eq!(reader.ids().await, ids([1, 3, 4]));
    // A slow server is waited for, beside the rounds.
    fake.at("/2", data().after(Duration::from_secs(5)));
    reader.has(4).await;
    assert_eq!(reader.ids().await, ids([1, 3, 4, 2]));
    assert!(reader.parked().await.is_empty());
}

/// A document may link to thousands: a stop discards few of them.
async fn what_is_read_is_applied_before_the_rest<B: Recording>(url: &str) {
    const ENTRIES: u32 = 1_000;
    let fake = serving(&Atom::foreign((1..=ENTRIES).map(linking))).await;
    fake.at("/*", data().after(Duration::from_millis(100)));
    let reader = Reader::<B>::open(url, &fake.url("/feed")).await.run();
    reader.has(1).await;
    let asked = fake.asked().len();
    assert!(asked < ENTRIES as usize, "{asked}");
    reader.has(ENTRIES as usize).await;
    assert_eq!(reader.ids().await, ids(1..=ENTRIES));
}

async fn a_cut_content_of_any_type_is_parked<B: Recording>(url: &str) {
    let typed = |media_type: &str| format!("Content-Type: {media_type}\r\n");
    for (name, header) in [
        ("binary", typed("application/octet-stream")),
        ("text", typed("text/plain")),
        ("none", String::new()),
    ] {
        let fake = serving(&Atom::foreign([linking(1), Entry::foreign(2)])).await;
        // Its end is that of the connection.
        let cut = format!("HTTP/1.0 200 OK\r\n{header}\r\n{{\"id\":1,\"tot");
        fake.at("/1", Reply::raw(cut));
        let mut reader = Reader::<B>::of(name, url, &fake.url("/feed")).await;
        reader.drain().await;
        assert_eq!(reader.ids().await, ids([2]), "{name}");
        let reason = reader.parked().await.remove(0).reason.unwrap_or_default();
        assert!(reason.contains("is cut"), "{reason}");
    }
}
