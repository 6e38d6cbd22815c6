//! The pages and documents: the list, and problems.

use feed_console::service::Service;
use harness::Sql;
use harness::producer::{LINES, Producer};

use crate::{App, NOBODY, Subject, following, open};

pub async fn a_client_can_wait_for_an_order<T: Subject<S>, S: Sql>(url: &str) {
    let producer = Producer::new().await;
    let mut app = following::<T, S>(url, &producer).await;
    let json = "application/json";
    let none = app.send("GET", "/?order=17", json).await;
    assert_eq!(none.json()[T::MANY], serde_json::json!([]));
    producer.placed(17, LINES).await;
    producer.placed(18, LINES).await;
    app.catch_up(&producer).await;
    let ask = async |app: &App<T, S>, tag: &str| {
        let headers = [("accept", json), ("if-none-match", tag)];
        app.request("GET", "/?order=17", &headers).await
    };
    let one = ask(&app, none.header("etag")).await;
    assert_eq!(one.status, 200);
    assert_eq!(one.json()[T::MANY][0]["id"], 17);
    assert_eq!(one.json()[T::MANY][0]["status"], T::PLACED);
    assert_eq!(one.json()["count"], 1);
    let same = ask(&app, one.header("etag")).await;
    assert_eq!((same.status, same.body.as_str()), (304, ""));
    producer.cancelled(17, LINES).await;
    app.catch_up(&producer).await;
    assert_eq!(ask(&app, one.header("etag")).await.status, 200);
    assert_eq!(app.send("GET", "/?order=x", json).await.status, 400);
    let count = format!("1 {} found", crate::app::one::<T, S>());
    assert!(app.page("/?order=17").await.contains(&count));
}

pub async fn what_a_client_has_is_not_repeated<T: Subject<S>, S: Sql>(url: &str) {
    let producer = Producer::new().await;
    let mut app = following::<T, S>(url, &producer).await;
    producer.placed(17, LINES).await;
    app.catch_up(&producer).await;
    let mut known = Vec::new();
    for path in ["/", "/?order=17", "/17"] {
        for form in ["application/json", "text/html"] {
            let first = app.send("GET", path, form).await;
            assert_eq!(first.status, 200, "{path}");
            let tag = first.header("etag");
            known.push((
                path,
                [("accept", form), ("if-none-match", tag)]
                    .map(|(name, value)| (name, value.to_owned())),
            ));
        }
    }
    for status in [304, 200] {
        for (path, headers) in &known {
            let headers: Vec<_> = headers
                .iter()
                .map(|(name, value)| (*name, value.as_str()))
                .collect();
            let answer = app.request("GET", path, &headers).await;
            assert_eq!(answer.status, status, "{path} {headers:?}");
            // What has a strong tag must not be transformed either.
            let caching = answer.header("cache-control");
            assert!(caching.starts_with("private, no-cache"), "{caching}");
        }
        producer.cancelled(17, LINES).await;
        app.catch_up(&producer).await;
    }
}

pub async fn a_browser_gets_a_problem_as_a_page<T: Subject<S>, S: Sql>(url: &str) {
    let app = open::<T, S>(url, NOBODY).await;
    let browser = "text/html,application/xhtml+xml,*/*;q=0.8";
    for (path, status) in [
        ("/18", 404),
        ("/?before=x", 400),
        ("/status/events?limit=0", 400),
    ] {
        let answer = app.send("GET", path, browser).await;
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("vary"), "Accept");
        assert!(
            answer.body.contains("<h1>") && answer.body.contains("style.css"),
            "{path}"
        );
    }
    assert!(
        app.send("GET", "/18", browser)
            .await
            .body
            .contains("it is on its way.")
    );
}

pub async fn the_list_links_to_older_records<T: Subject<S>, S: Sql>(url: &str) {
    let producer = Producer::new().await;
    for id in 1..=51 {
        producer.placed(id, LINES).await;
    }
    let app = following::<T, S>(url, &producer).await;
    let (name, many) = (T::Service::NAME, T::MANY);
    let link = |id: i64| format!("href=\"/{name}/{id}\"");
    let (newest, older) = (format!("Newest {many}"), format!("Older {many}"));
    let next = format!("<a rel=\"next\" href=\"/{name}/?before=2\">{older}</a>");
    let first = app.page("/").await;
    assert!(first.contains(&link(51)) && first.contains(&link(2)));
    assert!(!first.contains(&link(1)) && !first.contains(&newest));
    assert!(first.contains(&next));
    let second = app.page("/?before=2").await;
    assert!(second.contains(&link(1)) && second.contains(&newest));
    assert!(!second.contains(&older) && second.contains(&format!("51 {many} in all")));
    let none = format!("There are no older {many}");
    assert!(app.page("/?before=1").await.contains(&none));
}

pub async fn an_empty_shop_has_an_empty_list<T: Subject<S>, S: Sql>(url: &str) {
    let app = open::<T, S>(url, NOBODY).await;
    let none = format!("There are no {} yet", T::MANY);
    assert!(app.page("/").await.contains(&none));
    let list = app.send("GET", "/", "application/json").await;
    let expected = format!(r#"{{"{}":[],"count":0,"_links":{{}}}}"#, T::MANY);
    assert_eq!(list.body, expected);
}

pub async fn a_missing_record_is_a_problem_document<T: Subject<S>, S: Sql>(url: &str) {
    let producer = Producer::new().await;
    producer.placed(17, LINES).await;
    let app = following::<T, S>(url, &producer).await;
    let cases = [
        ("GET", "/18", "*/*", 404),
        ("GET", "/iPod", "*/*", 404),
        ("GET", "/017", "*/*", 404),
        ("GET", "/+17", "*/*", 404),
        ("GET", "/99999999999999999999", "*/*", 404),
        ("GET", "/%ff", "*/*", 404),
        ("GET", "/?before=yesterday", "*/*", 400),
        ("GET", "/?before=", "*/*", 400),
        ("GET", "/", "image/png", 406),
        ("GET", "/17", "image/png", 406),
        ("POST", "/", "*/*", 405),
        ("DELETE", "/17", "*/*", 405),
        ("PUT", "/health/live", "*/*", 405),
        ("GET", "/poll", "*/*", 405),
        ("POST", "/status", "*/*", 405),
    ];
    for (method, path, accept, status) in cases {
        let answer = app.send(method, path, accept).await;
        assert_eq!(answer.status, status, "{method} {path}");
        let media_type = answer.header("content-type");
        assert_eq!(media_type, "application/problem+json", "{method} {path}");
        assert_eq!(answer.json()["status"], status, "{method} {path}");
        assert_eq!(
            status == 405,
            !answer.header("allow").is_empty(),
            "{method} {path}"
        );
    }
    for path in ["/17", "/?before=9223372036854775807", "/?before=-5"] {
        assert_eq!(app.send("GET", path, "*/*").await.status, 200, "{path}");
        assert_eq!(app.send("HEAD", path, "*/*").await.status, 200, "{path}");
    }
}

pub async fn no_cache_keeps_personal_data<T: Subject<S>, S: Sql>(url: &str) {
    let producer = Producer::new().await;
    producer.placed(17, LINES).await;
    let app = following::<T, S>(url, &producer).await;
    for path in ["/", "/17"] {
        let cases = [
            ("text/html,*/*;q=0.8", "text/html; charset=utf-8"),
            ("application/json", "application/json"),
        ];
        for (accept, media_type) in cases {
            let answer = app.send("GET", path, accept).await;
            assert_eq!(answer.header("content-type"), media_type);
            // What has a strong tag must not be transformed either.
            let caching = answer.header("cache-control");
            assert!(caching.starts_with("private, no-cache"), "{caching}");
            assert_eq!(answer.header("vary"), "Accept");
        }
    }
}
