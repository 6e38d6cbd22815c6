//! Whether a subscription catches up: the same pace on each of its instances, in JSON and on the page.

use serde_json::json;

use super::Site;
use crate::support::{Recorder, Testable, consumer, until};

harness::on_both_databases! {
    each_instance_knows_the_pace_of_all
}

async fn each_instance_knows_the_pace_of_all<B: Testable>(url: &str) {
    let site = Site::<B>::new(url, 5, Recorder::default()).await;
    let status = site.json("/status").await;
    assert_eq!(status["pace"], json!(null), "nothing is known yet");
    assert!(
        site.page("/status")
            .await
            .contains("Charts begin with the first sample")
    );

    let feed = site.handle.feed_url().to_string();
    let other = consumer(&site.database, &feed, Recorder::default()).await;
    let (handle, stop) = (other.handle(), other.shutdown());
    let running = tokio::spawn(other.run());
    until("both instances have a sample", async || {
        let both = site.handle.status().await.unwrap().instances == 2;
        both && !site.handle.samples().is_empty() && !handle.samples().is_empty()
    })
    .await;
    site.publisher.publish(40).await;
    for handle in [&site.handle, &handle] {
        let mut pace = None;
        until("its pace is known", async || {
            let status = handle.status().await.unwrap();
            pace = (status.sequence == 45)
                .then(|| handle.pace(&status))
                .flatten();
            pace.is_some()
        })
        .await;
        let pace = pace.unwrap();
        assert_eq!(pace.level_in, Some(0));
        // Of all instances: one alone took about half of them. The seconds are cut.
        let taken = pace.taken * (pace.seconds as f64 + 0.5);
        assert!((36.0..44.0).contains(&taken), "{pace:?}: {taken}");
        assert_eq!(pace.published, pace.taken);
    }
    let status = site.json("/status").await;
    assert_eq!(status["pace"]["level_in"], json!(0), "{status}");
    let page = site.page("/status").await;
    assert!(page.contains("<dt>Pace</dt>"), "{page}");
    assert!(page.contains("role=\"img\" aria-label=\"Lag in the last hour."));
    assert!(
        !page.contains("style="),
        "the policy of the page forbids it: {page}"
    );
    stop.cancel();
    running.await.unwrap();
}
