//! Serves events with their data: `/events/{id}`, and batch documents.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::answer::{Metadata, PRIVATE, SCHEMA};
use super::request::{another_epoch, canonical, unreadable_path};
use crate::cursor::Epoch;
use crate::event::{EventId, Sequence};
use crate::feed::body::Body;
use crate::feed::document::BATCH;
use crate::feed::sizes::fitting;
use crate::feed::{Feed, Inner, cloudevents};
use crate::http::negotiate;
use crate::http::{Problem, query};
use crate::store::Backend;
use crate::store::publish::Head;

/// The most data of a batch document, in bytes. A consumer takes documents of up to 16 MiB.
const LARGEST_BATCH: usize = 15 * 1024 * 1024;

/// Serves the events of a range with their data; the answer is the same at any time.
pub(super) async fn batch<B: Backend>(
    State(feed): State<Feed<B>>,
    path: Result<Path<(String, String)>, PathRejection>,
    RawQuery(query): RawQuery,
    request: HeaderMap,
) -> Result<Response, Problem> {
    let Path((epoch, range)) = path.map_err(unreadable_path)?;
    let feed = &feed.inner;
    query::none(query.as_deref())?;
    let missing = || Problem::not_found(format!("there are no events {range} in epoch {epoch}"));
    let (first, last) = range
        .split_once('-')
        .and_then(|(first, last)| Some((canonical(first)?, canonical(last)?)))
        .filter(|(first, last)| first <= last)
        .ok_or_else(missing)?;
    let known: Epoch = epoch.parse().map_err(|_| missing())?;
    // What is in memory may have been erased through another instance.
    feed.sequencer.recent().await?;
    let head = feed.head_where(|head| last <= head.sequence).await?;
    if known != head.epoch {
        return Err(another_epoch(&known, &head));
    }
    // The head is the longest document.
    if last > head.sequence || last - first >= 2 * head.page_size {
        return Err(missing());
    }
    if negotiate(&request, &[BATCH]).is_none() {
        return Err(Problem::not_acceptable(&[BATCH]));
    }
    let body = feed.batch(&head, first, last).await?;
    let body = body.ok_or_else(|| {
        Problem::not_found(format!(
            "the data of the events {range} is more than a document has; each is at its own address"
        ))
    })?;
    metadata(BATCH).answer(&request, &body)
}

impl<B: Backend> Inner<B> {
    /// Returns a batch document from memory, or from the database; `None` if it is too large for consumers. The head was
    /// seen as `head`.
    async fn batch(
        &self,
        head: &Head,
        first: Sequence,
        last: Sequence,
    ) -> sqlx::Result<Option<Arc<Body>>> {
        if let Some(body) = self.batch_documents.get(head, (first, last)) {
            return Ok(Some(body));
        }
        let origin = &self.documents.origin;
        let newest = self.entries.known(&self.sequencer.head());
        let batch = newest
            .as_ref()
            .and_then(|newest| newest.events(first, last))
            .map(|events| cloudevents::batch_document(events, origin))
            // Only the database has the corrected event.
            .filter(|batch| batch.is_whole);
        let batch = match batch {
            Some(batch) => batch,
            None => {
                let sequences: Vec<Sequence> = (first..=last).collect();
                let fitting = fitting(&self.database, &sequences, LARGEST_BATCH).await?;
                if fitting < sequences.len() {
                    return Ok(None);
                }
                let events = B::events(self.database.reader(), first, last);
                let events = self.database.statement(events).await?;
                cloudevents::batch_document(&events, origin)
            }
        };
        let body = Arc::new(Body::new(batch.body));
        // The missing event is included as soon as it is corrected.
        if batch.is_whole {
            self.batch_documents.put(head, (first, last), &body);
        }
        Ok(Some(body))
    }
}

/// Serves one event, which never changes.
pub(super) async fn event<B: Backend>(
    State(feed): State<Feed<B>>,
    path: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
    request: HeaderMap,
) -> Result<Response, Problem> {
    let Path(id) = path.map_err(unreadable_path)?;
    let feed = &feed.inner;
    query::none(query.as_deref())?;
    let missing = || Problem::not_found(format!("there is no event {id}"));
    let uuid = uuid::Uuid::try_parse(&id)
        .ok()
        .filter(|uuid| uuid.to_string() == id)
        .ok_or_else(missing)?;
    let event = B::event(feed.database.reader(), EventId(uuid));
    let event = feed.database.statement(event).await?.ok_or_else(missing)?;
    let origin = &feed.documents.origin;
    let offers = ["application/json", cloudevents::STRUCTURED];
    let withheld = || {
        Problem::new(
            StatusCode::NOT_FOUND,
            "data-unreadable",
            "The event's data cannot be read",
            format!("event {id} is in quarantine until its publisher corrects its data"),
        )
    };
    match negotiate(&request, &offers) {
        Some(0) => {
            cloudevents::data(&event).ok_or_else(withheld)?;
            let attributes = cloudevents::binary_headers(&event, origin);
            let body = Body::new(event.data.into());
            let mut response = metadata(offers[0]).answer(&request, &body)?;
            response.headers_mut().extend(attributes);
            Ok(response)
        }
        Some(_) => {
            let body = cloudevents::structured(&event, origin).ok_or_else(withheld)?;
            metadata(offers[1]).answer(&request, &Body::new(body))
        }
        None => Err(Problem::not_acceptable(&offers)),
    }
}

/// Serves the JSON Schema of the data of an event type.
pub(super) async fn schema<B: Backend>(
    State(feed): State<Feed<B>>,
    path: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
    request: HeaderMap,
) -> Result<Response, Problem> {
    let Path(event_type) = path.map_err(unreadable_path)?;
    query::none(query.as_deref())?;
    let schema = feed.inner.schemas.get(&event_type);
    let schema = schema.ok_or_else(|| {
        Problem::not_found(format!("there is no schema of events of type {event_type}"))
    })?;
    const MEDIA_TYPE: &str = "application/schema+json";
    let body = Body::new(schema.to_string().into());
    let metadata = Metadata {
        caching: SCHEMA,
        validators: Some(body.validators(MEDIA_TYPE)),
        ..metadata(MEDIA_TYPE)
    };
    metadata.answer(&request, &body)
}

/// Without validators: no answer without a body may keep personal data alive that a cache has.
fn metadata(media_type: &'static str) -> Metadata {
    Metadata::new(media_type, PRIVATE, "Accept, Accept-Encoding")
}
