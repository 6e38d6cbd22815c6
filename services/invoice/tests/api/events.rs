//! What events do: one invoice for each order that was placed, credited if it was cancelled,
//! however often it is told (I5).

use feed_core::{Batch, Effect, Received};
use harness::producer::{LINES, PLACED, Producer, order};
use invoice::effect::Invoicing;
use serde_json::Value;

use crate::app::{Testable, following, open};

harness::on_both_databases! {
    a_placed_order_is_invoiced
    totals_are_exact
    a_cancelled_order_is_credited
    placed_and_cancelled_in_one_batch_is_credited
    a_cancellation_counts_for_what_came_before_it
    the_same_events_again_change_nothing
    an_order_that_is_placed_twice_has_one_invoice
    other_events_are_passed_over
    a_batch_succeeds_at_once
    hundreds_of_orders_are_taken
}

fn parse(json: &str) -> Value {
    serde_json::from_str(json).unwrap()
}

async fn a_placed_order_is_invoiced<S: Testable>(url: &str) {
    let producer = Producer::new().await;
    producer.placed(17, LINES).await;
    let app = following::<S>(url, &producer).await;
    // As text, since numbers that are equal may be written in other ways.
    let expected = r#"{
        "id": 17,
        "number": "2026-000001",
        "customer": {"customerId": 1, "name": "<b>O'Brien", "firstname": "日本語",
                     "email": "ob@example.com"},
        "billingAddress": {"street": "Krischerstr. 100", "zip": "40789", "city": "Monheim"},
        "invoiceLine": [
            {"count": 2, "item": {"itemId": 1, "name": "iPod", "price": 42.00}},
            {"count": 1, "item": {"itemId": 2, "name": "iPod touch", "price": 21.00}}
        ],
        "total": 105.00,
        "currency": "EUR",
        "status": "issued"
    }"#;
    let invoice = app.json("/17").await;
    assert_eq!(invoice.to_string(), parse(expected).to_string());
    let list = app.json("/").await;
    let expected = format!(r#"{{"invoices":[{expected}],"count":1,"_links":{{}}}}"#);
    assert_eq!(list.to_string(), parse(&expected).to_string());
}

async fn totals_are_exact<S: Testable>(url: &str) {
    let producer = Producer::new().await;
    // 0.1 + 0.2 and the like: no binary float gets these right.
    producer
        .placed(1, &[(1, "a", "0.10"), (1, "b", "0.20")])
        .await;
    producer.placed(2, &[(3, "a", "33333333333333.33")]).await;
    producer
        .placed(3, &[(1, "a", "92233720368547758.07")])
        .await;
    producer
        .placed(4, &[(1_000_000, "a", "1.15"), (7, "b", "0.07")])
        .await;
    producer.placed(5, &[]).await;
    let app = following::<S>(url, &producer).await;
    let totals = app.listed("total").await;
    let expected = [
        (5, "0.00"),
        (4, "1150000.49"),
        (3, "92233720368547758.07"),
        (2, "99999999999999.99"),
        (1, "0.30"),
    ];
    assert_eq!(totals, expected.map(|(id, total)| (id, total.to_owned())));
}

async fn a_cancelled_order_is_credited<S: Testable>(url: &str) {
    let producer = Producer::new().await;
    producer.placed(17, LINES).await;
    producer.placed(18, LINES).await;
    let mut app = following::<S>(url, &producer).await;
    producer.cancelled(17, LINES).await;
    app.catch_up(&producer).await;
    let invoice = app.json("/17").await;
    assert_eq!(invoice["status"], "credited");
    // It is a document: nothing else of it changes.
    assert_eq!(invoice["number"], "2026-000001");
    assert_eq!(invoice["total"].to_string(), "105.00");
    assert_eq!(app.json("/18").await["status"], "issued");
    let page = app.page("/17").await;
    for text in [
        "There is nothing to pay",
        "2026-09-10",
        "<a href=\"/invoice/17/credit-note\">credit note</a>",
    ] {
        assert!(page.contains(text), "{text}");
    }
    let note = app.page("/17/credit-note").await;
    for text in [
        "Credit note to invoice 2026-000001",
        "2026-09-10",
        "\u{2212}84.00 EUR",
        "\u{2212}105.00 EUR",
    ] {
        assert!(note.contains(text), "{text}");
    }
    let stands = app.send("GET", "/18/credit-note", "*/*").await;
    assert_eq!(stands.status, 404, "{}", stands.body);
    // Credit notes are not counted (DESIGN, section 6).
    assert_eq!(app.json("/").await["count"], 2);
}

async fn placed_and_cancelled_in_one_batch_is_credited<S: Testable>(url: &str) {
    let producer = Producer::new().await;
    producer.placed(1, LINES).await;
    producer.cancelled(1, LINES).await;
    producer.placed(2, LINES).await;
    let app = following::<S>(url, &producer).await;
    let expected = [(2, "issued".to_owned()), (1, "credited".to_owned())];
    assert_eq!(app.listed("status").await, expected);
}

async fn a_cancellation_counts_for_what_came_before_it<S: Testable>(url: &str) {
    let producer = Producer::new().await;
    producer.cancelled(1, LINES).await;
    producer.placed(1, LINES).await;
    producer.cancelled(2, LINES).await;
    let app = following::<S>(url, &producer).await;
    assert_eq!(app.listed("status").await, [(1, "issued".to_owned())]);
    assert_eq!(app.status("parked").await, 0);
}

async fn the_same_events_again_change_nothing<S: Testable>(url: &str) {
    let producer = Producer::new().await;
    for id in 1..=3 {
        producer.placed(id, LINES).await;
    }
    producer.cancelled(2, LINES).await;
    let app = following::<S>(url, &producer).await;
    let before = app.json("/").await;
    // All that feed-core knows is lost; only the business keys are left.
    for table in [
        "feed_claim",
        "feed_instance",
        "feed_partition",
        "feed_subscription",
    ] {
        S::run(app.database(), &format!("DELETE FROM {table}")).await;
    }
    let mut again = following::<S>(url, &producer).await;
    assert_eq!(again.status("parked").await, 0);
    assert_eq!(again.json("/").await, before);
    // The numbers go on where they were.
    producer.placed(4, LINES).await;
    again.catch_up(&producer).await;
    assert_eq!(again.json("/4").await["number"], "2026-000004");
}

async fn an_order_that_is_placed_twice_has_one_invoice<S: Testable>(url: &str) {
    let producer = Producer::new().await;
    producer.placed(1, LINES).await;
    producer.placed(1, &[(9, "Something else", "9.99")]).await;
    producer.placed(2, LINES).await;
    let mut app = following::<S>(url, &producer).await;
    producer.placed(1, &[(9, "Something else", "9.99")]).await;
    app.catch_up(&producer).await;
    let expected = [(2, "105.00".to_owned()), (1, "105.00".to_owned())];
    assert_eq!(app.listed("total").await, expected);
    assert_eq!(app.status("parked").await, 1);
}

async fn other_events_are_passed_over<S: Testable>(url: &str) {
    let producer = Producer::new().await;
    producer
        .tell("order.applauded", 1, PLACED, "[1, 2, 3]")
        .await;
    producer.placed(1, LINES).await;
    producer.tell("order.applauded", 1, PLACED, "null").await;
    let app = following::<S>(url, &producer).await;
    assert_eq!(app.listed("status").await, [(1, "issued".to_owned())]);
    assert_eq!(app.status("parked").await, 0);
    assert_eq!(app.status("sequence").await, 3);
}

/// Without the second chance that single events get when a batch fails.
async fn a_batch_succeeds_at_once<S: Testable>(url: &str) {
    let app = open::<S>(url, "http://127.0.0.1:9/feed").await;
    let event = |event_type: &str, id| Received {
        id: format!("{event_type} {id}"),
        event_type: Some(event_type.to_owned()),
        subject: format!("order/{id}"),
        sequence: None,
        time: PLACED.parse().unwrap(),
        data: order(id, "placed", LINES),
        traceparent: None,
    };
    let events = [
        event("order.placed", 1),
        event("order.cancelled", 4),
        event("order.placed", 2),
        event("order.cancelled", 2),
        event("order.applauded", 1),
        event("order.placed", 1),
        event("order.cancelled", 2),
        event("order.placed", 3),
    ];
    let mut tx = app.database().begin().await.unwrap();
    for _ in 0..2 {
        let batch = Batch::new(&events);
        Invoicing.apply(&mut tx, &batch).await.unwrap();
        let passed_over = batch.passed_over();
        let passed_over: Vec<&Received> = passed_over.iter().map(|(event, _)| *event).collect();
        assert_eq!(passed_over, [&events[1], &events[4]]);
    }
    Invoicing.apply(&mut tx, &Batch::new(&[])).await.unwrap();
    tx.commit().await.unwrap();
    let expected = [(3, "2026-000003"), (2, "2026-000002"), (1, "2026-000001")];
    let expected = expected.map(|(id, number)| (id, number.to_owned()));
    assert_eq!(app.listed("number").await, expected);
    assert_eq!(app.json("/2").await["status"], "credited");
}

async fn hundreds_of_orders_are_taken<S: Testable>(url: &str) {
    let producer = Producer::new().await;
    for id in 1..=230 {
        producer.placed(id, LINES).await;
    }
    let app = following::<S>(url, &producer).await;
    assert_eq!(app.json("/").await["count"], 230);
    let mut path = "/".to_owned();
    let mut seen = Vec::new();
    loop {
        let page = app.json(&path).await;
        let invoices = page["invoices"].as_array().unwrap();
        assert!(invoices.len() <= 50);
        seen.extend(
            invoices
                .iter()
                .map(|invoice| invoice["id"].as_i64().unwrap()),
        );
        let total = parse("105.00");
        assert!(invoices.iter().all(|invoice| invoice["total"] == total));
        let Some(next) = page["_links"]["next"]["href"].as_str() else {
            break;
        };
        path = next
            .strip_prefix("https://shop.example/invoice")
            .unwrap()
            .to_owned();
    }
    assert_eq!(seen, (1..=230).rev().collect::<Vec<_>>());
}
