//! The service as a whole: start, health, stop.

use axum::body::Body;
use axum::http::Request;
use feed_chassis::{listen, serve};
use feed_console::StartError;
use feed_console::service::{self, CommandLine, Service};
use feed_core::{CancellationToken, Database};
use harness::producer::{LINES, Producer};
use harness::{Sql, assert_described};
use tower::ServiceExt;

use crate::{NOBODY, Subject, config, following, open};

pub async fn it_starts_and_stops_without_a_feed<T: Subject<S>, S: Sql>(url: &str) {
    let shutdown = CancellationToken::new();
    // A file in a directory that does not exist yet, as in a fresh clone.
    let url = url.replace("/test.db", &format!("/data/{}.db", T::Service::NAME));
    let service = service::start::<T::Service>(config::<T, S>(&url, NOBODY), shutdown.clone())
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

pub async fn it_opens_a_database_with_records<T: Subject<S>, S: Sql>(url: &str) {
    let producer = Producer::new().await;
    producer.placed(17, LINES).await;
    let before = following::<T, S>(url, &producer).await.json("/17").await;
    assert_eq!(open::<T, S>(url, NOBODY).await.json("/17").await, before);
}

pub async fn it_leaves_the_database_of_another_service_alone<T: Subject<S>, S: Sql>(url: &str) {
    let database = Database::<S>::open(url).await.unwrap();
    S::run(&database, "CREATE TABLE _order_migrations (version BIGINT)").await;
    let refused =
        service::start::<T::Service>(config::<T, S>(url, NOBODY), CancellationToken::new()).await;
    let StartError::Database(refused) = refused.unwrap_err() else {
        panic!("it is the database that is refused");
    };
    assert!(
        refused.to_string().contains("_order_migrations"),
        "{refused}"
    );
    // None of our tables is there.
    let ours = format!("CREATE TABLE {} (id BIGINT)", T::TABLE);
    S::run(&database, &ours).await;
}

pub async fn it_does_not_start_without_a_database<T: Subject<S>, S: Sql>(_: &str) {
    let config = config::<T, S>("mysql://localhost/shop", NOBODY);
    let refused = service::start::<T::Service>(config, CancellationToken::new()).await;
    assert!(matches!(refused, Err(StartError::Database(_))));
}

pub async fn it_is_ready_unless_it_is_halted<T: Subject<S>, S: Sql>(url: &str) {
    let app = open::<T, S>(url, NOBODY).await;
    for path in ["/health/live", "/health/started", "/health/ready"] {
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
    // The stored records are still shown.
    assert_eq!(app.send("GET", "/", "*/*").await.status, 200);
    for table in [T::LINES_TABLE, T::TABLE] {
        S::run(app.database(), &format!("DROP TABLE {table}")).await;
    }
    assert_eq!(app.send("GET", "/health/ready", "*/*").await.status, 503);
}

pub async fn a_poll_is_requested_and_not_waited_for<T: Subject<S>, S: Sql>(url: &str) {
    let app = open::<T, S>(url, NOBODY).await;
    let answer = app.send("POST", "/poll", "*/*").await;
    assert_eq!((answer.status, answer.header("location")), (303, "status"));
}

pub async fn all_routes_are_described<T: Subject<S>, S: Sql>(url: &str) {
    let app = open::<T, S>(url, NOBODY).await;
    let document = assert_described(app.router(), T::APART).await;
    assert_eq!(document["info"]["title"], T::Service::TITLE);
    let server = &document["servers"][0]["url"];
    assert_eq!(
        *server,
        format!("https://shop.example/{}", T::Service::NAME)
    );
    let list = app.send("GET", "/", "application/json").await;
    let address = format!("</{}/openapi.json>", T::Service::NAME);
    let link = format!("{address}; rel=\"service-desc\"; type=\"application/json\"");
    assert_eq!(list.header("link"), link);
}

pub async fn settings_have_defaults_and_are_checked<T: Subject<S>, S: Sql>(_: &str) {
    let default = |field: &str| T::Service::DEFAULTS.iter().find(|(name, _)| *name == field);
    let parse = |more: &[&'static str]| {
        let required = [
            T::Service::NAME,
            "--database-url=sqlite:x",
            "--listen=127.0.0.1:1",
        ];
        let arguments = required.iter().chain(more).copied();
        CommandLine::<T::Service>::try_parse_from(arguments).map(|read| read.config)
    };
    for field in ["listen", "database_url", "feed_url"] {
        assert!(default(field).is_some(), "{field}");
    }
    assert_eq!(default("instance"), Some(&("instance", T::Service::NAME)));
    let config = parse(&[]).unwrap();
    let (_, feed) = default("feed_url").unwrap();
    assert_eq!(config.follow.feed_url.as_str(), *feed);
    assert_eq!(config.follow.poll_interval.as_secs(), 1);
    for wrong in [
        "--feed-url=ftp://order/feed",
        "--feed-url=order",
        "--poll-interval=0s",
    ] {
        assert!(parse(&[wrong]).is_err(), "{wrong}");
    }
}
