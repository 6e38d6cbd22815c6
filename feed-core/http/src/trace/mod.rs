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

/// The settings for where spans go, as OpenTelemetry has them: that for traces alone decides, if it is set.
const ENDPOINTS: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
];

/// Returns the setting in the environment that decides where spans go, with its value. An empty one counts as none.
fn configured() -> Option<(&'static str, String)> {
    configured_by(|name| Some(std::env::var_os(name)?.to_string_lossy().into_owned()))
}

fn configured_by(variable: impl Fn(&str) -> Option<String>) -> Option<(&'static str, String)> {
    let mut set = ENDPOINTS
        .into_iter()
        .filter_map(|name| Some((name, variable(name)?)));
    set.find(|(_, value)| !value.is_empty())
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_endpoint_for_traces_decides_and_an_empty_one_is_none() {
        let of_traces = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
        let of_all = "OTEL_EXPORTER_OTLP_ENDPOINT";
        let one = |name: &'static str, value: &str| Some((name, value.to_owned()));
        for (traces, all, expected) in [
            (None, None, None),
            (None, Some("http://all"), one(of_all, "http://all")),
            (Some("http://traces"), None, one(of_traces, "http://traces")),
            (
                Some("https://traces"),
                Some("http://all"),
                one(of_traces, "https://traces"),
            ),
            (
                Some("http://traces"),
                Some(""),
                one(of_traces, "http://traces"),
            ),
            (Some(""), Some("http://all"), one(of_all, "http://all")),
            (Some(""), Some(""), None),
            (None, Some(""), None),
        ] {
            let variable = |name: &str| {
                let value = if name == of_traces { traces } else { all };
                value.map(str::to_owned)
            };
            assert_eq!(configured_by(variable), expected, "{traces:?} {all:?}");
        }
    }
}
