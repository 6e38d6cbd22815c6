//! The numbers of invoices: 1, 2, 3 … in each year, without gaps.

use feed_core::Database;
use harness::producer::{Producer, order};

use crate::app::{Testable, following, open};

harness::on_both_databases! {
    each_year_has_numbers_of_its_own
    a_batch_that_fails_leaves_no_gap
    a_transaction_that_rolls_back_leaves_no_gap
}

async fn each_year_has_numbers_of_its_own<S: Testable>(url: &str) {
    let producer = Producer::new().await;
    let times = [
        (1, "2025-12-31T23:59:59.999Z"),
        (2, "2026-01-01T00:00:00.000Z"),
        // It is 2026 in the zone of the text, but 2025 in UTC, which counts.
        (3, "2026-01-01T00:30:00.000+01:00"),
        (4, "2026-01-02T00:00:00.000Z"),
    ];
    for (id, at) in times {
        let data = order(id, "placed", &[(1, "iPod", "42.00")]);
        producer.tell("order.placed", id, at, &data).await;
    }
    let app = following::<S>(url, &producer).await;
    let expected = [
        (4, "2026-000002"),
        (3, "2025-000002"),
        (2, "2026-000001"),
        (1, "2025-000001"),
    ];
    let expected = expected.map(|(id, number)| (id, number.to_owned()));
    assert_eq!(app.listed("number").await, expected);
}

async fn a_batch_that_fails_leaves_no_gap<S: Testable>(url: &str) {
    let producer = Producer::new().await;
    let mut app = open::<S>(url, &producer.feed_url).await;
    // It fails for one order after its number was reserved, in the batch and then alone.
    let trap = "CREATE UNIQUE INDEX trap ON invoice_line (item_name)";
    S::run(app.database(), trap).await;
    for (id, item) in [(1, "a"), (2, "b"), (3, "b"), (4, "d"), (5, "e")] {
        producer.placed(id, &[(1, item, "1.00")]).await;
    }
    app.catch_up(&producer).await;
    let expected = [
        (5, "2026-000004"),
        (4, "2026-000003"),
        (2, "2026-000002"),
        (1, "2026-000001"),
    ];
    let expected = expected.map(|(id, number)| (id, number.to_owned()));
    assert_eq!(app.listed("number").await, expected);
    assert_eq!(app.status("parked").await, 1);
    let next = "SELECT next FROM invoice_counter";
    assert_eq!(S::numbers(app.database(), next).await, [5]);
}

async fn a_transaction_that_rolls_back_leaves_no_gap<S: Testable>(url: &str) {
    let database: Database<S> = open::<S>(url, "http://127.0.0.1:9/feed")
        .await
        .database()
        .clone();
    let mut first = database.begin().await.unwrap();
    assert_eq!(S::reserve(&mut first, 2026, 3).await.unwrap(), 1);
    // It waits for the first transaction, whose end decides the next number.
    let second = tokio::spawn({
        let database = database.clone();
        async move {
            let mut tx = database.begin().await.unwrap();
            let number = S::reserve(&mut tx, 2026, 2).await.unwrap();
            tx.commit().await.unwrap();
            number
        }
    });
    first.rollback().await.unwrap();
    assert_eq!(second.await.unwrap(), 1);
    let mut third = database.begin().await.unwrap();
    assert_eq!(S::reserve(&mut third, 2026, 1).await.unwrap(), 3);
}
