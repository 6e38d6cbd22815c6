//! The feed behind caches: immutable pages are served without the service, nothing new is hidden, and nothing that is for
//! one reader is given to another.

mod compressed;
mod proxy;
mod waiting;

use std::sync::Arc;
use std::time::{Duration, Instant};

use harness::programs::{available, program, run};
use harness::{Answer, Backend, Client, Service, new_order, until};

use crate::publisher::{cursor, dated, follow, newest, page, place, sequences, started};
use proxy::Cache;

/// Makes a test of each for each cache.
macro_rules! behind {
    ([$($cache:ident: $variant:ident)*] $tests:tt) => {
        $(
            mod $cache {
                use super::Cache::$variant as CACHE;
                behind! { @ $tests }
            }
        )*
    };
    (@ { $($test:ident)* }) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                if CACHE.is_installed() {
                    super::$test(CACHE).await;
                }
            }
        )*
    };
}

behind! {
    [
        nginx: Nginx
        varnish: Varnish
        nginx_defaults: NginxDefaults
        squid: Squid
        traffic_server: TrafficServer
        caddy: Caddy
    ] {
        an_immutable_page_is_served_while_the_origin_is_down
        answers_are_those_of_the_origin
        answers_to_credentials_are_not_cached
        what_contains_data_is_never_stored
        the_head_never_hides_an_event
        a_cached_head_is_at_most_seconds_old
        an_origin_may_be_away_and_return
        a_304_freshens_what_is_stored
        a_delta_is_never_stored
        a_reader_that_waits_is_answered
        codings_and_forms_do_not_mix
        a_consumer_applies_everything_and_does_not_loop
        a_killed_cache_loses_no_event
    }
}

async fn an_immutable_page_is_served_while_the_origin_is_down(cache: Cache) {
    if !cache.stores() {
        return;
    }
    let mut order = started(Backend::Sqlite).await;
    place(&order, 310).await;
    let proxy = cache.before(&order).await;
    let head = order.client.get("feed", &[]).await;
    let pages = [page(&head, 1), page(&head, 2)];
    let mut bytes = Vec::new();
    for page in &pages {
        let answer = until("it is stored", async || {
            let asked = proxy.asked(page);
            let answer = proxy.plain.get(page, &[]).await;
            (proxy.asked(page) == asked).then_some(answer)
        });
        bytes.push(answer.await.body);
    }
    let asked = pages.clone().map(|page| proxy.asked(&page));
    order.kill();
    for _ in 0..10 {
        for (page, bytes) in pages.iter().zip(&bytes) {
            let answer = proxy.plain.get(page, &[]).await;
            assert_eq!(answer.status, 200);
            assert!(answer.header("cache-control").contains("immutable"));
            assert!(answer.body == *bytes, "other bytes from the cache");
        }
    }
    assert_eq!(pages.map(|page| proxy.asked(&page)), asked);
}

/// All that a reader uses of an answer.
fn essence(answer: &Answer) -> Vec<String> {
    let names = [
        "content-type",
        "etag",
        "last-modified",
        "cache-control",
        "location",
        "feed-cursor",
        "ce-id",
        "im",
    ];
    let mut essence = vec![answer.status.to_string(), answer.body.clone()];
    essence.extend(names.map(|name| format!("{name}: {}", answer.header(name))));
    let links = answer.headers.get_all("link").iter();
    essence.extend(links.map(|link| link.to_str().unwrap().to_owned()));
    essence
}

async fn answers_are_those_of_the_origin(cache: Cache) {
    let order = started(Backend::Sqlite).await;
    place(&order, 310).await;
    dated(&order).await;
    let mut proxy = cache.before(&order).await;
    let head = order.client.get("feed", &[]).await;
    let after = format!("feed?after={}", cursor(&head));
    let paths = [
        "feed",
        "feed?type=order.placed",
        "feed?after=start",
        &after,
        &page(&head, 1),
        &page(&head, 2),
        &page(&head, 3),
        &page(&head, 4),
        &page(&head, 1).replace("/1", "/batch/1-100"),
        &event(&head),
        "feed/schemas/order.placed",
        "feed/stream?offset=-1",
        "order/1",
        "order/999",
        "items",
        "customers/new",
        "openapi.json",
        "asyncapi.json",
        "style.css",
        "health/live",
    ];
    for killed in [false, true] {
        if killed {
            proxy.kill_and_start().await;
        }
        for _ in 0..2 {
            for path in paths {
                for accept in [&[][..], &[("accept", "text/html")]] {
                    let origin = order.client.get(path, accept).await;
                    let cached = proxy.plain.get(path, accept).await;
                    assert_eq!(essence(&cached), essence(&origin), "{path} {accept:?}");
                    for varies in origin.header("vary").split(", ") {
                        let vary = cached.headers.get_all("vary").iter();
                        let vary: Vec<_> = vary.map(|value| value.to_str().unwrap()).collect();
                        assert!(
                            vary.join(", ").contains(varies),
                            "{path}: {vary:?}, not {varies}"
                        );
                    }
                    if path.contains("stream") {
                        // There it asks where the stream ends.
                        continue;
                    }
                    let headers = proxy
                        .plain
                        .try_send("HEAD", path, accept, "")
                        .await
                        .unwrap();
                    assert_eq!(
                        essence(&headers)[2..],
                        essence(&origin)[2..],
                        "HEAD {path} {accept:?}"
                    );
                    assert_eq!((headers.status, &*headers.body), (origin.status, ""));
                }
            }
        }
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
    let page = page(&head, 1);
    let batch = page.replace("/1", "/batch/1-100");
    for path in ["feed", &page, &batch, &event(&head), "order/1", "form.html"] {
        let operator = proxy.plain.showing("Bearer operator");
        for asked in 1..=2 {
            let answer = operator.get(path, &[]).await;
            assert_eq!(answer.status, 200, "{path}");
            assert_eq!(proxy.asked(path), asked, "{path}");
            assert!(answer.header("cache-control").contains("private"), "{path}");
        }
        for client in [&proxy.plain, &proxy.eager, &operator.showing("Bearer no")] {
            let answer = client.anonymous().get(path, &[]).await;
            assert_eq!(answer.status, 401, "{path} without credentials");
        }
    }
    // What is public is cached.
    for _ in 0..2 {
        assert_eq!(proxy.plain.get("form.js", &[]).await.status, 200);
    }
    let asked = if cache.stores() { 1 } else { 2 };
    assert_eq!(proxy.asked("form.js"), asked);
}

/// Nor what follows a cursor, which is for one reader at one moment.
async fn what_contains_data_is_never_stored(cache: Cache) {
    let order = started(Backend::Sqlite).await;
    place(&order, 110).await;
    let proxy = cache.before(&order).await;
    let head = order.client.get("feed", &[]).await;
    let batch = page(&head, 1).replace("/1", "/batch/1-100");
    let after = format!("feed?after={}", cursor(&head));
    let data = [("prefer", "event-data")];
    let structured = [("accept", "application/cloudevents-batch+json")];
    for (path, headers) in [
        (&*event(&head), &[][..]),
        (&batch, &[]),
        ("feed", &data),
        ("feed", &structured),
        ("feed?after=start", &data),
        (&after, &data),
        (&after, &structured),
        ("feed?after=start", &[]),
        (&after, &[]),
        ("order/1", &[]),
        ("items", &[]),
    ] {
        for client in [&proxy.plain, &proxy.eager] {
            for _ in 0..2 {
                let before = proxy.asked(path);
                client.get(path, headers).await;
                assert_eq!(proxy.asked(path), before + 1, "{path} {headers:?}");
            }
        }
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

async fn a_cached_head_is_at_most_seconds_old(cache: Cache) {
    let order = started(Backend::Sqlite).await;
    let proxy = cache.before(&order).await;
    for count in 1..=5 {
        place(&order, 1).await;
        let begin = Instant::now();
        until("the event is seen", async || {
            (newest(&proxy.keeping).await == count).then_some(())
        })
        .await;
        assert!(begin.elapsed() < Duration::from_secs(5));
    }
}

async fn an_origin_may_be_away_and_return(cache: Cache) {
    let mut order = started(Backend::Sqlite).await;
    place(&order, 5).await;
    let proxy = cache.before(&order).await;
    until("the head is there, and kept where it can be", async || {
        let known = newest(&proxy.keeping).await == 5;
        let kept = proxy.exchanges("feed").pop()?.status == Some(304);
        (known && kept == cache.keeps_the_head()).then_some(())
    })
    .await;
    order.kill();
    let asked = proxy.asked("feed");
    let stale = until("the origin is asked, and does not answer", async || {
        let head = proxy.keeping.get("feed", &[]).await;
        (proxy.asked("feed") > asked).then_some(head)
    })
    .await;
    if cache.keeps_the_head() {
        assert_eq!(stale.status, 200, "{}", stale.body);
        assert_eq!(sequences(&stale.body), [5, 4, 3, 2, 1]);
        assert!(stale.header("cache-control").contains("stale-if-error"));
    } else {
        assert_eq!(stale.status, 502);
    }
    order.start().await;
    place(&order, 1).await;
    until("the new event is seen", async || {
        let head = proxy.keeping.get("feed", &[]).await;
        (sequences(&head.body).first() == Some(&6)).then_some(())
    })
    .await;
}

async fn a_304_freshens_what_is_stored(cache: Cache) {
    if !cache.keeps_the_head() {
        return;
    }
    let order = started(Backend::Sqlite).await;
    place(&order, 3).await;
    let proxy = cache.before(&order).await;
    let head = proxy.keeping.get("feed", &[]).await;
    let fresh = until("the origin says that nothing has changed", async || {
        let head = proxy.keeping.get("feed", &[]).await;
        let last = proxy.exchanges("feed").pop()?;
        (last.status == Some(304)).then_some(head)
    })
    .await;
    assert_eq!((fresh.status, &fresh.body), (200, &head.body));
    assert_eq!(fresh.header("etag"), head.header("etag"));
    // And a reader with that tag gets a 304 from the cache, except for Squid, which has asked with its own tag.
    let tag = [("if-none-match", head.header("etag"))];
    let again = proxy.keeping.get("feed", &tag).await;
    assert_eq!(again.header("etag"), head.header("etag"));
    assert_eq!(again.status, if cache == Cache::Squid { 200 } else { 304 });
}

/// A 226 contains what one reader lacks. The next reader gets what it lacks itself: neither what its cache lacks, nor after
/// a wait for what its cache has.
async fn a_delta_is_never_stored(cache: Cache) {
    const DELTA: (&str, &str) = ("a-im", "feed");
    let order = started(Backend::Sqlite).await;
    place(&order, 5).await;
    let proxy = cache.before(&order).await;
    for client in [&proxy.eager, &proxy.keeping] {
        let tag = order.client.get("feed", &[]).await;
        let tag = ("if-none-match", tag.header("etag"));
        let seen = newest(&order.client).await;
        for new in 1..=3 {
            place(&order, 1).await;
            until("the head that is kept is old", async || {
                (newest(client).await == seen + new).then_some(())
            })
            .await;
            let lacked: Vec<usize> = (seen + 1..=seen + new).rev().collect();
            // Longer than any test may take that does not wait.
            let wait = ("prefer", "wait=30");
            for conditions in [
                &[tag, DELTA, wait][..],
                // For these a cache may have the whole head.
                &[tag, DELTA],
                &[tag, wait],
            ] {
                let begin = Instant::now();
                let answer = client.get("feed", conditions).await;
                assert!(begin.elapsed() < Duration::from_secs(20), "{conditions:?}");
                match answer.status {
                    226 if conditions.len() == 3 => {
                        assert_eq!(answer.header("im"), "feed");
                        assert_eq!(sequences(&answer.body), lacked, "another delta");
                    }
                    200 if conditions.len() == 2 || !cache.passes_conditions() => {
                        assert_eq!(sequences(&answer.body).len(), seen + new);
                    }
                    other => panic!("{other} to {conditions:?}: {}", answer.body),
                }
            }
            for others in [&[][..], &[DELTA], &[wait], &[DELTA, wait]] {
                until("others get the whole head", async || {
                    let begin = Instant::now();
                    let whole = client.get("feed", others).await;
                    assert_eq!(whole.status, 200, "{others:?}");
                    assert!(begin.elapsed() < Duration::from_secs(20), "{others:?}");
                    (sequences(&whole.body).len() == seen + new).then_some(())
                })
                .await;
            }
        }
    }
}

async fn a_reader_that_waits_is_answered(cache: Cache) {
    let order = started(Backend::Sqlite).await;
    place(&order, 3).await;
    let proxy = cache.before(&order).await;
    let path = format!(
        "feed?after={}",
        cursor(&order.client.get("feed", &[]).await)
    );
    let wait = [("prefer", "wait=30")];
    let (answer, ()) = tokio::join!(proxy.plain.get(&path, &wait), async {
        until("the reader waits", async || {
            (proxy.asked(&path) == 1).then_some(())
        })
        .await;
        place(&order, 1).await;
    });
    assert_eq!((answer.status, &*sequences(&answer.body)), (200, &[4][..]));
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
            if !gzip {
                let begin: &[u8] = if html { b"<!DOCTYPE html>" } else { b"<?xml " };
                assert!(body.starts_with(begin), "{what}");
            }
        }
        println!(
            "{cache:?}: the origin was asked {} of 9 times for {path}",
            proxy.asked(&path)
        );
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
    /// Longer than ten polls take.
    const LOOK: Duration = Duration::from_secs(6);
    let order = started(Backend::Sqlite).await;
    place(&order, 210).await;
    let proxy = cache.before(&order).await;
    let mut invoice = Service::new("invoice", Backend::Sqlite).await;
    invoice.set("FEED_URL", proxy.plain.url("feed"));
    invoice.set("POLL_INTERVAL", "500ms".to_owned());
    invoice.start().await;
    place(&order, 40).await;
    invoiced(&invoice.client, 250).await;
    place(&order, 1).await;
    invoiced(&invoice.client, 251).await;
    // No hot loop: the next polls are as far apart as configured, or wait at the origin.
    let before = proxy.asked("feed");
    let begin = Instant::now();
    let polls = until("it has polled ten times more, or waits", async || {
        let polls = proxy.exchanges("feed").split_off(before);
        (polls.len() >= 10 || begin.elapsed() > LOOK).then_some(polls)
    })
    .await;
    if let [first, .., last] = &*polls {
        let window = (last.at - first.at).as_secs_f64();
        let expected = (polls.len() - 1) as f64 * INTERVAL;
        println!(
            "{cache:?}: {} polls in {window:.1} s, one each {INTERVAL} s",
            polls.len()
        );
        assert!(window > expected * 0.85, "{polls:?}");
    }
}

async fn invoiced(invoice: &Client, count: usize) {
    until("every order has its invoice", async || {
        (invoice.json("").await?["count"] == count).then_some(())
    })
    .await;
}

/// It may have lost what it has stored, or a part of it.
async fn a_killed_cache_loses_no_event(cache: Cache) {
    const EVENTS: usize = 150;
    let order = started(Backend::Sqlite).await;
    place(&order, 1).await;
    let mut proxy = cache.before(&order).await;
    let at = cursor(&order.client.get("feed", &[]).await);
    let reader = tokio::spawn(follow(proxy.plain.clone(), at, 1 + EVENTS, Arc::default()));
    for round in 1..=EVENTS {
        let answer = order
            .client
            .post_json("orders", &new_order())
            .await
            .unwrap();
        assert_eq!(answer.status, 201, "{}", answer.body);
        if round % 50 == 25 {
            proxy.kill_and_start().await;
        }
    }
    reader.await.unwrap();
}

/// The address of the newest event.
fn event(head: &Answer) -> String {
    let event = head.body.split("/events/").nth(1).unwrap();
    format!("events/{}", event.split('"').next().unwrap())
}
