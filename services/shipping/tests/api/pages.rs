//! The pages in HTML.

use harness::producer::Producer;

use crate::app::{Testable, following};

harness::on_both_databases! {
    a_shipment_has_a_page
}

async fn a_shipment_has_a_page<S: Testable>(url: &str) {
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
        "Shipment of order 17",
        "日本語 &lt;b&gt;O'Brien",
        "<bdi>Dock 9</bdi><br><bdi>20457</bdi> <bdi>Hamburg</bdi>",
        "2026-03-04 05:06 UTC",
        "iPod &amp; &lt;i&gt;case&lt;/i&gt;",
        "Pending",
    ];
    for text in texts {
        assert!(page.contains(text), "{text}");
    }
    for text in [
        "<b>",
        "<i>",
        "42.00",
        "Monheim",
        "Do not dispatch",
        "Call it back",
    ] {
        assert!(!page.contains(text), "{text}");
    }
    let list = app.page("/").await;
    for text in [
        "Order 17",
        "日本語 &lt;b&gt;O'Brien",
        "Hamburg",
        "Pending",
        "1 shipment in all",
    ] {
        assert!(list.contains(text), "{text}");
    }
    // Links work behind a prefix.
    assert!(list.contains("href=\"/shipping/17\""));
    assert!(page.contains("href=\"/shipping/status\""));
    assert!(page.contains("href=\"/shipping/style.css\""));
}
