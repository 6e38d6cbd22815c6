//! How many events one transaction has: more while that is quick, and a hundred again after a failure.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use feed_core::{Batch, Consumer, Database, Effect, EffectError, Subscription, outbox};
use sqlx::{Postgres, Transaction};

use crate::support::{Publisher, Testable, consumer_database, effects, event, serve, until, urns};

harness::on_both_databases! {
    a_backlog_is_taken_in_larger_batches
    an_effect_that_fails_for_many_gets_fewer
}

/// Records the size of each batch, and refuses those that are larger than `most`.
#[derive(Debug, Clone)]
struct Sizes {
    tried: Arc<Mutex<Vec<usize>>>,
    most: usize,
    /// What it does with them.
    refusal: Option<&'static str>,
}

impl<B: Testable> Effect<B> for Sizes {
    async fn apply(
        &self,
        tx: &mut Transaction<'_, B>,
        events: &Batch<'_>,
    ) -> Result<(), EffectError> {
        let size = events.into_iter().count();
        self.tried.lock().unwrap().push(size);
        if size > self.most {
            match self.refusal {
                Some(sql) => B::execute(tx, sql).await?,
                None => return Err(EffectError::Retry("too many".to_owned())),
            }
        }
        // One statement: a batch that takes long would not let the next one grow.
        let ids = events.into_iter().map(|event| format!("('{}')", event.id));
        let ids = ids.collect::<Vec<_>>().join(", ");
        B::execute(tx, &format!("INSERT INTO effect (event_id) VALUES {ids}")).await?;
        Ok(())
    }
}

/// The sizes of the batches in which `count` events are taken, each once and in order.
async fn taken<B: Testable>(
    url: &str,
    count: usize,
    most: usize,
    refusal: Option<&'static str>,
) -> Vec<usize> {
    let publisher = Publisher::<B>::open(url).await;
    let mut ids = Vec::new();
    let mut tx = publisher.database.begin().await.unwrap();
    for n in 0..count {
        let event = event(&format!("order/{}", n % 40));
        ids.push(outbox::append(&mut tx, &event).await.unwrap());
    }
    tx.commit().await.unwrap();
    publisher.feed.publish().await.unwrap();
    let feed = format!("{}/feed", serve(publisher.feed.router()).await);
    let database: Database<B> = consumer_database(url).await;
    let subscription = Subscription {
        poll_interval: Duration::from_millis(20),
        ..Subscription::new("sizes", feed.parse().unwrap())
    };
    let sizes = Sizes {
        tried: Arc::default(),
        most,
        refusal,
    };
    let tried = Arc::clone(&sizes.tried);
    let shutdown = publisher.shutdown.clone();
    let mut consumer = Consumer::open(database.clone(), subscription, sizes, shutdown)
        .await
        .unwrap();
    until("all are taken", async || {
        // The round ends where the database fails.
        let _ = consumer.poll_once().await;
        effects(&database).await.len() == count
    })
    .await;
    assert_eq!(effects(&database).await, urns(&ids));
    let tried = tried.lock().unwrap();
    tried.clone()
}

async fn a_backlog_is_taken_in_larger_batches<B: Testable>(url: &str) {
    let sizes = taken::<B>(url, 3_000, usize::MAX, None).await;
    assert_eq!(sizes[0], 100, "how long they take is not known yet");
    assert!(sizes.iter().any(|size| *size > 100), "{sizes:?}");
    assert!(sizes.iter().all(|size| *size <= 1_000), "{sizes:?}");
}

async fn an_effect_that_fails_for_many_gets_fewer<B: Testable>(url: &str) {
    let sizes = taken::<B>(url, 3_000, 100, None).await;
    let failed = sizes.iter().position(|size| *size > 100);
    assert_eq!(sizes[failed.expect("it has grown") + 1], 100, "{sizes:?}");
    assert!(!sizes.contains(&1), "none is applied alone: {sizes:?}");
}

/// What the server causes ends the round; the next one asks less of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_fails_for_many_gets_fewer() {
    let database = harness::FreshDatabase::postgres().await;
    let refusal = "DO $$ BEGIN RAISE 'no memory' USING ERRCODE = '53200'; END $$";
    let sizes = taken::<Postgres>(database.url(), 3_000, 100, Some(refusal)).await;
    let failed = sizes.iter().position(|size| *size > 100);
    assert_eq!(sizes[failed.expect("it has grown") + 1], 100, "{sizes:?}");
}
