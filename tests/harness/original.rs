//! A feed and orders in the wire format of the original shop: entries without a sequence or a type,
//! one document without pages, no entity tags, and dates that RFC 3339 does not allow. Consumers
//! must be able to read it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::serve;

/// The order service of the original, as far as its wire format is concerned. Times are derived
/// from the orders' numbers, which are therefore below 60.
#[derive(Debug, Clone, Default)]
pub struct Original(Arc<Mutex<Vec<(u32, String)>>>);

impl Original {
    /// Serves it on a port of its own; returns the address of its feed.
    pub async fn serve(&self) -> String {
        let routes = Router::new()
            .route("/feed", get(feed))
            .route("/order/{id}", get(order))
            .with_state(self.clone());
        format!("{}/feed", serve(routes).await)
    }

    /// Places an order. The feed lists orders as they were placed, and not by their numbers; an
    /// order that is placed again is the last.
    pub fn place(&self, id: u32) {
        let links = ORDER.replace("order/7", &format!("order/{id}"));
        self.answer(id, &links.replace("\"id\": 7", &format!("\"id\": {id}")));
    }

    /// Places an order, and answers requests for it with `body`.
    pub fn answer(&self, id: u32, body: &str) {
        let mut orders = self.orders();
        orders.retain(|(known, _)| *known != id);
        orders.push((id, body.to_owned()));
    }

    fn orders(&self) -> MutexGuard<'_, Vec<(u32, String)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn feed(State(original): State<Original>, headers: HeaderMap) -> Response {
    let orders = original.orders();
    let newest = orders.iter().map(|(id, _)| *id).max().unwrap_or_default();
    let last_modified = format!("Mon, 01 May 2017 10:00:{newest:02} GMT");
    let seen = headers.get(header::IF_MODIFIED_SINCE);
    if seen.is_some_and(|seen| *seen == *last_modified) {
        return StatusCode::NOT_MODIFIED.into_response();
    }
    let entries: String = orders.iter().map(|(id, _)| entry(*id)).collect();
    let feed = FEED
        .replace("NEWEST", &format!("{newest:02}"))
        .replace("ENTRIES", &entries);
    let headers = [
        (header::CONTENT_TYPE, "application/atom+xml"),
        (header::LAST_MODIFIED, last_modified.as_str()),
    ];
    (headers, feed).into_response()
}

async fn order(State(original): State<Original>, Path(id): Path<u32>) -> Response {
    let orders = original.orders();
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
  <updated>2017-05-01T10:00:NEWESTZ</updated>
  ENTRIES
</feed>"#;

fn entry(id: u32) -> String {
    format!(
        r#"<entry>
    <title>Order {id}</title>
    <id>tag:example.com/microservice-atom/order/{id}</id>
    <updated>2017-05-01T10:00:{id:02}Z</updated>
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
