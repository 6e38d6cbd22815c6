//! A publisher and a consumer with an effect that can be counted, on either database.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use chrono::Utc;
use feed_core::consumer::Handle;
use feed_core::feed::{PageWriter, View};
use feed_core::http::BaseUrl;
use feed_core::{
    Backend, Batch, Consumer, Database, DatabaseOptions, Effect, EffectError, EventId, Feed,
    FeedSettings, NewEvent, Received, Subscription, outbox,
};
use harness::FreshDatabase;
pub(crate) use harness::serve;
use sqlx::{AssertSqlSafe, Executor, Postgres, Sqlite, Transaction};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

pub(crate) const BASE: &str = "https://shop.example/order/";

/// What the tests ask of a backend beside the library.
pub(crate) trait Testable: Backend {
    /// Runs SQL that is the same on both.
    async fn run(database: &Database<Self>, sql: &str) -> u64;
    /// Runs SQL that may be refused.
    async fn try_run(database: &Database<Self>, sql: &str) -> sqlx::Result<()>;
    /// Reads one column of integers.
    async fn numbers(database: &Database<Self>, sql: &str) -> Vec<i64>;
    /// Reads one column of texts.
    async fn texts(database: &Database<Self>, sql: &str) -> Vec<String>;
    /// The effect that is counted.
    fn insert_effect(
        tx: &mut Transaction<'_, Self>,
        event: &Received,
    ) -> impl Future<Output = sqlx::Result<()>> + Send;
    /// Runs SQL inside a transaction.
    fn execute(
        tx: &mut Transaction<'_, Self>,
        sql: &str,
    ) -> impl Future<Output = sqlx::Result<()>> + Send;
    /// Reads one number inside a transaction; the statement may use `$1`, which is 1.
    fn number_in(
        tx: &mut Transaction<'_, Self>,
        sql: &str,
    ) -> impl Future<Output = sqlx::Result<i64>> + Send;
    /// Which of two dialects of SQL it speaks: 0 PostgreSQL's, 1 SQLite's.
    const DIALECT: usize;
    /// The type of a column that counts up.
    const COUNTER: &'static str;
    /// One hour from now, as stored.
    const IN_AN_HOUR: &'static str;
}

macro_rules! testable {
    ($backend:ty, $counter:literal, $hour:literal, $dialect:literal) => {
        impl Testable for $backend {
            async fn run(database: &Database<Self>, sql: &str) -> u64 {
                let done = database.writer().execute(AssertSqlSafe(sql)).await;
                done.expect(sql).rows_affected()
            }

            async fn try_run(database: &Database<Self>, sql: &str) -> sqlx::Result<()> {
                let done = database.writer().execute(AssertSqlSafe(sql)).await;
                done.map(|_| ())
            }

            async fn numbers(database: &Database<Self>, sql: &str) -> Vec<i64> {
                let rows = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(database.reader());
                rows.await.expect(sql)
            }

            async fn texts(database: &Database<Self>, sql: &str) -> Vec<String> {
                let rows = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(database.reader());
                rows.await.expect(sql)
            }

            async fn insert_effect(
                tx: &mut Transaction<'_, Self>,
                event: &Received,
            ) -> sqlx::Result<()> {
                sqlx::query("INSERT INTO effect (event_id, subject, data) VALUES ($1, $2, $3)")
                    .bind(&event.id)
                    .bind(&event.subject)
                    .bind(&event.data)
                    .execute(&mut **tx)
                    .await?;
                Ok(())
            }

            async fn execute(tx: &mut Transaction<'_, Self>, sql: &str) -> sqlx::Result<()> {
                let sql = sqlx::raw_sql(AssertSqlSafe(sql));
                sql.execute(&mut **tx).await.map(drop)
            }

            async fn number_in(tx: &mut Transaction<'_, Self>, sql: &str) -> sqlx::Result<i64> {
                let number = sqlx::query_scalar(AssertSqlSafe(sql)).bind(1_i64);
                number.fetch_one(&mut **tx).await
            }

            const DIALECT: usize = $dialect;
            const COUNTER: &'static str = $counter;
            const IN_AN_HOUR: &'static str = $hour;
        }
    };
}

testable!(
    Postgres,
    "BIGINT GENERATED ALWAYS AS IDENTITY",
    "clock_timestamp() + interval '1 hour'",
    0
);
testable!(
    Sqlite,
    "INTEGER PRIMARY KEY AUTOINCREMENT",
    "strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '+1 hour')",
    1
);

/// A publisher with a small page size, so that few events make many pages.
pub(crate) struct Publisher<B: Backend> {
    pub(crate) database: Database<B>,
    pub(crate) feed: Feed<B>,
    pub(crate) shutdown: CancellationToken,
}

pub(crate) const PAGE_SIZE: i64 = 10;

fn settings(base: &str) -> FeedSettings {
    FeedSettings {
        subtitle: Some("What happened <to> orders".to_owned()),
        author: "Shop".to_owned(),
        page_size: u32::try_from(PAGE_SIZE).unwrap(),
        page: Some(PageWriter::new(page)),
        ..FeedSettings::new(base.parse::<BaseUrl>().unwrap(), "Orders")
    }
}

impl<B: Testable> Publisher<B> {
    pub(crate) async fn open(url: &str) -> Self {
        Self::at(url, BASE).await
    }

    pub(crate) async fn at(url: &str, base: &str) -> Self {
        Self::on(Database::open(url).await.unwrap(), base).await
    }

    pub(crate) async fn on(database: Database<B>, base: &str) -> Self {
        let shutdown = CancellationToken::new();
        let feed = Feed::open(database.clone(), settings(base), shutdown.clone()).await;
        Self {
            database,
            feed: feed.unwrap(),
            shutdown,
        }
    }

    /// On a copy of the publisher's database.
    pub(crate) async fn copy(url: &str) -> Self {
        let options = DatabaseOptions::new(url).read_only();
        let database = Database::open(options).await.unwrap();
        let shutdown = CancellationToken::new();
        let feed = Feed::open_read_only(database.clone(), settings(BASE), shutdown.clone()).await;
        Self {
            database,
            feed: feed.unwrap(),
            shutdown,
        }
    }

    /// Commits one event about `subject`, not yet published.
    pub(crate) async fn commit(&self, subject: &str) -> EventId {
        let event = event(subject);
        let mut tx = self.database.begin().await.unwrap();
        let id = outbox::append(&mut tx, &event).await.unwrap();
        tx.commit().await.unwrap();
        id
    }

    /// Commits one event that waits for the sequencer. PostgreSQL numbers none in a commit that is not synced; SQLite
    /// numbers each.
    pub(crate) async fn commit_unnumbered(&self, event: &NewEvent) -> EventId {
        let mut tx = self.database.begin().await.unwrap();
        let unsynced = ["SET LOCAL synchronous_commit = off", "SELECT 1"];
        B::execute(&mut tx, unsynced[B::DIALECT]).await.unwrap();
        let id = outbox::append(&mut tx, event).await.unwrap();
        tx.commit().await.unwrap();
        id
    }

    /// Publishes `count` events, about ten subjects in turn.
    pub(crate) async fn publish(&self, count: i64) -> Vec<EventId> {
        let mut ids = Vec::new();
        for n in 0..count {
            ids.push(self.commit(&format!("order/{}", n % 10)).await);
        }
        self.feed.publish().await.unwrap();
        ids
    }

    pub(crate) async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send("GET", path, headers).await
    }

    pub(crate) async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        send(self.feed.router(), method, path, headers).await
    }

    /// Closes the second of the newest event, as the running feed does once it is over.
    pub(crate) async fn close_second(&self) {
        let running = tokio::spawn({
            let feed = self.feed.clone();
            async move { feed.run().await }
        });
        let closed = "SELECT closed_sequence - sequence FROM feed_head";
        until("the second is closed", async || {
            B::numbers(&self.database, closed).await == [0]
        })
        .await;
        // What the database says is in memory with the next look.
        until("it is announced", async || {
            let date = self.get("/feed", &[]).await.header("last-modified");
            let again = [("if-modified-since", date.as_str())];
            self.get("/feed", &again).await.status == 304
        })
        .await;
        running.abort();
    }
}

pub(crate) fn event(subject: &str) -> NewEvent {
    let something = EventId::new();
    NewEvent {
        event_type: "order.placed".to_owned(),
        subject: subject.to_owned(),
        time: Utc::now(),
        title: format!("{subject} placed"),
        summary: "Something was ordered".to_owned(),
        link: subject.to_owned(),
        data: format!("{{\"event\":\"{something}\"}}"),
        traceparent: None,
    }
}

/// An answer with its whole body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> String {
        let value = self.headers.get(name);
        value.map_or(String::new(), |value| value.to_str().unwrap().to_owned())
    }

    /// The sequences in the document, as they stand there.
    pub(crate) fn sequences(&self) -> Vec<i64> {
        let parts = self.body.split("<event:sequence>").skip(1);
        parts
            .map(|part| part.split('<').next().unwrap().parse().unwrap())
            .collect()
    }

    /// The path and query of the link with that relation.
    pub(crate) fn link(&self, rel: &str) -> Option<String> {
        let (_, rest) = self.body.split_once(&format!("rel=\"{rel}\""))?;
        let (_, rest) = rest.split_once("href=\"")?;
        let href = rest.split('"').next()?.replace("&amp;", "&");
        Some(
            href.strip_prefix("https://shop.example/order")
                .unwrap_or(&href)
                .to_owned(),
        )
    }

    pub(crate) fn cursor(&self) -> String {
        let (_, rest) = self.body.split_once("<event:cursor>").unwrap();
        rest.split('<').next().unwrap().to_owned()
    }
}

pub(crate) async fn send(
    router: Router,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> Answer {
    let answer = harness::request(&router, method, path, headers, "").await;
    Answer {
        status: answer.status,
        headers: answer.headers,
        body: answer.body,
    }
}

/// Waits for a condition, with a deadline.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    harness::until(what, async || holds().await.then_some(())).await;
}

/// Waits until `count` sessions of PostgreSQL wait for a lock. SQLite does not show who waits.
pub(crate) async fn until_waiting<B: Testable>(database: &Database<B>, count: i64) {
    let waiting = "SELECT count(*) FROM pg_stat_activity
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
    until("sessions wait for locks", async || {
        B::DIALECT == 1 || B::numbers(database, waiting).await == [count]
    })
    .await;
}

/// An effect that is one row for each event, and fails for the subjects in `fails`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recorder {
    pub(crate) fails: Arc<Mutex<Vec<(String, Fail)>>>,
    /// [`Fail::Once`] and [`Fail::Hang`] notify this when they are reached …
    pub(crate) tried: Arc<Notify>,
    /// … and continue when this is notified.
    pub(crate) go: Arc<Notify>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fail {
    Park,
    Retry,
    Panic,
    Constraint,
    /// Once, and not before [`Recorder::go`].
    Once,
    /// Not at all, but it is not done before [`Recorder::go`].
    Hang,
}

impl Recorder {
    pub(crate) fn failing(subject: &str, fail: Fail) -> Self {
        let recorder = Self::default();
        recorder.fail(subject, fail);
        recorder
    }

    pub(crate) fn fail(&self, subject: &str, fail: Fail) {
        *self.fails.lock().unwrap() = vec![(subject.to_owned(), fail)];
    }

    pub(crate) fn repair(&self) {
        self.fails.lock().unwrap().clear();
    }
}

impl<B: Testable> Effect<B> for Recorder {
    async fn apply(
        &self,
        tx: &mut Transaction<'_, B>,
        events: &Batch<'_>,
    ) -> Result<(), EffectError> {
        for event in events {
            // Written first, so that a failure has something to roll back.
            B::insert_effect(tx, event).await?;
            let fails = self.fails.lock().unwrap().clone();
            let fail = fails.iter().find(|(subject, _)| *subject == event.subject);
            match fail.map(|(_, fail)| fail) {
                Some(Fail::Park) => return Err(EffectError::Park("no such customer".to_owned())),
                Some(Fail::Retry) => return Err(EffectError::Retry("not yet".to_owned())),
                Some(Fail::Panic) => panic!("division by zero"),
                Some(Fail::Once) => {
                    self.repair();
                    self.tried.notify_one();
                    self.go.notified().await;
                    return Err(EffectError::Park("not this time".to_owned()));
                }
                Some(Fail::Hang) => {
                    self.repair();
                    self.tried.notify_one();
                    self.go.notified().await;
                }
                Some(Fail::Constraint) => B::insert_effect(tx, event).await?,
                None => {}
            }
        }
        Ok(())
    }

    fn erases(&self, event: &Received) -> bool {
        event.event_type.as_deref() == Some("order.erased")
    }
}

/// A consumer's database with the table of [`Recorder`].
pub(crate) async fn consumer_database<B: Testable>(url: &str) -> Database<B> {
    let database = Database::open(url).await.unwrap();
    create_effect_table(&database).await;
    database
}

pub(crate) async fn create_effect_table<B: Testable>(database: &Database<B>) {
    let sql = format!(
        "CREATE TABLE IF NOT EXISTS effect (
             position {}, event_id TEXT UNIQUE, subject TEXT, data TEXT)",
        B::COUNTER
    );
    B::run(database, &sql).await;
}

pub(crate) async fn consumer<B: Testable, E: Effect<B>>(
    database: &Database<B>,
    feed_url: &str,
    effect: E,
) -> Consumer<B, E> {
    waiting_consumer(database, feed_url, effect, Duration::MAX).await
}

/// A consumer that waits at the server for so long at most.
pub(crate) async fn waiting_consumer<B: Testable, E: Effect<B>>(
    database: &Database<B>,
    feed_url: &str,
    effect: E,
    wait: Duration,
) -> Consumer<B, E> {
    let subscription = Subscription {
        wait,
        poll_interval: Duration::from_millis(20),
        instance: "test".to_owned(),
        ..Subscription::new("order", feed_url.parse().unwrap())
    };
    let shutdown = CancellationToken::new();
    let consumer = Consumer::open(database.clone(), subscription, effect, shutdown).await;
    consumer.unwrap()
}

/// A feed, the database of its consumer, and an operator without a consumer in the process.
pub(crate) struct Scene<B: Testable> {
    pub(crate) publisher: Publisher<Sqlite>,
    _source: FreshDatabase,
    pub(crate) database: Database<B>,
    pub(crate) feed: String,
    pub(crate) operator: Handle<B>,
}

impl<B: Testable> Scene<B> {
    pub(crate) async fn new(url: &str) -> Self {
        let source = FreshDatabase::sqlite();
        let publisher = Publisher::<Sqlite>::open(source.url()).await;
        let feed = format!("{}/feed", serve(publisher.feed.router()).await);
        let database = consumer_database::<B>(url).await;
        let subscription = Subscription::new("order", feed.parse().unwrap());
        let operator = Handle::open(database.clone(), subscription).await.unwrap();
        Self {
            publisher,
            _source: source,
            database,
            feed,
            operator,
        }
    }
}

/// The ids of the effects, in the order in which they were committed.
pub(crate) async fn effects<B: Testable>(database: &Database<B>) -> Vec<String> {
    B::texts(database, "SELECT event_id FROM effect ORDER BY position").await
}

pub(crate) fn urns(ids: &[EventId]) -> Vec<String> {
    ids.iter().map(|id| id.urn()).collect()
}

/// A status code by its name, for assertions that read well.
pub(crate) const NOT_MODIFIED: u16 = StatusCode::NOT_MODIFIED.as_u16();

/// A document as the plainest page for people.
fn page(view: &View<'_>) -> String {
    let entries = view.entries();
    let entries =
        entries.map(|entry| format!("<li><a href=\"{}\">{}</a>", entry.data, entry.title));
    let links = ["self", "prev-archive", "next", "previous"].into_iter();
    let links =
        links.filter_map(|rel| Some(format!("<a rel=\"{rel}\" href=\"{}\">", view.link(rel)?)));
    let parts: Vec<String> = entries.chain(links).collect();
    format!(
        "<!DOCTYPE html><title>{}</title>{:?}{}",
        view.feed(),
        view.only(),
        parts.join("\n")
    )
}
