//! The events of one subject, for the pages of the service that publishes them.

use chrono::{DateTime, Utc};
use url::Url;

use super::Feed;
use crate::event::{EventId, LAST_SEQUENCE, Sequence};
use crate::store::Backend;
use crate::store::publish::Filter;

/// An event of the feed for people.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Happened {
    /// Its sequence.
    pub sequence: Sequence,
    /// Its id.
    pub id: EventId,
    /// Its type, such as `order.placed`.
    pub event_type: String,
    /// When it happened.
    pub time: DateTime<Utc>,
    /// What happened.
    pub title: String,
    /// The address of its data.
    pub url: Url,
}

impl<B: Backend> Feed<B> {
    /// Returns the newest events about `subject`, at most `most`, newest first, without events that
    /// have no sequence yet.
    ///
    /// # Errors
    ///
    /// Returns the error of the database.
    pub async fn history(&self, subject: &str, most: u16) -> sqlx::Result<Vec<Happened>> {
        let filter = Filter {
            event_type: None,
            subject: Some(subject.to_owned()),
        };
        let pool = self.inner.database.reader();
        let entries = B::filtered(pool, &filter, LAST_SEQUENCE, most.into()).await?;
        let happened = |entry: crate::event::Entry| Happened {
            url: self.inner.documents.addresses.event(entry.id),
            sequence: entry.sequence,
            id: entry.id,
            event_type: entry.event_type,
            time: entry.time,
            title: entry.title,
        };
        Ok(entries.into_iter().map(happened).collect())
    }
}
