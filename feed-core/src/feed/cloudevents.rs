//! Writes events with their data as `CloudEvents` 1.0: one in the headers and the body of an HTTP
//! message (binary mode), one as JSON (structured mode), or many as JSON (batch mode).

use std::collections::BTreeMap;

use crate::http::with_causes;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use tracing::error;
use url::Url;

use super::timestamp::timestamp_without_leap;
use crate::data::check_json;
use crate::event::Event;

/// The structured form of one event.
pub const STRUCTURED: &str = "application/cloudevents+json";

/// What the events of a feed have in common.
#[derive(Debug)]
pub(super) struct Origin {
    /// Their `source`.
    pub(super) source: String,
    /// Their `dataschema`, by type.
    pub(super) schemas: BTreeMap<String, Url>,
}

/// Writes each context attribute as a header `ce-NAME`; the media type of the data is the message's
/// own `Content-Type` (`CloudEvents` HTTP binding, 3.1).
pub(super) fn binary_headers(event: &Event, origin: &Origin) -> HeaderMap {
    let entry = &event.entry;
    let attributes = [
        ("ce-specversion", "1.0".to_owned()),
        ("ce-id", entry.id.to_string()),
        ("ce-source", origin.source.clone()),
        ("ce-type", entry.event_type.clone()),
        ("ce-subject", entry.subject.clone()),
        ("ce-time", timestamp_without_leap(entry.time)),
        ("ce-sequence", entry.sequence.to_string()),
    ];
    let traceparent = event.traceparent.clone();
    let schema = origin.schemas.get(&entry.event_type).map(Url::to_string);
    attributes
        .into_iter()
        .chain(traceparent.map(|value| ("ce-traceparent", value)))
        .chain(schema.map(|value| ("ce-dataschema", value)))
        .filter_map(|(name, value)| {
            let value = HeaderValue::from_str(&percent_encode(&value)).ok()?;
            Some((HeaderName::from_static(name), value))
        })
        .collect()
}

/// Encodes space, `"`, `%` and all that is not printable ASCII (`CloudEvents` HTTP binding,
/// 3.1.3.2).
fn percent_encode(value: &str) -> String {
    value
        .bytes()
        .map(|byte| match byte {
            b'"' | b'%' | 0..=b' ' | 0x7F.. => format!("%{byte:02X}"),
            plain => char::from(plain).to_string(),
        })
        .collect()
}

/// An event as `CloudEvents` 1.0, in the JSON format
// The spec's section 3.
#[derive(Debug, Serialize)]
pub(super) struct Structured<'a> {
    specversion: &'static str,
    /// The event's id: a UUID
    id: String,
    /// The feed that it comes from; never changes, even if the feed moves
    source: &'a str,
    /// What happened: `order.placed`
    #[serde(rename = "type")]
    event_type: &'a str,
    /// The subject of the event: `order/17`
    subject: &'a str,
    /// When it happened
    time: String,
    datacontenttype: &'static str,
    /// The JSON Schema of the data
    #[serde(skip_serializing_if = "Option::is_none")]
    dataschema: Option<&'a str>,
    /// The number of the event in the feed, as text
    sequence: String,
    /// The W3C trace context of the request that caused it
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<&'a str>,
    /// The data that `/events/{id}` returns as JSON
    data: &'a RawValue,
}

impl<'a> Structured<'a> {
    /// Returns `None` if the event's data cannot be read.
    fn new(event: &'a Event, origin: &'a Origin) -> Option<Self> {
        let schema = origin.schemas.get(&event.entry.event_type);
        Some(Self {
            specversion: "1.0",
            id: event.entry.id.to_string(),
            source: &origin.source,
            event_type: &event.entry.event_type,
            subject: &event.entry.subject,
            time: timestamp_without_leap(event.entry.time),
            datacontenttype: "application/json",
            dataschema: schema.map(Url::as_str),
            sequence: event.entry.sequence.to_string(),
            traceparent: event.traceparent.as_deref(),
            data: data(event)?,
        })
    }
}

/// Returns the data of an event, if it can be read. An event that is in quarantine for its data has
/// none.
pub(super) fn data(event: &Event) -> Option<&RawValue> {
    if event.data.is_empty() {
        return None;
    }
    serde_json::from_str(&event.data)
        .inspect_err(|error| {
            let (id, sequence) = (event.entry.id.urn(), event.entry.sequence);
            error!(
                event.id = id,
                sequence,
                error = with_causes(error),
                "the data of event {sequence} cannot be read, so that it is served without: correct `data` in \
                 feed_event, or in feed_archive if the event is there"
            );
        })
        .ok()
}

/// Writes one event in structured mode, if its data can be read.
pub(super) fn structured(event: &Event, origin: &Origin) -> Option<Bytes> {
    Some(to_json(&Structured::new(event, origin)?))
}

/// Writes many events in batch mode, in sequence. The document is one JSON text, and one event must
/// not make it unreadable: an older event with data that [`outbox::append`](crate::outbox::append)
/// would reject is served at its own address alone.
pub(super) fn batch_document(events: &[Event], origin: &Origin) -> BatchDocument {
    let readable = events
        .iter()
        .filter_map(|event| Structured::new(event, origin));
    let mut readable: Vec<_> = readable.collect();
    let is_whole = readable.len() == events.len();
    readable.retain(|event| match check_json(event.data.get()) {
        Ok(()) => true,
        Err(error) => {
            error!(
                event.id = event.id,
                event.sequence,
                error = with_causes(&error),
                "not every reader of JSON can take the data of event {}, so that documents of JSON leave it out: correct \
                 `data` in feed_event, or in feed_archive if the event is there",
                event.sequence
            );
            false
        }
    });
    BatchDocument {
        is_whole,
        body: to_json(&readable),
    }
}

/// A batch document.
pub(super) struct BatchDocument {
    /// False if an event is in quarantine, since its data cannot be read.
    pub(super) is_whole: bool,
    pub(super) body: Bytes,
}

fn to_json(value: &impl Serialize) -> Bytes {
    // The value consists of texts, numbers and parsed JSON, which can always be serialized.
    serde_json::to_vec(value).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::percent_encode;

    #[test]
    fn attributes_survive_a_header() {
        assert_eq!(percent_encode("order/17"), "order/17");
        assert_eq!(
            percent_encode("Euro € 😀\n\"%"),
            "Euro%20%E2%82%AC%20%F0%9F%98%80%0A%22%25"
        );
    }
}
