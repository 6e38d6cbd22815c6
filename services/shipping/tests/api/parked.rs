//! One bad event holds its order, and nothing else (I7).

use harness::producer::{LINES, PLACED, Producer, order};

use crate::app::{App, Testable, following, open};

harness::on_both_databases! {
    an_order_that_is_none_is_parked
    a_count_that_is_no_count_is_parked
    an_event_that_fails_in_the_database_is_parked
    prices_are_none_of_our_business
}

/// Orders 1 to 5, the third of which is told as `data` and then cancelled.
async fn tell_with_third(producer: &Producer, data: &str) {
    for id in 1..=5 {
        match id {
            3 => _ = producer.tell("order.placed", id, PLACED, data).await,
            _ => producer.placed(id, LINES).await,
        }
    }
    producer.cancelled(3, LINES).await;
    producer.cancelled(4, LINES).await;
}

async fn check<S: Testable>(app: &App<S>, reason: &str) {
    let expected = [
        (5, "pending"),
        (4, "stopped"),
        (2, "pending"),
        (1, "pending"),
    ];
    let expected = expected.map(|(id, status)| (id, status.to_owned()));
    assert_eq!(app.listed("status").await, expected);
    assert_eq!(app.status("parked").await, 1);
    // The cancellation has to wait for it.
    assert_eq!(app.status("waiting").await, 1);
    let page = app.page("/status").await;
    assert!(page.contains(reason), "{reason}: {page}");
    assert_eq!(app.send("GET", "/3", "*/*").await.status, 404);
}

async fn an_order_that_is_none_is_parked<S: Testable>(url: &str) {
    let producer = Producer::new().await;
    let data = order(3, "placed", LINES).replace("\"shippingAddress\"", "\"address\"");
    tell_with_third(&producer, &data).await;
    let app = following::<S>(url, &producer).await;
    check(&app, "shippingAddress: it is missing").await;
}

async fn a_count_that_is_no_count_is_parked<S: Testable>(url: &str) {
    let producer = Producer::new().await;
    let data = order(
        3,
        "placed",
        &[(1, "iPod", "42.00"), (-1, "iPod nano", "1.00")],
    );
    tell_with_third(&producer, &data).await;
    let app = following::<S>(url, &producer).await;
    check(&app, "orderLine[1].count: -1 is less than one piece").await;
}

async fn an_event_that_fails_in_the_database_is_parked<S: Testable>(url: &str) {
    let producer = Producer::new().await;
    let mut app = open::<S>(url, &producer.feed_url).await;
    let trap = "CREATE UNIQUE INDEX trap ON shipment (customer_name) WHERE customer_name = 'Trap'";
    S::run(app.database(), trap).await;
    let trapped = |id| order(id, "placed", LINES).replace("<b>O'Brien", "Trap");
    producer.tell("order.placed", 9, PLACED, &trapped(9)).await;
    tell_with_third(&producer, &trapped(3)).await;
    app.catch_up(&producer).await;
    let ids: Vec<i64> = app
        .listed("id")
        .await
        .into_iter()
        .map(|(id, _)| id)
        .collect();
    assert_eq!(ids, [9, 5, 4, 2, 1]);
    assert_eq!(app.status("parked").await, 1);
    assert_eq!(app.status("waiting").await, 1);
    assert!(
        app.page("/status")
            .await
            .contains("the database refused the effect")
    );
}

async fn prices_are_none_of_our_business<S: Testable>(url: &str) {
    let producer = Producer::new().await;
    let data = order(1, "placed", &[(1, "iPod", "-0.001")]).replace("\"email\"", "\"mail\"");
    producer.tell("order.placed", 1, PLACED, &data).await;
    let app = following::<S>(url, &producer).await;
    assert_eq!(app.json("/1").await["status"], "pending");
    assert_eq!(app.status("parked").await, 0);
}
