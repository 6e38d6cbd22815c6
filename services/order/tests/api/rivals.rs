//! Many requests at once, and clients that disconnect before the answer.

use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use axum::http::request::Builder;
use harness::call;
use tower::ServiceExt;

use crate::app::{App, Testable, an_order, json_request};

harness::on_both_databases! {
    rival_orders_are_all_placed
    rival_requests_with_one_key_place_one_order
    rival_cancels_make_one_event
    an_order_is_placed_though_the_client_disconnects
}

async fn rival_orders_are_all_placed<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    let mut ids = at_once(&app, 20, json_request).await;
    ids.sort_unstable();
    assert_eq!(ids, (1..=20).collect::<Vec<_>>());
    assert_eq!(app.stored().await, (20, 40, 20));
    assert_eq!(app.feed.publish().await.expect("a cursor").sequence, 20);
}

async fn rival_requests_with_one_key_place_one_order<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    let ids = at_once(&app, 8, || json_request().header("Idempotency-Key", "one")).await;
    assert_eq!(ids, [1; 8]);
    assert_eq!(app.stored().await, (1, 2, 1));
}

async fn rival_cancels_make_one_event<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    app.place().await;
    let ids = at_once(&app, 8, || Request::delete("/order/1")).await;
    assert_eq!(ids, [1; 8]);
    assert_eq!(app.json("/order/1").await["status"], "cancelled");
    assert_eq!(app.stored().await, (1, 2, 2));
}

/// Sends so many requests at once, and returns the ids of the orders in the answers.
async fn at_once<S: Testable>(
    app: &App<S>,
    count: usize,
    request: impl Fn() -> Builder,
) -> Vec<i64> {
    let rivals: Vec<_> = (0..count)
        .map(|_| {
            let router = app.router.clone();
            let request = request().body(Body::from(an_order().to_string()));
            tokio::spawn(async move { call(&router, request.expect("a request")).await })
        })
        .collect();
    let mut ids = Vec::new();
    for rival in rivals {
        let answer = rival.await.expect("an answer");
        assert!((200..300).contains(&answer.status), "{}", answer.body);
        ids.push(answer.json()["id"].as_i64().expect("an id"));
    }
    ids
}

/// The longest time that orders of disconnected clients take: they wait for the disk and for each other.
const FINISH: Duration = Duration::from_secs(20);

async fn an_order_is_placed_though_the_client_disconnects<S: Testable>(url: &str) {
    let app = App::<S>::open(url).await;
    let mut hung_up = 0;
    for patience in 1..=6 {
        for _ in 0..5 {
            let request = json_request().body(Body::from(an_order().to_string()));
            let answer = app.router.clone().oneshot(request.expect("a request"));
            hung_up += i32::from(poll_times(answer, patience).await);
        }
        // It gets a connection, on which no transaction was left open.
        let id = app.place().await["id"].clone();
        let request = Request::delete(format!("/order/{id}")).body(Body::empty());
        let answer = app.router.clone().oneshot(request.expect("a request"));
        hung_up += i32::from(poll_times(answer, patience).await);
    }
    assert!(hung_up > 0, "some clients have hung up");
    let all = (36, 72, 42);
    let finished = tokio::time::timeout(FINISH, async {
        while app.stored().await != all {
            tokio::task::yield_now().await;
        }
    });
    let finished = finished.await;
    assert!(
        finished.is_ok(),
        "{:?} instead of {all:?}",
        app.stored().await
    );
    assert_eq!(app.feed.publish().await.expect("a cursor").sequence, 42);
}

/// Polls `future` up to `times` times, and drops it. True if it was not finished then.
async fn poll_times<F: Future>(future: F, times: usize) -> bool {
    let mut future = pin!(future);
    let mut left = times;
    std::future::poll_fn(|context| {
        if future.as_mut().poll(context).is_ready() {
            return Poll::Ready(false);
        }
        left -= 1;
        if left == 0 {
            return Poll::Ready(true);
        }
        Poll::Pending
    })
    .await
}
