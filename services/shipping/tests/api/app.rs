//! The service under test: its routes are called in process, its consumer is stepped.

use std::future::Future;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request};
use clap::Parser;
use feed_core::consumer::Polled;
use feed_core::{Database, DatabaseError};
use serde_json::Value;
use shipping::store::Store;
use shipping::{Config, Service};
use sqlx::{AssertSqlSafe, Executor, Postgres, Sqlite};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::producer::Producer;

/// A database whose tables a test may look into, by SQL that is the same on both.
pub(crate) trait Testable: Store {
    fn run(database: &Database<Self>, sql: &str) -> impl Future<Output = ()> + Send;
    fn texts(database: &Database<Self>, sql: &str) -> impl Future<Output = Vec<String>> + Send;
    /// All columns by table, but for parked events and for lists of migrations.
    fn columns(database: &Database<Self>) -> impl Future<Output = Vec<(String, String)>> + Send;
}

macro_rules! testable {
    ($backend:ty, $columns:literal) => {
        impl Testable for $backend {
            async fn run(database: &Database<Self>, sql: &str) {
                let done = database.writer().execute(AssertSqlSafe(sql)).await;
                done.expect(sql);
            }

            async fn texts(database: &Database<Self>, sql: &str) -> Vec<String> {
                let rows = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(database.reader());
                rows.await.expect(sql)
            }

            async fn columns(database: &Database<Self>) -> Vec<(String, String)> {
                let rows = sqlx::query_as($columns).fetch_all(database.reader());
                rows.await.unwrap()
            }
        }
    };
}
testable!(
    Postgres,
    "SELECT table_name::text, column_name::text FROM information_schema.columns
     WHERE table_schema = 'public' AND table_name <> 'feed_parked'
       AND table_name NOT LIKE '%_migrations'"
);
testable!(
    Sqlite,
    "SELECT t.name, c.name FROM sqlite_schema AS t, pragma_table_xinfo(t.name) AS c
     WHERE t.type = 'table' AND t.name <> 'feed_parked' AND t.name NOT LIKE '%_migrations'"
);

/// The settings of a service below a path, as behind a proxy.
pub(crate) fn config(url: &str, feed_url: &str) -> Config {
    Config::parse_from([
        "shipping",
        "--database-url",
        url,
        "--feed-url",
        feed_url,
        "--listen",
        "127.0.0.1:0",
        "--base-url",
        "https://shop.example/shipping",
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
        let service = shipping::open(&config, CancellationToken::new()).await?;
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
        let shipments = list["shipments"].as_array().unwrap().iter();
        let text = |value: &Value| value.as_str().map_or(value.to_string(), str::to_owned);
        shipments
            .map(|shipping| (shipping["id"].as_i64().unwrap(), text(&shipping[member])))
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
