//! Counts the requests to a service by route and answer, and their times.
//!
//! It is a layer around each route, also on the path of the `304` that a feed answers all the time
//! (row `304` of the benchmarks): there it costs one atomic addition, and two for the reference to
//! the counters. A route finds its counters once and not with each request; a request locks and
//! allocates nothing; and the clock, which is slower than all of that, is read only if a request has
//! to wait. The layer of the crate `axum-prometheus` reads the clock and allocates its labels for
//! each request.

use std::cell::Cell;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request};
use axum::http::Method;
use axum::response::Response;
use futures_util::future::BoxFuture;
use tower::{Layer, Service};

use feed_http::HeldBack;
use feed_http::metrics::{Counter, Histogram, Measured, Metric};
use feed_http::trace::{self, Span};

/// From a `304` to the longest acceptable time, in nanoseconds.
const TIMES: &[u64; 10] = &[
    100_000,
    250_000,
    1_000_000,
    2_500_000,
    10_000_000,
    25_000_000,
    100_000_000,
    250_000_000,
    1_000_000_000,
    5_000_000_000,
];

/// The most pairs of method and status per route, of answers that are no failures of the service.
const ANSWERS: usize = 24;

/// The same of its failures: a client, which chooses the method and can cause many statuses, takes no place of theirs,
/// since alerts are made from them.
const FAILURES: usize = 24;

/// The first status of a failure of the service.
const FAILURE: u16 = 500;

/// The label of methods that no route uses, and of answers beyond [`ANSWERS`] and [`FAILURES`].
const OTHER: &str = "other";

/// The labels of the status of such answers: its class is kept.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The label of requests without a route.
const NO_ROUTE: &str = "*";

/// The status of a request whose client disconnected before the answer: HTTP has none for it, and
/// some servers use this one.
const GONE: u16 = 499;

thread_local! {
    /// The status that counts for a request that is dropped now.
    static DROPPED: Cell<u16> = const { Cell::new(GONE) };
}

/// Lets `drop` drop a request in progress, whose client gets an answer of this status from outside
/// the router: without it, the client would count as gone.
pub(super) fn drop_unanswered(status: u16, drop: impl FnOnce()) {
    DROPPED.set(status);
    drop();
    DROPPED.set(GONE);
}

/// All requests to one service.
#[derive(Debug, Clone, Default)]
pub(super) struct Requests(Arc<Mutex<Vec<Arc<Route>>>>);

/// The requests to one route.
#[derive(Debug)]
struct Route {
    name: String,
    /// Filled one after the other: the most frequent answers are found first.
    answers: [OnceLock<Box<Answers>>; ANSWERS],
    failures: [OnceLock<Box<Answers>>; FAILURES],
    /// Those beyond, by the class of their status.
    others: [Counter; CLASSES.len()],
}

/// Requests to one route with the same answer.
#[derive(Debug)]
struct Answers {
    method: &'static str,
    status: u16,
    /// Those whose time does not depend on the service.
    untimed: Counter,
    times: Histogram<{ TIMES.len() }>,
}

/// Returns the label of a method that routes use. The client chooses any other, so it is no label.
fn label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => OTHER,
    }
}

impl Requests {
    /// Returns the layer for the routes of a service that is mounted below `prefix`.
    pub(super) fn layer(&self, prefix: &str) -> Counting {
        Counting {
            requests: self.clone(),
            prefix: prefix.into(),
        }
    }

    /// Returns the number of layers that count.
    #[cfg(test)]
    pub(super) fn made(&self) -> usize {
        Arc::strong_count(&self.0)
    }

    fn route(&self, name: &str) -> Arc<Route> {
        let mut routes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = routes.iter().find(|route| route.name == name) {
            return Arc::clone(known);
        }
        let route = Arc::new(Route {
            name: name.to_owned(),
            answers: [const { OnceLock::new() }; ANSWERS],
            failures: [const { OnceLock::new() }; FAILURES],
            others: Default::default(),
        });
        routes.push(Arc::clone(&route));
        route
    }
}

impl Route {
    /// Counts an answer, and its time if that depends on the service.
    fn count(&self, method: &'static str, status: u16, time: Option<Duration>) {
        let new = || {
            Box::new(Answers {
                method,
                status,
                untimed: Counter::default(),
                times: Histogram::new(TIMES),
            })
        };
        let places = match status {
            FAILURE.. => &self.failures[..],
            _ => &self.answers[..],
        };
        let mut answers = places.iter().map(|place| place.get_or_init(new));
        let found = answers.find(|known| known.status == status && known.method == method);
        match (found, time) {
            (Some(answers), Some(time)) => {
                let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
                answers.times.observe(nanoseconds);
            }
            (Some(answers), None) => answers.untimed.increment(),
            (None, _) => {
                let class = usize::from(status / 100).clamp(1, CLASSES.len());
                self.others[class - 1].increment();
            }
        }
    }
}

impl Measured for Requests {
    fn measure(&self) -> BoxFuture<'_, Vec<Metric>> {
        let routes = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let metrics = routes.iter().flat_map(|route| route.metrics()).collect();
        Box::pin(std::future::ready(metrics))
    }
}

impl Route {
    fn metrics(&self) -> Vec<Metric> {
        const TOTAL: &str = "http_requests_total";
        const HELP: &str = "Requests, by route and by the status of the answer; 499: the client went \
                            away before it.";
        let mut metrics = Vec::new();
        let places = self.answers.iter().chain(&self.failures);
        for answers in places.filter_map(OnceLock::get) {
            let status = answers.status.to_string();
            let labels = [
                ("method", answers.method),
                ("route", self.name.as_str()),
                ("status", status.as_str()),
            ];
            let count = answers.untimed.get() + answers.times.count();
            metrics.push(Metric::counter(TOTAL, HELP, &labels, count as f64));
            metrics.push(Metric::histogram(
                "http_request_duration_seconds",
                "Time to the head of an answer from when the request first had to wait; what was held \
                 back as asked is not timed.",
                &labels,
                &answers.times,
                1e9,
            ));
        }
        let others = CLASSES.iter().zip(&self.others);
        for (class, others) in others.filter(|(_, others)| others.get() > 0) {
            let labels = [("method", OTHER), ("route", &self.name), ("status", class)];
            let others = others.get() as f64;
            metrics.push(Metric::counter(TOTAL, HELP, &labels, others));
        }
        metrics
    }
}

/// The layer that counts.
#[derive(Debug, Clone)]
pub(super) struct Counting {
    requests: Requests,
    prefix: Arc<str>,
}

/// A counted service.
#[derive(Debug, Clone)]
pub(super) struct Counted<S> {
    inner: S,
    place: Arc<Place>,
}

/// The counters of a route, once its first request has named it.
#[derive(Debug)]
struct Place {
    counting: Counting,
    route: OnceLock<Arc<Route>>,
}

impl<S> Layer<S> for Counting {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Counted<S> {
        let place = Place {
            counting: self.clone(),
            route: OnceLock::new(),
        };
        Counted {
            inner,
            place: Arc::new(place),
        }
    }
}

impl Place {
    fn route(&self, request: &Request) -> Arc<Route> {
        let route = self.route.get_or_init(|| {
            let path = request.extensions().get::<MatchedPath>();
            let name = path.map_or(NO_ROUTE, |path| {
                let path = path.as_str();
                // Below a prefix the root has a slash of its own, and the prefix's.
                match path.strip_prefix(&*self.counting.prefix) {
                    Some("//") => "/",
                    Some(route) => route,
                    None => path,
                }
            });
            self.counting.requests.route(name)
        });
        Arc::clone(route)
    }
}

impl<S> Service<Request> for Counted<S>
where
    S: Service<Request, Response = Response>,
    S::Future: Unpin,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Answering<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let route = self.place.route(&request);
        Answering {
            span: trace::of_request(&mut request, &route.name),
            route,
            method: label(request.method()),
            waits: None,
            answered: false,
            answer: self.inner.call(request),
        }
    }
}

/// The answer of a route, which is counted when it ends, or is dropped.
#[derive(Debug)]
pub(super) struct Answering<F> {
    span: Span,
    route: Arc<Route>,
    method: &'static str,
    /// When it began to wait for something.
    waits: Option<Instant>,
    answered: bool,
    answer: F,
}

impl<F> Answering<F> {
    fn count(&mut self, status: u16, time: Option<Duration>) {
        self.answered = true;
        self.route.count(self.method, status, time);
        if trace::is_on() {
            let code = status.to_string();
            self.span.set("http.response.status_code", &code);
            if status >= GONE {
                self.span.fail(&code);
            }
        }
    }
}

impl<F, E> Future for Answering<F>
where
    F: Future<Output = Result<Response, E>> + Unpin,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Poll::Ready(answer) = Pin::new(&mut self.answer).poll(context) else {
            self.waits.get_or_insert_with(Instant::now);
            return Poll::Pending;
        };
        match &answer {
            Ok(answer) => {
                let held_back = answer.extensions().get::<HeldBack>().is_some();
                let time = || self.waits.map_or(Duration::ZERO, |since| since.elapsed());
                let time = (!held_back).then(time);
                self.count(answer.status().as_u16(), time);
            }
            // The connection is aborted without a status.
            Err(_) => self.count(GONE, None),
        }
        Poll::Ready(answer)
    }
}

impl<F> Drop for Answering<F> {
    fn drop(&mut self) {
        if !self.answered {
            self.count(DROPPED.get(), None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use feed_http::metrics::Value;

    /// The number of requests to the only route with these labels of method and status.
    fn count(route: &Route, method: &str, status: &str) -> f64 {
        let metrics = route.metrics().into_iter();
        let totals = metrics.filter_map(|metric| match metric.value {
            Value::Counter(value) => Some((metric.labels, value)),
            _ => None,
        });
        let labels = [("method", method), ("route", "/orders"), ("status", status)];
        let labels = labels.map(|(name, value)| (name, value.to_owned()));
        let mut totals = totals.filter(|(found, _)| *found == labels);
        let value = totals.next().map_or(0.0, |(_, value)| value);
        assert!(totals.next().is_none(), "{method} {status} is there twice");
        value
    }

    const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", OTHER];

    /// Alerts are made from them.
    #[test]
    fn a_client_cannot_hide_the_failures_of_a_route() {
        let requests = Requests::default();
        let route = requests.route("/orders");
        for status in 400..450 {
            for method in METHODS {
                route.count(method, status, None);
            }
        }
        for _ in 0..3 {
            route.count("POST", 503, None);
            route.count("POST", 500, Some(Duration::from_millis(1)));
        }
        assert_eq!(count(&route, "POST", "503"), 3.0);
        assert_eq!(count(&route, "POST", "500"), 3.0);
        // The first of the others have places; those beyond are still counted, by their class.
        assert_eq!(count(&route, "GET", "400"), 1.0);
        let beyond = 50 * METHODS.len() - ANSWERS;
        assert_eq!(count(&route, OTHER, "4xx"), beyond as f64);
        route.count("GET", 304, None);
        route.count("GET", 200, Some(Duration::ZERO));
        route.count("GET", 200, None);
        assert_eq!(count(&route, OTHER, "3xx"), 1.0);
        assert_eq!(count(&route, OTHER, "2xx"), 2.0);
        assert_eq!(count(&route, OTHER, "5xx"), 0.0);
    }

    #[test]
    fn more_failures_than_places_are_failures() {
        let requests = Requests::default();
        let route = requests.route("/orders");
        for status in 500..510 {
            for method in METHODS {
                route.count(method, status, None);
            }
        }
        let beyond = 10 * METHODS.len() - FAILURES;
        assert_eq!(count(&route, OTHER, "5xx"), beyond as f64);
        // They take no place of the others.
        for status in 200..203 {
            for method in METHODS {
                route.count(method, status, None);
                assert_eq!(count(&route, method, &status.to_string()), 1.0);
            }
        }
        // A place has one pair.
        route.count("GET", 500, None);
        route.count("POST", 500, None);
        assert_eq!(count(&route, "GET", "500"), 2.0);
        assert_eq!(count(&route, "POST", "500"), 2.0);
    }
}
