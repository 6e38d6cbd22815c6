//! A feed that is read through a proxy: what the proxy sees, and the error when it fails.

use feed_core::Subscription;
use feed_core::consumer::{FeedCredentials, FeedProxy};
use harness::fake::{Asked, Fake, Numbered, Reply};
use tokio::io::AsyncWriteExt;

use crate::support::{INTERVAL, Reader, Recording, assert_says, credentials, numbered};

harness::on_both_databases! {
    a_feed_is_read_through_its_proxy
    a_proxy_sees_credentials_only_where_that_is_allowed
    an_answer_of_the_proxy_names_it
    a_tunnel_that_is_refused_names_the_proxy
    a_proxy_that_is_down_is_named
}

/// `Basic` for `eve:s3cr et`.
const SHOWN_TO_THE_PROXY: &str = "Basic ZXZlOnMzY3IgZXQ=";

/// A proxy at the address of `fake`.
fn proxy(fake: &Fake) -> FeedProxy {
    let url = fake.url("/").replace("//", "//eve:s3cr%20et@");
    FeedProxy::new(url.parse().unwrap()).unwrap()
}

fn subscription(name: &str, feed: &str, proxy: FeedProxy) -> Subscription {
    Subscription {
        poll_interval: INTERVAL,
        proxy: Some(proxy),
        ..Subscription::new(name, feed.parse().unwrap())
    }
}

/// The error of a poll of `feed` through `proxy`; it names the proxy, and no secret.
async fn error<B: Recording>(name: &str, url: &str, feed: &str, through: &Fake) -> String {
    let subscription = subscription(name, feed, proxy(through));
    let mut reader = Reader::<B>::subscribed(url, subscription).await;
    let error = reader.fails().await;
    assert!(!error.contains("s3cr"), "{name}: {error}");
    for address in [feed, &through.url("/")] {
        assert!(error.contains(address), "{name}: no {address} in: {error}");
    }
    error
}

async fn a_feed_is_read_through_its_proxy<B: Recording>(url: &str) {
    let (feed, through) = (numbered(25).await, Fake::start().await);
    let subscription = subscription("order", &feed.url("/feed"), proxy(&through));
    let mut reader = Reader::<B>::subscribed(url, subscription).await;
    reader.takes(&Numbered::ids(25)).await;
    let targets = |asked: Vec<Asked>| asked.into_iter().map(|asked| asked.target);
    let passed: Vec<_> = targets(feed.asked()).map(|path| feed.url(&path)).collect();
    assert_eq!(targets(through.asked()).collect::<Vec<_>>(), passed);
    for asked in through.asked() {
        let shown = asked.header("proxy-authorization");
        assert_eq!(shown, Some(SHOWN_TO_THE_PROXY), "{asked:?}");
    }
}

async fn a_proxy_sees_credentials_only_where_that_is_allowed<B: Recording>(url: &str) {
    let (_directory, shown) = credentials("user:secret");
    let showing =
        |name: &str, feed: &str, credentials: Option<FeedCredentials>, proxy| Subscription {
            credentials,
            ..subscription(name, feed, proxy)
        };
    let (feed, through) = (numbered(3).await, Fake::start().await);
    let inside = feed.url("/feed").replace("//", "//user:secret@");
    for (name, address, credentials) in [
        ("from a file", feed.url("/feed"), Some(shown.clone())),
        ("in the address", inside, None),
    ] {
        let refused = showing(name, &address, credentials.clone(), proxy(&through));
        let mut reader = Reader::<B>::subscribed(url, refused).await;
        let error = reader.fails().await;
        assert_says(&error, &["feedproxy::sees_credentials"]);
        assert!(
            !error.contains("secret@") && !error.contains("s3cr"),
            "{error}"
        );
        assert_eq!(through.asked().len(), 0, "{name}");
        let allowed = proxy(&through).sees_credentials(true);
        let name = format!("{name}, allowed");
        let allowed = showing(&name, &address, credentials, allowed);
        let mut reader = Reader::<B>::subscribed(url, allowed).await;
        reader.takes(&Numbered::ids(3)).await;
        for asked in through.news() {
            let shown = asked.header("authorization");
            assert_eq!(shown, Some("Basic dXNlcjpzZWNyZXQ="), "{asked:?}");
        }
    }
    // A tunnel hides them from the proxy. Its end speaks no TLS.
    let end = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("https://{}/feed", end.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = end.accept().await {
            let _ = socket.write_all(b"nonsense").await;
        }
    });
    let tunnelled = showing("https", &address, Some(shown), proxy(&through));
    let mut reader = Reader::<B>::subscribed(url, tunnelled).await;
    let error = reader.fails().await;
    assert_says(&error, &["cannot read https:"]);
    let [connect] = through.news().try_into().unwrap();
    assert_eq!(connect.method, "CONNECT");
    assert_eq!(connect.header("authorization"), None);
}

/// Whether an answer is the proxy's own is not always visible, so each error names it.
async fn an_answer_of_the_proxy_names_it<B: Recording>(url: &str) {
    let feed = numbered(3).await.url("/feed");
    for (status, said) in [
        (
            403,
            "answered 403, so the feed needs other credentials than ours",
        ),
        (
            407,
            "(feed_proxy) answered 407: it asks for a user and a password",
        ),
        (502, "answered 502"),
        (504, "answered 504"),
    ] {
        let through = Fake::start().await;
        through.at("http://*", Reply::status(status));
        let error = error::<B>(&status.to_string(), url, &feed, &through).await;
        assert_says(&error, &[said]);
        assert!(status != 403 || error.contains("or the proxy"), "{error}");
    }
}

async fn a_tunnel_that_is_refused_names_the_proxy<B: Recording>(url: &str) {
    for (name, reply, said) in [
        (
            "403",
            Reply::status(403),
            "answered 403: it does not let us",
        ),
        (
            "407",
            Reply::status(407),
            "answered 407: it asks for a user",
        ),
        ("502", Reply::status(502), "answered 502: it cannot reach"),
        ("301", Reply::status(301), "answered 301"),
        ("closed", Reply::raw(""), "does not connect us"),
        ("reset", Reply::reset(), "does not connect us"),
        (
            "nonsense",
            Reply::raw("SSH-2.0-OpenSSH_9.2\r\n\r\n"),
            "does not connect us",
        ),
    ] {
        let through = Fake::start().await;
        through.at("feed.example:443", reply);
        let feed = "https://feed.example/feed";
        let error = error::<B>(name, url, feed, &through).await;
        assert_says(&error, &[said]);
        assert_says(&error, &["the proxy"]);
        for asked in through.asked() {
            let shown = asked.header("proxy-authorization");
            assert_eq!(shown, Some(SHOWN_TO_THE_PROXY), "{name}: {asked:?}");
        }
    }
}

async fn a_proxy_that_is_down_is_named<B: Recording>(url: &str) {
    let closed = format!("http://{}/", harness::free_address());
    for feed in ["http://feed.example/feed", "https://feed.example/feed"] {
        let proxy = FeedProxy::new(closed.parse().unwrap()).unwrap();
        let subscription = subscription(feed, feed, proxy);
        let mut reader = Reader::<B>::subscribed(url, subscription).await;
        let error = reader.fails().await;
        let expected = format!(
            "{feed} was not asked: the proxy {closed} (Subscription::proxy) cannot be reached"
        );
        assert!(error.contains(&expected), "{error}");
    }
}
