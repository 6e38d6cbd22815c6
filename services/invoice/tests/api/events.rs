//! The effect of events: one invoice for each order that was placed, credited if it was cancelled, however often the
//! events come (I5).

use harness::producer::{LINES, PLACED, Producer, order};
use serde_json::{Value, json};

use crate::app::{Testable, following};

harness::on_both_databases! {
    totals_are_exact
    a_cancelled_order_is_credited
    an_invoice_names_its_event_and_its_credit_note
}

async fn totals_are_exact<S: Testable>(url: &str) {
    let producer = Producer::new().await;
    // Binary floats cannot represent these sums.
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
    // No other field of the document changes.
    assert_eq!(invoice["number"], "2026-000001");
    assert_eq!(invoice["total"].to_string(), "105.00");
    assert_eq!(app.json("/18").await["status"], "issued");
    assert_eq!(invoice["date"], PLACED);
    assert_eq!(invoice["creditDate"], "2026-09-10T11:12:13.014Z");
    let page = app.page("/17").await;
    for text in [
        "There is nothing to pay",
        "2026-09-10",
        "<a href=\"/invoice/17/credit-note\">credit note CN-2026-000001</a>",
    ] {
        assert!(page.contains(text), "{text}");
    }
    let note = app.page("/17/credit-note").await;
    for text in [
        "Credit note CN-2026-000001",
        "<a href=\"/invoice/17\">2026-000001</a>",
        "2026-09-10",
        "\u{2212}84.00 EUR",
        "\u{2212}105.00 EUR",
    ] {
        assert!(note.contains(text), "{text}");
    }
    let stands = app.send("GET", "/18/credit-note", "*/*").await;
    assert_eq!(stands.status, 404, "{}", stands.body);
    // Credit notes are not counted.
    assert_eq!(app.json("/").await["count"], 2);
}

/// An auditor gets from an invoice to its event, and to its credit note and back.
async fn an_invoice_names_its_event_and_its_credit_note<S: Testable>(url: &str) {
    let producer = Producer::new().await;
    let data = order(17, "placed", LINES);
    let event = producer.tell("order.placed", 17, PLACED, &data).await;
    let mut app = following::<S>(url, &producer).await;
    let invoice = app.json("/17").await;
    assert_eq!(
        (&invoice["order"], &invoice["cause"]),
        (&json!(17), &json!(event))
    );
    assert_eq!(invoice.get("creditDate"), None);
    assert_eq!(invoice["_links"].get("creditNote"), None);
    producer.cancelled(17, LINES).await;
    app.catch_up(&producer).await;
    let invoice = app.json("/17").await;
    let address = "https://shop.example/invoice/17/credit-note";
    assert_eq!(invoice["_links"]["creditNote"]["href"], address);
    let note = app.json("/17/credit-note").await;
    let expected = json!({
        "number": "CN-2026-000001",
        "date": "2026-09-10T11:12:13.014Z",
        "invoice": "2026-000001",
        "order": 17,
        "customer": invoice["customer"],
        "billingAddress": invoice["billingAddress"],
        "creditLine": invoice["invoiceLine"],
        "total": serde_json::from_str::<Value>("-105.00").unwrap(),
        "currency": "EUR",
        "_links": {
            "self": {"href": address},
            "invoice": {"href": "https://shop.example/invoice/17"},
        },
    });
    assert_eq!(note.to_string(), expected.to_string());
}
