//! It follows a feed in the wire format of the original (ORIGINAL-WIRE.md).

use harness::Original;

use crate::app::{Testable, open};

harness::on_both_databases! {
    orders_of_the_original_are_shipped
    an_answer_that_is_no_order_is_parked
}

async fn orders_of_the_original_are_shipped<S: Testable>(url: &str) {
    let original = Original::default();
    let feed_url = original.serve().await;
    let mut app = open::<S>(url, &feed_url).await;
    app.drain().await;
    assert_eq!(app.json("/").await["count"], 0);

    original.place(7);
    original.place(8);
    app.drain().await;
    let expected = r#"{
        "id": 7,
        "customer": {"customerId": 1, "name": "Curie", "firstname": "Marie"},
        "shippingAddress": {"street": "Rue 1", "zip": "75005", "city": "Paris"},
        "shipmentLine": [{"count": 2, "item": {"itemId": 1, "name": "iPod"}}],
        "status": "pending"
    }"#;
    let expected: serde_json::Value = serde_json::from_str(expected).unwrap();
    assert_eq!(app.json("/7").await, expected);
    let both = [(8, "pending".to_owned()), (7, "pending".to_owned())];
    assert_eq!(app.listed("status").await, both);

    app.drain().await;
    assert_eq!(app.listed("status").await, both);

    original.place(9);
    app.drain().await;
    assert_eq!(app.json("/9").await["status"], "pending");
    assert_eq!(app.json("/").await["count"], 3);
}

async fn an_answer_that_is_no_order_is_parked<S: Testable>(url: &str) {
    let original = Original::default();
    original.place(1);
    original.answer(2, "<html><body>Please log in</body></html>");
    original.place(3);
    let mut app = open::<S>(url, &original.serve().await).await;
    app.drain().await;
    let expected = [(3, "pending".to_owned()), (1, "pending".to_owned())];
    assert_eq!(app.listed("status").await, expected);
    assert_eq!(app.status("parked").await, 1);
    let page = app.page("/status").await;
    assert!(
        page.contains("the data is no order: expected value at line 1 column 1"),
        "{page}"
    );
}
