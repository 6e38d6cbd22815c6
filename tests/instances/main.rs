//! Several instances of a consumer, while some die: each event has exactly one effect (I5, I6).
//! Real processes on a real PostgreSQL; tests that take minutes are for `tests/long`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod backlog;
mod commits;
mod matrix;
mod retired;
mod schedule;
mod seeds;
mod share;
mod statements;

use harness::{Cluster, FreshDatabase, Story};

/// Lets one instance with an empty database follow the same feed alone, and compares.
async fn compare_with_an_undisturbed_run(story: &Story, clusters: &[&Cluster], feed_url: &str) {
    let alone = Cluster::new(
        clusters[0].service,
        FreshDatabase::postgres().await,
        feed_url,
    );
    let _instance = alone.start("alone").await;
    story.check(&alone).await;
    for cluster in clusters {
        cluster.assert_like(&alone).await;
    }
}
