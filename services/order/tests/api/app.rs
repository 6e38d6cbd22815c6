//! The service on a database of its own, and helpers to look at it.

use axum::Router;
use axum::body::Body;
use axum::http::{Request, header};
use clap::Parser;
use feed_chassis::Mounted;
use feed_core::{Database, Feed};
use harness::{Answer, Sql, call};
use order::orders::Orders;
use order::store::Store;
use order::{Config, Service};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// What a test reads and writes in a database itself.
pub(crate) trait Testable: Store + Sql {}
impl<S: Store + Sql> Testable for S {}

/// A test publishes the events itself ([`App::feed`]), since nothing runs beside the routes.
pub(crate) struct App<S: Testable> {
    pub(crate) router: Router,
    pub(crate) feed: Feed<S>,
    pub(crate) orders: Orders<S>,
    pub(crate) database: Database<S>,
}

impl<S: Testable> App<S> {
    pub(crate) async fn open(url: &str) -> Self {
        Self::with(url, &[]).await
    }

    /// Opens the service with further settings.
    pub(crate) async fn with(url: &str, settings: &[&str]) -> Self {
        let config = config(url, settings);
        let service = order::open::<S>(&config, CancellationToken::new()).await;
        let Service {
            router,
            feed,
            orders,
            database,
            ..
        } = service.expect("the service opens");
        Self {
            router: Mounted::new(router).router,
            feed,
            orders,
            database,
        }
    }

    pub(crate) async fn get(&self, path: &str, accept: &str) -> Answer {
        let request = Request::get(path).header(header::ACCEPT, accept);
        self.send(request, "").await
    }

    pub(crate) async fn json(&self, path: &str) -> Value {
        let answer = self.get(path, "application/json").await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.json()
    }

    pub(crate) async fn page(&self, path: &str) -> String {
        let answer = self.get(path, "text/html").await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
        answer.body
    }

    pub(crate) async fn post_json(&self, body: &Value) -> Answer {
        self.send(json_request(), &body.to_string()).await
    }

    pub(crate) async fn post_form(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        self.post_raw_form(path, &body).await
    }

    pub(crate) async fn post_raw_form(&self, path: &str, body: &str) -> Answer {
        let form = "application/x-www-form-urlencoded";
        let request = Request::post(path).header(header::CONTENT_TYPE, form);
        self.send(request, body).await
    }

    pub(crate) async fn post(&self, path: &str) -> Answer {
        self.send(Request::post(path), "").await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(Request::delete(path), "").await
    }

    /// Places an order and returns its document.
    pub(crate) async fn place(&self) -> Value {
        let answer = self.post_json(&an_order()).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer.json()
    }

    pub(crate) async fn send(&self, request: axum::http::request::Builder, body: &str) -> Answer {
        let request = request.body(Body::from(body.to_owned()));
        call(&self.router, request.expect("a request")).await
    }

    /// The numbers of orders, lines and events. Publishes committed events.
    pub(crate) async fn stored(&self) -> (i64, i64, i64) {
        self.feed.publish().await.expect("what is committed");
        (
            S::number(&self.database, "SELECT count(*) FROM orders").await,
            S::number(&self.database, "SELECT count(*) FROM order_line").await,
            S::number(&self.database, "SELECT count(*) FROM feed_event").await,
        )
    }

    /// Publishes committed events and returns the feed.
    pub(crate) async fn feed(&self) -> String {
        self.feed.publish().await.expect("the feed is published");
        let answer = self.get("/feed", "*/*").await;
        assert_eq!(answer.status, 200);
        answer.body
    }
}

/// The configuration with this database, and with `settings`.
pub(crate) fn config(url: &str, settings: &[&str]) -> Config {
    let fixed = ["order", "--database-url", url, "--listen", "127.0.0.1:8081"];
    let all = fixed.iter().chain(settings);
    Config::try_parse_from(all).expect("a configuration")
}

pub(crate) fn json_request() -> axum::http::request::Builder {
    Request::post("/orders").header(header::CONTENT_TYPE, "application/json")
}

/// Two iPods and an iPod touch: 105.00 EUR.
pub(crate) fn an_order() -> Value {
    json!({
        "customer": 1,
        "shippingAddress": {"street": "Rue 1", "zip": "75005", "city": "Paris"},
        "billingAddress": {"street": "Rue 2", "zip": "69001", "city": "Lyon"},
        "orderLine": [{"item": 1, "count": 2}, {"item": 2, "count": 1}],
    })
}
