//! Several instances of a consumer, whatever dies: each event has exactly one effect (I5, I6). Real
//! processes on a real PostgreSQL; what takes minutes is left to `tests/long`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod backlog;
mod commits;
mod matrix;
mod schedule;
mod seeds;
mod share;
mod statements;

use harness::{Cluster, FreshDatabase, Story};

/// Has one instance with an empty database follow the same feed alone, and compares.
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
