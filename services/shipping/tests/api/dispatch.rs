//! A button dispatches the goods, unless the order was cancelled before.

use std::time::Duration;

use conformance::erased::{erase, erased};
use harness::producer::{LINES, PLACED, Producer};
use shipping::order::OrderId;

use crate::app::{App, Testable, compared, following, open};

harness::on_both_databases! {
    a_pending_shipment_is_dispatched_once
    a_stopped_shipment_is_not_dispatched
    a_dispatched_shipment_is_recalled
    a_missing_shipment_is_not_dispatched
    a_shipment_without_an_address_is_not_dispatched
    a_dispatch_has_preconditions
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

/// The customer was erased before the goods had left, after that, or before this service knew of the order.
async fn a_shipment_without_an_address_is_not_dispatched<S: Testable>(url: &str) {
    let producer = Producer::new().await;
    producer.placed(17, LINES).await;
    producer.placed(18, LINES).await;
    let mut app = following::<S>(url, &producer).await;
    app.send("POST", "/18/dispatch", "*/*").await;
    erase(&producer, 17).await;
    erase(&producer, 18).await;
    let late = erased(19, "placed");
    producer.tell("order.placed", 19, PLACED, &late).await;
    app.catch_up(&producer).await;
    for id in [17, 19] {
        let page = app.page(&format!("/{id}")).await;
        assert!(page.contains("no address is left"), "{page}");
        assert!(!page.contains("Mark as dispatched"), "{page}");
        let answer = app.send("POST", &format!("/{id}/dispatch"), "*/*").await;
        answer.assert_problem(409);
        let problem = answer.json();
        let kind = problem["type"].as_str().unwrap();
        assert!(kind.ends_with("#shipment-without-address"), "{problem}");
        assert_eq!(app.json(&format!("/{id}")).await["status"], "pending");
    }
    // The goods have left, so this is no conflict.
    assert!(!app.page("/18").await.contains("no address is left"));
    assert_eq!(app.send("POST", "/18/dispatch", "*/*").await.status, 303);
    // A cancellation is the reason that counts.
    producer.cancelled(17, LINES).await;
    app.catch_up(&producer).await;
    let page = app.page("/17").await;
    assert!(page.contains("was cancelled") && !page.contains("no address is left"));
    let problem = app.send("POST", "/17/dispatch", "*/*").await.json();
    assert_eq!(
        problem["detail"],
        "order 17 was cancelled: its goods stay here"
    );
}

/// RFC 9110, 13.1.2: what is a 304 for a `GET` is a 412 for everything else.
async fn a_dispatch_has_preconditions<S: Testable>(url: &str) {
    let producer = Producer::new().await;
    for id in [17, 18] {
        producer.placed(id, LINES).await;
    }
    let mut app = following::<S>(url, &producer).await;
    let tag = async |app: &App<S>, accept: &str| {
        let answer = app.send("GET", "/17", accept).await;
        answer.header("etag").to_owned()
    };
    let known = tag(&app, "application/json").await;
    let page = tag(&app, "text/html").await;
    assert!(
        known.starts_with('"') && page.starts_with("W/"),
        "{known} {page}"
    );
    let weak = format!("W/{known}");
    for condition in [
        ("if-match", "\"x\""),
        ("if-match", weak.as_str()),
        ("if-match", page.as_str()),
        ("if-none-match", "*"),
        ("if-none-match", known.as_str()),
    ] {
        let answer = app.request("POST", "/17/dispatch", &[condition]).await;
        answer.assert_problem(412);
    }
    assert_eq!(app.json("/17").await["status"], "pending");
    let missing = app
        .request("POST", "/19/dispatch", &[("if-match", "*")])
        .await;
    missing.assert_problem(404);
    let answer = app
        .request("POST", "/17/dispatch", &[("if-match", known.as_str())])
        .await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    // It has changed, and with it the tag.
    let again = app
        .request("POST", "/17/dispatch", &[("if-match", known.as_str())])
        .await;
    again.assert_problem(412);
    assert_ne!(tag(&app, "application/json").await, known);
    producer.cancelled(18, LINES).await;
    app.catch_up(&producer).await;
    let stopped = app
        .request("POST", "/18/dispatch", &[("if-match", "*")])
        .await;
    stopped.assert_problem(409);
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
