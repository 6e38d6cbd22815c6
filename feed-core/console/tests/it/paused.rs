//! A pause and the instances, on the pages and for programs.

use serde_json::{Value, json};

use super::{Site, assert_back_to_status};
use crate::support::{Fail, Recorder, Testable, consumer, effects, until};

harness::on_both_databases! {
    a_pause_is_shown_with_who_and_why_until_it_ends
    a_pause_and_a_halt_end_one_by_one
    an_instance_is_taken_out_on_its_page
}

const PROGRAM: [(&str, &str); 1] = [("accept", "application/json")];

async fn a_pause_is_shown_with_who_and_why_until_it_ends<B: Testable>(url: &str) {
    let site = Site::<B>::new(url, 30, Recorder::failing("order/3", Fail::Park)).await;
    let none = site.post("/status/resume", &[("by", "jo")], &PROGRAM).await;
    none.assert_problem(409);
    let fields = [("reason", "a <new> ledger"), ("by", "eve")];
    assert_back_to_status(&site.press("/status/pause", &fields).await);
    let page = site.page("/status").await;
    for shown in [
        "Paused by <bdi>eve</bdi>: ",
        "a &lt;new&gt; ledger",
        "No event is taken or retried until an operator resumes",
    ] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    for offered in ["status/pause", "status/replay", "all others continue"] {
        assert!(!page.contains(offered), "{offered}: {page}");
    }
    let paused = site.json("/status").await["paused"].clone();
    assert_eq!(
        (&paused["by"], &paused["reason"]),
        (&json!("eve"), &json!("a <new> ledger"))
    );
    assert!(paused["at"].as_str().unwrap().ends_with('Z'));
    // It is ready: what is stored can be read.
    assert_eq!(site.get("/health/ready", "*/*").await.status, 200);

    let second = site
        .post("/status/pause", &[("reason", "x"), ("by", "jo")], &PROGRAM)
        .await;
    second.assert_problem(409);
    let detail = second.json()["detail"].clone();
    let expected = "the subscription is paused already, by eve since ";
    assert!(detail.as_str().unwrap().starts_with(expected), "{detail}");
    let replay = [("from", "1"), ("by", "jo")];
    site.post("/status/replay", &replay, &PROGRAM)
        .await
        .assert_problem(409);

    // A retry waits as well, and says so.
    site.effect.repair();
    assert_back_to_status(&site.press("/status/retry", &[("by", "eve")]).await);
    let page = site.page("/status").await;
    let waits = "it is tried again when the subscription is resumed";
    assert!(page.contains(waits), "{page}");

    let ended = site.post("/status/resume", &[("by", "jo")], &PROGRAM).await;
    assert_eq!(
        (ended.status, ended.json()),
        (200, json!({"paused": false, "by": "jo"}))
    );
    until("all is applied", async || {
        effects(&site.database).await.len() == 30
    })
    .await;
    assert_eq!(site.json("/status").await["paused"], Value::Null);
}

async fn a_pause_and_a_halt_end_one_by_one<B: Testable>(url: &str) {
    let site = Site::<B>::new(url, 1, Recorder::default()).await;
    site.press("/status/pause", &[("reason", "x"), ("by", "eve")])
        .await;
    B::run(
        &site.database,
        "UPDATE feed_subscription SET halted = 'why'",
    )
    .await;
    let page = site.page("/status").await;
    assert!(
        page.contains("Halted: ") && page.contains("Paused by <bdi>eve"),
        "{page}"
    );
    let from = [("from", "keep"), ("by", "eve")];
    assert_eq!(
        site.post("/status/resume", &from, &PROGRAM).await.status,
        202
    );
    site.carried_out().await;
    let status = site.json("/status").await;
    assert_eq!(
        (&status["halted"], &status["paused"]["by"]),
        (&Value::Null, &json!("eve"))
    );
    assert_eq!(
        site.post("/status/resume", &[("by", "eve")], &PROGRAM)
            .await
            .status,
        200
    );
    // Halted alone: it matters from where it resumes.
    B::run(
        &site.database,
        "UPDATE feed_subscription SET halted = 'why'",
    )
    .await;
    let how = site
        .post("/status/resume", &[("by", "eve")], &PROGRAM)
        .await;
    how.assert_problem(409);
    assert!(how.body.contains("say from where"), "{}", how.body);
}

async fn an_instance_is_taken_out_on_its_page<B: Testable>(url: &str) {
    let site = Site::<B>::new(url, 1, Recorder::default()).await;
    let page = site.page("/status/instances").await;
    for shown in ["16 of 16", "works", "The last instance cannot be taken out"] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    let feed = site.handle.feed_url().to_string();
    let other = consumer(&site.database, &feed, Recorder::default()).await;
    let running = tokio::spawn(other.run());
    until("they share", async || {
        let all = site.json("/status/instances").await;
        all["instances"]
            .as_array()
            .unwrap()
            .iter()
            .all(|it| it["partitions"] == 8)
    })
    .await;
    let all = site.json("/status/instances").await;
    let one = all["instances"][0]["instance"].as_str().unwrap().to_owned();
    let fields = [
        ("instance", one.as_str()),
        ("reason", "slow"),
        ("by", "eve"),
    ];
    let answer = site.press("/status/retire", &fields).await;
    assert_eq!(
        (answer.status, answer.header("location")),
        (303, "instances")
    );
    let page = site.page("/status/instances").await;
    assert!(page.contains("retired by eve"), "{page}");
    let again = site.post("/status/retire", &fields, &PROGRAM).await;
    again.assert_problem(409);
    let unknown = [("instance", "x"), ("reason", "slow"), ("by", "eve")];
    site.post("/status/retire", &unknown, &PROGRAM)
        .await
        .assert_problem(404);
    let decided = site.json("/status/decisions").await["decisions"][0].clone();
    assert_eq!(
        (
            &decided["decision"],
            &decided["reason"],
            &decided["decided_by"]
        ),
        (
            &json!(format!("retire {one}")),
            &json!("slow"),
            &json!("eve")
        )
    );
    running.abort();
}
