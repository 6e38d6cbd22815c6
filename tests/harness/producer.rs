//! A publisher of events: the real feed on a database of its own, with orders as the order service
//! writes them.

use chrono::{DateTime, Utc};
use feed_core::{Database, Feed, FeedSettings, NewEvent, outbox};
use sqlx::Sqlite;
use tokio_util::sync::CancellationToken;

use crate::{FreshDatabase, serve};

/// When orders are placed, unless a test sets another time.
pub const PLACED: &str = "2026-03-04T05:06:07.089Z";

/// A feed that is served. An unexpected result ends the test.
#[derive(Debug)]
pub struct Producer {
    /// The address for readers.
    pub feed_url: String,
    feed: Feed<Sqlite>,
    database: Database<Sqlite>,
    /// Removed with the producer.
    _file: FreshDatabase,
}

#[expect(clippy::missing_panics_doc, reason = "said above, once for all")]
impl Producer {
    /// A feed without events. Its public address differs from the one at which it is read.
    pub async fn new() -> Self {
        let file = FreshDatabase::sqlite();
        let database = Database::open(file.url()).await.expect("a database");
        let base = "https://shop.example/order/".parse().expect("a base URL");
        let settings = FeedSettings {
            author: "Shop".to_owned(),
            ..FeedSettings::new(base, "Orders")
        };
        let feed = Feed::open(database.clone(), settings, CancellationToken::new()).await;
        let feed = feed.expect("a feed");
        Self {
            feed_url: format!("{}/feed", serve(feed.router()).await),
            feed,
            database,
            _file: file,
        }
    }

    /// Writes an event about an order; returns its `atom:id`.
    pub async fn tell(&self, event_type: &str, id: i64, at: &str, data: &str) -> String {
        let event = NewEvent {
            event_type: event_type.to_owned(),
            subject: format!("order/{id}"),
            time: at.parse::<DateTime<Utc>>().expect("an instant"),
            title: format!("Order {id}"),
            summary: format!("Something happened to order {id}"),
            link: format!("order/{id}"),
            data: data.to_owned(),
            traceparent: None,
        };
        let mut tx = self.database.begin().await.expect("a transaction");
        let appended = outbox::append(&mut tx, &event).await;
        let id = appended.expect("an event that is appended");
        tx.commit().await.expect("a commit");
        id.urn()
    }

    /// Places an order.
    pub async fn placed(&self, id: i64, lines: &[Line<'_>]) {
        let data = order(id, "placed", lines);
        self.tell("order.placed", id, PLACED, &data).await;
    }

    /// Cancels an order, half a year later.
    pub async fn cancelled(&self, id: i64, lines: &[Line<'_>]) {
        let data = order(id, "cancelled", lines);
        self.tell("order.cancelled", id, "2026-09-10T11:12:13.014Z", &data)
            .await;
    }

    /// Publishes all that was written; returns the newest sequence.
    pub async fn publish(&self) -> i64 {
        self.feed.publish().await.expect("a head").sequence
    }
}

/// Count, name and price of an item.
pub type Line<'a> = (i64, &'a str, &'a str);

/// Two lines over 105.00.
pub const LINES: &[Line<'_>] = &[(2, "iPod", "42.00"), (1, "iPod touch", "21.00")];

/// An order as the order service writes it.
#[must_use]
pub fn order(id: i64, status: &str, lines: &[Line<'_>]) -> String {
    let count = lines.len();
    let lines: Vec<String> = lines
        .iter()
        .zip(1..)
        .map(|((count, name, price), item)| {
            format!(
                r#"{{"count":{count},"item":{{"itemId":{item},"name":"{name}","price":{price}}}}}"#
            )
        })
        .collect();
    let lines = lines.join(",");
    format!(
        r#"{{
            "id": {id},
            "customer": {{"customerId": 1, "name": "<b>O'Brien", "firstname": "日本語",
                          "email": "ob@example.com"}},
            "updated": "2026-03-04T05:06:07.089Z",
            "shippingAddress": {{"street": "Dock 9", "zip": "20457", "city": "Hamburg"}},
            "billingAddress": {{"street": "Krischerstr. 100", "zip": "40789", "city": "Monheim"}},
            "orderLine": [{lines}],
            "numberOfLines": {count},
            "status": "{status}", "total": 1.00, "currency": "EUR",
            "_links": {{"self": {{"href": "https://shop.example/order/order/{id}"}}}}
        }}"#
    )
}
