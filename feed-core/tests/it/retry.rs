//! Many parked events are retried quickly.

use feed_core::consumer::Selection;
use sqlx::Sqlite;

use crate::support::{
    Fail, Publisher, Recorder, Testable, consumer, consumer_database, effects, serve, until,
};

harness::on_both_databases! {
    many_retries_do_not_wait_for_a_renewal
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
    // Without the task that renews the leases.
    for expected in [100, 200] {
        consumer.poll_once().await.unwrap();
        assert_eq!(effects(&database).await.len(), expected);
    }
    let last = tokio::spawn(async move { consumer.poll_once().await });
    until("the rest is applied", async || {
        effects(&database).await.len() == SUBJECTS
    })
    .await;
    last.abort();
}
