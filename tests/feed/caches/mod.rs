//! The feed behind caches: immutable pages are served without the service, and nothing new is
//! hidden.

mod proxy;
mod waiting;

use std::time::Duration;

use harness::programs::{available, program, run};
use harness::{Backend, Client, Service, until};

use crate::publisher::{dated, newest, page, place, sequences, started};
use proxy::Cache;

/// Makes two tests of each: behind nginx and behind Varnish.
macro_rules! behind_both {
    ($($test:ident)*) => {
        mod nginx {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    if harness::programs::available(&["nginx"]) {
                        super::$test(super::Cache::Nginx).await;
                    }
                }
            )*
        }
        mod varnish {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    if harness::programs::available(&["varnishd"]) {
                        super::$test(super::Cache::Varnish).await;
                    }
                }
            )*
        }
    };
}

behind_both! {
    an_immutable_page_is_served_while_the_origin_is_down
    answers_to_credentials_are_not_cached
    the_head_never_hides_an_event
    a_cached_head_is_at_most_seconds_old_and_outlives_its_origin
    a_304_freshens_what_is_stored
    a_delta_is_never_stored
    codings_and_forms_do_not_mix
    a_consumer_applies_everything_and_does_not_loop
}

async fn an_immutable_page_is_served_while_the_origin_is_down(cache: Cache) {
    let mut order = started(Backend::Sqlite).await;
    place(&order, 310).await;
    let proxy = cache.before(&order).await;
    let head = order.client.get("feed", &[]).await;
    let (pages, mut hits) = ([page(&head, 1), page(&head, 2)], 0);
    let mut bytes = Vec::new();
    for page in &pages {
        let answer = proxy.plain.get(page, &[]).await;
        assert_eq!(answer.header("x-cache"), "MISS");
        bytes.push(answer.body);
    }
    order.kill();
    for _ in 0..10 {
        for (page, bytes) in pages.iter().zip(&bytes) {
            let answer = proxy.plain.get(page, &[]).await;
            assert_eq!((answer.status, answer.header("x-cache")), (200, "HIT"));
            assert!(answer.header("cache-control").contains("immutable"));
            assert!(answer.body == *bytes, "other bytes from the cache");
            hits += 1;
        }
    }
    println!("{cache:?}: {hits} hits, {} misses", pages.len());
    if cache == Cache::Nginx {
        let mut misses = proxy.answered();
        misses.retain(|line| line.cache == "MISS" && line.path.contains("/feed/"));
        let misses: Vec<String> = misses.into_iter().map(|line| line.path).collect();
        assert_eq!(
            misses,
            pages.map(|page| format!("/{page}")),
            "the origin was asked once"
        );
    }
}

/// A cache does not ask for credentials, and gives what it has to every client.
async fn answers_to_credentials_are_not_cached(cache: Cache) {
    let mut order = Service::new("order", Backend::Sqlite).await;
    order.protect("read reader\noperate operator", "Bearer operator");
    order.start().await;
    place(&order, 310).await;
    let proxy = cache.before(&order).await;
    let head = order.client.get("feed", &[]).await;
    let event = head.body.split("/events/").nth(1).unwrap();
    let event = format!("events/{}", event.split('"').next().unwrap());
    let page = page(&head, 1);
    let batch = page.replace("/1", "/batch/1-100");
    for path in ["feed", &page, &batch, &event, "order/1", "form.html"] {
        let operator = proxy.plain.showing("Bearer operator");
        for _ in 0..2 {
            let answer = operator.get(path, &[]).await;
            assert_eq!(answer.status, 200, "{path}");
            assert_ne!(answer.header("x-cache"), "HIT", "{path}");
            assert!(answer.header("cache-control").contains("private"), "{path}");
        }
        for client in [&proxy.plain, &proxy.eager, &operator.showing("Bearer no")] {
            let answer = client.anonymous().get(path, &[]).await;
            assert_eq!(answer.status, 401, "{path} without credentials");
        }
    }
    // What is public is cached.
    for expected in ["MISS", "HIT"] {
        let answer = proxy.plain.get("form.js", &[]).await;
        assert_eq!((answer.status, answer.header("x-cache")), (200, expected));
    }
}

/// As soon as the origin shows an event, the cache does: to readers with nothing, a tag, a date, or
/// both.
async fn the_head_never_hides_an_event(cache: Cache) {
    let order = started(Backend::Sqlite).await;
    place(&order, 1).await;
    let proxy = cache.before(&order).await;
    for client in [&proxy.plain, &proxy.eager] {
        for round in 0..8 {
            if round % 4 == 3 {
                // Now the date identifies this state, and a cache may answer by it.
                dated(&order).await;
            }
            let known = client.get("feed", &[]).await;
            let tag = ("if-none-match", known.header("etag"));
            let date = ("if-modified-since", known.header("last-modified"));
            place(&order, 1).await;
            let newest = newest(&order.client).await;
            for conditions in [&[][..], &[tag], &[date], &[tag, date]] {
                let answer = client.get("feed", conditions).await;
                assert_eq!(answer.status, 200, "{conditions:?} hides event {newest}");
                assert_eq!(sequences(&answer.body)[0], newest, "{conditions:?}");
            }
        }
    }
}

async fn a_cached_head_is_at_most_seconds_old_and_outlives_its_origin(cache: Cache) {
    let mut order = started(Backend::Sqlite).await;
    let proxy = cache.before(&order).await;
    for count in 1..=5 {
        place(&order, 1).await;
        let begin = std::time::Instant::now();
        until("the event is seen", async || {
            (newest(&proxy.keeping).await == count).then_some(())
        })
        .await;
        assert!(begin.elapsed() < Duration::from_secs(5));
    }
    order.kill();
    let stale = until("the head is stale", async || {
        let head = proxy.keeping.get("feed", &[]).await;
        (head.header("x-cache") == "STALE").then_some(head)
    })
    .await;
    assert_eq!(stale.status, 200);
    assert_eq!(sequences(&stale.body), [5, 4, 3, 2, 1]);
    assert!(stale.header("cache-control").contains("stale-if-error"));
    order.start().await;
    place(&order, 1).await;
    until("the new event is seen", async || {
        (newest(&proxy.keeping).await == 6).then_some(())
    })
    .await;
}

async fn a_304_freshens_what_is_stored(cache: Cache) {
    let order = started(Backend::Sqlite).await;
    place(&order, 3).await;
    let proxy = cache.before(&order).await;
    let head = proxy.keeping.get("feed", &[]).await;
    let fresh = until("the origin says that nothing has changed", async || {
        let head = proxy.keeping.get("feed", &[]).await;
        (head.header("x-cache") == "REVALIDATED").then_some(head)
    })
    .await;
    assert_eq!((fresh.status, fresh.body), (200, head.body));
    assert_eq!(fresh.headers["etag"], head.headers["etag"]);
    // And a reader with that tag gets a 304 from the cache.
    let tag = [("if-none-match", head.headers["etag"].to_str().unwrap())];
    assert_eq!(proxy.keeping.get("feed", &tag).await.status, 304);
}

/// A 226 contains what one reader lacks. The next reader gets what it lacks itself.
async fn a_delta_is_never_stored(cache: Cache) {
    let order = started(Backend::Sqlite).await;
    place(&order, 5).await;
    let proxy = cache.before(&order).await;
    for client in [&proxy.eager, &proxy.keeping] {
        let tag = order
            .client
            .get("feed", &[])
            .await
            .header("etag")
            .to_owned();
        let seen = newest(&order.client).await;
        let delta = [
            ("if-none-match", tag.as_str()),
            ("a-im", "feed"),
            ("prefer", "wait=5"),
        ];
        for new in 1..=3 {
            place(&order, 1).await;
            let answer = client.get("feed", &delta).await;
            assert_eq!((answer.status, answer.header("im")), (226, "feed"));
            assert_eq!(sequences(&answer.body).len(), new, "an older delta");
            for others in [&[][..], &[("a-im", "feed")], &[("prefer", "wait=5")]] {
                until("others get the whole head", async || {
                    let whole = client.get("feed", others).await;
                    assert_eq!(whole.status, 200, "{others:?}");
                    (sequences(&whole.body).len() == seen + new).then_some(())
                })
                .await;
            }
        }
    }
}

/// Readers with and without gzip, and browsers, all get what they can read.
async fn codings_and_forms_do_not_mix(cache: Cache) {
    if !available(&["curl"]) {
        return;
    }
    let order = started(Backend::Sqlite).await;
    place(&order, 205).await;
    let proxy = cache.before(&order).await;
    let head = order.client.get("feed", &[]).await;
    for (client, path) in [
        (&proxy.plain, page(&head, 1)),
        (&proxy.plain, "feed".to_owned()),
        (&proxy.keeping, "feed".to_owned()),
    ] {
        let mut hits = 0;
        for round in 0..9 {
            let html = round % 2 == 1;
            let gzip = round % 3 != 1;
            let accept = if html {
                "text/html"
            } else {
                "application/atom+xml"
            };
            let coding = if gzip { "gzip" } else { "identity" };
            let (headers, body) = raw(&client.url(&path), accept, coding).await;
            let what = format!("{path} as {accept} in {coding}: {headers}");
            assert_eq!(body.starts_with(b"\x1F\x8B"), gzip, "{what}");
            assert_eq!(headers.contains("content-encoding: gzip"), gzip, "{what}");
            assert!(
                headers.contains(&format!("content-type: {accept};")),
                "{what}"
            );
            hits += usize::from(headers.contains("x-cache: hit"));
            if !gzip {
                let begin: &[u8] = if html { b"<!DOCTYPE html>" } else { b"<?xml " };
                assert!(body.starts_with(begin), "{what}");
            }
        }
        println!("{cache:?}: {path}: {hits} hits of 9");
    }
}

/// Headers in lower case, and the body as it was on the wire.
async fn raw(url: &str, accept: &str, coding: &str) -> (String, Vec<u8>) {
    let mut curl = program("curl");
    curl.args(["-fsS", "-i", "-H", &format!("Accept: {accept}")]);
    curl.args(["-H", &format!("Accept-Encoding: {coding}"), url]);
    let output = run(curl).await;
    assert!(output.status.success(), "{output:?}");
    let end = output
        .stdout
        .windows(4)
        .position(|four| four == b"\r\n\r\n");
    let (headers, body) = output.stdout.split_at(end.unwrap() + 4);
    let headers = String::from_utf8_lossy(headers).to_lowercase();
    (headers, body.to_vec())
}

/// A cache may drop `If-None-Match`, and then answers at once what the consumer knows already.
async fn a_consumer_applies_everything_and_does_not_loop(cache: Cache) {
    /// As configured below.
    const INTERVAL: f64 = 0.5;
    let order = started(Backend::Sqlite).await;
    place(&order, 210).await;
    let proxy = cache.before(&order).await;
    let mut invoice = Service::new("invoice", Backend::Sqlite).await;
    invoice.set("FEED_URL", proxy.plain.url("feed"));
    invoice.set("POLL_INTERVAL", "500ms".to_owned());
    invoice.start().await;
    invoiced(&invoice.client, 210).await;
    place(&order, 1).await;
    invoiced(&invoice.client, 211).await;
    if cache == Cache::Varnish {
        return;
    }
    // No hot loop: the next polls are as far apart as configured.
    let polls = |proxy: &proxy::Proxy| -> Vec<f64> {
        let lines = proxy.answered();
        let heads = lines.iter().filter(|line| line.path == "/feed");
        heads.map(|line| line.time).collect()
    };
    let before = polls(&proxy).len();
    let after = until("it has polled ten times more", async || {
        let polls = polls(&proxy);
        (polls.len() >= before + 10).then_some(polls)
    })
    .await;
    let window = after[before + 9] - after[before];
    println!("{cache:?}: 10 polls in {window:.1} s, one each {INTERVAL} s");
    assert!(window > 9.0 * INTERVAL * 0.85, "{:?}", &after[before..]);
}

async fn invoiced(invoice: &Client, count: usize) {
    until("every order has its invoice", async || {
        (invoice.json("").await?["count"] == count).then_some(())
    })
    .await;
}
