//! Each change of an order is one event in the feed, without personal data.

use serde_json::Value;

use crate::app::{App, Testable, an_order, json_request};

harness::on_both_databases! {
    each_change_is_an_event_with_the_order_as_it_was
    the_feed_has_no_personal_data
    an_event_knows_the_trace_of_its_request
    every_entry_leads_a_poller_of_the_original_to_an_order
}

/// The texts of an element, in the order of the document.
fn texts<'a>(feed: &'a str, element: &str) -> Vec<&'a str> {
    let (open, close) = (format!("<{element}>"), format!("</{element}>"));
    let parts = feed.split(&open).skip(1);
    parts.filter_map(|part| part.split(&close).next()).collect()
}

/// The addresses of the events' bodies below the service, newest first.
fn sources(feed: &str) -> Vec<&str> {
    let parts = feed.split(r#" src="http://127.0.0.1:8081"#).skip(1);
    parts.filter_map(|part| part.split('"').next()).collect()
}

async fn each_change_is_an_event_with_the_order_as_it_was<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    let placed = app.post_json(&an_order()).await;
    let cancelled = app.delete("/order/1").await;
    let mut single = an_order();
    single["orderLine"].as_array_mut().expect("lines").pop();
    app.post_json(&single).await;

    let feed = app.feed().await;
    let titles = [
        "Orders",
        "Order 2 placed: 1 line, 84.00 EUR",
        "Order 1 cancelled: 2 lines, 105.00 EUR",
        "Order 1 placed: 2 lines, 105.00 EUR",
    ];
    assert_eq!(texts(&feed, "title"), titles);
    assert_eq!(
        texts(&feed, "event:subject"),
        ["order/2", "order/1", "order/1"]
    );
    assert_eq!(feed.matches(r#"term="order.placed""#).count(), 2);
    assert_eq!(feed.matches(r#"term="order.cancelled""#).count(), 1);
    assert!(feed.contains(
        r#"<link rel="alternate" type="text/html" href="http://127.0.0.1:8081/order/1"/>"#
    ));
    assert!(texts(&feed, "name").contains(&"Shop"));

    let sources = sources(&feed);
    let of_cancelled = app.get(sources[1], "*/*").await;
    assert_eq!(of_cancelled.body, cancelled.body);
    assert_eq!(of_cancelled.header("ce-type"), "order.cancelled");
    let (cancelled, placed_then) = (cancelled.json(), placed.json());
    assert_eq!(
        cancelled["placed"], placed_then["updated"],
        "what tells it from another order 1"
    );
    let of_placed = app.get(sources[2], "*/*").await;
    assert_eq!(
        of_placed.body, placed.body,
        "as it was, whatever came later"
    );
    assert_eq!(of_placed.header("ce-type"), "order.placed");
}

async fn the_feed_has_no_personal_data<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    app.place().await;
    app.delete("/order/1").await;
    let feed = app.feed().await;
    for personal in ["Wolff", "Eberhard", "@", "Rue", "75005", "Paris", "Lyon"] {
        assert!(!feed.contains(personal), "{personal}");
    }
}

async fn an_event_knows_the_trace_of_its_request<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let body = an_order().to_string();
    app.send(json_request().header("traceparent", trace), &body)
        .await;
    let no_trace = "00-00000000000000000000000000000000-b7ad6b7169203331-01";
    for malformed in ["broken", no_trace] {
        app.send(json_request().header("traceparent", malformed), &body)
            .await;
    }
    app.feed().await;
    let with = S::number(
        &app.database,
        "SELECT count(*) FROM feed_event
         WHERE subject = 'order/1'
           AND traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'",
    );
    assert_eq!(with.await, 1);
    let without = S::number(
        &app.database,
        "SELECT count(*) FROM feed_event
         WHERE subject IN ('order/2', 'order/3') AND traceparent IS NULL",
    );
    assert_eq!(without.await, 2);
}

/// A poller of the original shop takes every entry's `content@src`, requests it without a media
/// type, and needs these member names in the JSON of an order.
async fn every_entry_leads_a_poller_of_the_original_to_an_order<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    for _ in 0..3 {
        app.place().await;
    }
    app.delete("/order/2").await;
    let feed = app.feed().await;
    let sources = sources(&feed);
    assert_eq!(sources.len(), 4);
    for source in sources {
        let answer = app.send(axum::http::Request::get(source), "").await;
        assert_eq!(answer.status, 200);
        let order: Value = answer.json();
        assert!(order["id"].is_i64() && order["customer"]["customerId"].is_i64());
        assert!(order["orderLine"][0]["item"]["price"].is_number());
        for address in ["shippingAddress", "billingAddress"] {
            assert!(order[address]["street"].is_string());
        }
    }
}
