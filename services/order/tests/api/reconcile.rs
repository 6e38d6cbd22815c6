//! The comparison of the orders with their events finds what was altered or deleted past the service, and nothing else.

use order::order::CustomerId;
use order::reconcile::Compared;
use serde_json::json;

use crate::app::{App, Testable, an_order};

harness::on_both_databases! {
    what_the_service_does_makes_no_difference
    what_happens_meanwhile_makes_no_difference
    each_kind_of_difference_is_found
    an_order_with_many_events_hides_no_other_one
}

async fn compared<S: Testable>(app: &App<S>) -> Compared {
    app.orders.reconcile(|_, _| ()).await.expect("a comparison")
}

/// The differences, each as `id: what`.
async fn found<S: Testable>(app: &App<S>) -> Vec<String> {
    let compared = compared(app).await;
    assert_eq!(compared.found, compared.differences.len() as u64);
    let differences = compared.differences.into_iter();
    let mut all: Vec<String> = differences
        .map(|difference| format!("{}: {}", difference.id, difference.what))
        .collect();
    all.sort_unstable();
    all
}

const NONE: [&str; 0] = [];

async fn what_the_service_does_makes_no_difference<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    assert_eq!(found(&app).await, NONE);
    // More than a page, with events that have no sequence yet.
    for _ in 0..105 {
        app.place().await;
    }
    let mut order = an_order();
    order["customer"] = json!(2);
    for _ in 0..3 {
        assert_eq!(app.post_json(&order).await.status, 201);
    }
    for id in [3, 106] {
        assert_eq!(app.delete(&format!("/order/{id}")).await.status, 200);
    }
    app.orders
        .erase(CustomerId(2), "eve")
        .await
        .expect("an erasure");
    // Cancelled before the erasure, and after it.
    assert_eq!(app.delete("/order/107").await.status, 200);
    assert_eq!(found(&app).await, NONE);
    app.feed.archive(5).await.expect("an archive");
    let compared = compared(&app).await;
    assert_eq!(compared.found, 0, "{:?}", compared.differences);
    assert_eq!((compared.orders, compared.events), (108, 108 + 3 + 3));
    assert_eq!((compared.cancelled, compared.erased), (3, 3));
    assert_eq!(compared.total.to_string(), "11340.00");
    // The public address may change.
    let moved = App::<S>::with(url, &["--base-url", "https://shop.example/order/"]).await;
    assert_eq!(found(&moved).await, NONE);
}

async fn what_happens_meanwhile_makes_no_difference<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    let orders = app.orders.clone();
    let comparing = tokio::spawn(async move {
        let mut times = 0;
        while times < 20 {
            let compared = orders.reconcile(|_, _| ()).await.expect("a comparison");
            assert_eq!(compared.differences, []);
            times += usize::from(compared.orders > 5);
        }
    });
    while !comparing.is_finished() {
        let id = app.place().await["id"].as_i64().expect("a number");
        if id % 2 == 0 {
            assert_eq!(app.delete(&format!("/order/{id}")).await.status, 200);
        }
    }
    comparing.await.expect("no difference");
}

async fn each_kind_of_difference_is_found<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    for _ in 0..18 {
        app.place().await;
    }
    assert_eq!(app.delete("/order/9").await.status, 200);
    assert_eq!(app.delete("/order/10").await.status, 200);
    app.feed().await;
    let data = "'{\"id\": 12}'";
    for sql in [
        "DELETE FROM order_line WHERE order_id = 2",
        "DELETE FROM orders WHERE id = 2",
        "UPDATE orders SET total_cents = 10501 WHERE id = 3",
        "UPDATE order_line SET price_cents = 4201 WHERE order_id = 4 AND line = 1",
        "DELETE FROM order_line WHERE order_id = 5 AND line = 2",
        "UPDATE orders SET shipping_city = 'Nice' WHERE id = 6",
        "UPDATE orders SET customer_id = 2 WHERE id = 7",
        "UPDATE orders SET status = 'cancelled' WHERE id = 8",
        "UPDATE orders SET status = 'placed' WHERE id = 9",
        "DELETE FROM feed_event WHERE subject = 'order/10' AND event_type = 'order.cancelled'",
        "DELETE FROM feed_event WHERE subject = 'order/11'",
        &format!("UPDATE feed_event SET data = {data} WHERE subject = 'order/12'"),
        "UPDATE feed_event SET event_type = 'order.applauded' WHERE subject = 'order/13'",
        "UPDATE feed_event SET subject = 'order/014' WHERE subject = 'order/14'",
        "UPDATE orders SET updated = '2030-01-02T03:04:05.678Z' WHERE id = 15",
        "UPDATE orders SET number_of_lines = 77 WHERE id = 16",
        "UPDATE orders SET placed = '2030-01-02T03:04:05.678Z' WHERE id = 17",
        "UPDATE orders SET customer_email = 'eve@example.com' WHERE id = 18",
    ] {
        S::run(&app.database, sql).await;
    }
    let placed = |id: i64| format!("order/{id}: event {id} (order.placed) has another order:");
    let mut expected = vec![
        "order/2: there is no such order, but event 2 is about it".to_owned(),
        format!("{} total", placed(3)),
        format!("{} orderLine", placed(4)),
        format!("{} numberOfLines, orderLine", placed(5)),
        "order/5: lists have 2 lines of the order, which has 1".to_owned(),
        format!("{} shippingAddress", placed(6)),
        format!("{} customer", placed(7)),
        "order/8: the order is cancelled, and has no event order.cancelled".to_owned(),
        "order/9: it has an event order.cancelled, but the order is placed and not erased"
            .to_owned(),
        "order/10: the order is cancelled, and has no event order.cancelled".to_owned(),
        "order/11: the order is placed, and has no event order.placed".to_owned(),
        format!(
            "{} billingAddress, currency, customer, numberOfLines, orderLine, shippingAddress, status, total, updated",
            placed(12)
        ),
        "order/13: the order is placed, and has no event order.placed".to_owned(),
        "order/13: event 13 (order.applauded) has a type that this service does not publish"
            .to_owned(),
        "order/14: the order is placed, and has no event order.placed".to_owned(),
        "order/014: event 14 is about no order".to_owned(),
        "feed: 2 of the events 1 to 20 are not in the log".to_owned(),
        "order/16: lists have 77 lines of the order, which has 2".to_owned(),
        format!("{} updated", placed(17)),
        format!("{} customer", placed(18)),
    ];
    expected.sort_unstable();
    let mut found = found(&app).await;
    // Order 9 has the time of its cancellation.
    let again = "order/9: the order is placed at ";
    found.retain(|what| !what.starts_with(again));
    for (id, column) in [(15, "updated"), (17, "placed")] {
        let changed = format!("order/{id}: the order is placed at ");
        let at = found.iter().position(|what| what.starts_with(&changed));
        let what = found.remove(at.expect("a difference"));
        let (placed, updated) = what
            .split_once(", and nothing has changed it at ")
            .expect("both");
        let altered = if column == "placed" { placed } else { updated };
        assert!(altered.contains("2030-01-02 03:04:05.678 UTC"), "{what}");
    }
    assert_eq!(found, expected);
}

async fn an_order_with_many_events_hides_no_other_one<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    for _ in 0..3 {
        app.place().await;
    }
    let mut tx = app.database.begin().await.expect("a transaction");
    for _ in 0..1_001 {
        let event = feed_core::NewEvent::new("order.placed", "order/1", "{}");
        feed_core::outbox::append(&mut tx, &event)
            .await
            .expect("an event");
    }
    tx.commit().await.expect("a commit");
    app.feed().await;
    S::run(
        &app.database,
        "UPDATE orders SET total_cents = 1 WHERE id = 3",
    )
    .await;
    let compared = compared(&app).await;
    assert!(compared.found > 1_000, "{}", compared.found);
    let about = |id: &str| {
        let differences = compared.differences.iter();
        let own = differences.filter(|difference| difference.id == id);
        own.map(|difference| &*difference.what).collect::<Vec<_>>()
    };
    assert_eq!(about("order/1").len(), 10);
    assert_eq!(about("order/1")[0], "it has several events order.placed");
    assert_eq!(about("order/2"), NONE);
    let altered = "event 3 (order.placed) has another order: total";
    assert_eq!(about("order/3"), [altered]);
}
