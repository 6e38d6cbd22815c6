//! The goods leave by a button, and only if their order was not cancelled before.

use harness::producer::{LINES, Producer};

use crate::app::{Testable, following};

harness::on_both_databases! {
    a_pending_shipment_is_dispatched_once
    a_stopped_shipment_is_not_dispatched
    a_dispatched_shipment_is_recalled
    what_is_not_there_is_not_dispatched
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

    // Long ago, so that a second time would show.
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
    // It has left, and so that is no conflict.
    let answer = app.send("POST", "/17/dispatch", "*/*").await;
    assert_eq!((answer.status, answer.header("location")), (303, "../17"));
    assert_eq!(app.json("/17").await["status"], "recalled");
}

async fn what_is_not_there_is_not_dispatched<S: Testable>(url: &str) {
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
