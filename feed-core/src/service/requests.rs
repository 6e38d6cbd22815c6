//! Counts what a service is asked, by route and by answer, and times it.
//!
//! A layer around each route. It costs two looks at the clock and a few atomic additions: a route
//! finds its numbers once, not with each request, and nothing is locked or allocated for one.

use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::http::Method;
use axum::response::Response;
use futures_util::future::BoxFuture;
use tower::{Layer, Service};

use super::metrics::{Counter, Exposition, Histogram, Measured};

/// From a `304` to what nobody waits for, in nanoseconds.
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

/// Pairs of a method and a status that are told apart for one route.
const ANSWERS: usize = 24;

/// Requests for which there is no route.
const NO_ROUTE: &str = "*";

/// The status of a request whose client went away before the answer: HTTP has none for it, and some
/// servers write this one.
const GONE: u16 = 499;

/// Marks a response (in its extensions) that was held back because the client asked for that: how
/// long it took says nothing of us.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeldBack;

/// All requests to one service.
#[derive(Debug, Clone, Default)]
pub(super) struct Requests(Arc<Mutex<Vec<Arc<Route>>>>);

/// The requests to one route.
#[derive(Debug)]
struct Route {
    name: String,
    /// Filled one after the other: what is asked most is found soon.
    answers: [OnceLock<Box<Answers>>; ANSWERS],
    others: Counter,
}

/// Requests to one route with the same answer.
#[derive(Debug)]
struct Answers {
    method: &'static str,
    status: u16,
    count: Counter,
    times: Histogram<{ TIMES.len() }>,
}

impl Requests {
    /// The layer, for the routes of a service that is mounted below `prefix`.
    pub(super) fn layer(&self, prefix: &str) -> Counting {
        Counting {
            requests: self.clone(),
            prefix: prefix.into(),
        }
    }

    fn route(&self, name: &str) -> Arc<Route> {
        let mut routes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = routes.iter().find(|route| route.name == name) {
            return Arc::clone(known);
        }
        let route = Arc::new(Route {
            name: name.to_owned(),
            answers: [const { OnceLock::new() }; ANSWERS],
            others: Counter::default(),
        });
        routes.push(Arc::clone(&route));
        route
    }
}

impl Route {
    /// Counts an answer, and how many nanoseconds it took if that says something.
    fn count(&self, method: &Method, status: u16, nanoseconds: Option<u64>) {
        let method = name_of(method);
        let same = |answers: &&Answers| (answers.method, answers.status) == (method, status);
        let new = || {
            Box::new(Answers {
                method,
                status,
                count: Counter::default(),
                times: Histogram::new(TIMES),
            })
        };
        let answers = self.answers.iter().map(|place| &**place.get_or_init(new));
        let Some(answers) = { answers }.find(same) else {
            self.others.increment();
            return;
        };
        answers.count.increment();
        if let Some(nanoseconds) = nanoseconds {
            answers.times.observe(nanoseconds);
        }
    }
}

/// The methods that our routes know; what else is sent is up to who sends it, and so not a label.
fn name_of(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

impl Measured for Requests {
    fn measure<'a>(&'a self, text: &'a mut Exposition) -> BoxFuture<'a, ()> {
        let routes = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        for route in &routes {
            route.write(text);
        }
        Box::pin(async {})
    }
}

impl Route {
    fn write(&self, text: &mut Exposition) {
        const TOTAL: &str = "http_requests_total";
        const HELP: &str = "Requests, by route and by the status of the answer; 499: the client went \
                            away before it.";
        for answers in self.answers.iter().filter_map(OnceLock::get) {
            let Answers { method, count, .. } = &**answers;
            let status = answers.status.to_string();
            let labels = [
                ("method", *method),
                ("route", &self.name),
                ("status", &status),
            ];
            text.counter(TOTAL, HELP, &labels, count.get() as f64);
            text.histogram(
                "http_request_duration_seconds",
                "Time from a request's head to that of the answer, without what was held back as asked.",
                &labels,
                &answers.times,
                1e9,
            );
        }
        let labels = [
            ("method", "other"),
            ("route", &self.name),
            ("status", "other"),
        ];
        if self.others.get() > 0 {
            text.counter(TOTAL, HELP, &labels, self.others.get() as f64);
        }
    }
}

/// The layer that counts.
#[derive(Debug, Clone)]
pub(super) struct Counting {
    requests: Requests,
    prefix: Arc<str>,
}

/// What it stands around.
#[derive(Debug, Clone)]
pub(super) struct Counted<S> {
    inner: S,
    place: Arc<Place>,
}

/// Where a route's numbers are, once its first request has said which it is.
#[derive(Debug)]
struct Place {
    counting: Counting,
    route: OnceLock<Arc<Route>>,
}

impl<S> Layer<S> for Counting {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Counted<S> {
        Counted {
            inner,
            place: Arc::new(Place {
                counting: self.clone(),
                route: OnceLock::new(),
            }),
        }
    }
}

impl Place {
    fn route(&self, request: &Request) -> &Route {
        self.route.get_or_init(|| {
            let path = request.extensions().get::<MatchedPath>();
            let name = path.map_or(NO_ROUTE, |path| {
                let path = path.as_str();
                path.strip_prefix(&*self.counting.prefix).unwrap_or(path)
            });
            self.counting.requests.route(name)
        })
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

    fn call(&mut self, request: Request) -> Self::Future {
        self.place.route(&request);
        Answering {
            begun: Instant::now(),
            method: request.method().clone(),
            place: Arc::clone(&self.place),
            answered: false,
            answer: self.inner.call(request),
        }
    }
}

/// An answer on its way.
#[derive(Debug)]
pub(super) struct Answering<F> {
    begun: Instant,
    method: Method,
    place: Arc<Place>,
    answered: bool,
    answer: F,
}

impl<F> Answering<F> {
    fn count(&mut self, status: u16, timed: bool) {
        self.answered = true;
        let nanoseconds = timed.then(|| {
            let elapsed = self.begun.elapsed().as_nanos();
            u64::try_from(elapsed).unwrap_or(u64::MAX)
        });
        if let Some(route) = self.place.route.get() {
            route.count(&self.method, status, nanoseconds);
        }
    }
}

impl<F, E> Future for Answering<F>
where
    F: Future<Output = Result<Response, E>> + Unpin,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = ready!(Pin::new(&mut self.answer).poll(context));
        match &answer {
            Ok(answer) => {
                let timed = answer.extensions().get::<HeldBack>().is_none();
                self.count(answer.status().as_u16(), timed);
            }
            // The connection breaks off: nobody gets a status.
            Err(_) => self.count(GONE, false),
        }
        Poll::Ready(answer)
    }
}

impl<F> Drop for Answering<F> {
    fn drop(&mut self) {
        if !self.answered {
            self.count(GONE, false);
        }
    }
}
