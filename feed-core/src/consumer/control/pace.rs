//! Samples the progress of a subscription once a minute, and says how fast it follows the feed.
//!
//! What is sampled is what all instances have stored together, so each of them has the same samples;
//! what one of them counts by itself is its share only.

use std::time::Duration;

use chrono::Utc;
use tokio_util::sync::CancellationToken;

use super::handle::Handle;
use super::metrics::progress;
use super::status::Status;
use crate::consumer::measured::samples::{EVERY, Pace, Sample};
use crate::store::Backend;

/// When the first sample is taken: most feeds have answered by then.
const FIRST: Duration = Duration::from_secs(2);

impl<B: Backend> Handle<B> {
    /// Returns the samples of the last day, one a minute, oldest first. There are none without a
    /// consumer in this process, nor of a feed without sequences; minutes in which the database did not
    /// answer are missing.
    #[must_use]
    pub fn samples(&self) -> Vec<Sample> {
        self.counts.samples.all()
    }

    /// Adds a status to the samples: a process without a consumer then knows the [pace](Handle::pace) since it, ten seconds
    /// later.
    pub fn sample(&self, status: &Status) {
        self.counts.samples.push(Sample {
            at: Utc::now(),
            sequence: status.sequence,
            head: status.head,
        });
    }

    /// Returns how fast the subscription came to this status; `None` for the first seconds of a
    /// process, without a consumer in it, and right after a replay.
    #[must_use]
    pub fn pace(&self, status: &Status) -> Option<Pace> {
        let now = Sample {
            at: Utc::now(),
            sequence: status.sequence,
            head: status.head,
        };
        self.counts.samples.pace(&now)
    }
}

/// Takes a sample each minute, until `shutdown`: by the statement of the metrics, which reads a few
/// rows however much is stored.
pub(in crate::consumer) async fn keep_samples<B: Backend>(
    handle: Handle<B>,
    shutdown: CancellationToken,
) {
    let mut pause = FIRST;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(pause) => pause = EVERY,
        }
        let sampled = progress(&handle).await;
        // Nothing is known of a feed that never answered.
        let Some((progress, head)) = sampled.and_then(|it| it.reported.head.map(|head| (it, head)))
        else {
            continue;
        };
        handle.counts.samples.push(Sample {
            at: Utc::now(),
            sequence: progress.sequence,
            head: head.max(progress.sequence),
        });
    }
}
