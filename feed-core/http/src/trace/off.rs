//! Tracing without the feature `otlp`: no spans.

use std::time::SystemTime;

use tracing::warn;

use super::{Kind, configured};

/// Returns false: no collector receives spans.
pub const fn is_on() -> bool {
    false
}

/// A span that records nothing.
#[derive(Debug, Clone)]
pub struct Span;

impl Span {
    /// Returns no span.
    #[must_use]
    pub fn none() -> Self {
        Self
    }

    /// Begins a span that continues the trace of a parent, or begins one.
    #[must_use]
    pub fn begin(_: String, _: Kind, _: Option<&str>) -> Self {
        Self
    }

    /// Begins a span in the past that continues the trace of a parent.
    #[must_use]
    pub fn since(_: String, _: Kind, _: &str, _: SystemTime) -> Self {
        Self
    }

    /// Returns the context for the next span of the trace.
    #[must_use]
    pub fn traceparent(&self) -> Option<String> {
        None
    }

    /// Adds an attribute.
    pub fn set(&self, _: &'static str, _: &str) {}

    /// Marks it as failed, with the reason.
    pub fn fail(&self, _: &str) {}
}

/// The exporter of spans: empty here.
#[derive(Debug)]
#[must_use]
pub struct Tracing;

/// Logs a warning if the environment asks for spans.
pub fn start_tracing() -> Tracing {
    if let Some((name, _)) = configured() {
        warn!("{name} is set, but this program was built without traces (the feature otlp)");
    }
    Tracing
}

impl Tracing {
    /// Sends the remaining spans.
    pub async fn stop(self) {}
}
