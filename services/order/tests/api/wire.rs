//! What clients rely on: names in JSON, addresses, media types, status codes.

use axum::http::Request;
use harness::{assert_described, request};
use serde_json::{Value, json};

use crate::app::{App, Testable, an_order, config};

harness::on_both_databases! {
    an_order_has_the_names_of_the_original
    the_list_has_pages
    each_resource_has_the_requested_type
    links_survive_a_path_prefix
    every_refusal_is_a_problem_document
    all_routes_are_described
    health_follows_the_database
    the_started_service_runs_alone
    preconditions_hold_for_reading_and_for_changing
    a_tag_stands_for_the_bytes
    a_list_is_not_repeated
}

/// RFC 9110, 13.1.2: what is a 304 for a `GET` is a 412 for everything else.
async fn preconditions_hold_for_reading_and_for_changing<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    app.place().await;
    let get = |accept, tag: &str| {
        let request = Request::get("/order/1").header("accept", accept);
        app.send(request.header("if-none-match", tag.to_owned()), "")
    };
    let mut tags = Vec::new();
    for accept in ["application/json", "text/html"] {
        let tag = app.get("/order/1", accept).await.header("etag").to_owned();
        let again = get(accept, &tag).await;
        assert_eq!((again.status, again.header("etag")), (304, tag.as_str()));
        tags.push(tag);
    }
    assert_ne!(tags[0], tags[1]);
    for (name, value) in [("if-none-match", "*"), ("if-match", "\"x\"")] {
        let delete = Request::delete("/order/1").header(name, value);
        app.send(delete, "").await.assert_problem(412);
        let cancel = Request::post("/order/1/cancel").header(name, value);
        app.send(cancel, "").await.assert_problem(412);
    }
    assert_eq!(app.json("/order/1").await["status"], "placed");
    let weak = format!("W/{}", tags[0]);
    let delete = Request::delete("/order/1").header("if-match", weak);
    app.send(delete, "").await.assert_problem(412);
    assert_eq!(app.json("/order/1").await["status"], "placed");
    // Of each form for programs.
    let hal = app
        .get("/order/1", "application/hal+json")
        .await
        .header("etag")
        .to_owned();
    app.place().await;
    let other = Request::delete("/order/2").header("if-match", &hal);
    app.send(other, "").await.assert_problem(412);
    let document = app.get("/order/2", "application/hal+json").await;
    let other = Request::delete("/order/2").header("if-match", document.header("etag"));
    assert_eq!(app.send(other, "").await.status, 200);
    let delete = Request::delete("/order/1").header("if-match", &tags[0]);
    assert_eq!(app.send(delete, "").await.status, 200);
    let again = Request::delete("/order/1").header("if-match", &tags[0]);
    app.send(again, "").await.assert_problem(412);
    let again = Request::delete("/order/1").header("if-match", "*");
    assert_eq!(app.send(again, "").await.status, 200);
    // The order has changed, and with it the tag.
    assert_eq!(get("application/json", &tags[0]).await.status, 200);
}

/// `BASE_URL` is in the links of each form.
async fn a_tag_stands_for_the_bytes<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    app.place().await;
    let base = ["--base-url", "https://shop.example/order/"];
    let moved = App::<S>::with(url, &base).await;
    let mut tags = std::collections::BTreeSet::new();
    for accept in ["application/json", "application/hal+json", "text/html"] {
        for app in [&app, &moved] {
            let tag = app.get("/order/1", accept).await.header("etag").to_owned();
            let request = Request::get("/order/1").header("accept", accept);
            let again = app.send(request.header("if-none-match", &tag), "").await;
            assert_eq!(again.status, 304);
            assert!(tags.insert(tag), "{accept}");
        }
    }
}

async fn a_list_is_not_repeated<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    app.place().await;
    for path in ["/", "/customers", "/items"] {
        for accept in ["application/json", "text/html"] {
            let tag = app.get(path, accept).await.header("etag").to_owned();
            let request = Request::get(path).header("accept", accept);
            let again = app.send(request.header("if-none-match", &tag), "").await;
            assert_eq!((again.status, &*again.body), (304, ""), "{path} {accept}");
            assert_eq!(again.header("cache-control"), "private, no-cache");
        }
    }
}

async fn an_order_has_the_names_of_the_original<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    let answer = app.post_json(&an_order()).await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.header("location"), "http://127.0.0.1:8081/order/1");
    assert_eq!(answer.header("cache-control"), "private, no-cache");
    let order = answer.json();
    let updated = order["updated"].as_str().expect("an instant");
    assert_eq!(
        (updated.len(), &updated[19..20], &updated[23..]),
        (24, ".", "Z")
    );
    let expected = format!(
        concat!(
            r#"{{"id":1,"customer":{{"customerId":1,"name":"Wolff","firstname":"Eberhard","#,
            r#""email":"eberhard.wolff@example.com"}},"updated":"{}","#,
            r#""shippingAddress":{{"street":"Rue 1","zip":"75005","city":"Paris"}},"#,
            r#""billingAddress":{{"street":"Rue 2","zip":"69001","city":"Lyon"}},"orderLine":["#,
            r#"{{"count":2,"item":{{"itemId":1,"name":"iPod","price":42.00}}}},"#,
            r#"{{"count":1,"item":{{"itemId":2,"name":"iPod touch","price":21.00}}}}],"#,
            r#""numberOfLines":2,"status":"placed","total":105.00,"currency":"EUR","#,
            r#""_links":{{"self":{{"href":"http://127.0.0.1:8081/order/1"}}}}}}"#
        ),
        updated
    );
    assert_eq!(answer.body, expected);
    assert_eq!(app.get("/order/1", "application/json").await.body, expected);
}

async fn the_list_has_pages<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    assert_eq!(
        app.json("/").await,
        json!({"orders": [], "count": 0, "_links": {}})
    );
    assert!(app.page("/").await.contains("There are no orders yet."));
    for _ in 0..101 {
        app.place().await;
    }
    app.delete("/order/101").await;
    let first = app.json("/").await;
    let expected = json!({
        "id": 101,
        "customer": {"customerId": 1, "name": "Wolff", "firstname": "Eberhard",
                     "email": "eberhard.wolff@example.com"},
        "placed": first["orders"][0]["placed"],
        "updated": first["orders"][0]["updated"],
        "numberOfLines": 2,
        "status": "cancelled",
        "total": serde_json::from_str::<Value>("105.00").expect("a number"),
        "currency": "EUR",
        "_links": {"self": {"href": "http://127.0.0.1:8081/order/101"}},
    });
    assert_eq!(first["orders"][0], expected);
    assert!(first["orders"][0]["placed"].as_str() <= first["orders"][0]["updated"].as_str());

    let (mut ids, mut sizes) = (Vec::new(), Vec::new());
    let mut next = Some("/".to_owned());
    while let Some(path) = next {
        let page = app.json(&path).await;
        assert_eq!(page["count"], 101);
        let orders = page["orders"].as_array().expect("orders");
        ids.extend(
            orders
                .iter()
                .map(|order| order["id"].as_i64().expect("an id")),
        );
        sizes.push(orders.len());
        let href = page["_links"]["next"]["href"].as_str();
        next = href.map(|href| href.replace("http://127.0.0.1:8081", ""));
    }
    assert_eq!(sizes, [50, 50, 1]);
    assert_eq!(ids, (1..=101).rev().collect::<Vec<_>>());

    let page = app.page("/").await;
    assert!(page.contains(r#"<a rel="next" href="/?before=52">Older orders</a>"#));
    assert!(page.contains("101 orders in all") && !page.contains("Newest orders"));
    let last = app.page("/?before=2").await;
    assert!(last.contains("Newest orders") && !last.contains("Older orders"));
    app.get("/?before=x", "*/*").await.assert_problem(400);

    for (query, count) in [
        ("wolff", 101),
        ("Eberhard+W", 101),
        ("example.com", 101),
        ("17", 1),
        ("_", 0),
    ] {
        assert_eq!(
            app.json(&format!("/?q={query}")).await["count"],
            count,
            "{query}"
        );
    }
    let found = app.page("/?q=wolff").await;
    assert!(
        found.contains("href=\"/?before=52&amp;q=wolff\"") && found.contains("101 orders found")
    );
}

async fn each_resource_has_the_requested_type<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    app.place().await;
    let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    let (html, json) = ("text/html; charset=utf-8", "application/json");
    let cases = [
        ("/", browser, html),
        ("/", "*/*", html),
        ("/", "application/json", json),
        ("/order/1", browser, html),
        ("/order/1", "*/*", json),
        ("/order/1", "application/hal+json", "application/hal+json"),
        ("/form.html", "*/*", html),
    ];
    for (path, accept, expected) in cases {
        let answer = app.get(path, accept).await;
        assert_eq!(answer.status, 200);
        assert_eq!(
            answer.header("content-type"),
            expected,
            "{path} for {accept}"
        );
        let caching = answer.header("cache-control");
        assert!(caching.starts_with("private, no-cache"), "{caching}");
        if path != "/form.html" {
            assert_eq!(answer.header("vary"), "Accept");
        }
    }
    for path in ["/", "/order/1"] {
        app.get(path, "image/png").await.assert_problem(406);
    }
}

async fn links_survive_a_path_prefix<S: Testable>(url: &str) {
    let settings = [
        "--base-url=https://shop.example/order",
        "--invoice-url=https://shop.example/invoice/",
        "--shipping-url=https://goods.example/shipping",
    ];
    let app = App::<S>::with(url, &settings).await;
    let order = app.place().await;
    let this = &order["_links"]["self"]["href"];
    assert_eq!(this, "https://shop.example/order/order/1");
    for path in ["/", "/form.html", "/order/1"] {
        let page = app.page(path).await;
        for link in links(&page) {
            // A link to our own host has only a path, since proxies may give the host other names.
            let paths = ["/order/", "/invoice/", "#", "https://goods.example/"];
            let known = paths.iter().any(|start| link.starts_with(start));
            assert!(known, "{link} in {path}");
        }
    }
    let page = app.page("/order/1").await;
    assert!(page.contains(r#"href="/invoice/1""#));
    assert!(page.contains(r#"href="https://goods.example/shipping/1""#));
    assert!(page.contains(r#"href="/order/order/1/cancel""#));
}

/// The values of `href`, `action` and `formaction`.
fn links(page: &str) -> impl Iterator<Item = &str> {
    let values = page.split(r#"href=""#).chain(page.split(r#"action=""#));
    values
        .filter(|part| !part.starts_with('<'))
        .filter_map(|part| part.split('"').next())
}

async fn every_refusal_is_a_problem_document<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    app.get("/nowhere", "*/*").await.assert_problem(404);
    let cases = [
        ("/", "GET, HEAD, POST"),
        ("/form.html", "GET, HEAD"),
        ("/line", "POST"),
        ("/orders", "POST"),
        ("/order/1", "GET, HEAD, DELETE"),
        ("/order/1/cancel", "GET, HEAD, POST"),
        ("/health/live", "GET, HEAD"),
        ("/health/ready", "GET, HEAD"),
        ("/style.css", "GET, HEAD"),
    ];
    for (path, allow) in cases {
        let answer = app.send(Request::put(path), "").await;
        answer.assert_problem(405);
        let allowed: Vec<_> = answer.headers.get_all("allow").iter().collect();
        assert_eq!(allowed, [allow], "{path}");
    }
}

async fn all_routes_are_described<S: Testable>(url: &str) {
    let settings = ["--base-url=https://shop.example/order"];
    let app = App::<S>::with(url, &settings).await;
    let pages = ["/line", "/customers/new", "/items/new"];
    let document = assert_described(&app.router, &pages).await;
    assert_eq!(document["servers"][0]["url"], "https://shop.example/order");
    // The limits of the rules.
    let schemas = &document["components"]["schemas"];
    let line = &schemas["NewLine"]["properties"]["count"];
    assert_eq!(
        (&line["minimum"], &line["maximum"]),
        (&json!(1), &json!(1_000_000))
    );
    let lines = &schemas["NewOrder"]["properties"]["orderLine"];
    assert_eq!(lines["maxItems"], 1_000);
}

async fn health_follows_the_database<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    assert_eq!(app.get("/health/live", "*/*").await.status, 200);
    assert_eq!(app.get("/health/ready", "*/*").await.status, 200);
    S::run(&app.database, "DELETE FROM _order_migrations").await;
    app.get("/health/ready", "*/*").await.assert_problem(503);
    assert_eq!(app.get("/health/live", "*/*").await.status, 200);
}

/// The service as `main` and the shop start it, on a database whose directory does not exist yet.
async fn the_started_service_runs_alone<S: Testable>(url: &str) {
    let url = url.replace("/test.db", "/new/deep/test.db");
    let shutdown = tokio_util::sync::CancellationToken::new();
    let service = order::start(config(&url, &[]), shutdown.clone()).await;
    let service = service.expect("the service starts");
    let head = async |etag: &str| {
        let headers = [("if-none-match", etag), ("prefer", "wait=20")];
        request(&service.router, "GET", "/feed", &headers, "").await
    };
    let empty = head("").await;
    let json = [("content-type", "application/json")];
    let order = an_order().to_string();
    let placed = request(&service.router, "POST", "/orders", &json, order).await;
    assert_eq!(placed.status, 201, "{}", placed.body);
    // The wait ends when the service itself has numbered the event.
    let news = head(empty.header("etag")).await;
    assert!(news.body.contains("Order 1 placed"), "{}", news.body);
    shutdown.cancel();
}
