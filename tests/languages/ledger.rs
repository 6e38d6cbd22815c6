//! tests/consumer.py, which docs/consumer.md recommends, with data and batches that are not as usual.

use std::process::Command;

use harness::programs::program;
use harness::{Backend, Process, tables, until};

use crate::examples::root;
use crate::feed::{Running, database, publish, serve};

/// The consumer, with these changes, for a feed; the URL of its ledger, and where both are.
fn ledger(changes: &[[&str; 2]], feed: &str) -> (Command, String, tempfile::TempDir) {
    let mut text = std::fs::read_to_string(root().join("tests/consumer.py")).unwrap();
    for [from, to] in changes {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    let directory = tempfile::tempdir().unwrap();
    let script = directory.path().join("consumer.py");
    std::fs::write(&script, text).unwrap();
    let ledger = directory.path().join("ledger.db");
    let mut command = program("python3");
    command.arg(script).arg(feed).arg(&ledger);
    (command, format!("sqlite:{}", ledger.display()), directory)
}

/// Books of all events up to `last`, in cents.
async fn booked(process: &mut Process, url: &str, last: u32) -> Vec<String> {
    until("it has taken all", async || {
        assert!(!process.is_gone(), "{}", process.log());
        let taken = format!("SELECT count(*) FROM place WHERE sequence = {last}");
        (tables::try_number(url, &taken).await? == 1).then_some(())
    })
    .await;
    tables::texts(
        url,
        "SELECT CAST(cents AS TEXT) FROM ledger ORDER BY number",
    )
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_effect_leaves_no_half_and_stops_no_other() {
    if !harness::programs::available(&["python3"]) {
        return;
    }
    let orders = database(Backend::Sqlite).await;
    let feed = serve(&orders).await;
    // Too large, infinite in cents, refused after half of the effect, none, and one that is as usual.
    for data in [
        r#"{"total": 1e300}"#,
        r#"{"total": "x"}"#,
        r#"{"total": 13}"#,
        r#"[]"#,
        r#"{"total": null}"#,
        r#"{"total": 5}"#,
    ] {
        publish(&orders, "order/1", data).await;
    }
    let booking = r#"(event["subject"], cents))"#;
    let half = format!(
        "{booking}\n        if cents == 1300:\n            db.execute(\"INSERT INTO claim VALUES (?)\", (event[\"id\"],))"
    );
    let changes = [[booking, half.as_str()]];
    let (mut command, url, directory) = ledger(&changes, &feed.client.url("feed"));
    let mut process = Process::start_command("ledger", &mut command, &[], directory.path());
    assert_eq!(booked(&mut process, &url, 6).await, ["500"]);
    let missed = "SELECT count(*) FROM missed WHERE event IN (SELECT event FROM claim)";
    assert_eq!(tables::number(&url, missed).await, 5);
}

/// The publisher refuses a document of more than 15 MiB.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_events_of_a_batch_that_is_too_large_are_read_alone() {
    if !harness::programs::available(&["python3"]) {
        return;
    }
    let orders = database(Backend::Sqlite).await;
    let feed: Running = serve(&orders).await;
    let note = "x".repeat(1_000_000);
    for total in 1..=17 {
        let data = format!(r#"{{"total": {total}, "note": "{note}"}}"#);
        publish(&orders, &format!("order/{total}"), &data).await;
    }
    let (mut command, url, directory) = ledger(&[], &feed.client.url("feed"));
    let mut process = Process::start_command("ledger", &mut command, &[], directory.path());
    let all: Vec<String> = (1..=17).map(|total| format!("{total}00")).collect();
    assert_eq!(booked(&mut process, &url, 17).await, all);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_is_refused_at_the_start() {
    if !harness::programs::available(&["python3"]) {
        return;
    }
    let (mut command, _, directory) = ledger(&[], "http://127.0.0.1:1/feed?type=order.placed");
    let mut process = Process::start_command("ledger", &mut command, &[], directory.path());
    assert_eq!(process.ended().await, Some(1));
    let said = "has a query, and this takes the whole feed";
    assert!(process.log().contains(said), "{}", process.log());
}
