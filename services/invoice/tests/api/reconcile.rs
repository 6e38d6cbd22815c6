//! The comparison of the invoices with the feed: it finds each kind of difference.

use conformance::reconcile::found;
use harness::producer::{LINES, PLACED, Producer, order};

use crate::app::{Testable, compared, following};

harness::on_both_databases! {
    each_kind_of_difference_is_found
}

async fn each_kind_of_difference_is_found<S: Testable>(url: &str) {
    let producer = Producer::new().await;
    let mut events = vec![String::new()];
    for id in 1..=22 {
        let data = order(id, "placed", LINES);
        events.push(producer.tell("order.placed", id, PLACED, &data).await);
    }
    producer.cancelled(8, LINES).await;
    producer.cancelled(22, LINES).await;
    let app = following::<S>(url, &producer).await;
    for sql in [
        "DELETE FROM invoice_line WHERE order_id IN (2, 13, 14)",
        "DELETE FROM invoice WHERE order_id IN (2, 13, 14)",
        "UPDATE invoice SET total_cents = 10501 WHERE order_id = 3",
        "UPDATE invoice SET currency = 'USD' WHERE order_id = 4",
        "UPDATE invoice_line SET count = 3 WHERE order_id = 5 AND line = 1",
        "DELETE FROM invoice_line WHERE order_id = 6 AND line = 2",
        "UPDATE invoice_line SET item_name = 'iPad' WHERE order_id = 7 AND line = 1",
        "UPDATE invoice SET credited_at = NULL WHERE order_id = 8",
        "UPDATE invoice SET credited_at = issued_at WHERE order_id = 9",
        "UPDATE invoice SET cause = 'tag:x,1' WHERE order_id = 10",
        // An older version made it: no difference.
        "UPDATE invoice SET cause = NULL WHERE order_id = 11",
        "UPDATE invoice_line SET price_cents = 4201 WHERE order_id = 12 AND line = 1",
        "UPDATE invoice SET customer_name = 'Meitner' WHERE order_id = 15",
        "UPDATE invoice SET customer_email = '' WHERE order_id = 16",
        "UPDATE invoice SET billing_zip = '1' WHERE order_id = 17",
        "UPDATE invoice SET customer_id = customer_id + 1 WHERE order_id = 18",
        "UPDATE invoice SET issued_at = (SELECT credited_at FROM invoice WHERE order_id = 22)
         WHERE order_id IN (19, 20)",
        "UPDATE invoice SET credited_at = issued_at WHERE order_id = 22",
        "INSERT INTO invoice
             (order_id, year, serial, issued_at, customer_id, customer_name, customer_firstname,
              customer_email, billing_street, billing_zip, billing_city, currency, total_cents)
         SELECT 99, 2027, 2, issued_at, customer_id, customer_name, customer_firstname,
                customer_email, billing_street, billing_zip, billing_city, currency, total_cents
         FROM invoice WHERE order_id = 1",
    ] {
        S::run(app.database(), sql).await;
    }
    let result = compared(&app, &producer).await;
    let event = |id: usize| format!("event {id} ({})", events[id]);
    let number = |id: usize| format!("order/{id}: invoice 2026-{id:06}");
    let mut expected = vec![
        format!("order/2: the order has no invoice: {}", event(2)),
        format!("order/13: the order has no invoice: {}", event(13)),
        format!("order/14: the order has no invoice: {}", event(14)),
        format!(
            "{} is over 105.01 EUR, the order over 105.00 EUR: {}",
            number(3),
            event(3)
        ),
        format!(
            "{} is over 105.00 USD, the order over 105.00 EUR: {}",
            number(4),
            event(4)
        ),
        format!(
            "{} is credited, and nothing cancels the order of {}",
            number(9),
            event(9)
        ),
        format!("{} is of event tag:x,1, not of {}", number(10), event(10)),
        "order/99: no event about this order explains invoice 2027-000002 over 105.00 EUR"
            .to_owned(),
        "invoice/2026-000002: no invoice has the number 2026-000002".to_owned(),
        "invoice/2026-000013: no invoice has a number from 2026-000013 to 2026-000014".to_owned(),
        "invoice/2027-000001: no invoice has the number 2027-000001".to_owned(),
    ];
    for id in [15, 16, 17, 18] {
        let (number, event) = (number(id), event(id));
        expected.push(format!(
            "{number} has another customer or address than the order: {event}"
        ));
    }
    for id in [19, 20] {
        let (number, event) = (number(id), event(id));
        expected.push(format!(
            "{number} has the date 2026-09-10 11:12:13.014 UTC, the order {}: {event}",
            shown(PLACED)
        ));
    }
    for id in [5, 6, 7, 12] {
        let (number, event) = (number(id), event(id));
        expected.push(format!("{number} has other lines than the order: {event}"));
    }
    let cancelled = S::texts(
        app.database(),
        "SELECT event_id FROM feed_claim WHERE sequence > 22 ORDER BY sequence",
    );
    let cancelled = cancelled.await;
    expected.push(format!(
        "{} is not credited although the order was cancelled: event 23 ({})",
        number(8),
        cancelled[0]
    ));
    expected.push(format!(
        "{} is credited at {}, the order was cancelled at 2026-09-10 11:12:13.014 UTC: event 24 ({})",
        number(22),
        shown(PLACED),
        cancelled[1]
    ));
    expected.sort_unstable();
    assert_eq!(found(&result), expected);
    let totals = &result.totals;
    assert_eq!((totals.missing, totals.unexplained, totals.gaps), (3, 1, 3));
}

/// A time as a difference names it.
fn shown(time: &str) -> String {
    let time: chrono::DateTime<chrono::Utc> = time.parse().unwrap();
    time.to_string()
}
