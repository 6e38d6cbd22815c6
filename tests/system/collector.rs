//! A collector of traces: accepts OTLP over HTTP, and keeps what the tests check.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;

/// A span as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) service: String,
    pub(crate) name: String,
    /// In hexadecimal digits.
    pub(crate) trace: String,
    pub(crate) id: String,
    pub(crate) parent: String,
    pub(crate) event: Option<String>,
    pub(crate) failed: bool,
    /// In nanoseconds since 1970.
    pub(crate) begun: u64,
    pub(crate) ended: u64,
}

/// A running collector.
#[derive(Debug)]
pub(crate) struct Collector {
    /// For `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub(crate) endpoint: String,
    spans: Spans,
}

type Spans = Arc<Mutex<Vec<Span>>>;

impl Collector {
    pub(crate) async fn start() -> Self {
        let spans = Spans::default();
        let routes = Router::new().route("/v1/traces", post(receive));
        let endpoint = harness::serve(routes.with_state(Arc::clone(&spans))).await;
        Self { endpoint, spans }
    }

    /// All spans so far.
    pub(crate) fn spans(&self) -> Vec<Span> {
        self.spans.lock().unwrap().clone()
    }
}

async fn receive(State(spans): State<Spans>, body: Bytes) {
    let mut spans = spans.lock().unwrap();
    for resource_spans in Message(&body).all(1) {
        let resource = resource_spans.all(1).next().unwrap();
        let service = attribute(resource, 1, "service.name").unwrap();
        for span in resource_spans.all(2).flat_map(|scope| scope.all(2)) {
            let hex = |field| {
                let bytes = span.all(field).next().unwrap_or(Message(&[])).0;
                bytes.iter().map(|byte| format!("{byte:02x}")).collect()
            };
            spans.push(Span {
                service: service.clone(),
                name: span.all(5).next().unwrap().text(),
                trace: hex(1),
                id: hex(2),
                parent: hex(4),
                event: attribute(span, 9, "event.id"),
                // A status with a message.
                failed: span.all(15).any(|status| status.all(2).next().is_some()),
                begun: span.fixed(7),
                ended: span.fixed(8),
            });
        }
    }
}

/// The text of an attribute among those in a field.
fn attribute(message: Message<'_>, field: u64, name: &str) -> Option<String> {
    let named = |pair: &Message<'_>| pair.all(1).any(|key| key.text() == name);
    let pair = message.all(field).find(named)?;
    let value = pair.all(2).next()?;
    Some(value.all(1).next()?.text())
}

/// A message in Protocol Buffers.
#[derive(Debug, Clone, Copy)]
struct Message<'a>(&'a [u8]);

/// The value of a field: bytes, or a number of eight bytes; others are passed over.
enum Value<'a> {
    Bytes(&'a [u8]),
    Fixed(u64),
    Other,
}

impl<'a> Message<'a> {
    /// The values of a field that holds texts, bytes or messages.
    fn all(self, field: u64) -> impl Iterator<Item = Message<'a>> {
        self.fields().filter_map(move |(found, value)| match value {
            Value::Bytes(bytes) if found == field => Some(Message(bytes)),
            _ => None,
        })
    }

    fn fixed(self, field: u64) -> u64 {
        let mut values = self.fields().filter_map(|(found, value)| match value {
            Value::Fixed(number) if found == field => Some(number),
            _ => None,
        });
        values.next().unwrap()
    }

    fn text(self) -> String {
        String::from_utf8(self.0.to_vec()).unwrap()
    }

    fn fields(self) -> impl Iterator<Item = (u64, Value<'a>)> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let key = varint(&mut rest);
            let value = match key & 7 {
                0 => {
                    varint(&mut rest);
                    Value::Other
                }
                1 => Value::Fixed(u64::from_le_bytes(take(&mut rest, 8).try_into().unwrap())),
                2 => {
                    let length = varint(&mut rest);
                    Value::Bytes(take(&mut rest, usize::try_from(length).unwrap()))
                }
                5 => {
                    take(&mut rest, 4);
                    Value::Other
                }
                other => panic!("there is no wire type {other}"),
            };
            Some((key >> 3, value))
        })
    }
}

fn varint(rest: &mut &[u8]) -> u64 {
    let (mut number, mut shift) = (0, 0);
    loop {
        let byte = take(rest, 1)[0];
        number |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte < 0x80 {
            return number;
        }
    }
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> &'a [u8] {
    let (taken, left) = rest.split_at(length);
    *rest = left;
    taken
}
