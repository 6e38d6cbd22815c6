//! The pages in HTML.

use harness::producer::Producer;
use serde_json::Value;

use crate::app::{Testable, following};

harness::on_both_databases! {
    an_invoice_has_a_page
    an_invoice_is_found_by_its_number
}

async fn an_invoice_has_a_page<S: Testable>(url: &str) {
    let producer = Producer::new().await;
    producer
        .placed(
            17,
            &[
                (2, "iPod & <i>case</i>", "42.00"),
                (1, "iPod touch", "21.00"),
            ],
        )
        .await;
    let app = following::<S>(url, &producer).await;
    let page = app.page("/17").await;
    let texts = [
        "Invoice 2026-000001",
        "日本語 &lt;b&gt;O'Brien",
        "ob@example.com",
        "<bdi>Krischerstr. 100</bdi><br><bdi>40789</bdi> <bdi>Monheim</bdi>",
        "2026-03-04",
        "iPod &amp; &lt;i&gt;case&lt;/i&gt;",
        "42.00 EUR",
        "84.00 EUR",
        "105.00 EUR",
    ];
    for text in texts {
        assert!(page.contains(text), "{text}");
    }
    for text in ["<b>", "<i>", "Credit note", "nothing to pay", "Hamburg"] {
        assert!(!page.contains(text), "{text}");
    }
    let list = app.page("/").await;
    for text in [
        "2026-000001",
        "日本語 &lt;b&gt;O'Brien",
        "105.00 EUR",
        "1 invoice in all",
    ] {
        assert!(list.contains(text), "{text}");
    }
    assert!(page.contains("<p class=\"letterhead\"><strong>Shop</strong></p>"));
    // Links work behind a prefix.
    assert!(list.contains("href=\"/invoice/17\""));
    assert!(page.contains("href=\"/invoice/status\""));
    assert!(page.contains("href=\"/invoice/style.css\""));
}

async fn an_invoice_is_found_by_its_number<S: Testable>(url: &str) {
    let producer = Producer::new().await;
    for id in [17, 18] {
        producer.placed(id, &[(1, "iPod", "42.00")]).await;
    }
    producer.cancelled(18, &[(1, "iPod", "42.00")]).await;
    let app = following::<S>(url, &producer).await;
    for (text, expected) in [
        ("2026-000002", &[18][..]),
        ("CN-2026-000002", &[18]),
        ("+cn-2026-000002+", &[18]),
        // It is not credited.
        ("CN-2026-000001", &[]),
        ("CN-2026-2", &[]),
        ("18", &[18]),
        ("2026-2", &[]),
        ("2026-000003", &[]),
    ] {
        let found = app.json(&format!("/?q={text}")).await;
        let ids: Vec<&Value> = found["invoices"].as_array().unwrap().iter().collect();
        let ids: Vec<i64> = ids.iter().map(|one| one["id"].as_i64().unwrap()).collect();
        assert_eq!(ids, expected, "{text}");
    }
}

#[test]
fn a_sender_is_one_line() {
    assert_eq!(
        invoice::parse_sender(" Shop Ltd, Main Street 1 "),
        Ok("Shop Ltd, Main Street 1".to_owned())
    );
    for wrong in ["", " ", "Shop\nLtd", &"x".repeat(201)] {
        assert!(invoice::parse_sender(wrong).is_err(), "{wrong}");
    }
}
