//! One trace from the request that caused an event to its effect in each consumer.
//!
//! The W3C context travels as text: in a request's header, in the event, in its `CloudEvents` form. So
//! a span is a value with a name and such a parent, and nothing is kept in threads or tasks. Without the
//! feature `otlp` there are no spans, and what is here costs nothing.

#[cfg_attr(feature = "otlp", path = "otlp.rs")]
#[cfg_attr(not(feature = "otlp"), path = "off.rs")]
mod spans;

use std::time::SystemTime;

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue};

use crate::event::NewEvent;

pub(crate) use spans::{Span, is_on};
pub use spans::{Tracing, start_tracing};

/// The context in a request (W3C Trace Context, 3.2).
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The role of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It answers a request.
    Server,
    /// It makes an event.
    Producer,
    /// It receives one.
    Consumer,
    /// All else.
    Internal,
}

/// The span of a request that changes something. It goes on with the caller's trace, and the request's
/// context is that of this span from here on: so what the handler makes of it belongs to it.
pub(crate) fn of_request(request: &mut Request, route: &str) -> Span {
    if !is_on() || request.method().is_safe() {
        return Span::none();
    }
    let name = format!("{} {route}", request.method());
    let headers = request.headers_mut();
    let parent = headers.get(TRACEPARENT);
    let parent = parent.and_then(|value| value.to_str().ok());
    let span = Span::begin(name, Kind::Server, parent);
    let ours = span.traceparent();
    if let Some(ours) = ours.and_then(|ours| HeaderValue::try_from(ours).ok()) {
        headers.insert(TRACEPARENT, ours);
    }
    span
}

/// An event that is being written down: whoever receives it goes on with its trace.
pub(crate) fn of_append(event: &NewEvent, id: &str) -> Span {
    if !is_on() {
        return Span::none();
    }
    let parent = event.traceparent.as_deref();
    let span = Span::begin("feed.append".to_owned(), Kind::Producer, parent);
    span.set("event.id", id);
    span.set("event.type", &event.event_type);
    span.set("event.subject", &event.subject);
    span
}

/// Work on an event that was received: it belongs to the event's trace, if that has one.
pub(crate) fn of_event(
    name: &'static str,
    kind: Kind,
    id: &str,
    traceparent: Option<&str>,
    since: SystemTime,
) -> Span {
    let Some(traceparent) = traceparent.filter(|_| is_on()) else {
        return Span::none();
    };
    let span = Span::since(name.to_owned(), kind, traceparent, since);
    span.set("event.id", id);
    span
}

/// Spans of a transaction: they have failed unless it commits.
#[derive(Debug)]
pub(crate) struct Work(Vec<Span>);

impl Work {
    /// Begins it.
    pub(crate) fn on(spans: impl Iterator<Item = Span>) -> Self {
        match is_on() {
            true => Self(spans.collect()),
            false => Self(Vec::new()),
        }
    }

    /// What it came to is a failure, although it commits.
    pub(crate) fn fail(&self, reason: &str) {
        for span in &self.0 {
            span.fail(reason);
        }
    }

    /// It has committed.
    pub(crate) fn done(mut self) {
        self.0.clear();
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.fail("rolled back");
    }
}
