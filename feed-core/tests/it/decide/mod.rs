//! Decisions about parked events, one or thousands, and how they are taken back: exactly one effect or one recorded skip
//! (I5), in sequence within a subject (I6), also beside an instance that works at the same moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use feed_core::consumer::{DecideError, Handle, NoUndo, Selection};
use feed_core::{
    Batch, CancellationToken, Consumer, Database, Effect, EffectError, NewEvent, Received,
};
use harness::FreshDatabase;
use sqlx::{Sqlite, Transaction};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::support::{
    Fail, Publisher, Recorder, Testable, consumer_database, event, serve, until, waiting_consumer,
};

mod many;
mod twice;
mod undo;

/// What [`Recorder`] does; one event of `order/1` waits until it may be applied.
#[derive(Debug, Clone, Default)]
struct Gate {
    recorder: Recorder,
    closed: Arc<AtomicBool>,
    tried: Arc<Notify>,
    go: Arc<Notify>,
}

impl<B: Testable> Effect<B> for Gate {
    async fn apply(
        &self,
        tx: &mut Transaction<'_, B>,
        events: &Batch<'_>,
    ) -> Result<(), EffectError> {
        let held = events.iter().any(|event| event.subject == "order/1");
        if held && self.closed.swap(false, Ordering::Relaxed) {
            self.tried.notify_one();
            self.go.notified().await;
        }
        self.recorder.apply(tx, events).await
    }

    fn erases(&self, event: &Received) -> bool {
        <Recorder as Effect<B>>::erases(&self.recorder, event)
    }
}

struct Scene<B: Testable> {
    publisher: Publisher<Sqlite>,
    _source: FreshDatabase,
    database: Database<B>,
    effect: Gate,
    handle: Handle<B>,
    consumer: Consumer<B, Gate>,
}

impl<B: Testable> Scene<B> {
    /// The events of `order/1` fail.
    async fn new(url: &str) -> Self {
        let source = FreshDatabase::sqlite();
        let publisher = Publisher::<Sqlite>::open(source.url()).await;
        let feed = format!("{}/feed", serve(publisher.feed.router()).await);
        let database = consumer_database::<B>(url).await;
        let effect = Gate::default();
        effect.recorder.fail("order/1", Fail::Park);
        let consumer = waiting_consumer(&database, &feed, effect.clone(), Duration::ZERO).await;
        Self {
            publisher,
            _source: source,
            database,
            effect,
            handle: consumer.handle(),
            consumer,
        }
    }

    /// Publishes events, and takes them; returns their ids.
    async fn take(&mut self, events: &[NewEvent]) -> Vec<String> {
        let mut ids = Vec::new();
        for event in events {
            let mut tx = self.publisher.database.begin().await.unwrap();
            let id = feed_core::outbox::append(&mut tx, event).await.unwrap();
            tx.commit().await.unwrap();
            ids.push(id.urn());
        }
        let newest = self.publisher.feed.publish().await.unwrap().sequence;
        self.settled(newest).await;
        ids
    }

    async fn about_order_1(&mut self, count: usize) -> Vec<String> {
        let events: Vec<_> = (0..count).map(|_| event("order/1")).collect();
        self.take(&events).await
    }

    /// Lets the consumer work until so many are parked, and so many wait.
    async fn settle(&mut self, parked: i64, waiting: i64) {
        let (consumer, handle) = (&mut self.consumer, &self.handle);
        until("it has settled", async || {
            consumer.poll_once().await.unwrap();
            let status = handle.status().await.unwrap();
            (status.parked, status.waiting) == (parked, waiting)
        })
        .await;
    }

    /// Lets the consumer work until it has taken the events up to `newest`.
    async fn settled(&mut self, newest: i64) {
        let (consumer, handle) = (&mut self.consumer, &self.handle);
        until("all is taken", async || {
            consumer.poll_once().await.unwrap();
            let status = handle.status().await.unwrap();
            status.decision.is_none() && status.sequence == newest
        })
        .await;
    }

    /// Retries what is parked until all is applied.
    async fn apply_all(&mut self) {
        self.effect.recorder.repair();
        let all = Selection::default();
        let (consumer, handle) = (&mut self.consumer, &self.handle);
        until("all is applied", async || {
            handle.retry_selected(&all, "eve").await.unwrap();
            consumer.poll_once().await.unwrap();
            let status = handle.status().await.unwrap();
            (status.parked, status.waiting) == (0, 0)
        })
        .await;
    }

    async fn newest(&self) -> i64 {
        self.handle.decisions(1).await.unwrap()[0].position
    }

    async fn kept(&self) -> i64 {
        B::numbers(&self.database, "SELECT count(*) FROM feed_undo").await[0]
    }

    async fn refused(&self, position: i64) -> NoUndo {
        match self.handle.undo(position, "ada").await {
            Err(DecideError::CannotUndo(of, why)) if of == position => why,
            other => panic!("{other:?}"),
        }
    }

    fn run(self) -> (Running<B>, JoinHandle<()>) {
        let shutdown = self.consumer.shutdown();
        let running = tokio::spawn(self.consumer.run());
        let rest = Running {
            _publisher: self.publisher,
            _source: self._source,
            database: self.database,
            effect: self.effect,
            handle: self.handle,
            shutdown,
        };
        (rest, running)
    }
}

/// A scene whose consumer runs.
struct Running<B: Testable> {
    _publisher: Publisher<Sqlite>,
    _source: FreshDatabase,
    database: Database<B>,
    effect: Gate,
    handle: Handle<B>,
    shutdown: CancellationToken,
}
