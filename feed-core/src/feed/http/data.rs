//! Events with their data: `/events/{id}`, and the batch of a document.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;

use super::answer::{LinkHeaders, Metadata, PRIVATE};
use super::{another_epoch, canonical, no_parameters, unreadable, unreadable_path};
use crate::cursor::Epoch;
use crate::event::{Event, EventId};
use crate::feed::body::Body;
use crate::feed::document::BATCH;
use crate::feed::{Feed, cloudevents};
use crate::problem::Problem;
use crate::service::negotiate;
use crate::store::Backend;

/// The events of a range with their data; the same whenever it is fetched.
pub(super) async fn batch<B: Backend>(
    State(feed): State<Feed<B>>,
    path: Result<Path<(String, String)>, PathRejection>,
    RawQuery(query): RawQuery,
    request: HeaderMap,
) -> Result<Response, Problem> {
    let Path((epoch, range)) = path.map_err(unreadable_path)?;
    let feed = &feed.inner;
    no_parameters(query.as_deref())?;
    let missing = || Problem::not_found(format!("there are no events {range} in epoch {epoch}"));
    let (first, last) = range
        .split_once('-')
        .and_then(|(first, last)| Some((canonical(first)?, canonical(last)?)))
        .filter(|(first, last)| first <= last)
        .ok_or_else(missing)?;
    let known: Epoch = epoch.parse().map_err(|_| missing())?;
    let head = feed.head_where(|head| last <= head.sequence).await?;
    if known != head.epoch {
        return Err(another_epoch(&known, &head));
    }
    // The head is the longest document there is.
    if last > head.sequence || last - first >= 2 * head.page_size {
        return Err(missing());
    }
    if negotiate(&request, &[BATCH]).is_none() {
        return Err(Problem::not_acceptable(&[BATCH]));
    }
    let source = feed.addresses.base().as_str();
    let write = |events: &[Event]| cloudevents::batch(events, source).map(Body::new);
    let newest = feed.entries.known(&feed.sequencer).await;
    let body = match newest.and_then(|newest| newest.batch(first, last, write)) {
        Some(body) => body,
        None => write(&B::events(feed.database.reader(), first, last).await?).map(Arc::new),
    };
    let body = body.map_err(unreadable)?;
    metadata(BATCH).ok(&request, &body)
}

/// One event, for ever as it was.
pub(super) async fn event<B: Backend>(
    State(feed): State<Feed<B>>,
    path: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
    request: HeaderMap,
) -> Result<Response, Problem> {
    let Path(id) = path.map_err(unreadable_path)?;
    let feed = &feed.inner;
    no_parameters(query.as_deref())?;
    let missing = || Problem::not_found(format!("there is no event {id}"));
    let uuid = uuid::Uuid::try_parse(&id)
        .ok()
        .filter(|uuid| uuid.to_string() == id)
        .ok_or_else(missing)?;
    let event = B::event(feed.database.reader(), EventId(uuid))
        .await?
        .ok_or_else(missing)?;
    let source = feed.addresses.base().as_str();
    let offers = ["application/json", cloudevents::STRUCTURED];
    match negotiate(&request, &offers) {
        Some(0) => {
            let attributes = cloudevents::binary_headers(&event, source);
            let body = Body::new(event.data.into());
            let mut response = metadata(offers[0]).ok(&request, &body)?;
            response.headers_mut().extend(attributes);
            Ok(response)
        }
        Some(_) => {
            let body = cloudevents::structured(&event, source).map_err(unreadable)?;
            metadata(offers[1]).ok(&request, &Body::new(body))
        }
        None => Err(Problem::not_acceptable(&offers)),
    }
}

fn metadata(media_type: &'static str) -> Metadata {
    Metadata {
        media_type,
        caching: PRIVATE,
        validators: None,
        links: LinkHeaders::default(),
        vary: "Accept, Accept-Encoding",
    }
}
