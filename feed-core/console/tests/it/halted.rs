//! The way on after a halt, and back to events whose effects were lost.

use feed_core::consumer::{DecideError, Decision, ResumeFrom};
use serde_json::json;

use super::{Site, assert_back_to_status};
use crate::support::{Recorder, Testable, effects, until, urns};

harness::on_both_databases! {
    a_halted_subscription_is_resumed_from_the_start
    a_halted_subscription_is_resumed_from_now
    a_halted_subscription_is_resumed_where_it_is
    readiness_counts_no_events
    a_replay_rebuilds_what_is_missing
    decisions_that_do_not_fit_are_refused
    a_decision_while_a_resume_is_open_is_refused
}

async fn a_halted_subscription_is_resumed_from_the_start<B: Testable>(url: &str) {
    let (site, known) = Site::<B>::with_another_feed(url, 7).await;
    let page = site.page("/status").await;
    for shown in [
        "Halted: ",
        "another history",
        "From the start",
        "From now on",
        "Resume from the cursor",
    ] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    let ready = site.get("/health/ready", "*/*").await;
    ready.assert_problem(503);
    let detail = ready.json()["detail"].to_string();
    assert!(
        detail.contains("another history") && detail.contains("--from-start"),
        "{detail}"
    );
    assert_eq!(ready.headers.get("retry-after"), None);

    let fields = [("from", "start"), ("by", "eve")];
    assert_back_to_status(&site.press("/status/resume", &fields).await);
    let outcome = site.carried_out().await;
    assert!(outcome.contains("from the first event"), "{outcome}");
    site.settled().await;
    assert_eq!(site.handle.status().await.unwrap().halted, None);
    assert_eq!(effects(&site.database).await.len(), known.len() + 7);
    assert_eq!(site.get("/health/ready", "*/*").await.status, 200);
}

async fn a_halted_subscription_is_resumed_from_now<B: Testable>(url: &str) {
    let (site, known) = Site::<B>::with_another_feed(url, 7).await;
    let fields = [("from", "now"), ("by", "eve")];
    let accept = [("accept", "application/json")];
    let answer = site.post("/status/resume", &fields, &accept).await;
    assert_eq!(answer.status, 202, "{}", answer.body);
    assert_eq!(answer.json()["decision"], json!("resume from-now"));
    site.carried_out().await;
    let new = site.publisher.publish(2).await;
    site.settled().await;
    let expected = [known, urns(&new)].concat();
    assert_eq!(effects(&site.database).await, expected);
    assert_eq!(site.json("/status").await["begins"], json!(7));
}

async fn a_halted_subscription_is_resumed_where_it_is<B: Testable>(url: &str) {
    // The subscription was halted although the feed has not changed.
    let site = Site::<B>::new(url, 5, Recorder::default()).await;
    let halt = "UPDATE feed_subscription SET halted = 'the feed is another one'";
    B::run(&site.database, halt).await;
    let fields = [("from", "keep"), ("by", "eve")];
    assert_back_to_status(&site.press("/status/resume", &fields).await);
    assert_eq!(site.carried_out().await, "goes on from where it was");
    let new = site.publisher.publish(2).await;
    site.settled().await;
    assert_eq!(effects(&site.database).await[5..], urns(&new));
}

async fn a_replay_rebuilds_what_is_missing<B: Testable>(url: &str) {
    let site = Site::<B>::new(url, 25, Recorder::default()).await;
    let before = effects(&site.database).await;
    B::run(&site.database, "DELETE FROM effect WHERE position > 7").await;
    let fields = [("from", "8"), ("by", "eve")];
    assert_back_to_status(&site.press("/status/replay", &fields).await);
    let outcome = site.carried_out().await;
    assert!(outcome.contains("from 8 on again"), "{outcome}");
    until("all effects are there again", async || {
        effects(&site.database).await.len() == before.len()
    })
    .await;
    assert_eq!(effects(&site.database).await, before);
}

async fn decisions_that_do_not_fit_are_refused<B: Testable>(url: &str) {
    let site = Site::<B>::new(url, 5, Recorder::default()).await;
    for from in ["start", "now", "keep"] {
        let fields = [("from", from), ("by", "eve")];
        site.press("/status/resume", &fields)
            .await
            .assert_problem(409);
    }
    let fields = [("from", "6"), ("by", "eve")];
    site.press("/status/replay", &fields)
        .await
        .assert_problem(409);
    B::run(
        &site.database,
        "UPDATE feed_subscription SET halted = 'why'",
    )
    .await;
    let fields = [("from", "1"), ("by", "eve")];
    site.press("/status/replay", &fields)
        .await
        .assert_problem(409);
    assert_eq!(site.handle.decisions(10).await.unwrap().len(), 0);
    // The handle takes a decision as it is; without a name it takes none.
    let nameless = site
        .handle
        .decide(Decision::Resume(ResumeFrom::Kept), " ")
        .await;
    assert!(
        matches!(nameless, Err(DecideError::Name(_))),
        "{nameless:?}"
    );
}

/// There may be millions of them, and readiness is asked for every few seconds.
async fn readiness_counts_no_events<B: Testable>(url: &str) {
    let site = Site::<B>::new(url, 1, Recorder::default()).await;
    for table in ["feed_skip", "feed_attempt", "feed_parked"] {
        let away = format!("ALTER TABLE {table} RENAME TO away_{table}");
        B::run(&site.database, &away).await;
    }
    assert_eq!(site.get("/health/ready", "*/*").await.status, 200);
}

/// It would be executed after it, in a state that the operator has not seen.
async fn a_decision_while_a_resume_is_open_is_refused<B: Testable>(url: &str) {
    let site = Site::<B>::new(url, 5, Recorder::default()).await;
    site.shutdown.cancel();
    until("it has stopped", async || site.running.is_finished()).await;
    let halt = "UPDATE feed_subscription SET halted = 'why'";
    B::run(&site.database, halt).await;
    let start = [("from", "start"), ("by", "ann")];
    assert_back_to_status(&site.press("/status/resume", &start).await);
    let now = [("from", "now"), ("by", "bob")];
    let replay = [("from", "1"), ("by", "bob")];
    for (path, fields) in [("/status/resume", now), ("/status/replay", replay)] {
        let refused = site.press(path, &fields).await;
        refused.assert_problem(409);
        assert!(
            refused.body.contains("resume from-start"),
            "{}",
            refused.body
        );
    }
    assert_eq!(site.handle.decisions(10).await.unwrap().len(), 1);
}
