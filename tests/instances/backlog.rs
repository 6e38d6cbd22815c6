//! A long history: what a consumer with an empty database needs for it, and what one bad event
//! delays in it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use harness::tap::Tap;
use harness::{Cluster, FreshDatabase, Instance, Service, Story, load, patiently, tables};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_that_was_down_requests_each_page_once() {
    let order = load::order().await;
    load::copy_orders(&order, 1_550).await;
    follow(&order, FreshDatabase::postgres().await).await;
    follow(&order, FreshDatabase::sqlite()).await;
}

/// `EVENTS` sets how many, 100,000 by default.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes: tests/long"]
async fn an_empty_database_and_a_hundred_thousand_events() {
    let events = std::env::var("EVENTS").map_or(100_000, |events| events.parse().unwrap());
    let order = load::order().await;
    load::copy_orders(&order, events).await;
    follow(&order, FreshDatabase::postgres().await).await;
    follow(&order, FreshDatabase::sqlite()).await;
}

/// Lets one instance apply the whole feed, and prints its costs.
async fn follow(order: &Service, database: FreshDatabase) {
    let kind = match tables::is_postgres(database.url()) {
        true => "PostgreSQL",
        false => "SQLite",
    };
    let tap = Tap::before(&order.client.url("")).await;
    let mut cluster = Cluster::new("invoice", database, &tap.url("feed"));
    cluster.log = "info,feed_core=warn,feed_core::consumer::round::catch_up=info";
    let story = Story::of(order.database.url()).await;
    let begin = Instant::now();
    let instance = cluster.start("invoice").await;
    let mut said = Instant::now();
    loop {
        let at = cluster.lowest().await;
        if at >= story.newest() {
            break;
        }
        assert!(
            begin.elapsed() < Duration::from_secs(1_800),
            "the cursor is {at}"
        );
        if said.elapsed() > Duration::from_secs(5) {
            said = Instant::now();
            println!("{kind}: {at} of {} events", story.newest());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let took = begin.elapsed();
    let asked = tap.asked();
    story.check(&cluster).await;
    println!(
        "{kind}: {} events in {took:.1?}, {} requests, {} KiB of memory at most",
        story.newest(),
        asked.len(),
        peak(&instance)
    );
    let mut times: HashMap<&str, usize> = HashMap::new();
    for target in &asked {
        *times.entry(target).or_default() += 1;
    }
    // The head is asked again and again, a page and its data once.
    let again: Vec<_> = times
        .iter()
        .filter(|(target, times)| **target != "/feed" && **times > 1)
        .collect();
    assert!(again.is_empty(), "asked more than once: {again:?}");
    let pages = story.newest() / 100 + 1;
    let bound = 2 * pages + pages / 10 + 20;
    assert!(asked.len() as i64 <= bound, "{} requests", asked.len());
}

/// The most memory that a process has had, in KiB.
fn peak(instance: &Instance) -> u64 {
    let path = format!("/proc/{}/status", instance.process.id());
    let status = std::fs::read_to_string(path).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let words = line.and_then(|line| line.split_whitespace().nth(1));
    words.map_or(0, |number| number.parse().unwrap())
}

/// One event that cannot be applied is among 10,000: its batch is applied one by one, and no other
/// order waits for it (I7).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes: tests/long"]
async fn a_poison_event_among_ten_thousand_delays_no_other_order() {
    let mut times = Vec::new();
    for poison in [false, true] {
        let order = load::order().await;
        load::copy_orders(&order, 5_000).await;
        if poison {
            load::write_odd(order.database.url(), 900_000, 1).await;
        }
        load::copy_more(&order, 5_001, 10_000).await;
        let feed = order.client.url("feed");
        let mut cluster = Cluster::new("invoice", FreshDatabase::postgres().await, &feed);
        cluster.log = "info,feed_core=warn";
        let _instance = cluster.start("invoice").await;
        let story = Story::of(order.database.url()).await;
        let begin = Instant::now();
        patiently("all is taken", async || {
            (cluster.lowest().await >= story.newest()).then_some(())
        })
        .await;
        times.push(begin.elapsed());
        story.check(&cluster).await;
    }
    println!(
        "10,000 events in {:.1?}, with a poison one in {:.1?}",
        times[0], times[1]
    );
    // One retry of all would be much more.
    assert!(times[1] < times[0] * 3 + Duration::from_secs(10));
}
