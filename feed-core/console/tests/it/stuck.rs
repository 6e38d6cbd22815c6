//! What keeps a subscription from moving is named: in JSON and on the page.

use serde_json::json;

use super::Site;
use crate::support::{Recorder, Testable, consumer, until};

harness::on_both_databases! {
    what_keeps_the_last_instance_from_working_is_named
}

/// It is retired, or does not report any longer.
async fn what_keeps_the_last_instance_from_working_is_named<B: Testable>(url: &str) {
    let site = Site::<B>::new(url, 5, Recorder::default()).await;
    let first = site.handle.instances(2).await.unwrap().remove(0).instance;
    let feed = site.handle.feed_url().to_string();
    let mut other = consumer(&site.database, &feed, Recorder::default()).await;
    let _ = other.poll_once().await.unwrap();
    site.handle
        .retire(&first, "it is slow", "eve")
        .await
        .unwrap();
    other.leave().await.unwrap();
    let concerns = async || site.json("/status").await["concerns"].clone();
    let unattended =
        |text: &str, why: &str| json!([{"kind": "unattended", "text": text, "why": why}]);
    let expected = unattended(
        "its only instance is retired",
        "a retired one takes no events until its process is restarted",
    );
    assert_eq!(concerns().await, expected);
    let page = site.page("/status").await;
    assert!(
        page.contains("<strong>Its only instance is retired: </strong>"),
        "{page}"
    );
    assert_eq!(site.json("/status").await["retired"], json!(1));

    site.shutdown.cancel();
    until("it has ended", async || site.running.is_finished()).await;
    let expected = unattended(
        "no instance reports",
        "none runs, or it cannot write to its database",
    );
    assert_eq!(concerns().await, expected);
}
