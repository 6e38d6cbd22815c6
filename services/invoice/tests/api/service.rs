//! The service as a whole: it starts alone, says how it is, and stops.

use axum::body::Body;
use axum::http::Request;
use feed_chassis::{Settings, listen, serve};
use feed_console::StartError;
use feed_console::settings::SHARED;
use feed_core::Database;
use harness::assert_described;
use harness::producer::{LINES, Producer};
use invoice::Config;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::app::{Testable, config, following, open};

harness::on_both_databases! {
    it_starts_and_stops_without_a_feed
    it_opens_a_database_that_has_invoices
    it_leaves_the_database_of_another_service_alone
    it_is_ready_unless_it_is_halted
    a_poll_is_asked_for_and_not_waited_for
    all_that_it_answers_to_is_described
}

/// Where nobody listens.
const NOBODY: &str = "http://127.0.0.1:9/feed";

async fn it_starts_and_stops_without_a_feed<S: Testable>(url: &str) {
    let shutdown = CancellationToken::new();
    // A file in a directory that is not there yet, as on a fresh clone.
    let url = url.replace("/test.db", "/data/invoice.db");
    let service = invoice::start(config(&url, NOBODY), shutdown.clone())
        .await
        .unwrap();
    for (path, status) in [("/", 200), ("/health/ready", 200), ("/a/b", 404)] {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        let answer = service.router.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.status(), status, "{path}");
        if status == 404 {
            assert_eq!(answer.headers()["content-type"], "application/problem+json");
        }
    }
    let listener = listen("127.0.0.1:0".parse().unwrap(), false).await.unwrap();
    shutdown.cancel();
    serve(listener, service, shutdown).await.unwrap();
}

async fn it_opens_a_database_that_has_invoices<S: Testable>(url: &str) {
    let producer = Producer::new().await;
    producer.placed(17, LINES).await;
    let before = following::<S>(url, &producer).await.json("/17").await;
    assert_eq!(open::<S>(url, NOBODY).await.json("/17").await, before);
}

async fn it_leaves_the_database_of_another_service_alone<S: Testable>(url: &str) {
    let database = Database::<S>::open(url).await.unwrap();
    S::run(&database, "CREATE TABLE _order_migrations (version BIGINT)").await;
    let refused = invoice::start(config(url, NOBODY), CancellationToken::new()).await;
    let StartError::Database(refused) = refused.unwrap_err() else {
        panic!("it is the database that is refused");
    };
    assert!(
        refused.to_string().contains("_order_migrations"),
        "{refused}"
    );
    // Nothing of ours is there.
    S::run(&database, "CREATE TABLE invoice (id BIGINT)").await;
}

async fn it_is_ready_unless_it_is_halted<S: Testable>(url: &str) {
    let app = open::<S>(url, NOBODY).await;
    for path in ["/health/live", "/health/ready"] {
        let answer = app.send("GET", path, "*/*").await;
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (200, "ok\n"),
            "{path}"
        );
        assert_eq!(answer.header("cache-control"), "no-store");
    }
    let halt = "UPDATE feed_subscription SET halted = 'the feed is another one'";
    S::run(app.database(), halt).await;
    let answer = app.send("GET", "/health/ready", "*/*").await;
    assert_eq!(answer.status, 503);
    let detail = answer.json()["detail"].to_string();
    assert!(detail.contains("the feed is another one"), "{detail}");
    assert_eq!(app.send("GET", "/health/live", "*/*").await.status, 200);
    // What is there can still be looked at.
    assert_eq!(app.send("GET", "/", "*/*").await.status, 200);
    S::run(app.database(), "DROP TABLE invoice_line").await;
    S::run(app.database(), "DROP TABLE invoice").await;
    assert_eq!(app.send("GET", "/health/ready", "*/*").await.status, 503);
}

async fn a_poll_is_asked_for_and_not_waited_for<S: Testable>(url: &str) {
    let app = open::<S>(url, NOBODY).await;
    let answer = app.send("POST", "/poll", "*/*").await;
    assert_eq!((answer.status, answer.header("location")), (303, "status"));
}

async fn all_that_it_answers_to_is_described<S: Testable>(url: &str) {
    let app = open::<S>(url, NOBODY).await;
    let document = assert_described(app.router(), &["/{id}/credit-note"]).await;
    assert_eq!(document["info"]["title"], "Invoices");
    let server = &document["servers"][0]["url"];
    assert_eq!(server, "https://shop.example/invoice");
    let list = app.send("GET", "/", "application/json").await;
    let link = "</invoice/openapi.json>; rel=\"service-desc\"; type=\"application/json\"";
    assert_eq!(list.header("link"), link);
}

#[test]
fn settings_have_the_documented_defaults_and_are_checked() {
    assert_eq!(Config::DEFAULTS[0], ("listen", "127.0.0.1:8082"));
    let parse = |more: &[&str]| {
        let required = ["invoice", "--database-url=sqlite:x", "--listen=127.0.0.1:1"];
        Settings::try_parse_from::<Config, _>(Config::DEFAULTS, SHARED, required.iter().chain(more))
    };
    let config = parse(&[]).unwrap();
    assert_eq!(
        config.follow.feed_url.as_str(),
        "http://127.0.0.1:8081/feed"
    );
    assert_eq!(config.follow.poll_interval.as_secs(), 1);
    for wrong in [
        "--feed-url=ftp://order/feed",
        "--feed-url=order",
        "--poll-interval=0s",
    ] {
        assert!(parse(&[wrong]).is_err(), "{wrong}");
    }
}
