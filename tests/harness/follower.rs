//! A service that follows a feed, under test: its routes are called in process, its consumer runs
//! round by round.

use axum::Router;
use feed_core::consumer::Polled;
use feed_core::{Backend, Consumer, Database, Effect};
use serde_json::Value;

use crate::producer::Producer;
use crate::{Answer, request};

/// A service under test. An unexpected result ends the test.
#[derive(Debug)]
pub struct Follower<S: Backend, E: Effect<S>> {
    router: Router,
    consumer: Consumer<S, E>,
    database: Database<S>,
    list: &'static str,
}

#[expect(clippy::missing_panics_doc, reason = "said above, once for all")]
impl<S: Backend, E: Effect<S>> Follower<S, E> {
    /// A service whose list is the member `list` of the document at `/`.
    #[must_use]
    pub fn new(
        router: Router,
        consumer: Consumer<S, E>,
        database: Database<S>,
        list: &'static str,
    ) -> Self {
        Self {
            router,
            consumer,
            database,
            list,
        }
    }

    /// Applies all that `producer` has published, without waiting there for more.
    pub async fn catch_up(&mut self, producer: &Producer) {
        let newest = producer.publish().await;
        while self.status("sequence").await.as_i64() < Some(newest) {
            let polled = self.consumer.poll_once().await.expect("a round");
            assert!(matches!(polled, Polled::Applied(_)), "{polled:?}");
        }
    }

    /// Polls a feed that does not support waiting, until nothing is new.
    pub async fn drain(&mut self) {
        let done = Polled::UpToDate { waited: false };
        while self.consumer.poll_once().await.expect("a round") != done {}
    }

    /// The service's own database.
    #[must_use]
    pub fn database(&self) -> &Database<S> {
        &self.database
    }

    /// The service's routes.
    pub fn router(&self) -> &Router {
        &self.router
    }

    /// A request without a body.
    pub async fn send(&self, method: &str, path: &str, accept: &str) -> Answer {
        self.request(method, path, &[("accept", accept)]).await
    }

    /// The answer to a request with these headers.
    pub async fn request(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        request(&self.router, method, path, headers, "").await
    }

    /// The page at `path`, for people.
    pub async fn page(&self, path: &str) -> String {
        let answer = self.send("GET", path, "text/html").await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.body
    }

    /// The document at `path`, for programs.
    pub async fn json(&self, path: &str) -> Value {
        let answer = self.send("GET", path, "application/json").await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.json()
    }

    /// One member of the status document.
    pub async fn status(&self, member: &str) -> Value {
        self.json("/status").await[member].clone()
    }

    /// The orders on the first page of the list, with the value of `member`.
    pub async fn listed(&self, member: &str) -> Vec<(i64, String)> {
        let page = self.json("/").await;
        let items = page[self.list].as_array().expect("a list").iter();
        let text = |value: &Value| value.as_str().map_or(value.to_string(), str::to_owned);
        items
            .map(|item| (item["id"].as_i64().expect("an id"), text(&item[member])))
            .collect()
    }
}
