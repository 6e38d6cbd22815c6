//! Several instances of one consumer: each event once, and no late owner commits (I5).

use std::time::Duration;

use feed_core::Consumer;
use feed_core::consumer::{PollError, Polled};
use harness::tap::{Held, Tap};
use tokio::task::JoinHandle;

use crate::consumer::served;
use crate::support::{Fail, Recorder, Testable, consumer, consumer_database, effects, until};

harness::on_both_databases! {
    instances_share_the_work_and_no_event_is_applied_twice
    a_late_owner_cannot_commit
    a_batch_of_another_owner_is_not_committed
    a_batch_of_an_older_lease_is_not_committed
    a_batch_of_an_older_cursor_is_not_committed
    a_batch_renews_its_leases
    an_instance_that_stops_leaves_its_partitions
    an_instance_that_stops_stores_how_far_it_has_read
    an_instance_that_stops_finishes_its_batch_first
    what_was_written_when_the_clock_was_ahead_ends_soon
    an_instance_without_partitions_halts_nothing
    an_instance_whose_halt_is_refused_looks_why
}

/// Two feeds have been taken: those that hold partitions halt it.
async fn an_instance_without_partitions_halts_nothing<B: Testable>(url: &str) {
    let (_source, publisher, feed) = served().await;
    let database = consumer_database::<B>(url).await;
    publisher.publish(3).await;
    let mut first = consumer(&database, &feed, Recorder::default()).await;
    first.poll_once().await.unwrap();
    let two = "UPDATE feed_partition SET epoch = 'another' WHERE partition > 7";
    B::run(&database, two).await;
    let mut second = consumer(&database, &feed, Recorder::default()).await;
    for _ in 0..2 {
        let polled = second.poll_once().await.unwrap();
        assert_eq!(polled, Polled::LeasedElsewhere);
    }
    assert_eq!(second.handle().status().await.unwrap().halted, None);
}

/// It would try to halt it again and again until the next renewal of its leases.
async fn an_instance_whose_halt_is_refused_looks_why<B: Testable>(url: &str) {
    let (_source, publisher, feed) = served().await;
    let database = consumer_database::<B>(url).await;
    publisher.publish(3).await;
    let mut consumer = consumer(&database, &feed, Recorder::default()).await;
    consumer.poll_once().await.unwrap();
    let another = "UPDATE feed_partition SET epoch = 'another', etag = NULL, last_modified = NULL, lease_epoch = 99";
    B::run(&database, another).await;
    B::run(
        &database,
        "UPDATE feed_subscription SET halted = 'by another'",
    )
    .await;
    let mut polls = Vec::new();
    for _ in 0..4 {
        polls.push(consumer.poll_once().await.unwrap());
    }
    assert_eq!(polls.last(), Some(&Polled::Halted), "{polls:?}");
}

async fn instances_share_the_work_and_no_event_is_applied_twice<B: Testable>(url: &str) {
    let (_source, publisher, feed) = served().await;
    let database = consumer_database::<B>(url).await;
    let mut running = Vec::new();
    for _ in 0..3 {
        let consumer = consumer(&database, &feed, Recorder::default()).await;
        running.push(tokio::spawn(consumer.run()));
    }
    for _ in 0..20 {
        publisher.publish(20).await;
    }
    until("all is applied", async || {
        effects(&database).await.len() == 400
    })
    .await;
    let owners = "SELECT count(DISTINCT lease_owner) FROM feed_partition";
    until("the work is spread", async || {
        B::numbers(&database, owners).await == [3]
    })
    .await;
    publisher.publish(100).await;
    until("the rest is applied", async || {
        effects(&database).await.len() == 500
    })
    .await;
    // Of each subject in sequence: ids are made one after the other.
    let order = "SELECT subject || ' ' || event_id FROM effect ORDER BY subject, position";
    let order = B::texts(&database, order).await;
    assert!(order.is_sorted(), "events of a subject out of sequence");
    running.into_iter().for_each(|task| task.abort());
}

async fn a_late_owner_cannot_commit<B: Testable>(url: &str) {
    let (_source, publisher, feed) = served().await;
    let tap = Tap::before(feed.trim_end_matches("feed")).await;
    let database = consumer_database::<B>(url).await;
    publisher.publish(10).await;
    let mut late = consumer(&database, &tap.url("feed"), Recorder::default()).await;
    assert_eq!(late.poll_once().await.unwrap(), Polled::Applied(10));

    // Its batch is on the way until its leases are over; another instance takes over and is a step ahead.
    publisher.publish(5).await;
    let late = poll_held_back(late, &tap).await;
    let over = "UPDATE feed_partition SET lease_until = '2000-01-01T00:00:00.000Z'";
    let mut next = consumer(&database, &feed, Recorder::default()).await;
    until("the other one has taken over", async || {
        // The late one may renew them meanwhile.
        B::run(&database, over).await;
        B::run(&database, "DELETE FROM feed_instance").await;
        next.poll_once().await.unwrap() == Polled::Applied(5)
    })
    .await;
    tap.open();
    let (mut late, polled) = late.await.unwrap();
    assert_eq!(applied(polled), 0);
    assert_eq!(effects(&database).await.len(), 15);
    // However long that has taken.
    let held = "UPDATE feed_partition SET lease_until = '2100-01-01T00:00:00.000Z'";
    B::run(&database, held).await;
    assert_eq!(late.poll_once().await.unwrap(), Polled::LeasedElsewhere);
}

type Poll<B> = (Consumer<B, Recorder>, Result<Polled, PollError>);

/// Begins to poll; returns when the answer is held back, which [`Tap::open`] releases.
async fn poll_held_back<B: Testable>(
    mut consumer: Consumer<B, Recorder>,
    tap: &Tap,
) -> JoinHandle<Poll<B>> {
    tap.hold(Held::Answer, "feed");
    let polling = tokio::spawn(async move {
        let polled = consumer.poll_once().await;
        (consumer, polled)
    });
    tap.waiting().await;
    polling
}

fn applied(polled: Result<Polled, PollError>) -> usize {
    match polled.unwrap() {
        Polled::Applied(events) => events,
        _ => 0,
    }
}

async fn a_batch_of_another_owner_is_not_committed<B: Testable>(url: &str) {
    let another = "lease_owner = 'another', lease_until = '2100-01-01T00:00:00.000Z'";
    is_fenced_by::<B>(url, another).await;
}

/// The same instance has lost its partitions and has got them again.
async fn a_batch_of_an_older_lease_is_not_committed<B: Testable>(url: &str) {
    is_fenced_by::<B>(url, "lease_epoch = lease_epoch + 1").await;
}

/// Under the same lease the cursors have moved.
async fn a_batch_of_an_older_cursor_is_not_committed<B: Testable>(url: &str) {
    is_fenced_by::<B>(url, "sequence = sequence + 1").await;
}

/// A batch commits nothing if this alone has changed since it was asked for.
async fn is_fenced_by<B: Testable>(url: &str, changed: &str) {
    let (_source, publisher, feed) = served().await;
    let tap = Tap::before(feed.trim_end_matches("feed")).await;
    let database = consumer_database::<B>(url).await;
    publisher.publish(3).await;
    let mut consumer = consumer(&database, &tap.url("feed"), Recorder::default()).await;
    assert_eq!(consumer.poll_once().await.unwrap(), Polled::Applied(3));
    publisher.publish(2).await;
    let polling = poll_held_back(consumer, &tap).await;
    B::run(&database, &format!("UPDATE feed_partition SET {changed}")).await;
    let stored = "SELECT partition || ' ' || sequence || ' ' || anchor FROM feed_partition ORDER BY partition";
    let before = B::texts(&database, stored).await;
    tap.open();
    let (_consumer, polled) = polling.await.unwrap();
    assert_eq!(applied(polled), 0);
    assert_eq!(effects(&database).await.len(), 3);
    assert_eq!(B::texts(&database, stored).await, before);
    let claims = "SELECT count(*) FROM feed_claim";
    assert_eq!(B::numbers(&database, claims).await, [3]);
}

/// A renewal does not wait for the partitions that it locks.
async fn a_batch_renews_its_leases<B: Testable>(url: &str) {
    let (_source, publisher, feed) = served().await;
    let database = consumer_database::<B>(url).await;
    publisher.publish(3).await;
    let mut consumer = consumer(&database, &feed, Recorder::default()).await;
    assert_eq!(consumer.poll_once().await.unwrap(), Polled::Applied(3));
    let over = "UPDATE feed_partition SET lease_until = '2000-01-01T00:00:00.000Z'";
    B::run(&database, over).await;
    publisher.publish(1).await;
    assert_eq!(consumer.poll_once().await.unwrap(), Polled::Applied(1));
    let renewed = "SELECT count(*) FROM feed_partition
                   WHERE lease_until > '2001-01-01T00:00:00.000Z'";
    assert_eq!(B::numbers(&database, renewed).await, [16]);
}

async fn an_instance_that_stops_leaves_its_partitions<B: Testable>(url: &str) {
    let (_source, publisher, feed) = served().await;
    let database = consumer_database::<B>(url).await;
    let stopping = consumer(&database, &feed, Recorder::default()).await;
    let stop = stopping.shutdown();
    let running = tokio::spawn(stopping.run());
    stop.cancel();
    running.await.unwrap();
    let owned = "SELECT count(*) FROM feed_partition WHERE lease_owner IS NOT NULL";
    assert_eq!(B::numbers(&database, owned).await, [0]);
    let mut next = consumer(&database, &feed, Recorder::default()).await;
    publisher.publish(1).await;
    assert_eq!(next.poll_once().await.unwrap(), Polled::Applied(1));
    assert_eq!(B::numbers(&database, owned).await, [16]);
    next.leave().await.unwrap();
    assert_eq!(B::numbers(&database, owned).await, [0]);
}

/// Events of the partitions of others need no transaction here.
async fn an_instance_that_stops_stores_how_far_it_has_read<B: Testable>(url: &str) {
    let (_source, publisher, feed) = served().await;
    let database = consumer_database::<B>(url).await;
    let mut first = consumer(&database, &feed, Recorder::default()).await;
    first.leave().await.unwrap();
    let others = "UPDATE feed_partition SET lease_owner = 'another', lease_until = \
                  '2100-01-01T00:00:00.000Z' WHERE partition > 0";
    let mut next = consumer(&database, &feed, Recorder::default()).await;
    B::run(&database, others).await;
    let stored = async || {
        let stored = "SELECT sequence FROM feed_partition WHERE partition = 0";
        B::numbers(&database, stored).await[0]
    };
    let mut newest = 0;
    while stored().await == newest {
        publisher.publish(1).await;
        newest += 1;
        while let Ok(Polled::Interrupted) = next.poll_once().await {}
    }
    next.leave().await.unwrap();
    assert_eq!(stored().await, newest);
}

/// It outlasts the wait for the lock of a partition, and for a connection.
async fn an_instance_that_stops_finishes_its_batch_first<B: Testable>(url: &str) {
    let (_source, publisher, feed) = served().await;
    let database = consumer_database::<B>(url).await;
    let effect = Recorder::failing("order/0", Fail::Hang);
    let stopping = consumer(&database, &feed, effect.clone()).await;
    let stop = stopping.shutdown();
    publisher.publish(1).await;
    let running = tokio::spawn(stopping.run());
    effect.tried.notified().await;
    stop.cancel();
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert!(!running.is_finished());
    effect.go.notify_one();
    running.await.unwrap();
    assert_eq!(effects(&database).await.len(), 1);
    let owned = "SELECT count(*) FROM feed_partition WHERE lease_owner IS NOT NULL";
    assert_eq!(B::numbers(&database, owned).await, [0]);
}

/// Nobody holds a share for an hour who has died before the clock was put right.
async fn what_was_written_when_the_clock_was_ahead_ends_soon<B: Testable>(url: &str) {
    let (_source, _publisher, feed) = served().await;
    let database = consumer_database::<B>(url).await;
    let _gone = consumer(&database, &feed, Recorder::default()).await;
    let ahead = "UPDATE feed_partition
                 SET lease_owner = 'gone', lease_until = '2100-01-01T00:00:00.000Z'";
    B::run(&database, ahead).await;
    let instance = "INSERT INTO feed_instance (subscription, instance, alive_until)
                    VALUES ((SELECT min(name) FROM feed_subscription), 'gone',
                            '2100-01-01T00:00:00.000Z')";
    B::run(&database, instance).await;
    let mut next = consumer(&database, &feed, Recorder::default()).await;
    assert_eq!(next.poll_once().await.unwrap(), Polled::LeasedElsewhere);
    let far = "SELECT (SELECT count(*) FROM feed_partition
                       WHERE lease_until > '2099-01-01T00:00:00.000Z')
                    + (SELECT count(*) FROM feed_instance
                       WHERE alive_until > '2099-01-01T00:00:00.000Z')";
    assert_eq!(B::numbers(&database, far).await, [0], "they never end");
}
