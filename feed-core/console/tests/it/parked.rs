//! What failed, and what a person decides about it: it is tried again, or has no effect.

use std::time::Duration;

use feed_core::consumer::DecideError;
use serde_json::Value;
use serde_json::json;

use super::{Site, assert_back_to_status};
use crate::support::{Fail, Recorder, Testable, until};

harness::on_both_databases! {
    a_retry_applies_the_events_of_a_subject_in_sequence
    a_skip_is_recorded_and_later_events_are_applied
    what_waits_cannot_be_decided_about
    an_event_that_is_skipped_while_it_is_tried_blames_no_other
    a_halted_subscription_tries_nothing_and_says_so
}

async fn a_retry_applies_the_events_of_a_subject_in_sequence<B: Testable>(url: &str) {
    let recorder = Recorder::failing("order/3", Fail::Park);
    let site = Site::<B>::new(url, 30, recorder).await;
    let parked = site.handle.parked(100).await.unwrap();
    let [first, second, third] = parked.as_slice() else {
        panic!("{parked:?}")
    };
    let page = site.page("/status").await;
    for shown in [
        "no such customer",
        &first.id,
        "2 later events wait for it",
        "Retry",
        "Skip",
    ] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    assert_eq!(page.matches("Select by type").count(), 1, "{page}");
    // It fails again, because the cause still exists.
    let fields = [("event", first.id.as_str()), ("by", "eve")];
    assert_back_to_status(&site.press("/status/retry", &fields).await);
    until("it was tried again", async || {
        site.handle.parked(1).await.unwrap()[0].attempts == 2
    })
    .await;
    site.effect.repair();
    let accept = [("accept", "application/json")];
    let answer = site.post("/status/retry", &[("by", "eve")], &accept).await;
    assert_eq!((answer.status, answer.json()), (200, json!({"retried": 1})));
    until("nothing is parked", async || {
        site.handle.status().await.unwrap().parked == 0
            && site.handle.status().await.unwrap().waiting == 0
    })
    .await;
    let subject = "SELECT event_id FROM effect WHERE subject = 'order/3' ORDER BY position";
    let applied = B::texts(&site.database, subject).await;
    assert_eq!(
        applied,
        [&first.id, &second.id, &third.id].map(String::clone)
    );
    let decisions = site.json("/status/decisions").await;
    let of = |index: usize| {
        let decided = &decisions["decisions"][index];
        [
            &decided["decision"],
            &decided["decided_by"],
            &decided["outcome"],
        ]
        .map(Value::to_string)
    };
    assert_eq!(
        of(0),
        ["\"retry all\"", "\"eve\"", "\"1 to be tried again\""]
    );
    assert_eq!(of(1)[0], format!("\"retry {}\"", first.id));
}

async fn a_halted_subscription_tries_nothing_and_says_so<B: Testable>(url: &str) {
    let site = Site::<B>::new(url, 30, Recorder::failing("order/3", Fail::Park)).await;
    let page = site.page("/status").await;
    assert!(page.contains("it waits for the operator"), "{page}");
    let halt = "UPDATE feed_subscription SET halted = 'why'";
    B::run(&site.database, halt).await;
    assert_back_to_status(&site.press("/status/retry", &[("by", "eve")]).await);
    let page = site.page("/status").await;
    let expected = "it is tried again when the subscription is resumed";
    assert!(page.contains(expected), "{page}");
}

async fn a_skip_is_recorded_and_later_events_are_applied<B: Testable>(url: &str) {
    let recorder = Recorder::failing("order/3", Fail::Park);
    let site = Site::<B>::new(url, 30, recorder).await;
    let parked = site.handle.parked(100).await.unwrap();
    site.effect.repair();
    let id = parked[0].id.as_str();
    let fields = [("event", id), ("reason", " a <test> order "), ("by", "eve")];
    assert_back_to_status(&site.press("/status/skip", &fields).await);
    until("the later ones are applied", async || {
        site.handle.status().await.unwrap().waiting == 0
    })
    .await;
    let subject = "SELECT event_id FROM effect WHERE subject = 'order/3' ORDER BY position";
    let applied = B::texts(&site.database, subject).await;
    assert_eq!(applied, [parked[1].id.clone(), parked[2].id.clone()]);
    // Who, when and why.
    let skipped = site.json("/status/skipped").await["skipped"][0].clone();
    assert_eq!(
        (&skipped["id"], &skipped["reason"]),
        (&json!(id), &json!("a <test> order"))
    );
    assert_eq!(skipped["skipped_by"], json!("eve"));
    assert!(skipped["skipped_at"].as_str().unwrap().ends_with('Z'));
    let taken = site.json(&format!("/status/events?event={id}")).await;
    assert_eq!(taken["events"][0]["outcome"], json!("skipped"));
    let page = site.page("/status").await;
    assert!(
        page.contains("a &lt;test&gt; order") && !page.contains("<test>"),
        "{page}"
    );
    // A second time there is nothing to skip.
    let again = site.press("/status/skip", &fields).await;
    again.assert_problem(409);
    for part in [id, "eve decided at 20"] {
        assert!(again.body.contains(part), "{part}: {}", again.body);
    }
}

async fn what_waits_cannot_be_decided_about<B: Testable>(url: &str) {
    let recorder = Recorder::failing("order/3", Fail::Park);
    let site = Site::<B>::new(url, 20, recorder).await;
    let waiting = site.handle.parked(100).await.unwrap()[1].id.clone();
    let skip = site.handle.skip(&waiting, "a test", "eve").await;
    assert!(matches!(skip, Err(DecideError::Waits(..))), "{skip:?}");
    let fields = [
        ("event", waiting.as_str()),
        ("reason", "a test"),
        ("by", "eve"),
    ];
    let without_reason = [fields[0], fields[2]];
    for (path, fields) in [
        ("/status/skip", &fields[..]),
        ("/status/retry", &without_reason[..]),
    ] {
        let answer = site.press(path, fields).await;
        answer.assert_problem(409);
        assert!(answer.body.contains("order/3"), "{}", answer.body);
    }
    // A misspelt field is no wish to retry all of them.
    let misspelt = [("evnt", waiting.as_str()), ("by", "eve")];
    let answer = site.press("/status/retry", &misspelt).await;
    answer.assert_problem(422);
    assert!(answer.body.contains("evnt"), "{}", answer.body);
    assert_eq!(site.handle.decisions(10).await.unwrap().len(), 0);
}

/// The owner's attempt at an event fails, and an operator who waited for it skips the event before the
/// owner has recorded the failure.
async fn an_event_that_is_skipped_while_it_is_tried_blames_no_other<B: Testable>(url: &str) {
    let site = Site::<B>::new(url, 30, Recorder::failing("order/3", Fail::Park)).await;
    let first = site.handle.parked(1).await.unwrap().remove(0).id;
    site.effect.fail("order/3", Fail::Once);
    site.handle.retry(&first, "eve").await.unwrap();
    site.effect.tried.notified().await;
    let handle = site.handle.clone();
    let skipping = tokio::spawn(async move { handle.skip(&first, "a test", "eve").await });
    // So that it waits by then; if it does not yet, it comes a little later.
    tokio::time::sleep(Duration::from_millis(200)).await;
    site.effect.go.notify_one();
    skipping.await.unwrap().unwrap();
    until("the later ones are applied", async || {
        let status = site.handle.status().await.unwrap();
        (status.parked, status.waiting) == (0, 0)
    })
    .await;
    let subject = "SELECT event_id FROM effect WHERE subject = 'order/3'";
    assert_eq!(B::texts(&site.database, subject).await.len(), 2);
}
