//! The state of the publishing side, for operators and their programs.

#[cfg(feature = "schemars")]
use schemars::JsonSchema;
use serde::Serialize;

use super::Feed;
use super::measure::waits;
use crate::event::Sequence;
use crate::store::Backend;
pub use crate::store::publish::Quarantined;

/// Rows in quarantine that are listed.
const LISTED: i64 = 100;

/// The state of the publishing side.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(
    feature = "schemars",
    derive(JsonSchema),
    schemars(rename = "FeedStatus")
)]
pub struct Status {
    /// The incarnation of the feed
    pub epoch: String,
    /// The number of the newest event
    pub sequence: Sequence,
    /// How long the oldest event without a number has waited for it; null if there is none
    pub unnumbered_seconds: Option<f64>,
    /// Rows in quarantine, up to 10,000
    pub quarantined: i64,
    /// The first hundred of them
    pub quarantine: Vec<Quarantined>,
}

impl<B: Backend> Feed<B> {
    /// Returns the state of the publishing side. It is for operators, since it quotes unpublished
    /// rows.
    ///
    /// # Errors
    ///
    /// Returns the error of the database.
    pub async fn status(&self) -> sqlx::Result<Status> {
        let pool = self.inner.database.reader();
        let published = self.inner.database.statement(B::published(pool)).await?;
        let quarantine = match published.quarantined {
            0 => Vec::new(),
            _ => {
                self.inner
                    .database
                    .statement(B::quarantined(pool, 0, LISTED))
                    .await?
            }
        };
        let (unnumbered, stuck) = (published.unnumbered, self.inner.sequencer.stuck_for());
        Ok(Status {
            epoch: self.inner.sequencer.head().epoch.to_string(),
            sequence: published.sequence,
            unnumbered_seconds: unnumbered.map(|_| waits(unnumbered, stuck).as_secs_f64()),
            quarantined: published.quarantined,
            quarantine,
        })
    }
}
