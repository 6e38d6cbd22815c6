//! Events that wait for a parked one of their subject, also hundreds of thousands.

use std::time::{Duration, Instant};

use feed_core::consumer::Handle;
use feed_core::{Database, Subscription};
use harness::{FreshDatabase, tables};
use sqlx::Postgres;

use crate::support::{Recorder, Testable, consumer, consumer_database};

harness::on_both_databases! {
    an_event_that_waits_is_due_once_it_is_the_first
    events_that_wait_do_not_delay_a_renewal
}

/// The events of `warehouse/1` from `first` to `last`; the first one has failed if it is number 1.
async fn park<B: Testable>(database: &Database<B>, first: usize, last: usize) {
    let sql = format!(
        "WITH RECURSIVE n (i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i < {last})
         INSERT INTO feed_parked (subscription, event_id, partition, subject, sequence, event, event_type, reason)
         SELECT 'order', 'e' || i, 3, 'warehouse/1', i, '{{}}', 'stock', CASE WHEN i = 1 THEN 'no such item' END
         FROM n"
    );
    B::run(database, &sql).await;
}

async fn due<B: Testable>(database: &Database<B>) -> Vec<String> {
    let due = "SELECT event_id FROM feed_parked WHERE retry_at IS NOT NULL ORDER BY position";
    B::texts(database, due).await
}

async fn an_event_that_waits_is_due_once_it_is_the_first<B: Testable>(url: &str) {
    let database = consumer_database::<B>(url).await;
    let feed = "http://127.0.0.1:9/feed";
    let mut opened = consumer(&database, feed, Recorder::default()).await;
    opened.leave().await.unwrap();
    let subscription = Subscription::new("order", feed.parse().unwrap());
    let operator = Handle::open(database.clone(), subscription).await.unwrap();
    park(&database, 1, 9).await;
    let none: [&str; 0] = [];
    assert_eq!(due(&database).await, none);
    operator.skip("warehouse/1", "a test", "eve").await.unwrap();
    assert_eq!(due(&database).await, ["e2"]);
    let skip = operator.decisions(1).await.unwrap()[0].position;
    operator.undo(skip, "eve").await.unwrap();
    assert_eq!(due(&database).await, none);

    // As a program of an older version does.
    let gone = "DELETE FROM feed_parked WHERE event_id IN ('e1', 'e2', 'e3', 'e5')";
    B::run(&database, gone).await;
    assert_eq!(due(&database).await, ["e4"]);
    B::run(&database, "DELETE FROM feed_parked").await;
    park(&database, 2, 4).await;
    assert_eq!(due(&database).await, ["e2"]);
}

/// They are compared with the first one of their subject, for a measure.
async fn events_that_wait_do_not_delay_a_renewal<B: Testable>(url: &str) {
    const COMPARE: &str = "SELECT count(*) FROM feed_parked AS parked
         WHERE position = (SELECT min(position) FROM feed_parked AS first
                           WHERE first.subscription = 'order' AND first.subject = parked.subject)";
    let database = consumer_database::<B>(url).await;
    let open = async || {
        let begun = Instant::now();
        let mut opened = consumer(&database, "http://127.0.0.1:9/feed", Recorder::default()).await;
        let elapsed = begun.elapsed();
        opened.leave().await.unwrap();
        elapsed
    };
    open().await;
    park(&database, 1, 50_000).await;
    let (mut renewal, mut comparison) = (Duration::MAX, Duration::MAX);
    for _ in 0..3 {
        let begun = Instant::now();
        assert_eq!(B::numbers(&database, COMPARE).await, [1]);
        comparison = comparison.min(begun.elapsed());
        renewal = renewal.min(open().await);
    }
    assert!(renewal * 2 < comparison, "{renewal:?}, {comparison:?}");
}

/// The triggers keep the plan that they make while the table is empty, as during an import.
#[tokio::test]
async fn no_plan_reads_all_parked_events_for_those_of_a_subject() {
    let fresh = FreshDatabase::postgres().await;
    Database::<Postgres>::open(fresh.url()).await.unwrap();
    let plan = "EXPLAIN SELECT FROM feed_parked
                WHERE subscription = 'order' AND subject = 'order/1' AND position < 7";
    let url = format!("{}&options=-cenable_seqscan=off", fresh.url());
    let plan = tables::texts(&url, plan).await.concat();
    assert!(plan.contains("subject = "), "{plan}");
    let condition = plan.split("Index Cond").nth(1).unwrap_or_default();
    assert!(condition.contains("subject = "), "{plan}");
}
