//! Spans by OpenTelemetry, sent by OTLP over HTTP. The settings are OpenTelemetry's variables in
//! the environment: without an endpoint there are no spans.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use opentelemetry::trace::{
    Span as _, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt, TraceState, Tracer,
    TracerProvider,
};
use opentelemetry::{Context, KeyValue, SpanId, TraceFlags, TraceId};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tokio::runtime::Handle;
use tracing::{error, info, warn};
use url::Url;

use super::{Kind, configured};

/// The timeout of an export. Spans that finish meanwhile are queued, within bounds, and then
/// dropped.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The timeout of the last export when a service stops.
const LAST: Duration = Duration::from_secs(2);

/// Creates spans, once a collector is configured.
static TRACER: OnceLock<SdkTracer> = OnceLock::new();

/// Returns true if a collector is configured.
pub fn is_on() -> bool {
    TRACER.get().is_some()
}

/// A span, or none. It ends with its last copy.
#[derive(Debug, Clone)]
pub struct Span(Option<Arc<Mutex<opentelemetry_sdk::trace::Span>>>);

impl Span {
    /// Returns no span.
    #[must_use]
    pub fn none() -> Self {
        Self(None)
    }

    /// Begins a span that continues the trace of `parent`, or begins one.
    #[must_use]
    pub fn begin(name: String, kind: Kind, parent: Option<&str>) -> Self {
        let parent = parent.and_then(context_of).unwrap_or_default();
        Self::build(SpanBuilder::from_name(name), kind, &parent)
    }

    /// Begins a span in the past that continues the trace of `parent`.
    #[must_use]
    pub fn since(name: String, kind: Kind, parent: &str, since: SystemTime) -> Self {
        let builder = SpanBuilder::from_name(name).with_start_time(since);
        match context_of(parent) {
            Some(parent) => Self::build(builder, kind, &parent),
            None => Self::none(),
        }
    }

    fn build(builder: SpanBuilder, kind: Kind, parent: &Context) -> Self {
        let builder = builder.with_kind(match kind {
            Kind::Server => SpanKind::Server,
            Kind::Producer => SpanKind::Producer,
            Kind::Consumer => SpanKind::Consumer,
            Kind::Internal => SpanKind::Internal,
        });
        let span = |tracer: &SdkTracer| tracer.build_with_context(builder, parent);
        let span = TRACER.get().map(span);
        Self(span.map(|span| Arc::new(Mutex::new(span))))
    }

    /// Returns the context for the next span of the trace.
    #[must_use]
    pub fn traceparent(&self) -> Option<String> {
        let span = self.0.as_ref()?.lock();
        let span = span.unwrap_or_else(PoisonError::into_inner);
        let context = span.span_context();
        let flags = context.trace_flags().to_u8();
        let valid = context.is_valid();
        valid.then(|| {
            format!(
                "00-{}-{}-{flags:02x}",
                context.trace_id(),
                context.span_id()
            )
        })
    }

    /// Adds an attribute.
    pub fn set(&self, name: &'static str, value: &str) {
        self.with(|span| span.set_attribute(KeyValue::new(name, value.to_owned())));
    }

    /// Marks it as failed, with the reason.
    pub fn fail(&self, reason: &str) {
        self.with(|span| span.set_status(Status::error(reason.to_owned())));
    }

    fn with(&self, change: impl FnOnce(&mut opentelemetry_sdk::trace::Span)) {
        if let Some(span) = &self.0 {
            change(&mut span.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }
}

/// Parses a `traceparent`; of an unknown version, the part that is known. OpenTelemetry's own
/// propagator (0.33) accepts ids that are too short.
fn context_of(traceparent: &str) -> Option<Context> {
    let mut parts = traceparent.split('-');
    let version = parts
        .next()
        .filter(|version| version.len() == 2 && *version != "ff")?;
    let (trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?);
    let well_formed = (trace.len(), span.len(), flags.len()) == (32, 16, 2)
        && (version != "00" || parts.next().is_none());
    let context = SpanContext::new(
        TraceId::from_hex(trace).ok()?,
        SpanId::from_hex(span).ok()?,
        TraceFlags::new(u8::from_str_radix(flags, 16).ok()?),
        true,
        TraceState::NONE,
    );
    let valid = well_formed && context.is_valid();
    valid.then(|| Context::new().with_remote_span_context(context))
}

/// The exporter of spans.
#[derive(Debug)]
#[must_use]
pub struct Tracing(Option<SdkTracerProvider>);

/// Begins to send spans to `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` or `OTEL_EXPORTER_OTLP_ENDPOINT`, if one is set. Call it
/// within the runtime.
pub fn start_tracing() -> Tracing {
    let Some((name, endpoint)) = configured() else {
        return Tracing(None);
    };
    let shown = redact_endpoint(&endpoint);
    let exporter = match exporter(&endpoint) {
        Ok(exporter) => exporter,
        Err(error) => {
            let error = error.to_string().replace(&endpoint, &shown);
            error!(error, "no traces: they cannot be sent to {shown} ({name})");
            return Tracing(None);
        }
    };
    let provider = SdkTracerProvider::builder()
        .with_resource(resource())
        .with_batch_exporter(exporter)
        .build();
    // If several are started in one process, the first one stays.
    let _ = TRACER.set(provider.tracer("feed-core"));
    info!("traces go to {shown}");
    Tracing(Some(provider))
}

/// The exporter chooses the endpoint by itself, as [`configured`] does.
fn exporter(endpoint: &str) -> Result<SpanExporter, Box<dyn std::error::Error>> {
    // Use no proxy of the environment, as for feeds: it would see OTEL_EXPORTER_OTLP_HEADERS.
    let client = reqwest::Client::builder().timeout(TIMEOUT).no_proxy();
    let client = crate::tls::configure(client, uses_tls(endpoint))?;
    let sender = Sender {
        client: client.build()?,
        runtime: Handle::current(),
        failing: AtomicBool::new(false),
    };
    let exporter = SpanExporter::builder().with_http().with_http_client(sender);
    Ok(exporter.build()?)
}

/// Plain HTTP needs no certificates, and none may be installed.
fn uses_tls(endpoint: &str) -> bool {
    let scheme = endpoint.split(':').next().unwrap_or_default();
    !scheme.eq_ignore_ascii_case("http")
}

/// Returns an endpoint without user, password and query, for the log.
fn redact_endpoint(endpoint: &str) -> String {
    let Ok(mut url) = Url::parse(endpoint) else {
        return "a malformed URL".to_owned();
    };
    // Both fail without a host alone.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.into()
}

/// Returns the service's name from the environment, or else the program's name.
fn resource() -> Resource {
    let resource = Resource::builder();
    let said = ["OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES"]
        .into_iter()
        .filter_map(|name| Some((name, std::env::var(name).ok()?)))
        .any(|(name, value)| name == "OTEL_SERVICE_NAME" || value.contains("service.name="));
    let program = std::env::current_exe().ok();
    let program = program.as_ref().and_then(|path| path.file_stem()?.to_str());
    match program.filter(|_| !said) {
        Some(program) => resource.with_service_name(program.to_owned()).build(),
        None => resource.build(),
    }
}

impl Tracing {
    /// Sends the remaining spans.
    pub async fn stop(self) {
        let Some(provider) = self.0 else {
            return;
        };
        // It blocks until its own thread ends.
        let stopped = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(LAST));
        if !matches!(stopped.await, Ok(Ok(()))) {
            warn!("the last spans were not sent");
        }
    }
}

/// Sends the spans of the exporter's thread on the service's runtime.
#[derive(Debug)]
struct Sender {
    client: reqwest::Client,
    runtime: Handle,
    failing: AtomicBool,
}

impl HttpClient for Sender {
    fn send_bytes<'life, 'sent>(
        &'life self,
        request: http::Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<http::Response<Bytes>, HttpError>> + Send + 'sent>>
    where
        'life: 'sent,
        Self: 'sent,
    {
        let client = self.client.clone();
        let answer = self.runtime.spawn(async move {
            let sent = async {
                let response = client.execute(request.try_into()?).await?;
                let status = response.status();
                let mut answer = http::Response::new(response.bytes().await?);
                *answer.status_mut() = status;
                Ok::<_, reqwest::Error>(answer)
            };
            // The address may have a password.
            sent.await.map_err(reqwest::Error::without_url)
        });
        Box::pin(async move {
            let answer = answer.await?;
            let refused = match &answer {
                Ok(answer) if answer.status().is_success() => None,
                Ok(answer) => Some(answer.status().to_string()),
                Err(error) => Some(crate::with_causes(error)),
            };
            let failing = refused.is_some();
            // Log once, until it works again.
            if self.failing.swap(failing, Ordering::Relaxed) != failing {
                match refused {
                    Some(reason) => warn!("the collector does not take our traces: {reason}"),
                    None => info!("the collector takes our traces again"),
                }
            }
            Ok(answer?)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_is_for_all_but_plain_http() {
        for (endpoint, expected) in [
            ("http://collector:4318", false),
            ("HTTP://collector:4318", false),
            ("https://collector:4318", true),
            ("httpx://collector:4318", true),
        ] {
            assert_eq!(uses_tls(endpoint), expected, "{endpoint}");
        }
    }

    #[test]
    fn no_secret_of_an_endpoint_is_shown() {
        for (endpoint, shown) in [
            (
                "http://eve:s3cret@collector:4318/v1/traces?key=s3cret#s3cret",
                "http://collector:4318/v1/traces",
            ),
            ("https://s3cret@collector", "https://collector/"),
            ("s3cret@collector", "a malformed URL"),
        ] {
            assert_eq!(redact_endpoint(endpoint), shown);
        }
    }

    #[test]
    fn only_a_well_formed_context_is_a_parent() {
        let well = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let context = context_of(well).expect("it is well formed");
        assert!(context.span().span_context().is_sampled());
        assert!(context_of(&well.replacen("00", "cc", 1)).is_some());
        for broken in [
            "",
            "00",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01",
        ] {
            assert!(context_of(broken).is_none(), "{broken}");
        }
    }
}
