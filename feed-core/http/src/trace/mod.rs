//! One trace from the request that caused an event to its effect in each consumer.
//!
//! The W3C context travels as text: in a request's header, in the event, in its `CloudEvents` form.
//! So a span is a value with a name and a parent in text form, and no state is kept in threads or
//! tasks; the crate `tracing-opentelemetry` would need both. Without the feature `otlp` there are no
//! spans, and this module costs nothing.

#[cfg_attr(feature = "otlp", path = "otlp.rs")]
#[cfg_attr(not(feature = "otlp"), path = "off.rs")]
mod spans;

use http::{HeaderName, HeaderValue, Request};

pub use spans::{Span, is_on};
pub use spans::{Tracing, start_tracing};

/// The context in a request (W3C Trace Context, 3.2).
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The role of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It answers a request.
    Server,
    /// It publishes an event.
    Producer,
    /// It receives an event.
    Consumer,
    /// Other work.
    Internal,
}

/// Begins the span of a request that changes something. It continues the caller's trace, and
/// replaces the request's context by its own, so that the handler's work belongs to it.
pub fn of_request<B>(request: &mut Request<B>, route: &str) -> Span {
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
