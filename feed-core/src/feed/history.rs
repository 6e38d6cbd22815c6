//! Events by subject, for the service that publishes them: for its pages, and to compare them with its own
//! tables.

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

/// A published event with its data.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Published {
    /// Its sequence.
    pub sequence: Sequence,
    /// Its id.
    pub id: EventId,
    /// Its type, such as `order.placed`.
    pub event_type: String,
    /// What it is about.
    pub subject: String,
    /// Its data as it is served: JSON text.
    pub data: String,
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
        let entries = B::filtered(pool, &filter, LAST_SEQUENCE, most.into());
        let entries = self.inner.database.statement(entries).await?;
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

    /// Returns the events about these subjects with their data, in sequence, at most `most`. Events that
    /// have no sequence yet are not among them.
    ///
    /// # Errors
    ///
    /// Returns the error of the database.
    pub async fn about(&self, subjects: &[String], most: u16) -> sqlx::Result<Vec<Published>> {
        let events = B::about(self.inner.database.reader(), subjects, most.into());
        let events = self.inner.database.statement(events).await?;
        let published = |event: crate::event::Event| Published {
            sequence: event.entry.sequence,
            id: event.entry.id,
            event_type: event.entry.event_type,
            subject: event.entry.subject,
            data: event.data,
        };
        Ok(events.into_iter().map(published).collect())
    }

    /// Returns sequence and subject of the events after `after`, in sequence, at most `most`.
    ///
    /// # Errors
    ///
    /// Returns the error of the database.
    pub async fn subjects(
        &self,
        after: Sequence,
        most: u16,
    ) -> sqlx::Result<Vec<(Sequence, String)>> {
        let first = after.saturating_add(1);
        let last = after.saturating_add(most.into());
        let rows = B::subjects(self.inner.database.reader(), first, last);
        let rows = self.inner.database.statement(rows).await?;
        let rows = rows.into_iter();
        Ok(rows
            .map(|(sequence, _, subject)| (sequence, subject))
            .collect())
    }
}
