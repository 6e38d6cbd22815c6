//! The spans of events: one trace from the request that caused an event to its effect in each
//! consumer.

use std::time::SystemTime;

#[cfg(feature = "publish")]
use crate::event::NewEvent;
pub(crate) use crate::http::trace::{Kind, Span, is_on};

#[cfg(feature = "publish")]
/// Returns the span of appending an event; the receiver continues its trace.
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

/// Returns the span of work on a received event, in the event's trace if it has one.
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

#[cfg(feature = "consume")]
/// The spans of a transaction: they have failed unless it commits.
#[derive(Debug)]
pub(crate) struct TransactionSpans(Vec<Span>);

#[cfg(feature = "consume")]
impl TransactionSpans {
    pub(crate) fn new(spans: impl Iterator<Item = Span>) -> Self {
        match is_on() {
            true => Self(spans.collect()),
            false => Self(Vec::new()),
        }
    }

    /// Marks them as failed, although the transaction commits.
    pub(crate) fn fail(&self, reason: &str) {
        for span in &self.0 {
            span.fail(reason);
        }
    }

    /// Ends them as they are: the transaction has committed.
    pub(crate) fn committed(mut self) {
        self.0.clear();
    }
}

#[cfg(feature = "consume")]
impl Drop for TransactionSpans {
    fn drop(&mut self) {
        self.fail("rolled back");
    }
}
