//! What a feed shows at `/metrics`: its newest event, and what waits to be numbered or corrected.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;

use super::Feed;
use crate::event::EventId;
use crate::http::metrics::{Measured, Metric};
use crate::store::Backend;

impl<B: Backend> Measured for Feed<B> {
    fn measure(&self) -> BoxFuture<'_, Vec<Metric>> {
        Box::pin(async {
            let feed = &self.inner;
            let pool = feed.database.reader().clone();
            let published = async move { B::published(&pool).await };
            let published = feed.metrics_queries.run(feed.database.health(), published);
            let stuck = feed.sequencer.stuck_for();
            let published = published.await.map(|published| {
                let gauge = |name, help, value| Metric::gauge(name, help, &[], value);
                let unnumbered = published.unnumbered;
                [
                    gauge(
                        "feed_sequence",
                        "The number of the newest event.",
                        published.sequence as f64,
                    ),
                    gauge(
                        "feed_oldest_unnumbered_seconds",
                        "Age of the oldest event that is committed and has no number yet; 0: each has its \
                         number.",
                        waits(unnumbered, stuck).as_secs_f64(),
                    ),
                    gauge(
                        "feed_quarantined_rows",
                        "Rows that could not be published or served as they were, and wait for an operator; up to \
                         10,000.",
                        published.quarantined as f64,
                    ),
                ]
            });
            let (hits, misses) = feed.pages.asked();
            let counter = |name, help, value: u64| Metric::counter(name, help, &[], value as f64);
            let pages = [
                counter(
                    "feed_page_cache_hits_total",
                    "Pages that were answered from memory.",
                    hits,
                ),
                counter(
                    "feed_page_cache_misses_total",
                    "Pages that were read from the database.",
                    misses,
                ),
            ];
            published.into_iter().flatten().chain(pages).collect()
        })
    }
}

/// Returns how long the `oldest` event without a number has waited; at least as long as the numbering is `stuck`.
pub(super) fn waits(oldest: Option<(EventId, DateTime<Utc>)>, stuck: Duration) -> Duration {
    oldest.map_or(Duration::ZERO, |(id, time)| age(id, time).max(stuck))
}

/// Returns how long ago an event was appended. An id of feed-core contains that time; for an event
/// of another program, the time at which it happened is the best estimate.
fn age(id: EventId, time: DateTime<Utc>) -> Duration {
    let appended = match id.0.get_timestamp() {
        Some(made) if id.0.get_version_num() == 7 => {
            let (seconds, nanoseconds) = made.to_unix();
            UNIX_EPOCH + Duration::new(seconds, nanoseconds)
        }
        _ => SystemTime::from(time),
    };
    appended.elapsed().unwrap_or_default()
}
