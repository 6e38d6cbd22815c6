//! `/feed/status`: how the publishing side is, for operators and their programs.

use axum::extract::{RawQuery, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;

use super::answer::NO_STORE;
use super::no_parameters;
use crate::database::patience::{STATEMENT, within};
use crate::event::Sequence;
use crate::feed::Feed;
use crate::feed::measure::age;
use crate::problem::Problem;
use crate::service::Json;
use crate::store::Backend;
use crate::store::publish::Quarantined;

/// Rows in quarantine that are shown.
const SHOWN: i64 = 100;

/// How the publishing side is.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "FeedStatus")]
pub(super) struct Status {
    /// The incarnation of the feed
    epoch: String,
    /// The number of the newest event
    sequence: Sequence,
    /// How long the oldest event has waited for its number; null: each has one
    unnumbered_seconds: Option<f64>,
    /// Rows in quarantine, up to 10,000
    quarantined: i64,
    /// The first hundred of them
    quarantine: Vec<Row>,
}

/// A row that could not be published or served as it was.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "QuarantinedRow")]
struct Row {
    /// Its place in `feed_quarantine`
    position: i64,
    #[schemars(extend("format" = "date-time"))]
    #[schemars(with = "String")]
    found: DateTime<Utc>,
    /// What is wrong with it
    reason: String,
    /// The number of the event, if it is published; null: it is not
    sequence: Option<Sequence>,
    /// The id that the row has
    id: String,
    #[serde(rename = "type")]
    event_type: Option<String>,
    subject: Option<String>,
}

impl From<Quarantined> for Row {
    fn from(row: Quarantined) -> Self {
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

pub(super) async fn status<B: Backend>(
    State(feed): State<Feed<B>>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    no_parameters(query.as_deref())?;
    let pool = feed.inner.database.reader();
    let published = within(STATEMENT, B::published(pool)).await?;
    let quarantine = match published.quarantined {
        0 => Vec::new(),
        _ => within(STATEMENT, B::quarantined(pool, 0, SHOWN)).await?,
    };
    let status = Status {
        epoch: feed.inner.sequencer.head().epoch.to_string(),
        sequence: published.sequence,
        unnumbered_seconds: published
            .unnumbered
            .map(|(id, time)| age(id, time).as_secs_f64()),
        quarantined: published.quarantined,
        quarantine: quarantine.into_iter().map(Row::from).collect(),
    };
    let headers = [(header::CACHE_CONTROL, HeaderValue::from_static(NO_STORE))];
    Ok((headers, Json(status)).into_response())
}
