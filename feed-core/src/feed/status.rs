//! The state of the publishing side, for operators and their programs.

use chrono::{DateTime, Utc};
#[cfg(feature = "schemars")]
use schemars::JsonSchema;
use serde::Serialize;

use super::Feed;
use super::measure::waits;
use crate::event::Sequence;
use crate::store::{self, Backend};

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

/// A row that could not be published or served as it was.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(
    feature = "schemars",
    derive(JsonSchema),
    schemars(rename = "QuarantinedRow")
)]
pub struct Quarantined {
    /// Its position in `feed_quarantine`
    pub position: i64,
    #[cfg_attr(feature = "schemars", schemars(with = "String", extend("format" = "date-time")))]
    /// When it was found
    pub found: DateTime<Utc>,
    /// What is wrong with it
    pub reason: String,
    /// The number of the event; null if it is not published
    pub sequence: Option<Sequence>,
    /// The id in the row
    pub id: String,
    #[serde(rename = "type")]
    /// The type of the event
    pub event_type: Option<String>,
    /// The subject of the event
    pub subject: Option<String>,
}

impl From<store::publish::Quarantined> for Quarantined {
    fn from(row: store::publish::Quarantined) -> Self {
        Self {
            position: row.position,
            found: row.found,
            reason: row.reason,
            sequence: row.sequence,
            id: row.id,
            event_type: row.event_type,
            subject: row.subject,
        }
    }
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
            quarantine: quarantine.into_iter().map(Quarantined::from).collect(),
        })
    }
}
