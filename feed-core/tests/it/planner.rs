//! A service's statements find the planner of PostgreSQL as its role has set it, however their transaction began.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use feed_core::{
    Batch, CancellationToken, Consumer, Database, DatabaseOptions, Effect, EffectError,
    Subscription,
};
use harness::FreshDatabase;
use sqlx::postgres::PgPoolOptions;
use sqlx::{Executor, Postgres, Row, Transaction};

use crate::support::{Publisher, serve};

/// Records the settings that it finds, and fails for one subject while `fails` is set.
#[derive(Debug, Clone, Default)]
struct Observer {
    found: Arc<Mutex<Vec<(usize, String)>>>,
    fails: Arc<Mutex<bool>>,
}

/// What an effect should find: what [`open`] has set for the database, and our limit for locks.
const OWN: &str = "on on 3s";

impl Effect<Postgres> for Observer {
    async fn apply(
        &self,
        tx: &mut Transaction<'_, Postgres>,
        events: &Batch<'_>,
    ) -> Result<(), EffectError> {
        let found =
            "SELECT concat_ws(' ', current_setting('enable_seqscan'), current_setting('jit'),
                                      current_setting('lock_timeout'))";
        let found = tx.fetch_one(found).await?.try_get(0)?;
        self.found.lock().unwrap().push((events.len(), found));
        match events.iter().any(|event| event.subject == "order/3") && *self.fails.lock().unwrap() {
            true => Err(EffectError::Park("not today".to_owned())),
            false => Ok(()),
        }
    }
}

impl Observer {
    /// What was found since the last time, once for each call.
    fn take(&self) -> Vec<(usize, String)> {
        std::mem::take(&mut *self.found.lock().unwrap())
    }
}

async fn open(url: &str) -> Database<Postgres> {
    let prepared = Database::<Postgres>::open(url).await.unwrap();
    let own = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET jit = on', current_database());
               EXECUTE format('ALTER DATABASE %I SET enable_seqscan = on', current_database()); END $$";
    prepared.writer().execute(own).await.unwrap();
    prepared.close().await;
    Database::open(url).await.unwrap()
}

async fn effects_find_the_own_planner(database: &Database<Postgres>) {
    let publisher = FreshDatabase::postgres().await;
    let publisher = Publisher::<Postgres>::open(publisher.url()).await;
    publisher.publish(10).await;
    let feed = serve(publisher.feed.router()).await + "/feed";
    let observer = Observer::default();
    let subscription = Subscription {
        poll_interval: Duration::from_millis(20),
        ..Subscription::new("order", feed.parse().unwrap())
    };
    let (effect, shutdown) = (observer.clone(), CancellationToken::new());
    let consumer = Consumer::open(database.clone(), subscription, effect, shutdown).await;
    let mut consumer = consumer.unwrap();

    let own = |events| (events, OWN.to_owned());
    consumer.poll_once().await.unwrap();
    assert_eq!(observer.take(), [own(10)], "a batch");
    *observer.fails.lock().unwrap() = true;
    publisher.publish(10).await;
    consumer.poll_once().await.unwrap();
    let found = observer.take();
    assert_eq!(found.len(), 11, "{found:?}");
    assert!(
        found.iter().all(|(_, found)| found == OWN),
        "one by one: {found:?}"
    );
    publisher.publish(10).await;
    consumer.poll_once().await.unwrap();
    assert_eq!(observer.take(), [own(9)], "beside a parked event");
    *observer.fails.lock().unwrap() = false;
    consumer
        .handle()
        .retry_selected(&feed_core::consumer::Selection::default(), "ada")
        .await
        .unwrap();
    let applied = async || {
        consumer.poll_once().await.unwrap();
        consumer.handle().status().await.unwrap().parked == 0
    };
    crate::support::until("the parked ones are applied", applied).await;
    assert_eq!(observer.take(), [own(1), own(1)], "retries");
}

#[tokio::test]
async fn in_sessions_of_ours() {
    let fresh = FreshDatabase::postgres().await;
    let database = open(fresh.url()).await;
    effects_find_the_own_planner(&database).await;
    // What is ours keeps its plans.
    let ours: String = sqlx::query_scalar("SHOW enable_seqscan")
        .fetch_one(database.writer())
        .await
        .unwrap();
    assert_eq!(ours, "off");
}

#[tokio::test]
async fn in_transactions_of_a_pooler() {
    let fresh = FreshDatabase::postgres().await;
    open(fresh.url()).await.close().await;
    let options = DatabaseOptions::new(fresh.url()).direct(fresh.url());
    let database = Database::open(options).await.unwrap();
    effects_find_the_own_planner(&database).await;
}

#[tokio::test]
async fn in_transactions_on_a_pool_of_the_host() {
    let fresh = FreshDatabase::postgres().await;
    // What the host sets for its sessions counts, and not what the database says.
    let own = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET jit = off', current_database());
               EXECUTE format('ALTER DATABASE %I SET enable_seqscan = off', current_database()); END $$";
    fresh.execute(own).await;
    let pool = PgPoolOptions::new().after_connect(|session, _| {
        Box::pin(async move {
            let own = session.execute("SET jit = on; SET enable_seqscan = on");
            own.await.map(drop)
        })
    });
    let pool = pool.connect(fresh.url()).await.unwrap();
    let database = Database::with_pool(pool, DatabaseOptions::default()).await;
    effects_find_the_own_planner(&database.unwrap()).await;
}
