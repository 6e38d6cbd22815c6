//! Writes a service's measurements in Prometheus' text format at `/metrics`.
//!
//! The text is written here, since it has three kinds of lines, and the measurements come as data.

use std::fmt::Write;
use std::sync::Arc;

use axum::Router;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use feed_http::Problem;
use feed_http::metrics::{Measured, Metric, Value};

/// The text format of Prometheus.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The measured parts of one service.
#[derive(Clone, Default)]
pub(super) struct Metrics {
    parts: Vec<Arc<dyn Measured>>,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Metrics({} parts)", self.parts.len())
    }
}

impl Metrics {
    pub(super) fn add(&mut self, part: Arc<dyn Measured>) {
        self.parts.push(part);
    }

    /// Returns the route `/metrics`.
    pub(super) fn router(self) -> Router {
        let show = move || {
            let metrics = self.clone();
            async move { metrics.show().await }
        };
        let only_get = || async { Problem::method_not_allowed("GET, HEAD") };
        Router::new().route("/metrics", get(show).fallback(only_get))
    }

    async fn show(&self) -> Response {
        let mut text = Exposition::default();
        for part in &self.parts {
            for metric in part.measure().await {
                text.write(&metric);
            }
        }
        let headers = [
            (header::CONTENT_TYPE, TEXT),
            (header::CACHE_CONTROL, "no-store"),
        ];
        (headers, text.into_text()).into_response()
    }
}

/// The text for Prometheus. Measurements of several parts under one name are written together.
#[derive(Debug, Default)]
struct Exposition(Vec<Family>);

/// The samples of one name.
#[derive(Debug)]
struct Family {
    name: &'static str,
    head: String,
    samples: String,
}

impl Exposition {
    fn write(&mut self, metric: &Metric) {
        let Metric { name, labels, .. } = metric;
        match &metric.value {
            Value::Counter(value) => {
                sample(
                    self.family(metric, "counter"),
                    name,
                    "",
                    labels,
                    None,
                    *value,
                );
            }
            Value::Gauge(value) => {
                sample(self.family(metric, "gauge"), name, "", labels, None, *value);
            }
            Value::Histogram(read) => {
                let samples = self.family(metric, "histogram");
                for (bound, count) in &read.buckets {
                    let bound = bound.to_string();
                    sample(
                        samples,
                        name,
                        "_bucket",
                        labels,
                        Some(&bound),
                        *count as f64,
                    );
                }
                let count = read.count as f64;
                sample(samples, name, "_bucket", labels, Some("+Inf"), count);
                sample(samples, name, "_sum", labels, None, read.sum);
                sample(samples, name, "_count", labels, None, count);
            }
        }
    }

    /// Returns the samples of a family so far.
    fn family(&mut self, metric: &Metric, kind: &str) -> &mut String {
        let (name, help) = (metric.name, metric.help);
        let known = self.0.iter().position(|family| family.name == name);
        let index = known.unwrap_or_else(|| {
            let head = format!("# HELP {name} {help}\n# TYPE {name} {kind}\n");
            let samples = String::new();
            self.0.push(Family {
                name,
                head,
                samples,
            });
            self.0.len() - 1
        });
        &mut self.0[index].samples
    }

    fn into_text(self) -> String {
        let families = self.0.into_iter();
        families.fold(String::new(), |text, family| {
            text + &family.head + &family.samples
        })
    }
}

/// Writes one line: `name_suffix{label="value",le="bound"} value`.
fn sample(
    text: &mut String,
    name: &str,
    suffix: &str,
    labels: &[(&'static str, String)],
    bound: Option<&str>,
    value: f64,
) {
    text.push_str(name);
    text.push_str(suffix);
    let labels = labels
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .chain(bound.map(|bound| ("le", bound)));
    let mut before = '{';
    for (label, value) in labels {
        text.push(before);
        text.push_str(label);
        text.push_str("=\"");
        for character in value.chars() {
            match character {
                '\\' => text.push_str("\\\\"),
                '"' => text.push_str("\\\""),
                '\n' => text.push_str("\\n"),
                plain => text.push(plain),
            }
        }
        text.push('"');
        before = ',';
    }
    if before == ',' {
        text.push('}');
    }
    // Writing to a string cannot fail.
    let _ = writeln!(text, " {value}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use feed_http::metrics::Histogram;

    #[test]
    fn the_text_is_what_prometheus_reads() {
        let mut text = Exposition::default();
        let sizes = Histogram::new(&[1, 10]);
        for size in [1, 2, 10, 11] {
            sizes.observe(size);
        }
        for metric in [
            Metric::gauge("depth", "How deep.", &[("well", "a \"b\"\\\n")], 1.5),
            Metric::histogram("size_tens", "How large.", &[("of", "x")], &sizes, 10.0),
            Metric::gauge("depth", "How deep.", &[], 3.0),
        ] {
            text.write(&metric);
        }
        let expected = "\
# HELP depth How deep.
# TYPE depth gauge
depth{well=\"a \\\"b\\\"\\\\\\n\"} 1.5
depth 3
# HELP size_tens How large.
# TYPE size_tens histogram
size_tens_bucket{of=\"x\",le=\"0.1\"} 1
size_tens_bucket{of=\"x\",le=\"1\"} 3
size_tens_bucket{of=\"x\",le=\"+Inf\"} 4
size_tens_sum{of=\"x\"} 2.4
size_tens_count{of=\"x\"} 4
";
        assert_eq!(text.into_text(), expected);
    }
}
