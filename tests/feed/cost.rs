//! What following the feed costs: the same for each new event, however long the history is.

use harness::programs::{available, program, succeed};
use harness::{Backend, Service};

use crate::publisher::{newest, place, sequences, started};

harness::on_both_backends! {
    a_new_event_costs_the_same_after_a_hundred_thousand
}

/// Events of a long history.
const LONG: usize = 100_000;

/// New events that are read one by one.
const NEW: usize = 5;

/// Headers and body together; an entry alone is some 900 bytes.
const BYTES: usize = 3_000;

async fn a_new_event_costs_the_same_after_a_hundred_thousand(backend: Backend) {
    if !available(&["curl"]) {
        return;
    }
    let mut order = started(backend).await;
    place(&order, 100).await;
    let short = bytes_per_event(&order).await;
    grow(&mut order, backend).await;
    let long = bytes_per_event(&order).await;
    println!("{backend:?}: {short} bytes per new event after 100, {long} after {LONG}");
    assert!(short < BYTES && long < BYTES);
    // Longer numbers, and one link to the pages before.
    assert!(long < short + 500, "history is paid for");
}

/// What curl receives for each new event, with its tag and both headers.
async fn bytes_per_event(order: &Service) -> usize {
    let mut bytes = 0;
    for _ in 0..NEW {
        let tag = order
            .client
            .get("feed", &[])
            .await
            .header("etag")
            .to_owned();
        place(order, 1).await;
        let mut curl = program("curl");
        curl.args(["-fsS", "-i", "-H", "A-IM: feed", "-H", "Prefer: wait=20"]);
        curl.args([
            "-H",
            &format!("If-None-Match: {tag}"),
            &order.client.url("feed"),
        ]);
        let answer = succeed(curl).await;
        assert!(answer.starts_with("HTTP/1.1 226"), "{answer}");
        assert_eq!(sequences(&answer).len(), 1);
        bytes += answer.len();
    }
    bytes / NEW
}

/// Copies the first event until there are [`LONG`] of them, past the service.
async fn grow(order: &mut Service, backend: Backend) {
    order.stop().await;
    let columns = "event_type, subject, time, updated, title, summary, link, data";
    let copy = "event_type, 'order/' || n, time, updated, title, summary, link, data";
    let known = 100 + NEW;
    let (number, id) = match backend {
        Backend::Sqlite => (
            format!(
                "(WITH RECURSIVE number (n) AS (SELECT {known} + 1 UNION ALL \
                 SELECT n + 1 FROM number WHERE n < {LONG}) SELECT n FROM number)"
            ),
            "printf('00000000-0000-7000-8000-%012x', n)",
        ),
        Backend::Postgres => (
            format!("generate_series({known} + 1, {LONG}) AS number (n)"),
            "('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid",
        ),
    };
    let sql = format!(
        "INSERT INTO feed_event (sequence, id, {columns})
             SELECT n, {id}, {copy} FROM feed_event, {number} WHERE sequence = 1;
         UPDATE feed_head SET sequence = {LONG},
             anchor = (SELECT id FROM feed_event WHERE sequence = {LONG})"
    );
    order.database.execute(&sql).await;
    order.start().await;
    assert_eq!(newest(&order.client).await, LONG);
}
