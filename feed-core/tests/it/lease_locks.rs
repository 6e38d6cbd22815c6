//! Renewals beside transactions that lock partitions, on PostgreSQL. SQLite has one writer.

use std::time::Duration;

use feed_core::consumer::{Decision, Polled, ResumeFrom};
use feed_core::{Consumer, Database};
use harness::FreshDatabase;
use sqlx::Postgres;

use crate::consumer::served;
use crate::support::{Fail, Recorder, Testable, consumer, consumer_database, effects, until};

type Of = Consumer<Postgres, Recorder>;

/// The effect takes longer than a statement waits for a lock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_is_alive_while_its_effect_takes_long() {
    let fresh = FreshDatabase::postgres().await;
    let (_source, publisher, feed) = served().await;
    let database = consumer_database::<Postgres>(fresh.url()).await;
    let effect = Recorder::failing("order/0", Fail::Hang);
    let working = consumer(&database, &feed, effect.clone()).await;
    let stop = working.shutdown();
    publisher.publish(1).await;
    let running = tokio::spawn(working.run());
    effect.tried.notified().await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let renewed = "SELECT count(*) FROM feed_instance
                   WHERE alive_until > clock_timestamp() + interval '6 seconds'";
    assert_eq!(Postgres::numbers(&database, renewed).await, [1]);
    effect.go.notify_one();
    let leased = "SELECT count(*) FROM feed_partition
                  WHERE lease_until > clock_timestamp() + interval '6 seconds'";
    until("the leases are renewed after the commit", async || {
        Postgres::numbers(&database, leased).await == [16]
    })
    .await;
    assert_eq!(effects(&database).await.len(), 1);
    stop.cancel();
    running.await.unwrap();
}

/// Its locks are enough: the lease that others read is over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_is_not_taken_over_while_a_transaction_of_its_owner_runs() {
    let fresh = FreshDatabase::postgres().await;
    let (_source, publisher, feed) = served().await;
    let database = consumer_database::<Postgres>(fresh.url()).await;
    publisher.publish(3).await;
    let effect = Recorder::default();
    let mut owner = consumer(&database, &feed, effect.clone()).await;
    assert_eq!(owner.poll_once().await.unwrap(), Polled::Applied(3));
    Postgres::run(&database, "DELETE FROM feed_instance").await;
    let over = "UPDATE feed_partition SET lease_until = '2000-01-01'";
    Postgres::run(&database, over).await;
    effect.fail("order/0", Fail::Hang);
    publisher.publish(1).await;
    let polling = tokio::spawn(async move { owner.poll_once().await.unwrap() });
    effect.tried.notified().await;
    let is_over = "SELECT count(*) FROM feed_partition WHERE lease_until < clock_timestamp()";
    assert_eq!(Postgres::numbers(&database, is_over).await, [16]);
    let mut other = consumer(&database, &feed, Recorder::default()).await;
    assert_eq!(other.poll_once().await.unwrap(), Polled::LeasedElsewhere);
    effect.go.notify_one();
    assert_eq!(polling.await.unwrap(), Polled::Applied(1));
    assert_eq!(effects(&database).await.len(), 4);
    // The batch has renewed them.
    assert_eq!(Postgres::numbers(&database, is_over).await, [0]);
    assert_eq!(other.poll_once().await.unwrap(), Polled::LeasedElsewhere);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewal_locks_in_order() {
    beside_a_batch(|mut consumer, _| async move {
        // The handle makes the next round renew.
        consumer.handle().pause("a test", "eve").await.unwrap();
        assert_eq!(consumer.poll_once().await.unwrap(), Polled::Paused);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_locks_in_order() {
    beside_a_batch(|mut consumer, database| async move {
        let another = "INSERT INTO feed_instance (subscription, instance, alive_until)
                       SELECT name, 'another', now() + interval '1 minute' FROM feed_subscription";
        Postgres::run(&database, another).await;
        consumer.handle().pause("a test", "eve").await.unwrap();
        assert_eq!(consumer.poll_once().await.unwrap(), Polled::Paused);
        assert_eq!(Postgres::numbers(&database, HELD).await, [8]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_leaves_locks_in_order() {
    beside_a_batch(|mut consumer, database| async move {
        consumer.leave().await.unwrap();
        assert_eq!(Postgres::numbers(&database, HELD).await, [0]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fence_locks_in_order() {
    beside_a_batch(|mut consumer, database| async move {
        let fenced = "SELECT min(lease_epoch) FROM feed_partition";
        let before = Postgres::numbers(&database, fenced).await[0];
        Postgres::run(&database, "UPDATE feed_subscription SET halted = 'a test'").await;
        let keep = Decision::Resume(ResumeFrom::Kept);
        consumer.handle().decide(keep, "eve").await.unwrap();
        assert_eq!(consumer.poll_once().await.unwrap(), Polled::Interrupted);
        assert_eq!(Postgres::numbers(&database, fenced).await, [before + 1]);
    })
    .await;
}

const HELD: &str = "SELECT count(*) FROM feed_partition WHERE lease_owner LIKE 'test%'";

/// Does `work` while another transaction has locked the first partition and then locks others. The rows lie in the reverse order.
async fn beside_a_batch<W: Future<Output = ()> + Send + 'static>(
    work: impl FnOnce(Of, Database<Postgres>) -> W,
) {
    let fresh = FreshDatabase::postgres().await;
    let (_source, publisher, feed) = served().await;
    let database = consumer_database::<Postgres>(fresh.url()).await;
    publisher.publish(1).await;
    let mut consumer = consumer(&database, &feed, Recorder::default()).await;
    assert_eq!(consumer.poll_once().await.unwrap(), Polled::Applied(1));
    let reverse = "WITH gone AS (DELETE FROM feed_partition RETURNING *)
                   INSERT INTO feed_partition SELECT * FROM gone ORDER BY partition DESC";
    Postgres::run(&database, reverse).await;
    let mut batch = database.begin().await.unwrap();
    // In a deadlock this one fails, since it looks first.
    let lock = async |batch: &mut _, partitions| {
        let lock = format!(
            "SET LOCAL deadlock_timeout = '20ms';
             SELECT FROM feed_partition WHERE partition IN {partitions} ORDER BY partition FOR UPDATE"
        );
        Postgres::execute(batch, &lock).await.unwrap();
    };
    lock(&mut batch, "(0, 8)").await;
    let working = tokio::spawn(work(consumer, database.clone()));
    let waiting = "SELECT count(*) FROM pg_stat_activity
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
    until("it waits for a lock, or is done", async || {
        working.is_finished() || Postgres::numbers(&database, waiting).await == [1]
    })
    .await;
    lock(&mut batch, "(7, 15)").await;
    batch.commit().await.unwrap();
    working.await.unwrap();
}
