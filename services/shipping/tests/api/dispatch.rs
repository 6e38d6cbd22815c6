//! A button dispatches the goods, unless the order was cancelled before.

use std::time::Duration;

use harness::producer::{LINES, PLACED, Producer};
use shipping::order::OrderId;

use crate::app::{Testable, compared, following, open};

harness::on_both_databases! {
    a_pending_shipment_is_dispatched_once
    a_stopped_shipment_is_not_dispatched
    a_dispatched_shipment_is_recalled
    a_missing_shipment_is_not_dispatched
    a_dispatch_waits_for_a_concurrent_cancellation
    a_dispatch_and_a_cancellation_agree_on_their_order
}

async fn a_pending_shipment_is_dispatched_once<S: Testable>(url: &str) {
    let producer = Producer::new().await;
    producer.placed(17, LINES).await;
    producer.placed(18, LINES).await;
    let app = following::<S>(url, &producer).await;
    let page = app.page("/17").await;
    assert!(page.contains("method=\"post\" action=\"/shipping/17/dispatch\""));
    assert!(page.contains("Mark as dispatched"));

    let first = app.send("POST", "/17/dispatch", "*/*").await;
    // Relative to /17/dispatch: the shipment's page, behind any prefix.
    assert_eq!((first.status, first.header("location")), (303, "../17"));
    let page = app.page("/17").await;
    assert!(page.contains("Dispatched") && !page.contains("Mark as dispatched"));
    let expected = [(18, "pending".to_owned()), (17, "dispatched".to_owned())];
    assert_eq!(app.listed("status").await, expected);

    // A date long ago, so that a second dispatch would change it.
    let long_ago = "UPDATE shipment SET dispatched_at = '2001-02-03T04:05:06.007Z'";
    S::run(app.database(), &format!("{long_ago} WHERE order_id = 17")).await;
    let second = app.send("POST", "/17/dispatch", "*/*").await;
    assert_eq!((second.status, second.header("location")), (303, "../17"));
    assert!(app.page("/17").await.contains("2001-02-03 04:05 UTC"));
    assert_eq!(app.listed("status").await, expected);
}

async fn a_stopped_shipment_is_not_dispatched<S: Testable>(url: &str) {
    let producer = Producer::new().await;
    producer.placed(17, LINES).await;
    producer.cancelled(17, LINES).await;
    let app = following::<S>(url, &producer).await;
    for _ in 0..2 {
        let answer = app.send("POST", "/17/dispatch", "*/*").await;
        assert_eq!(answer.status, 409);
        assert_eq!(answer.header("content-type"), "application/problem+json");
        let problem = answer.json();
        assert!(
            problem["type"]
                .as_str()
                .unwrap()
                .ends_with("#shipment-stopped")
        );
        assert_eq!(
            problem["detail"],
            "order 17 was cancelled: its goods stay here"
        );
    }
    assert_eq!(app.json("/17").await["status"], "stopped");
}

async fn a_dispatched_shipment_is_recalled<S: Testable>(url: &str) {
    let producer = Producer::new().await;
    producer.placed(17, LINES).await;
    let mut app = following::<S>(url, &producer).await;
    app.send("POST", "/17/dispatch", "*/*").await;
    producer.cancelled(17, LINES).await;
    app.catch_up(&producer).await;
    assert_eq!(app.json("/17").await["status"], "recalled");
    let page = app.page("/17").await;
    assert!(page.contains("Call it back") && page.contains("2026-09-10 11:12 UTC"));
    assert!(app.page("/").await.contains("Recalled"));
    // The goods have left, so this is no conflict.
    let answer = app.send("POST", "/17/dispatch", "*/*").await;
    assert_eq!((answer.status, answer.header("location")), (303, "../17"));
    assert_eq!(app.json("/17").await["status"], "recalled");
}

async fn a_missing_shipment_is_not_dispatched<S: Testable>(url: &str) {
    let producer = Producer::new().await;
    producer.placed(17, LINES).await;
    let app = following::<S>(url, &producer).await;
    for path in [
        "/18/dispatch",
        "/iPod/dispatch",
        "/017/dispatch",
        "/-1/dispatch",
    ] {
        let answer = app.send("POST", path, "*/*").await;
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(
            answer.header("content-type"),
            "application/problem+json",
            "{path}"
        );
    }
    let answer = app.send("GET", "/17/dispatch", "*/*").await;
    assert_eq!((answer.status, answer.header("allow")), (405, "POST"));
    assert_eq!(app.json("/17").await["status"], "pending");
}

async fn a_dispatch_waits_for_a_concurrent_cancellation<S: Testable>(url: &str) {
    let producer = Producer::new().await;
    producer.placed(17, LINES).await;
    producer.placed(18, LINES).await;
    let app = following::<S>(url, &producer).await;
    for (id, commits) in [(17, true), (18, false)] {
        let mut tx = app.database().begin().await.unwrap();
        let cancelled = [(OrderId(id), PLACED.parse().unwrap())];
        let cancelled = S::cancel(&mut tx, &cancelled).await.unwrap();
        assert_eq!(cancelled, [(OrderId(id), false)], "it has not left");
        let path = format!("/{id}/dispatch");
        let mut button = std::pin::pin!(app.send("POST", &path, "*/*"));
        let early = tokio::time::timeout(Duration::from_millis(200), &mut button).await;
        assert!(early.is_err(), "it is not known yet");
        let (status, becomes) = match commits {
            true => (409, "stopped"),
            false => (303, "dispatched"),
        };
        match commits {
            true => tx.commit().await.unwrap(),
            false => tx.rollback().await.unwrap(),
        }
        assert_eq!(button.await.status, status);
        assert_eq!(app.json(&format!("/{id}")).await["status"], becomes);
    }
}

/// Goods that were dispatched are recalled; all others are stopped.
async fn a_dispatch_and_a_cancellation_agree_on_their_order<S: Testable>(url: &str) {
    let producer = Producer::new().await;
    for id in 1..=40 {
        producer.placed(id, LINES).await;
    }
    let mut app = following::<S>(url, &producer).await;
    let clerk = open::<S>(url, &producer.feed_url).await;
    for first in (1..=40).step_by(4) {
        for id in first..first + 4 {
            producer.cancelled(id, LINES).await;
        }
        let dispatching = async {
            let mut answers = Vec::new();
            for id in (first..first + 4).rev() {
                let answer = clerk.send("POST", &format!("/{id}/dispatch"), "*/*").await;
                answers.push((id, answer.status));
            }
            answers
        };
        let (answers, ()) = tokio::join!(dispatching, app.catch_up(&producer));
        for (id, status) in answers {
            let expected = match status {
                303 => "recalled",
                409 => "stopped",
                other => panic!("{other}"),
            };
            assert_eq!(app.json(&format!("/{id}")).await["status"], expected);
        }
    }
    let result = compared(&app, &producer).await;
    assert_eq!((result.found, result.events), (0, 80));
}
