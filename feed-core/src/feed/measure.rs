//! What a feed shows at `/metrics`.

use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::future::BoxFuture;

use super::Feed;
use crate::event::EventId;
use crate::service::metrics::{Exposition, Measured};
use crate::store::Backend;

impl<B: Backend> Measured for Feed<B> {
    fn measure<'a>(&'a self, text: &'a mut Exposition) -> BoxFuture<'a, ()> {
        Box::pin(async {
            let feed = &self.inner;
            let pool = feed.database.reader().clone();
            let published = feed.turns.ask(async move { B::published(&pool).await });
            if let Some((sequence, oldest)) = published.await {
                text.gauge(
                    "feed_sequence",
                    "The number of the newest event.",
                    &[],
                    sequence as f64,
                );
                text.gauge(
                    "feed_oldest_unnumbered_seconds",
                    "Age of the oldest event that is committed and has no number yet; 0: each has its \
                     number.",
                    &[],
                    oldest.map_or(0.0, age),
                );
            }
            let (hits, misses) = feed.pages.asked();
            text.counter(
                "feed_page_cache_hits_total",
                "Pages that were answered from memory.",
                &[],
                hits as f64,
            );
            text.counter(
                "feed_page_cache_misses_total",
                "Pages that were read from the database.",
                &[],
                misses as f64,
            );
        })
    }
}

/// Seconds since an event was appended: its id is made then, and holds the time.
fn age(event: EventId) -> f64 {
    let Some(made) = event.0.get_timestamp() else {
        return 0.0;
    };
    let (seconds, nanoseconds) = made.to_unix();
    let made = std::time::Duration::new(seconds, nanoseconds);
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let age = now.unwrap_or_default().saturating_sub(made);
    age.as_secs_f64()
}
