//! Addresses: prefixes end at the proxy, links and redirects are right, and internal addresses stay
//! internal.

use harness::programs::available;
use harness::{Backend, new_order, new_order_form};
use url::Url;

use crate::site::Site;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_and_redirects_hold_behind_the_prefix() {
    if !available(&["nginx"]) {
        return;
    }
    let site = Site::open().await;
    let order = site.started("order", Backend::Sqlite).await;
    for (path, location) in [("order", "order/"), ("invoice?page=2", "invoice/?page=2")] {
        let redirect = site.client.get(path, &[]).await;
        assert_eq!(
            (redirect.status, redirect.header("location")),
            (308, location)
        );
    }
    let placed = site
        .client
        .post_json("order/orders", &new_order())
        .await
        .unwrap();
    assert_eq!(placed.status, 201, "{}", placed.body);
    let answer = site.client.post_form("order/", &new_order_form()).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    for (base, location) in [
        ("order/orders", placed.header("location")),
        ("order/", answer.header("location")),
    ] {
        let base: Url = site.client.url(base).parse().unwrap();
        let location = base.join(location).unwrap();
        assert!(location.path().starts_with("/order/order/"), "{location}");
        let html = [("accept", "text/html")];
        let page = site.client.get(location.as_str(), &html).await;
        assert_eq!(page.status, 200, "{location}");
        // A link of the page.
        let style = page
            .body
            .split("rel=\"stylesheet\" href=\"")
            .nth(1)
            .unwrap();
        let style = location.join(style.split('"').next().unwrap()).unwrap();
        assert_eq!(
            site.client.get(style.as_str(), &[]).await.status,
            200,
            "{style}"
        );
    }
    // Percent-encoded characters stay encoded, and become neither a query nor a path.
    for path in [
        "order/1%3Fx=1",
        "customers?q=a%26b%2Fc%20d",
        "order/1%20",
        "%C3%BC",
    ] {
        let direct = order.service.client.get(path, &[]).await;
        let through = site.client.get(&format!("order/{path}"), &[]).await;
        assert_eq!(through.status, direct.status, "{path}");
        let (through, direct) = (through.body, direct.body);
        assert_eq!(through, direct, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn internal_addresses_are_not_reachable() {
    if !available(&["nginx"]) {
        return;
    }
    let site = Site::open().await;
    let order = site.started("order", Backend::Sqlite).await;
    let direct = order.service.client.get("health/ready", &[]).await;
    assert_eq!((direct.status, direct.body.as_str()), (200, "ok\n"));
    for path in [
        "order/metrics",
        "order/health/ready",
        "order/health/live",
        "order/health",
        "order//metrics",
        "order/./metrics",
        "order/x/../health/ready",
        "order/%6detrics",
        "order/metrics?x",
        "invoice/metrics",
        "shipping/health/ready",
    ] {
        let body = raw(&site, path).await;
        let (status, body) = body.split_once("\r\n").unwrap();
        assert_eq!(status, "HTTP/1.1 404 Not Found", "{path}: {body}");
        // The proxy answers, without a request to the service.
        assert!(body.contains("<center>nginx</center>"), "{path}: {body}");
    }
}

/// The answer to a path that a client would have normalised.
async fn raw(site: &Site, path: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(site.address())
        .await
        .unwrap();
    let request = format!("GET /{path} HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// A user may know the shop by a name that differs from `BASE_URL`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_form_is_accepted_under_any_name_of_the_proxy() {
    if !available(&["nginx"]) {
        return;
    }
    let site = Site::open().await;
    let _order = site.started("order", Backend::Sqlite).await;
    for (origin, refused) in [("http://shop.test", false), ("http://evil.test", true)] {
        let headers = [
            ("host", "shop.test"),
            ("origin", origin),
            ("content-type", "application/x-www-form-urlencoded"),
        ];
        let answer = site
            .client
            .try_send("POST", "order/line", &headers, "")
            .await;
        let status = answer.unwrap().status;
        assert_eq!(status == 403, refused, "{origin}: {status}");
    }
}
