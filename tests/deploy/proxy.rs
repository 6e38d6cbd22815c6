//! What the proxy does with the feed, and with a service that is down.

use std::net::Ipv6Addr;
use std::process::Command;
use std::time::{Duration, Instant};

use harness::programs::{available, succeed};
use harness::{Answer, Backend, Client, load, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::checks::Copy;
use crate::site::{On, Site, has_ipv6};

/// The address of the feed's first page, once that is immutable.
async fn first_page(site: &Site, order: &Client) -> String {
    until("the first page is immutable", async || {
        let head = site.client.get("order/feed", &[]).await;
        let cursor = head.elements("event:cursor").remove(0);
        let (epoch, _) = cursor.split_once('.').unwrap();
        // Not through the cache, which would keep it as it is now.
        let page = format!("feed/{epoch}/1");
        let control = order.get(&page, &[]).await;
        let control = control.header("cache-control");
        control
            .contains("immutable")
            .then(|| format!("order/{page}"))
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_are_cached_and_the_head_is_not_on_compose() {
    if available(&["nginx"]) {
        pages_are_cached_and_the_head_is_not(On::Compose).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_are_cached_and_the_head_is_not_on_kubernetes() {
    if available(&["nginx"]) {
        pages_are_cached_and_the_head_is_not(On::Kubernetes).await;
    }
}

async fn pages_are_cached_and_the_head_is_not(platform: On) {
    let site = Site::on(platform, None).await;
    let mut order = site.started("order", Backend::Sqlite).await;
    load::place_many(&order.service.client, 160).await;
    let page = first_page(&site, &order.service.client).await;
    let ask = async || {
        let answer = site.client.get(&page, &[]).await;
        (answer.status, answer.header("x-cache").to_owned())
    };
    assert_eq!(ask().await, (200, "MISS".to_owned()));
    assert_eq!(ask().await, (200, "HIT".to_owned()));

    let head = site.client.get("order/feed", &[]).await;
    assert_eq!((head.status, head.header("x-cache")), (200, ""));
    let tag = [("if-none-match", head.header("etag"))];
    assert_eq!(site.client.get("order/feed", &tag).await.status, 304);
    load::place(&order.service.client, 1).await.unwrap();
    until("the new event is seen", async || {
        let head = site.client.get("order/feed", &tag).await;
        (head.status == 200).then_some(())
    })
    .await;
    let unseen = site.client.get("order/feed", &tag).await;
    let delta = [tag[0], ("a-im", "feed"), ("prefer", "wait=5")];
    assert_eq!(site.client.get("order/feed", &delta).await.status, 226);
    // A conditional request for a page is answered too, by the cache.
    let kept = site.client.get(&page, &[]).await;
    let tag = [("if-none-match", kept.header("etag"))];
    assert_eq!(site.client.get(&page, &tag).await.status, 304);

    site.end(&mut order);
    assert_eq!(ask().await, (200, "HIT".to_owned()));
    until("the service is down", async || {
        let head = site.client.get("order/feed", &[]).await;
        (head.status == 502).then_some(())
    })
    .await;
    // A new container has another address.
    site.move_elsewhere(&mut order);
    site.start_up(&mut order).await;
    let back = until("the head is back", async || {
        let head = site.client.get("order/feed", &[]).await;
        (head.status == 200).then_some(head)
    })
    .await;
    assert_eq!(back.header("etag"), unseen.header("etag"));
}

/// Old health checks and load balancers do not name one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_http_1_0_needs_to_name_no_host() {
    if !available(&["nginx"]) {
        return;
    }
    let site = Site::open().await;
    let _order = site.started("order", Backend::Sqlite).await;
    let address = site.client.url("");
    let address = address.trim_start_matches("http://").trim_end_matches('/');
    for (request, expected) in [
        ("GET /order/feed HTTP/1.0\r\n\r\n", "200 OK"),
        (
            "GET /order/feed HTTP/1.0\r\nHost: shop.example\r\n\r\n",
            "200 OK",
        ),
        (
            "GET /order/feed HTTP/1.1\r\nConnection: close\r\n\r\n",
            "400 Bad Request",
        ),
    ] {
        // The service may be known to the proxy a moment later.
        until(
            &format!("{request:?} is answered with {expected}"),
            async || {
                let mut stream = TcpStream::connect(address).await.ok()?;
                stream.write_all(request.as_bytes()).await.ok()?;
                let mut answer = String::new();
                stream.read_to_string(&mut answer).await.ok()?;
                answer.lines().next()?.ends_with(expected).then_some(())
            },
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_down_is_reported_and_the_others_continue() {
    if !available(&["nginx"]) {
        return;
    }
    // The proxy starts before all others.
    let site = Site::open().await;
    let away = |answer: &Answer| {
        assert_eq!(answer.status, 502, "{}", answer.body);
        assert_eq!(answer.header("retry-after"), "5");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("vary"), "Accept");
        answer.assert_problem(502);
    };
    let start_page = site.client.get("", &[]).await;
    assert_eq!(start_page.status, 200);
    assert_eq!(start_page.header("content-type"), "text/html");
    let script = site.client.get("start.js", &[]).await;
    assert_eq!(script.status, 200);
    assert_eq!(script.header("content-type"), "text/javascript");
    for path in ["order/", "invoice/status", "shipping/17"] {
        away(&site.client.get(path, &[]).await);
    }
    // A browser gets a page that reloads itself.
    let html = [("accept", "text/html,application/xhtml+xml,*/*;q=0.8")];
    let page = site.client.get("order/", &html).await;
    assert_eq!(
        (page.status, page.header("content-type")),
        (502, "text/html")
    );
    assert_eq!(page.header("cache-control"), "no-store");
    assert!(
        page.body.contains("http-equiv=\"refresh\""),
        "{}",
        page.body
    );
    let mut invoice = site.started("invoice", Backend::Sqlite).await;
    until("the invoices are there", async || {
        let list = site.client.get("invoice/", &[]).await;
        (list.status == 200).then_some(())
    })
    .await;
    away(&site.client.get("order/feed", &[]).await);
    away(&site.client.post_form("order/", &[]).await);
    // Killed, with its name still known: the connection is refused.
    invoice.service.kill();
    away(&site.client.get("invoice/", &[]).await);
    invoice.service.start().await;
    assert_eq!(site.client.get("invoice/", &[]).await.status, 200);
    // A service's own answers pass: here that there is no such page.
    let missing = site.client.get("invoice/nothing/here", &[]).await;
    missing.assert_problem(404);
}

/// The service holds a reader for 30 seconds at most.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_may_wait_as_long_as_the_service_permits() {
    if !available(&["nginx"]) {
        return;
    }
    let site = Site::open().await;
    let order = site.started("order", Backend::Sqlite).await;
    load::place(&order.service.client, 1).await.unwrap();
    let head = until("the event is there", async || {
        let head = site.client.get("order/feed", &[]).await;
        head.body.contains("<entry>").then_some(head)
    })
    .await;
    let wait = [
        ("if-none-match", head.header("etag")),
        ("a-im", "feed"),
        ("prefer", "wait=30"),
    ];
    let begin = Instant::now();
    let waited = site.client.get("order/feed", &wait).await;
    assert_eq!(waited.status, 304);
    assert!(begin.elapsed() >= Duration::from_secs(29), "it was held");

    // And is notified at once, not when a buffer is full.
    let mut waiting = std::pin::pin!(site.client.get("order/feed", &wait));
    let held = tokio::time::timeout(Duration::from_secs(1), &mut waiting).await;
    assert!(held.is_err(), "it waits: {held:?}");
    let begin = Instant::now();
    load::place(&order.service.client, 2).await.unwrap();
    assert_eq!(waiting.await.status, 226);
    assert!(begin.elapsed() < Duration::from_secs(20), "{begin:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_has_gone_costs_a_reader_a_second() {
    if !available(&["nginx"]) {
        return;
    }
    let site = Site::open().await;
    let _order = site.started("order", Backend::Sqlite).await;
    let _gone = site.gone("order").await;
    let mut longest = Duration::ZERO;
    let tried = until("a request has come to the one that has gone", async || {
        let begin = Instant::now();
        assert_eq!(site.client.get("order/feed", &[]).await.status, 200);
        longest = longest.max(begin.elapsed());
        let log = site.log();
        let tried = |line: &&str| line.contains("\"upstream\":\"127.") && line.contains(", 127.");
        log.lines().find(tried).map(ToOwned::to_owned)
    })
    .await;
    println!("a reader has waited for {longest:?}");
    assert!(longest < Duration::from_secs(2), "{longest:?}: {tried}");
}

/// A cluster may have addresses of IPv6 alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_proxy_and_a_service_are_reached_by_ipv6() {
    if !available(&["nginx"]) {
        return;
    }
    if !has_ipv6() {
        println!("skipped: there is no IPv6 here");
        return;
    }
    let site = Site::on(On::Kubernetes, None).await;
    let mut order = site.service("order", Backend::Sqlite).await;
    site.move_to(&mut order, Ipv6Addr::LOCALHOST.into());
    site.start_up(&mut order).await;
    let (_, port) = site.address().split_once(':').unwrap();
    let client = Client::new(&format!("http://[::1]:{port}/"));
    assert_eq!(client.get("order/feed", &[]).await.status, 200);
}

/// No other command changes what `protect.sh` has set, nor does a proxy that starts anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_proxy_requires_credentials_until_it_is_opened() {
    if !available(&["nginx", "openssl"]) {
        return;
    }
    let copy = Copy::new().await;
    let directory = copy.path("deploy/secrets/protect");
    let mut site = Site::on(On::Compose, Some(&directory)).await;
    let order = site.started("order", Backend::Sqlite).await;
    load::place_many(&order.service.client, 160).await;
    assert_eq!(site.client.get("order/feed", &[]).await.status, 200);

    for name in ["mallory", "eve"] {
        copy.protect(name, "guess\n").await;
    }
    copy.protect("eve", "secret\n").await;
    let eve = [("authorization", "Basic ZXZlOnNlY3JldA==")];
    let guess = [("authorization", "Basic ZXZlOmd1ZXNz")];
    let head = site.client.get("order/feed", &eve).await;
    let cursor = head.elements("event:cursor").remove(0);
    let page = format!("order/feed/{}/1", cursor.split('.').next().unwrap());
    until("the page is kept", async || {
        let page = site.client.get(&page, &eve).await;
        (page.header("x-cache") == "HIT").then_some(())
    })
    .await;
    let closed = async |site: &Site| {
        for path in ["", "order/", "order/feed", &page, "order", "invoice/"] {
            for others in [&[][..], &guess] {
                let answer = site.client.get(path, others).await;
                // A redirect reveals nothing.
                let refused = if path == "order" { 308 } else { 401 };
                assert_eq!(answer.status, refused, "{path}: {}", answer.body);
            }
        }
        assert_eq!(site.client.get("order/feed", &eve).await.status, 200);
        assert_eq!(site.client.get("health/live", &[]).await.status, 200);
    };
    closed(&site).await;
    succeed(Command::new(copy.path("deploy/secrets.sh"))).await;
    site.restart().await;
    closed(&site).await;

    copy.protect("--open", "").await;
    assert_eq!(site.client.get("order/feed", &[]).await.status, 200);
    copy.protect("--close", "").await;
    closed(&site).await;

    // Without its setting, no client is accepted, and the script that creates secrets does not open it.
    std::fs::remove_dir_all(&directory).unwrap();
    succeed(Command::new(copy.path("deploy/secrets.sh"))).await;
    for (others, refused) in [(&[][..], 401), (&eve, 403)] {
        let answer = site.client.get("order/feed", others).await;
        assert_eq!(answer.status, refused, "{others:?}");
    }
}
