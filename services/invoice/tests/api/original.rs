//! A feed and orders in the wire format of the original (ORIGINAL-WIRE.md): no sequence, no types,
//! no pages, no entity tags, dates that RFC 3339 does not allow.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::app::{App, Testable};
use crate::producer::serve;

harness::on_both_databases! {
    orders_of_the_original_are_invoiced
    an_answer_that_is_no_order_is_parked
}

/// The orders of an original, and when its last one was placed.
#[derive(Clone, Default)]
struct Original(Arc<Mutex<Vec<(u32, String)>>>);

impl Original {
    async fn serve(&self) -> String {
        let routes = Router::new()
            .route("/feed", get(feed))
            .route("/order/{id}", get(order))
            .with_state(self.clone());
        format!("{}/feed", serve(routes).await)
    }

    fn place(&self, id: u32) {
        self.answer(id, &ORDER.replace("\"id\": 7", &format!("\"id\": {id}")));
    }

    fn answer(&self, id: u32, body: &str) {
        self.0.lock().unwrap().push((id, body.to_owned()));
    }

    fn last_modified(&self) -> String {
        format!(
            "Mon, 01 May 2017 10:00:{:02} GMT",
            self.0.lock().unwrap().len()
        )
    }
}

async fn feed(State(original): State<Original>, headers: HeaderMap) -> Response {
    let last_modified = original.last_modified();
    let seen = headers.get(header::IF_MODIFIED_SINCE);
    if seen.is_some_and(|seen| *seen == *last_modified) {
        return StatusCode::NOT_MODIFIED.into_response();
    }
    let orders = original.0.lock().unwrap();
    let entries: String = (1..)
        .zip(orders.iter())
        .map(|(n, (id, _))| entry(n, *id))
        .collect();
    let headers = [
        (header::CONTENT_TYPE, "application/atom+xml"),
        (header::LAST_MODIFIED, last_modified.as_str()),
    ];
    (headers, FEED.replace("ENTRIES", &entries)).into_response()
}

async fn order(State(original): State<Original>, Path(id): Path<u32>) -> Response {
    let orders = original.0.lock().unwrap();
    match orders.iter().find(|(known, _)| *known == id) {
        Some((_, body)) => (
            [(header::CONTENT_TYPE, "application/hal+json")],
            body.clone(),
        )
            .into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

const FEED: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<feed xmlns="http://www.w3.org/2005/Atom">
  <title>Order</title>
  <link rel="self" href="http://order:8080/feed"/>
  <author><name>Example Commerce</name></author>
  <subtitle>List of all orders</subtitle>
  <id>tag:example.com/microservice-atom/order</id>
  <updated>2017-05-01T10:00:05Z</updated>
  ENTRIES
</feed>"#;

fn entry(n: u32, id: u32) -> String {
    format!(
        r#"<entry>
    <title>Order {id}</title>
    <id>tag:example.com/microservice-atom/order/{id}</id>
    <updated>2017-05-01T10:00:{n:02}Z</updated>
    <content type="application/json" src="http://order:8080/order/{id}"/>
    <summary>This is the order {id}</summary>
  </entry>"#
    )
}

const ORDER: &str = r#"{
  "id": 7,
  "customer": { "customerId": 1, "name": "Curie", "firstname": "Marie",
                "email": "marie@example.com", "street": "ignored by consumers", "city": "as well" },
  "updated": "2017-05-01T10:00:05.351+0000",
  "shippingAddress": { "street": "Rue 1", "zip": "75005", "city": "Paris" },
  "billingAddress": { "street": "Rue 2", "zip": "75005", "city": "Paris" },
  "orderLine": [ { "count": 2, "item": { "itemId": 1, "name": "iPod", "price": 42.0 } } ],
  "numberOfLines": 1,
  "_links": { "self": { "href": "http://order:8080/order/7" },
              "order": { "href": "http://order:8080/order/7" } }
}"#;

async fn orders_of_the_original_are_invoiced<S: Testable>(url: &str) {
    let original = Original::default();
    let feed_url = original.serve().await;
    let mut app = App::<S>::open(url, &feed_url).await;
    app.drain().await;
    assert_eq!(app.json("/").await["count"], 0);

    original.place(7);
    original.place(8);
    app.drain().await;
    let expected = r#"{
        "id": 7,
        "number": "2017-000001",
        "customer": {"customerId": 1, "name": "Curie", "firstname": "Marie",
                     "email": "marie@example.com"},
        "billingAddress": {"street": "Rue 2", "zip": "75005", "city": "Paris"},
        "invoiceLine": [{"count": 2, "item": {"itemId": 1, "name": "iPod", "price": 42.00}}],
        "total": 84.00,
        "currency": "EUR",
        "status": "issued"
    }"#;
    let expected: serde_json::Value = serde_json::from_str(expected).unwrap();
    assert_eq!(app.json("/7").await.to_string(), expected.to_string());
    let both = [(8, "2017-000002".to_owned()), (7, "2017-000001".to_owned())];
    assert_eq!(app.listed("number").await, both);

    app.drain().await;
    assert_eq!(app.listed("number").await, both);

    original.place(9);
    app.drain().await;
    assert_eq!(app.json("/9").await["number"], "2017-000003");
    assert_eq!(app.json("/").await["count"], 3);
}

async fn an_answer_that_is_no_order_is_parked<S: Testable>(url: &str) {
    let original = Original::default();
    original.place(1);
    original.answer(2, "<html><body>Please log in</body></html>");
    original.place(3);
    let mut app = App::<S>::open(url, &original.serve().await).await;
    app.drain().await;
    let expected = [(3, "84.00".to_owned()), (1, "84.00".to_owned())];
    assert_eq!(app.listed("total").await, expected);
    assert_eq!(app.status("parked").await, 1);
    let page = app.page("/status").await;
    assert!(
        page.contains("the data is no order: expected value at line 1 column 1"),
        "{page}"
    );
}
