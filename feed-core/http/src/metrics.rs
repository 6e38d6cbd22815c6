//! Measurements of a part of a service, as data: the exporter writes the text.
//!
//! A [`Counter`] costs an atomic addition, a [`Histogram`] two; that of the crate `prometheus` (0.14)
//! costs four atomic operations and would come into the build of feed-core. Nothing is global, so
//! several services in one process do not mix.

use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::BoxFuture;

/// A part of a service with measurements: a database, a feed, a subscription, or a service's own
/// counters.
///
/// ```
/// use feed_http::metrics::{Counter, Measured, Metric};
/// use futures_util::future::BoxFuture;
///
/// #[derive(Debug, Default)]
/// struct Shelves {
///     refilled: Counter,
/// }
///
/// impl Measured for Shelves {
///     fn measure(&self) -> BoxFuture<'_, Vec<Metric>> {
///         let refilled = self.refilled.get() as f64;
///         let refilled = Metric::counter("shelves_refilled_total", "How often.", &[], refilled);
///         Box::pin(async { vec![refilled] })
///     }
/// }
/// ```
pub trait Measured: Send + Sync + 'static {
    /// Returns the current values. Omits unknown ones: an outdated value would look healthy while
    /// nothing works.
    fn measure(&self) -> BoxFuture<'_, Vec<Metric>>;
}

/// Names and values of labels.
pub type Labels<'a> = [(&'static str, &'a str)];

/// A measurement.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    /// Its name by Prometheus' conventions: a counter ends with `_total`.
    pub name: &'static str,
    /// Its meaning, in a sentence.
    pub help: &'static str,
    /// The labels that distinguish it from others of that name.
    pub labels: Vec<(&'static str, String)>,
    /// Its value.
    pub value: Value,
}

/// The kinds of values.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A value that only increases.
    Counter(f64),
    /// A value that goes up and down.
    Gauge(f64),
    /// A distribution of values by size.
    Histogram(Distribution),
}

/// The state of a [`Histogram`].
#[derive(Debug, Clone, PartialEq)]
pub struct Distribution {
    /// The upper bound of each bucket, and the number of values below it, including those of the
    /// buckets before.
    pub buckets: Vec<(f64, u64)>,
    /// The number of values.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
}

impl Metric {
    /// Creates a value that only increases.
    #[must_use]
    pub fn counter(
        name: &'static str,
        help: &'static str,
        labels: &Labels<'_>,
        value: f64,
    ) -> Self {
        Self::new(name, help, labels, Value::Counter(value))
    }

    /// Creates a value that goes up and down.
    #[must_use]
    pub fn gauge(name: &'static str, help: &'static str, labels: &Labels<'_>, value: f64) -> Self {
        Self::new(name, help, labels, Value::Gauge(value))
    }

    /// Creates the distribution of `histogram`. `unit` of its values make one: a billion, for
    /// nanoseconds exported as seconds.
    #[must_use]
    pub fn histogram<const N: usize>(
        name: &'static str,
        help: &'static str,
        labels: &Labels<'_>,
        histogram: &Histogram<N>,
        unit: f64,
    ) -> Self {
        Self::new(name, help, labels, Value::Histogram(histogram.read(unit)))
    }

    fn new(name: &'static str, help: &'static str, labels: &Labels<'_>, value: Value) -> Self {
        let labels = labels
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()));
        Self {
            name,
            help,
            labels: labels.collect(),
            value,
        }
    }
}

/// A counter, which only increases.
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

    /// Returns the current value.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A distribution of whole numbers such as nanoseconds, by size.
#[derive(Debug)]
pub struct Histogram<const N: usize> {
    /// The largest value of each bucket, ascending.
    bounds: &'static [u64; N],
    buckets: [Counter; N],
    larger: Counter,
    sum: Counter,
}

impl<const N: usize> Histogram<N> {
    /// Creates an empty histogram with these buckets.
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

    /// Returns the number of values.
    #[must_use]
    pub fn count(&self) -> u64 {
        let buckets = self.buckets.iter().chain([&self.larger]);
        buckets.map(Counter::get).sum()
    }

    /// Returns the current state; `unit` of the values make one in the text.
    fn read(&self, unit: f64) -> Distribution {
        let mut count = 0;
        let bounds = self.bounds.iter().zip(&self.buckets);
        let buckets = bounds
            .map(|(bound, bucket)| {
                count += bucket.get();
                (*bound as f64 / unit, count)
            })
            .collect();
        Distribution {
            buckets,
            count: count + self.larger.get(),
            sum: self.sum.get() as f64 / unit,
        }
    }
}
