//! A customer is erased: no personal data is left that the service need not keep.

use harness::Sql;
use harness::producer::{LINES, PLACED, Producer, order};
use serde_json::{Value, json};

use crate::app::one;
use crate::{Subject, compared, following, recorded, without};

/// What is left of an order.
pub fn erased(id: i64, status: &str) -> String {
    let mut order: Value = serde_json::from_str(&order(id, status, LINES)).unwrap();
    order["customer"] = json!({"customerId": 1});
    for address in ["shippingAddress", "billingAddress"] {
        order.as_object_mut().unwrap().remove(address);
    }
    order.to_string()
}

pub async fn erase(producer: &Producer, id: i64) {
    let data = erased(id, "placed");
    producer.tell("order.erased", id, PLACED, &data).await;
}

pub async fn a_late_consumer_makes_records_without_personal_data<T: Subject<S>, S: Sql>(url: &str) {
    let producer = Producer::new().await;
    producer
        .tell("order.placed", 1, PLACED, &erased(1, "placed"))
        .await;
    producer
        .tell("order.cancelled", 1, PLACED, &erased(1, "cancelled"))
        .await;
    erase(&producer, 1).await;
    producer.placed(2, LINES).await;
    let app = following::<T, S>(url, &producer).await;
    assert_eq!(app.status("parked").await, 0);
    let document = app.json("/1").await;
    assert_eq!(document["customer"], json!({"customerId": 1}));
    assert_eq!(document.get(T::ADDRESS), None);
    assert_eq!(document["status"], T::CANCELLED);
    // All other fields are as those of order 2.
    let rest = [&["customer", T::ADDRESS, "status"], T::OF_ONE].concat();
    let other = app.json("/2").await;
    assert_eq!(without(&document, &rest), without(&other, &rest));
    for path in T::NAMED {
        assert!(app.page(path).await.contains(">erased<"), "{path}");
    }
    assert_eq!(compared::<T, S>(&app, &producer).await.differences, []);
}

pub async fn a_parked_event_gets_the_erased_data<T: Subject<S>, S: Sql>(url: &str) {
    let producer = Producer::new().await;
    // A name that cannot be stored.
    let data = order(1, "placed", LINES).replace("O'Brien", "O\\u0000Brien");
    producer.tell("order.placed", 1, PLACED, &data).await;
    let mut app = following::<T, S>(url, &producer).await;
    assert_eq!(app.status("parked").await, 1);
    erase(&producer, 1).await;
    app.catch_up(&producer).await;
    let kept = "SELECT event FROM feed_parked";
    let kept = S::texts(app.database(), kept).await.concat();
    assert!(
        !["Brien", "Krischer", "Dock 9"]
            .iter()
            .any(|gone| kept.contains(gone)),
        "{kept}"
    );
    // It is due (feed-core tests that it is then retried).
    let due = "SELECT count(*) FROM feed_parked WHERE retry_at IS NOT NULL";
    assert_eq!(S::number(app.database(), due).await, 1);
}

pub async fn a_skipped_event_is_not_kept_once_it_is_erased<T: Subject<S>, S: Sql>(url: &str) {
    let producer = Producer::new().await;
    let data = order(1, "placed", LINES).replace("O'Brien", "O\\u0000Brien");
    let bad = producer.tell("order.placed", 1, PLACED, &data).await;
    let mut app = following::<T, S>(url, &producer).await;
    let person = crate::handle::<T, S>(&app, &producer).await;
    person.skip(&bad, "a test", "Ann").await.unwrap();
    // It could be parked again.
    let kept = "SELECT count(*) FROM feed_undo WHERE event LIKE '%Brien%'";
    assert_eq!(S::number(app.database(), kept).await, 1);
    erase(&producer, 1).await;
    app.catch_up(&producer).await;
    let kept = "SELECT count(*) FROM feed_undo";
    assert_eq!(S::number(app.database(), kept).await, 0);
}

pub async fn an_erased_order_that_is_not_here_is_recorded<T: Subject<S>, S: Sql>(url: &str) {
    let producer = Producer::new().await;
    erase(&producer, 1).await;
    producer.placed(2, LINES).await;
    let app = following::<T, S>(url, &producer).await;
    let reason = format!("order 1 was erased and has no {} here", one::<T, S>());
    let recorded = recorded::<T, S>(&app, &producer).await;
    assert_eq!(recorded, [(1, "order.erased".to_owned(), reason)]);
    assert_eq!(compared::<T, S>(&app, &producer).await.differences, []);
}
