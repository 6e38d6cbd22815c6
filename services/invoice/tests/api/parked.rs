//! One bad event holds its order, and nothing else (I7).

use harness::producer::{LINES, PLACED, Producer, order};

use crate::app::{App, Testable, following};

harness::on_both_databases! {
    a_price_that_is_no_price_is_parked
    an_order_that_is_none_is_parked
    a_cancellation_without_a_number_is_parked
}

/// Orders 1 to 5, the third of which is told as `data` and then cancelled.
async fn with_third<S: Testable>(url: &str, data: &str) -> App<S> {
    let producer = Producer::new().await;
    for id in 1..=5 {
        match id {
            3 => _ = producer.tell("order.placed", id, PLACED, data).await,
            _ => producer.placed(id, LINES).await,
        }
    }
    producer.cancelled(3, LINES).await;
    producer.cancelled(4, LINES).await;
    following(url, &producer).await
}

async fn check<S: Testable>(app: &App<S>, reason: &str) {
    let expected = [(5, "issued"), (4, "credited"), (2, "issued"), (1, "issued")];
    let expected = expected.map(|(id, status)| (id, status.to_owned()));
    assert_eq!(app.listed("status").await, expected);
    let expected = [(5, 4), (4, 3), (2, 2), (1, 1)];
    let expected = expected.map(|(id, serial)| (id, format!("2026-{serial:06}")));
    assert_eq!(app.listed("number").await, expected);
    assert_eq!(app.status("parked").await, 1);
    // The cancellation has to wait for it.
    assert_eq!(app.status("waiting").await, 1);
    let page = app.page("/status").await;
    assert!(page.contains(reason), "{reason}: {page}");
    assert_eq!(app.send("GET", "/3", "*/*").await.status, 404);
}

async fn a_price_that_is_no_price_is_parked<S: Testable>(url: &str) {
    let data = order(
        3,
        "placed",
        &[(1, "iPod", "42.00"), (1, "iPod touch", "21.005")],
    );
    let app = with_third::<S>(url, &data).await;
    check(
        &app,
        "orderLine[1].item.price: 21.005 has more than two decimals",
    )
    .await;
}

async fn an_order_that_is_none_is_parked<S: Testable>(url: &str) {
    let data = order(3, "placed", LINES).replace("\"firstname\"", "\"nickname\"");
    let app = with_third::<S>(url, &data).await;
    check(
        &app,
        "the data is no order: missing field `firstname` at line 4 column",
    )
    .await;
}

async fn a_cancellation_without_a_number_is_parked<S: Testable>(url: &str) {
    let producer = Producer::new().await;
    producer.placed(1, LINES).await;
    producer
        .tell("order.cancelled", 1, PLACED, r#"{"customer": 1}"#)
        .await;
    producer.placed(2, LINES).await;
    let app = following::<S>(url, &producer).await;
    let expected = [(2, "issued".to_owned()), (1, "issued".to_owned())];
    assert_eq!(app.listed("status").await, expected);
    assert_eq!(app.status("parked").await, 1);
    assert!(app.page("/status").await.contains("missing field `id`"));
}
