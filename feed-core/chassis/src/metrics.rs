//! Serves a service's measurements at `/metrics`, in Prometheus' text format.
//!
//! The crate `prometheus` writes the text. Its registry is not used: the measurements come as data,
//! those of a database or a feed at the moment of the scrape.

use std::sync::Arc;

use axum::Router;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use feed_http::Problem;
use feed_http::metrics::{Measured, Metric, Value};
use prometheus::TextEncoder;
use prometheus::proto::{self, MetricFamily, MetricType};

use super::routing::get;

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
        Router::new().route("/metrics", get(show))
    }

    async fn show(&self) -> Response {
        let mut families = Vec::new();
        for part in &self.parts {
            for metric in part.measure().await {
                add(&mut families, metric);
            }
        }
        let headers = [
            (header::CONTENT_TYPE, TEXT),
            (header::CACHE_CONTROL, "no-store"),
        ];
        match TextEncoder::new().encode_to_string(&families) {
            Ok(text) => (headers, text).into_response(),
            Err(error) => Problem::internal()
                .caused_by("cannot write the measurements", error)
                .into_response(),
        }
    }
}

/// Adds a measurement to the family of its name: measurements of several parts under one name are
/// written together.
fn add(families: &mut Vec<MetricFamily>, metric: Metric) {
    let known = families
        .iter()
        .position(|family| family.name() == metric.name);
    let index = known.unwrap_or_else(|| {
        let mut family = MetricFamily::default();
        family.set_name(metric.name.to_owned());
        family.set_help(metric.help.to_owned());
        family.set_field_type(match metric.value {
            Value::Counter(_) => MetricType::COUNTER,
            Value::Gauge(_) => MetricType::GAUGE,
            Value::Histogram(_) => MetricType::HISTOGRAM,
        });
        families.push(family);
        families.len() - 1
    });
    families[index].mut_metric().push(sample(metric));
}

/// Returns a measurement as the crate represents it.
fn sample(metric: Metric) -> proto::Metric {
    let labels = metric.labels.into_iter().map(|(name, value)| {
        let mut label = proto::LabelPair::default();
        label.set_name(name.to_owned());
        label.set_value(value);
        label
    });
    let mut sample = proto::Metric::from_label(labels.collect());
    match metric.value {
        Value::Counter(value) => {
            let mut counter = proto::Counter::default();
            counter.set_value(value);
            sample.set_counter(counter);
        }
        Value::Gauge(value) => {
            let mut gauge = proto::Gauge::default();
            gauge.set_value(value);
            sample.set_gauge(gauge);
        }
        Value::Histogram(read) => {
            let buckets = read.buckets.into_iter().map(|(bound, count)| {
                let mut bucket = proto::Bucket::default();
                bucket.set_upper_bound(bound);
                bucket.set_cumulative_count(count);
                bucket
            });
            let mut histogram = proto::Histogram::default();
            histogram.set_bucket(buckets.collect());
            histogram.set_sample_count(read.count);
            histogram.set_sample_sum(read.sum);
            sample.set_histogram(histogram);
        }
    }
    sample
}

#[cfg(test)]
mod tests {
    use super::*;
    use feed_http::metrics::Histogram;

    #[test]
    fn the_text_is_what_prometheus_reads() {
        let mut families = Vec::new();
        let sizes = Histogram::new(&[1, 10]);
        for size in [1, 2, 10, 11] {
            sizes.observe(size);
        }
        for metric in [
            Metric::gauge("depth", "How deep.", &[("well", "a \"b\"\\\n")], 1.5),
            Metric::histogram("size_tens", "How large.", &[("of", "x")], &sizes, 10.0),
            Metric::gauge("depth", "How deep.", &[], 3.0),
        ] {
            add(&mut families, metric);
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
        let text = TextEncoder::new().encode_to_string(&families);
        assert_eq!(text.expect("a text"), expected);
    }
}
