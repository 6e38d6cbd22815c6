//! The pages in HTML.

use harness::producer::Producer;

use crate::app::{Testable, following};

harness::on_both_databases! {
    an_invoice_has_a_page
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
        "Krischerstr. 100<br>40789 Monheim",
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
    // Links work behind a prefix.
    assert!(list.contains("href=\"/invoice/17\""));
    assert!(page.contains("href=\"/invoice/status\""));
    assert!(page.contains("href=\"/invoice/style.css\""));
}
