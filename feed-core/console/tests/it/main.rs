//! What an operator sees and decides, on both databases: parked events, a halt, a replay, a comparison; by the handle
//! and by the routes below `/status`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod all;
mod feed;
mod halted;
mod lists;
mod many;
mod pace;
mod pages;
mod parked;
mod paused;
mod refused;
mod service;
mod stuck;
#[path = "../../../tests/it/support.rs"]
#[expect(dead_code, reason = "the tests of feed-core use the rest")]
mod support;

use axum::Router;
use feed_chassis::health;
use feed_chassis::html::Frame;
use feed_console::{not_halted, subscription};
use feed_core::consumer::{Compared, Difference, Handle, Kind, Reconcile};
use feed_core::{Database, Received};
use harness::{Answer, request};
use serde_json::Value;
use sqlx::Sqlite;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use support::{Publisher, Recorder, Testable, consumer, consumer_database, effects, serve, until};

/// A consumer that runs, its handle and its routes, and the feed it follows.
struct Site<B: Testable> {
    publisher: Publisher<Sqlite>,
    _source: harness::FreshDatabase,
    database: Database<B>,
    effect: Recorder,
    handle: Handle<B>,
    router: Router,
    shutdown: CancellationToken,
    running: JoinHandle<()>,
}

impl<B: Testable> Drop for Site<B> {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// Finds a difference in order/3, if there is such an event.
#[derive(Debug, Default)]
struct Ledger(bool);

impl<B: Testable> Reconcile<B> for Ledger {
    fn expect(&mut self, event: &Received, settled: bool) -> Result<(), String> {
        self.0 |= settled && event.subject == "order/3";
        Ok(())
    }

    async fn compare(self, _: &Database<B>) -> sqlx::Result<Compared> {
        let difference = Difference {
            id: "order/3".to_owned(),
            what: "there is no <effect>".to_owned(),
            kind: Kind::Missing,
        };
        Ok(Compared {
            differences: self.0.then_some(difference).into_iter().collect(),
            ..Compared::default()
        })
    }
}

impl<B: Testable> Site<B> {
    /// A site on a feed with `count` events, which has taken all of them.
    async fn new(url: &str, count: i64, effect: Recorder) -> Self {
        let source = harness::FreshDatabase::sqlite();
        let publisher = Publisher::<Sqlite>::open(source.url()).await;
        publisher.publish(count).await;
        let database = consumer_database::<B>(url).await;
        Self::on(source, publisher, database, effect).await
    }

    async fn on(
        source: harness::FreshDatabase,
        publisher: Publisher<Sqlite>,
        database: Database<B>,
        effect: Recorder,
    ) -> Self {
        let feed = format!("{}/feed", serve(publisher.feed.router()).await);
        let consumer = consumer(&database, &feed, effect.clone()).await;
        let handle = consumer.handle();
        let frame = Frame {
            base: "https://shop.example/invoice/".parse().unwrap(),
            home: None,
            home_name: "Home",
            service: "Test",
            menu: &[],
            feed: None,
        };
        let ready = |handle: Handle<B>| async move { not_halted(&handle).await };
        let router = Router::new()
            .merge(health(ready))
            .with_state(handle.clone())
            .merge(subscription::router::<B, Ledger>(handle.clone(), frame));
        let site = Self {
            publisher,
            _source: source,
            database,
            effect,
            handle,
            router,
            shutdown: consumer.shutdown(),
            running: tokio::spawn(consumer.run()),
        };
        site.settled().await;
        site
    }

    /// Waits until all is taken, or it is halted.
    async fn settled(&self) {
        let newest = self.publisher.feed.cursor().sequence;
        until("all is taken", async || {
            let status = self.handle.status().await.unwrap();
            status.halted.is_some() || status.sequence >= newest && status.epoch.is_some()
        })
        .await;
    }

    /// The same consumer after its feed has become another one, with `count` events.
    async fn with_another_feed(url: &str, count: i64) -> (Self, Vec<String>) {
        let first = Self::new(url, 5, Recorder::default()).await;
        let database = first.database.clone();
        let known = effects(&database).await;
        first.shutdown.cancel();
        until("it has stopped", async || first.running.is_finished()).await;
        let source = harness::FreshDatabase::sqlite();
        let publisher = Publisher::<Sqlite>::open(source.url()).await;
        publisher.publish(count).await;
        let site = Self::on(source, publisher, database, Recorder::default()).await;
        until("it is halted", async || {
            site.handle.status().await.unwrap().halted.is_some()
        })
        .await;
        (site, known)
    }

    async fn get(&self, path: &str, accept: &str) -> Answer {
        request(&self.router, "GET", path, &[("accept", accept)], "").await
    }

    async fn json(&self, path: &str) -> Value {
        let answer = self.get(path, "application/json").await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        assert_eq!(answer.header("cache-control"), "no-store");
        answer.json()
    }

    async fn page(&self, path: &str) -> String {
        let answer = self.get(path, "text/html").await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.body
    }

    /// What a browser sends when a button is pressed.
    async fn press(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.post(path, fields, &[("accept", "text/html")]).await
    }

    async fn post(&self, path: &str, fields: &[(&str, &str)], headers: &[(&str, &str)]) -> Answer {
        let mut body = url::form_urlencoded::Serializer::new(String::new());
        let body = body.extend_pairs(fields).finish();
        let form = [
            ("host", "shop.example"),
            ("content-type", "application/x-www-form-urlencoded"),
        ];
        let headers = [&form, headers].concat();
        request(&self.router, "POST", path, &headers, body).await
    }

    /// Waits until the newest decision is carried out; returns its outcome.
    async fn carried_out(&self) -> String {
        let mut outcome = None;
        until("the decision is carried out", async || {
            let newest = self.handle.decisions(1).await.unwrap().pop().unwrap();
            outcome = newest.outcome;
            outcome.is_some()
        })
        .await;
        outcome.unwrap()
    }
}

fn assert_back_to_status(answer: &Answer) {
    assert_eq!(answer.status, 303, "{}", answer.body);
    assert_eq!(answer.header("location"), "../status");
}
