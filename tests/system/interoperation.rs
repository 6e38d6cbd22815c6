//! Together with the original example: its feed is read by our consumers, and our feed by a
//! client that behaves like its pollers.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use harness::{Backend, Service, System, until};
use serde_json::{Value, json};

crate::on_both! {
    our_consumers_follow_the_originals_feed
    a_poller_like_the_originals_gets_every_order
}

/// The original's order service, as far as its wire format is concerned: one document without
/// sequence, tag or pages; orders by address; dates that RFC 3339 does not allow.
fn original(orders: Arc<Mutex<Vec<u32>>>) -> Router {
    let feed = move |headers: HeaderMap| {
        let orders = orders.lock().unwrap().clone();
        async move { feed_document(&orders, &headers) }
    };
    Router::new().route("/feed", get(feed)).route(
        "/order/{id}",
        get(async |Path(id): Path<u32>| axum::Json(order(id))),
    )
}

fn feed_document(orders: &[u32], headers: &HeaderMap) -> Response {
    let newest = orders.iter().max().copied().unwrap_or(0);
    let modified = format!("Mon, 01 May 2017 10:00:{newest:02} GMT");
    if headers
        .get(header::IF_MODIFIED_SINCE)
        .is_some_and(|since| since == modified.as_str())
    {
        return StatusCode::NOT_MODIFIED.into_response();
    }
    let entries: String = orders
        .iter()
        .map(|id| {
            format!(
                "<entry><title>Order {id}</title>\
                 <id>tag:example.com/microservice-atom/order/{id}</id>\
                 <updated>2017-05-01T10:00:{id:02}Z</updated>\
                 <content type=\"application/json\" src=\"http://order:8080/order/{id}\"/>\
                 <summary>This is the order {id}</summary></entry>"
            )
        })
        .collect();
    let document = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><feed xmlns=\"http://www.w3.org/2005/Atom\">\
         <title>Order</title><link rel=\"self\" href=\"http://order:8080/feed\"/>\
         <author><name>Example Commerce</name></author><subtitle>List of all orders</subtitle>\
         <id>tag:example.com/microservice-atom/order</id>\
         <updated>2017-05-01T10:00:{newest:02}Z</updated>{entries}</feed>"
    );
    let headers = [
        (header::CONTENT_TYPE, "application/atom+xml".to_owned()),
        (header::LAST_MODIFIED, modified),
    ];
    (headers, document).into_response()
}

fn order(id: u32) -> Value {
    let itself = format!("http://order:8080/order/{id}");
    json!({
        "id": id,
        "customer": {"customerId": 1, "name": "Curie", "firstname": "Marie",
                     "email": "marie@example.com", "street": "ignored", "city": "as well"},
        "updated": "2017-05-01T10:00:05.351+0000",
        "shippingAddress": {"street": "Rue 1", "zip": "75005", "city": "Paris"},
        "billingAddress": {"street": "Rue 2", "zip": "75005", "city": "Paris"},
        "orderLine": [{"count": 2, "item": {"itemId": 1, "name": "iPod", "price": 42.0}}],
        "numberOfLines": 1,
        "_links": {"self": {"href": itself}, "order": {"href": itself}},
    })
}

async fn our_consumers_follow_the_originals_feed(backend: Backend) {
    let orders = Arc::new(Mutex::new(Vec::new()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let feed = format!("http://{}/feed", listener.local_addr().unwrap());
    let router = original(Arc::clone(&orders));
    tokio::spawn(async move { axum::serve(listener, router).await });

    for (name, list) in [("invoice", "invoices"), ("shipping", "shipments")] {
        let mut consumer = Service::new(name, backend).await;
        consumer.set("FEED_URL", feed.clone());
        *orders.lock().unwrap() = vec![9, 7, 8];
        consumer.start().await;
        for ids in [vec![7, 8, 9], vec![7, 8, 9, 10]] {
            orders.lock().unwrap().clone_from(&ids);
            until("all orders are taken", async || {
                let all = consumer.client.json("").await?;
                (all["count"] == json!(ids.len())).then_some(())?;
                (all[list].as_array()?.len() == ids.len()).then_some(())
            })
            .await;
        }
        let one = consumer.client.json("7").await.unwrap();
        assert_eq!(one["customer"]["name"], "Curie");
        if name == "invoice" {
            assert_eq!(one["total"].to_string(), "84.00");
        }
    }
}

/// It takes `content[0]@src` of each entry, reads the JSON, and would abort its whole poll at
/// anything but a 200.
async fn a_poller_like_the_originals_gets_every_order(backend: Backend) {
    let mut system = System::new(backend).await;
    system.order.start().await;
    let mut placed = Vec::new();
    for _ in 0..12 {
        placed.push(system.place().await);
    }
    let cancel = format!("order/{}/cancel", placed[3]);
    assert_eq!(
        system.order.client.post_form(&cancel, &[]).await.status,
        303
    );

    let client = &system.order.client;
    let head = until("all events are in the feed", async || {
        let head = client
            .get("feed", &[("accept", "application/atom+xml")])
            .await;
        (head.elements("id").len() == 14).then_some(head)
    })
    .await;
    assert!(
        head.header("content-type")
            .starts_with("application/atom+xml")
    );
    let mut read = Vec::new();
    for entry in head.body.split("<entry>").skip(1) {
        let (_, rest) = entry.split_once("<content").unwrap();
        let (_, rest) = rest.split_once("src=\"").unwrap();
        let answer = client.get(rest.split('"').next().unwrap(), &[]).await;
        assert_eq!(answer.status, 200);
        assert!(
            answer
                .header("content-type")
                .starts_with("application/json")
        );
        let order = answer.json();
        for name in ["customerId", "name", "firstname", "email"] {
            assert!(order["customer"].get(name).is_some(), "{name}");
        }
        let line = &order["orderLine"][0];
        assert!(line["count"].is_i64() && line["item"]["price"].is_number());
        assert!(order["updated"].is_string());
        for address in ["billingAddress", "shippingAddress"] {
            assert!(order[address]["street"].is_string());
        }
        read.push(order["id"].as_i64().unwrap());
    }
    read.sort_unstable();
    read.dedup();
    assert_eq!(read, placed);
}
