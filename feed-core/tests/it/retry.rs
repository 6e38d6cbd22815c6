//! Many parked events are retried quickly.

use std::time::Duration;

use feed_core::consumer::{Handle, Selection};
use feed_core::{Consumer, Database, Subscription};
use harness::fake::{Atom, Entry, Fake, Reply};
use sqlx::Sqlite;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::faulty_effect::{FaultyEffect, Mistake, SUBJECT, Scene};
use crate::support::{
    Fail, Publisher, Recorder, Testable, consumer, consumer_database, effects, serve, until, urns,
};

harness::on_both_databases! {
    a_subject_with_many_waiting_events_delays_no_other
    many_retries_do_not_wait_for_a_renewal
    an_instance_that_stops_does_not_wait_for_data
    a_retry_while_data_is_fetched_fetches_it_again
}

/// A round takes a hundred subjects, and the next one follows at once: a renewal of the leases, which finds what is due,
/// comes every three seconds.
async fn many_retries_do_not_wait_for_a_renewal<B: Testable>(url: &str) {
    const SUBJECTS: usize = 230;
    let source = harness::FreshDatabase::sqlite();
    let publisher = Publisher::<Sqlite>::open(source.url()).await;
    let feed = format!("{}/feed", serve(publisher.feed.router()).await);
    let database = consumer_database::<B>(url).await;
    let effect = Recorder::default();
    let subjects = (0..SUBJECTS).map(|n| format!("order/{n}"));
    *effect.fails.lock().unwrap() = subjects.map(|subject| (subject, Fail::Park)).collect();
    for n in 0..SUBJECTS {
        publisher.commit(&format!("order/{n}")).await;
    }
    publisher.feed.publish().await.unwrap();
    let mut consumer = consumer(&database, &feed, effect.clone()).await;
    let handle = consumer.handle();
    while handle.status().await.unwrap().parked < SUBJECTS as i64 {
        consumer.poll_once().await.unwrap();
    }
    effect.repair();
    handle
        .retry_selected(&Selection::default(), "eve")
        .await
        .unwrap();
    // Without the task that renews the leases. A round has a time limit, so it may retry fewer than a hundred.
    let mut before = 0;
    while before < 200 {
        consumer.poll_once().await.unwrap();
        let after = effects(&database).await.len();
        assert!((before + 1..=before + 100).contains(&after), "{after}");
        before = after;
    }
    let last = tokio::spawn(async move { consumer.poll_once().await });
    until("the rest is applied", async || {
        effects(&database).await.len() == SUBJECTS
    })
    .await;
    last.abort();
}

/// The first event of a subject is applied after many others have waited for it.
async fn a_subject_with_many_waiting_events_delays_no_other<B: Testable>(url: &str) {
    const WAITING: usize = 60;
    let mut effect = FaultyEffect::making(Mistake::Run(["wrong", "wrong"]));
    effect.pace = Duration::from_millis(50);
    let mut scene = Scene::<B>::with(url, effect, &[SUBJECT; WAITING]).await;
    scene.drain().await;
    scene.effect.repair();
    let handle = scene.consumer.handle();
    let all = Selection::default();
    handle.retry_selected(&all, "eve").await.unwrap();
    scene.publisher.commit("order/other").await;
    scene.publisher.feed.publish().await.unwrap();
    let subjects = "SELECT subject FROM effect ORDER BY position";
    let before = loop {
        scene.consumer.poll_once().await.unwrap();
        let subjects = B::texts(&scene.database, subjects).await;
        if let Some(other) = subjects.iter().position(|one| one == "order/other") {
            break other;
        }
    };
    assert!(
        (1..WAITING).contains(&before),
        "after {before} of {WAITING}"
    );
    // Without a pause, and in sequence (I6).
    while effects(&scene.database).await.len() <= WAITING {
        scene.consumer.poll_once().await.unwrap();
    }
    let of_subject = "SELECT event_id FROM effect WHERE subject = 'order/3' ORDER BY position";
    let taken = B::texts(&scene.database, of_subject).await;
    assert_eq!(taken, urns(&scene.ids));
}

/// A consumer that runs, and an event that is parked, since its data is missing.
struct WithoutData<B: Testable> {
    fake: Fake,
    database: Database<B>,
    handle: Handle<B>,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl<B: Testable> WithoutData<B> {
    async fn new(url: &str) -> Self {
        let fake = Fake::start().await;
        let entry = Entry::new("tag:example.com,2026:1", "2026-05-01T00:00:00Z").src("/data");
        fake.at("/feed", Reply::feed(Atom::foreign([entry]).xml()));
        let database = consumer_database::<B>(url).await;
        let subscription = Subscription {
            poll_interval: Duration::MAX,
            ..Subscription::new("order", fake.url("/feed").parse().unwrap())
        };
        let (stop, effect) = (CancellationToken::new(), Recorder::default());
        let consumer = Consumer::open(database.clone(), subscription, effect, stop.clone()).await;
        let consumer = consumer.unwrap();
        let handle = consumer.handle();
        let running = tokio::spawn(consumer.run());
        until("the event is parked", async || {
            handle.status().await.unwrap().parked == 1
        })
        .await;
        fake.news();
        Self {
            fake,
            database,
            handle,
            stop,
            running,
        }
    }

    async fn retry(&self) {
        let all = Selection::default();
        self.handle.retry_selected(&all, "eve").await.unwrap();
    }

    async fn is_fetched(&self) {
        until("its data is fetched", async || {
            self.fake.targets().contains(&"/data".to_owned())
        })
        .await;
    }
}

/// Retries continue in a pause between two rounds, and fetch what is missing.
async fn an_instance_that_stops_does_not_wait_for_data<B: Testable>(url: &str) {
    let scene = WithoutData::<B>::new(url).await;
    scene.fake.at("/data", Reply::never());
    scene.retry().await;
    scene.is_fetched().await;
    scene.stop.cancel();
    let stopped = tokio::time::timeout(Duration::from_secs(10), scene.running).await;
    stopped.expect("it stops at once").unwrap();
    let held = "SELECT count(*) FROM feed_partition WHERE lease_owner IS NOT NULL";
    assert_eq!(B::numbers(&scene.database, held).await, [0]);
}

/// The operator may have brought it back since the first request.
async fn a_retry_while_data_is_fetched_fetches_it_again<B: Testable>(url: &str) {
    let scene = WithoutData::<B>::new(url).await;
    let missing = Reply::status(410).after(Duration::from_secs(1));
    scene.fake.at("/data", missing);
    scene.retry().await;
    scene.is_fetched().await;
    scene.fake.at("/data", Reply::ok("text/plain", "data"));
    scene.retry().await;
    until("it is applied", async || {
        effects(&scene.database).await.len() == 1
    })
    .await;
    scene.stop.cancel();
    scene.running.await.unwrap();
}
