//! The comparison of the shipments with the feed: it finds each kind of difference.

use conformance::reconcile::found;
use harness::producer::{LINES, PLACED, Producer, order};

use crate::app::{Testable, compared, following};

harness::on_both_databases! {
    each_kind_of_difference_is_found
}

async fn each_kind_of_difference_is_found<S: Testable>(url: &str) {
    let producer = Producer::new().await;
    let mut events = vec![String::new()];
    for id in 1..=17 {
        let data = order(id, "placed", LINES);
        events.push(producer.tell("order.placed", id, PLACED, &data).await);
    }
    let mut app = following::<S>(url, &producer).await;
    for id in [1, 8, 9] {
        app.send("POST", &format!("/{id}/dispatch"), "*/*").await;
    }
    for id in [7, 8, 17] {
        let data = order(id, "cancelled", LINES);
        events.push(producer.tell("order.cancelled", id, PLACED, &data).await);
    }
    app.catch_up(&producer).await;
    assert!(found(&compared(&app, &producer).await).is_empty());
    for sql in [
        "DELETE FROM shipment_line WHERE order_id = 2",
        "DELETE FROM shipment WHERE order_id = 2",
        "UPDATE shipment_line SET count = 3 WHERE order_id = 4 AND line = 1",
        "DELETE FROM shipment_line WHERE order_id = 5 AND line = 2",
        "UPDATE shipment_line SET item_name = 'iPad' WHERE order_id = 6 AND line = 1",
        "UPDATE shipment SET cancelled_at = NULL WHERE order_id IN (7, 8)",
        "UPDATE shipment SET cancelled_at = placed_at WHERE order_id IN (9, 10)",
        "UPDATE shipment SET cause = 'tag:x,1' WHERE order_id = 11",
        "UPDATE shipment SET customer_name = 'Meitner' WHERE order_id = 13",
        "UPDATE shipment SET shipping_city = '' WHERE order_id = 14",
        "UPDATE shipment SET customer_id = customer_id + 1 WHERE order_id = 15",
        "UPDATE shipment SET placed_at = (SELECT dispatched_at FROM shipment WHERE order_id = 1)
         WHERE order_id = 16",
        "UPDATE shipment SET cancelled_at = (SELECT dispatched_at FROM shipment WHERE order_id = 1)
         WHERE order_id = 17",
        // An older version made it: no difference.
        "UPDATE shipment SET cause = NULL WHERE order_id = 12",
        "INSERT INTO shipment
             (order_id, placed_at, customer_id, customer_name, customer_firstname,
              shipping_street, shipping_zip, shipping_city, cause)
         SELECT 99, placed_at, customer_id, customer_name, customer_firstname,
                shipping_street, shipping_zip, shipping_city, 'tag:x,2'
         FROM shipment WHERE order_id = 1",
    ] {
        S::run(app.database(), sql).await;
    }
    let result = compared(&app, &producer).await;
    let event = |n: usize| format!("event {n} ({})", events[n]);
    let mut expected = vec![
        format!("order/2: the order has no shipment: {}", event(2)),
        "order/99: no event about this order explains the shipment, which names event tag:x,2"
            .to_owned(),
        format!(
            "order/11: the shipment is of event tag:x,1, not of {}",
            event(11)
        ),
    ];
    for id in [4, 5, 6] {
        let event = event(id);
        expected.push(format!(
            "order/{id}: the shipment has other lines than the order: {event}"
        ));
    }
    for (id, status, n) in [(7, "pending", 18), (8, "dispatched", 19)] {
        let event = event(n);
        expected.push(format!(
            "order/{id}: the shipment is {status} although the order was cancelled: {event}"
        ));
    }
    for (id, status) in [(9, "recalled"), (10, "stopped")] {
        let event = event(id);
        expected.push(format!(
            "order/{id}: the shipment is {status}, and nothing cancels the order of {event}"
        ));
    }
    for id in [13, 14, 15] {
        let event = event(id);
        expected.push(format!(
            "order/{id}: the shipment has another customer or address than the order: {event}"
        ));
    }
    expected.sort_unstable();
    let mut found = found(&result);
    // They name the time of the dispatch.
    let (times, found) = found.drain(..).partition::<Vec<_>, _>(|what| {
        ["order/16:", "order/17:"]
            .iter()
            .any(|id| what.starts_with(id))
    });
    assert_eq!(found, expected);
    assert!(
        times[0].contains("and the order was placed at 2026-"),
        "{times:?}"
    );
    assert!(
        times[1].contains("is stopped since 2026-") && times[1].ends_with(&event(20)),
        "{times:?}"
    );
}
