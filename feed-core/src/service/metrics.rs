//! What a service measures, for Prometheus: numbers that cost an atomic addition, and the text that
//! shows them at `/metrics`. Each service has its own; nothing is global, so that several in one
//! process do not mix.
//!
//! Our own text, since it is three kinds of lines, and since the histogram of the well-known library
//! takes a lock for each request.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::future::BoxFuture;

use crate::problem::Problem;

/// The text format of Prometheus.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A part of a service that shows what it has measured: a database, a feed, a subscription, or what
/// a service counts of its own.
///
/// ```
/// use feed_core::service::metrics::{Counter, Exposition, Measured};
/// use futures_util::future::BoxFuture;
///
/// #[derive(Debug, Default)]
/// struct Shelves {
///     refilled: Counter,
/// }
///
/// impl Measured for Shelves {
///     fn measure<'a>(&'a self, text: &'a mut Exposition) -> BoxFuture<'a, ()> {
///         let refilled = self.refilled.get() as f64;
///         text.counter("shelves_refilled_total", "How often.", &[], refilled);
///         Box::pin(async {})
///     }
/// }
/// ```
pub trait Measured: Send + Sync + 'static {
    /// Writes the numbers as they are now. What cannot be known is left out: an old number would
    /// look fine while everything stands still.
    fn measure<'a>(&'a self, text: &'a mut Exposition) -> BoxFuture<'a, ()>;
}

/// The parts of one service.
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

    /// The route `/metrics`.
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
            part.measure(&mut text).await;
        }
        let headers = [
            (header::CONTENT_TYPE, TEXT),
            (header::CACHE_CONTROL, "no-store"),
        ];
        (headers, text.into_text()).into_response()
    }
}

/// A number that goes up.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to it.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// Adds one.
    pub fn increment(&self) {
        self.add(1);
    }

    /// Where it is.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How often values of which size came, in whole numbers such as nanoseconds.
#[derive(Debug)]
pub struct Histogram<const N: usize> {
    /// The largest value of each bucket, ascending.
    bounds: &'static [u64; N],
    buckets: [Counter; N],
    larger: Counter,
    sum: Counter,
}

impl<const N: usize> Histogram<N> {
    /// An empty one with these buckets.
    #[must_use]
    pub fn new(bounds: &'static [u64; N]) -> Self {
        Self {
            bounds,
            buckets: std::array::from_fn(|_| Counter::default()),
            larger: Counter::default(),
            sum: Counter::default(),
        }
    }

    /// Counts a value.
    pub fn observe(&self, value: u64) {
        let bucket = self.bounds.iter().position(|bound| value <= *bound);
        let bucket = bucket.map_or(&self.larger, |bucket| &self.buckets[bucket]);
        bucket.increment();
        if value > 0 {
            self.sum.add(value);
        }
    }

    /// How many there were.
    pub(super) fn count(&self) -> u64 {
        let buckets = self.buckets.iter().chain([&self.larger]);
        buckets.map(Counter::get).sum()
    }

    /// What was counted until now; `unit` of the values make one in the text.
    fn read(&self, unit: f64) -> Read {
        let mut count = 0;
        let bounds = self.bounds.iter().zip(&self.buckets);
        let buckets = bounds
            .map(|(bound, bucket)| {
                count += bucket.get();
                (*bound as f64 / unit, count)
            })
            .collect();
        Read {
            buckets,
            count: count + self.larger.get(),
            sum: self.sum.get() as f64 / unit,
        }
    }
}

/// A histogram as it is written: each bucket with all before it.
struct Read {
    buckets: Vec<(f64, u64)>,
    count: u64,
    sum: f64,
}

/// Names and values of labels.
pub type Labels<'a> = [(&'static str, &'a str)];

/// The text that Prometheus reads. What several parts call the same is written together.
#[derive(Debug, Default)]
pub struct Exposition(Vec<Family>);

/// What has one name.
#[derive(Debug)]
struct Family {
    name: &'static str,
    head: String,
    samples: String,
}

impl Exposition {
    /// Writes a number that only goes up; its name ends with `_total`.
    pub fn counter(&mut self, name: &'static str, help: &str, labels: &Labels<'_>, value: f64) {
        let samples = self.family(name, help, "counter");
        sample(samples, name, "", labels, None, value);
    }

    /// Writes a number that goes up and down.
    pub fn gauge(&mut self, name: &'static str, help: &str, labels: &Labels<'_>, value: f64) {
        let samples = self.family(name, help, "gauge");
        sample(samples, name, "", labels, None, value);
    }

    /// Writes a histogram, of whose values `unit` make one.
    pub fn histogram<const N: usize>(
        &mut self,
        name: &'static str,
        help: &str,
        labels: &Labels<'_>,
        histogram: &Histogram<N>,
        unit: f64,
    ) {
        let samples = self.family(name, help, "histogram");
        let read = histogram.read(unit);
        for (bound, count) in read.buckets {
            let bound = bound.to_string();
            sample(samples, name, "_bucket", labels, Some(&bound), count as f64);
        }
        let count = read.count as f64;
        sample(samples, name, "_bucket", labels, Some("+Inf"), count);
        sample(samples, name, "_sum", labels, None, read.sum);
        sample(samples, name, "_count", labels, None, count);
    }

    /// The samples of a family so far.
    fn family(&mut self, name: &'static str, help: &str, kind: &str) -> &mut String {
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
    labels: &Labels<'_>,
    bound: Option<&str>,
    value: f64,
) {
    text.push_str(name);
    text.push_str(suffix);
    let labels = labels
        .iter()
        .copied()
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
    // Writing to a string does not fail.
    let _ = writeln!(text, " {value}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_what_prometheus_reads() {
        let mut text = Exposition::default();
        let sizes = Histogram::new(&[1, 10]);
        for size in [1, 2, 10, 11] {
            sizes.observe(size);
        }
        text.gauge("depth", "How deep.", &[("well", "a \"b\"\\\n")], 1.5);
        text.histogram("size_tens", "How large.", &[("of", "x")], &sizes, 10.0);
        text.gauge("depth", "How deep.", &[], f64::from(3));
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
