//! The service under test: its routes are called in process, its consumer is stepped.

use std::future::Future;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request};
use clap::Parser;
use feed_core::consumer::Polled;
use feed_core::{Database, DatabaseError};
use invoice::store::Store;
use invoice::{Config, Service};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Executor, Postgres, Sqlite};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::producer::Producer;

/// A database whose tables a test may look into, by SQL that is the same on both.
pub(crate) trait Testable: Store {
    fn run(database: &Database<Self>, sql: &str) -> impl Future<Output = ()> + Send;
    fn numbers(database: &Database<Self>, sql: &str) -> impl Future<Output = Vec<i64>> + Send;
}

macro_rules! testable {
    ($backend:ty) => {
        impl Testable for $backend {
            async fn run(database: &Database<Self>, sql: &str) {
                let done = database.writer().execute(AssertSqlSafe(sql)).await;
                done.expect(sql);
            }

            async fn numbers(database: &Database<Self>, sql: &str) -> Vec<i64> {
                let rows = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(database.reader());
                rows.await.expect(sql)
            }
        }
    };
}
testable!(Postgres);
testable!(Sqlite);

/// The settings of a service below a path, as behind a proxy.
pub(crate) fn config(url: &str, feed_url: &str) -> Config {
    Config::parse_from([
        "invoice",
        "--database-url",
        url,
        "--feed-url",
        feed_url,
        "--listen",
        "127.0.0.1:0",
        "--base-url",
        "https://shop.example/invoice",
    ])
}

pub(crate) struct App<S: Testable> {
    pub(crate) service: Service<S>,
}

impl<S: Testable> App<S> {
    pub(crate) async fn open(url: &str, feed_url: &str) -> Self {
        Self::try_open(url, feed_url).await.unwrap()
    }

    async fn try_open(url: &str, feed_url: &str) -> Result<Self, DatabaseError> {
        let config = config(url, feed_url);
        let service = invoice::open(&config, CancellationToken::new()).await?;
        Ok(Self { service })
    }

    /// A service that has taken all that `producer` has published.
    pub(crate) async fn following(url: &str, producer: &Producer) -> Self {
        let mut app = Self::open(url, &producer.feed_url).await;
        app.catch_up(producer).await;
        app
    }

    /// Takes all that `producer` has published, without waiting there for more.
    pub(crate) async fn catch_up(&mut self, producer: &Producer) {
        let newest = producer.publish().await;
        while self.status("sequence").await.as_i64() < Some(newest) {
            let polled = self.service.consumer.poll_once().await.unwrap();
            assert!(matches!(polled, Polled::Applied(_)), "{polled:?}");
        }
    }

    /// Polls a feed that cannot make us wait, until it has nothing new.
    pub(crate) async fn drain(&mut self) {
        while self.service.consumer.poll_once().await.unwrap()
            != (Polled::UpToDate { waited: false })
        {}
    }

    pub(crate) fn database(&self) -> &Database<S> {
        &self.service.database
    }

    pub(crate) async fn send(&self, method: &str, path: &str, accept: &str) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("accept", accept)
            .body(Body::empty());
        let router = self.service.router.clone();
        let response = router.oneshot(request.unwrap()).await;
        let (parts, body) = response.unwrap().into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    /// The page at `path`, for people.
    pub(crate) async fn page(&self, path: &str) -> String {
        let answer = self.send("GET", path, "text/html").await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.body
    }

    /// The document at `path`, for programs.
    pub(crate) async fn json(&self, path: &str) -> Value {
        let answer = self.send("GET", path, "application/json").await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.json()
    }

    /// One member of the status document.
    pub(crate) async fn status(&self, member: &str) -> Value {
        self.json("/status").await[member].clone()
    }

    /// The orders on the first page of the list, with what they have as `member`.
    pub(crate) async fn listed(&self, member: &str) -> Vec<(i64, String)> {
        let list = self.json("/").await;
        let invoices = list["invoices"].as_array().unwrap().iter();
        let text = |value: &Value| value.as_str().map_or(value.to_string(), str::to_owned);
        invoices
            .map(|invoice| (invoice["id"].as_i64().unwrap(), text(&invoice[member])))
            .collect()
    }
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}
