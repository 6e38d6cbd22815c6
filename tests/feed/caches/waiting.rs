//! Readers that wait after a cursor, behind Varnish with its own rules: the origin is asked once for all of them, and
//! no event is lost or comes twice.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use harness::programs::{available, program, succeed};
use harness::tap::Tap;
use harness::{Backend, Client, Process, Service, free_address, until};
use tokio::task::JoinSet;

use crate::publisher::{Readers, cursor, follow, newest, place, sequences, started};

const READERS: usize = 300;

/// Varnish in front of an order service, and what counts its requests there.
#[derive(Debug)]
struct Varnish {
    client: Client,
    origin: Tap,
    /// Dropped, and so killed, before its directory is.
    _process: Process,
    directory: tempfile::TempDir,
}

impl Varnish {
    /// Starts it, and waits until it answers.
    async fn before(order: &Service) -> Self {
        let origin = Tap::before(&order.client.url("")).await;
        let (address, directory) = (free_address(), tempfile::tempdir().unwrap());
        let backend = origin.url("");
        let backend = backend.trim_start_matches("http://").trim_end_matches('/');
        let mut command = program("varnishd");
        command.args(["-F", "-j", "none", "-s", "malloc,16m"]);
        command.args(["-a", &address, "-b", backend]);
        command.arg("-n").arg(directory.path().join("work"));
        let mut process = Process::start_command("varnish", &mut command, &[], directory.path());
        let client = order.client.at(&format!("http://{address}/"));
        process.ready(&client).await;
        Self {
            client,
            origin,
            _process: process,
            directory,
        }
    }

    /// How often the origin was asked for events after a cursor.
    fn asked(&self) -> usize {
        let asked = self.origin.asked();
        asked.iter().filter(|path| path.contains("?after=")).count()
    }

    /// How many requests wait here for the answer to another one. (Varnish counts late those that were woken.)
    async fn held_back(&self) -> Option<usize> {
        let mut counters = program("varnishstat");
        counters.arg("-n").arg(self.directory.path().join("work"));
        counters.args(["-1", "-f", "MAIN.busy_sleep"]);
        succeed(counters)
            .await
            .split_whitespace()
            .nth(1)?
            .parse()
            .ok()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_origin_is_asked_once_for_all_that_wait() {
    /// Events that come one by one, and then at once. Some fill a page, which has 100 events.
    const SINGLE: usize = 8;
    const BURST: usize = 120;
    const KNOWN: usize = 95;
    if !available(&["varnishd"]) {
        return;
    }
    let order = started(Backend::Sqlite).await;
    place(&order, KNOWN).await;
    let varnish = Varnish::before(&order).await;
    let begin = cursor(&order.client.get("feed", &[]).await);
    // What may not be shared changes nothing for those that wait.
    let plain = varnish
        .client
        .get(&format!("feed?after={begin}"), &[])
        .await;
    assert_eq!(plain.header("cache-control"), "no-store");
    let all = Arc::new(Readers::default());
    let mut readers = JoinSet::new();
    for _ in 0..READERS {
        let (client, begin) = (varnish.client.clone(), begin.clone());
        let goal = KNOWN + SINGLE + BURST;
        readers.spawn(follow(client, begin, goal, Arc::clone(&all)));
    }
    until(
        "one waits at the origin, and all others in Varnish",
        async || (varnish.held_back().await? >= READERS - 1).then_some(()),
    )
    .await;
    for event in 1..=SINGLE {
        place(&order, 1).await;
        until("each has the event and asks for the next one", async || {
            let asked = all.asked.load(Ordering::Relaxed) >= (event + 1) * READERS;
            (asked && all.received.load(Ordering::Relaxed) == event * READERS).then_some(())
        })
        .await;
    }
    let asked = varnish.asked();
    println!("{READERS} readers, {SINGLE} events: the origin was asked {asked} times");
    assert!(asked <= 1 + 2 * SINGLE, "{asked}");
    place(&order, BURST).await;
    readers.join_all().await;
    let asked = varnish.asked() - asked;
    println!("{BURST} events at once: {asked} times");
    assert!(asked <= 2 * BURST, "{asked}");
}

/// By itself, Varnish gives an answer away for ten seconds after it is stale, and readers without news would ask again
/// and again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_without_news_is_given_for_a_second_alone() {
    if !available(&["varnishd"]) {
        return;
    }
    let order = started(Backend::Sqlite).await;
    place(&order, 1).await;
    let varnish = Varnish::before(&order).await;
    let at = cursor(&order.client.get("feed", &[]).await);
    let path = format!("feed?after={at}");
    let one_second = [("prefer", "wait=1")];
    let none = varnish.client.get(&path, &one_second).await;
    assert_eq!((none.status, cursor(&none)), (200, at));
    let begin = Instant::now();
    until("a reader is held back again", async || {
        let asked = Instant::now();
        varnish.client.get(&path, &one_second).await;
        (asked.elapsed() > Duration::from_millis(900)).then_some(())
    })
    .await;
    assert!(
        begin.elapsed() < Duration::from_secs(9),
        "it was given while it was stale"
    );
    assert_eq!(varnish.asked(), 2);
}

/// Readers that do not wait get what is true now, as ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_those_who_wait_share_an_answer() {
    if !available(&["varnishd"]) {
        return;
    }
    let order = started(Backend::Sqlite).await;
    let varnish = Varnish::before(&order).await;
    for known in 0..5 {
        place(&order, 1).await;
        let at = cursor(&order.client.get("feed", &[]).await);
        let path = format!("feed?after={at}");
        let none = varnish.client.get(&path, &[("prefer", "wait=0")]).await;
        assert_eq!(sequences(&none.body).len(), 0);
        place(&order, 1).await;
        for others in [&[][..], &[("prefer", "event-data, wait=0")]] {
            let answer = varnish.client.get(&path, others).await;
            assert_eq!(sequences(&answer.body), [2 * known + 2], "{others:?}");
        }
    }
    assert_eq!(newest(&varnish.client).await, 10);
}

/// A cache asks nobody for credentials.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_protected_feed_shares_no_answer() {
    if !available(&["varnishd"]) {
        return;
    }
    let mut order = Service::new("order", Backend::Sqlite).await;
    order.protect("read reader\noperate operator", "Bearer operator");
    order.start().await;
    place(&order, 1).await;
    let varnish = Varnish::before(&order).await;
    let reader = varnish.client.showing("Bearer operator");
    let page = format!("feed?after={}", cursor(&reader.get("feed", &[]).await));
    for path in ["feed?after=start", &page] {
        for asked in 1..=2 {
            let before = varnish.asked();
            let answer = reader.get(path, &[("prefer", "wait=0")]).await;
            assert_eq!(answer.status, 200, "{path}");
            assert!(answer.header("cache-control").contains("private"), "{path}");
            assert_eq!(varnish.asked(), before + 1, "{path}: {asked}");
        }
        let anonymous = varnish.client.anonymous();
        let answer = anonymous.get(path, &[("prefer", "wait=0")]).await;
        assert_eq!(answer.status, 401, "{path}");
    }
}
