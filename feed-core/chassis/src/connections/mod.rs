//! Accepts connections, within bounds: on their number, on the length of a client's input, and on
//! the time to send it and to read the answer (I11).
//!
//! This is hyper with limits. The crate `axum-server` (0.9) limits neither the number of connections
//! nor the time of a write.

use std::convert::Infallible;
use std::io::ErrorKind;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use feed_http::with_causes;
use futures_util::FutureExt;
use futures_util::future::OptionFuture;
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;
use tower_http::timeout::RequestBodyTimeoutLayer;
use tracing::{debug, info, warn};

use super::failures::{Failures, TimedOut};
use super::files::connections_of;
use super::host::names_one_host;
use super::html;
use super::large::LargeBodies;
use super::log_throttle::LogThrottle;
use super::requests::{Counting, drop_unanswered};
use super::sender::{Sender, sent_too_slowly};
use feed_http::{Failure, Problem};

/// The limits of a client's use of the service.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Concurrent connections; more wait to be accepted. Each waiting reader is one.
    connections: usize,
    /// Of these, requests whose handler reads a body that is large or of unknown length; more are rejected.
    large: usize,
    /// The timeout for the headers of a request, including the wait for the next request: longer
    /// than a proxy keeps an unused connection.
    headers: Duration,
    /// The same for connections accepted while a tenth of the limit is in use: an idle one must make
    /// room, and heads that do not end must not add up.
    headers_when_busy: Duration,
    /// How long a body may pause.
    body: Duration,
    /// The timeout of a request until its answer begins: longer than a reader may wait at the feed,
    /// and than a large body takes on a slow line.
    request: Duration,
    /// How long a client may read nothing of an answer.
    answer: Duration,
    /// Whether a connection may serve another request after its first.
    keep_alive: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: connections_of(10_000),
            large: 64,
            headers_when_busy: Duration::from_secs(5),
            headers: Duration::from_secs(75),
            body: Duration::from_secs(15),
            request: Duration::from_secs(90),
            answer: Duration::from_secs(60),
            keep_alive: true,
        }
    }
}

impl Limits {
    /// The default limits, with one request for each connection.
    pub(super) fn of_one_request() -> Self {
        Self {
            keep_alive: false,
            ..Self::default()
        }
    }
}

/// The longest head of a request, in bytes: each connection may have one in memory, without credentials. The longest of
/// feed-core's contains a few cursors; other servers take 8 to 32 KiB.
const LONGEST_HEAD: usize = 16 * 1024;

/// A larger body needs a permit: without one, a connection's body uses no more memory than its
/// head. An order of 250 lines has 15 KiB.
const LARGE: u64 = LONGEST_HEAD as u64;

/// The pause after a failed accept, most often for lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `shutdown`, then until requests in flight have finished. If it is dropped, it accepts no more
/// connections, and those that it has accepted end by themselves.
pub(super) async fn serve(
    listener: TcpListener,
    (router, counting): (Router, Option<Counting>),
    failures: Failures,
    limits: Limits,
    shutdown: CancellationToken,
) {
    let body = RequestBodyTimeoutLayer::new(limits.body);
    // One layer only, since each costs every request some allocations.
    let router = match counting {
        Some(counting) => router.layer((counting, body)),
        None => router.layer(body),
    };
    let places = Arc::new(Semaphore::new(limits.connections));
    let requests = Arc::new(Requests {
        limit: limits.request,
        large: LargeBodies::at_most(limits.large),
        slow: LogThrottle::default(),
        failures,
    });
    let (failed, full) = (LogThrottle::default(), LogThrottle::default());
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = async {
                if places.available_permits() == 0
                    && let Some(times) = full.due()
                {
                    warn!(
                        times,
                        "all {} connections are in use: further clients wait until one ends",
                        limits.connections
                    );
                }
                let place = Arc::clone(&places).acquire_owned().await;
                (listener.accept().await, place)
            } => accepted,
        };
        let (stream, place) = match accepted {
            (Ok((stream, _)), place) => (stream, place),
            (Err(error), _) if is_of_client(&error) => continue,
            (Err(error), _) => {
                if let Some(times) = failed.due() {
                    warn!(
                        error = with_causes(&error),
                        times, "cannot accept a connection"
                    );
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // An answer is small and written at once: delaying it to send more at once does not pay.
        let _ = stream.set_nodelay(true);
        let (router, requests) = (router.clone(), Arc::clone(&requests));
        let service =
            service_fn(move |request| answer(router.clone(), request, Arc::clone(&requests)));
        let in_use = limits.connections - places.available_permits();
        let headers = match in_use > limits.connections.div_ceil(10) {
            true => limits.headers_when_busy,
            false => limits.headers,
        };
        // Otherwise a client that sends requests and never reads would keep its connection, and the
        // memory of its answers, for ever (I11).
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(limits.answer));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .keep_alive(limits.keep_alive)
            .header_read_timeout(headers)
            .max_buf_size(LONGEST_HEAD)
            .serve_connection(TokioIo::new(Box::pin(stream)), service);
        let shutdown = shutdown.clone();
        connections.spawn(async move {
            let mut connection = pin!(connection);
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = shutdown.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                debug!(error = with_causes(&error), "a connection was interrupted");
            }
            drop(place);
        });
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

/// Returns true if a connection could not be accepted since its client went away before: the next one can be.
fn is_of_client(error: &std::io::Error) -> bool {
    error.kind() == ErrorKind::ConnectionAborted
}

/// The state shared by all requests.
struct Requests {
    /// The timeout of a request.
    limit: Duration,
    large: Arc<LargeBodies>,
    /// Those whose client did not send the body in time.
    slow: LogThrottle,
    failures: Failures,
}

/// Returns the router's answer, with the security headers of a page. A 304 gets no length: that of
/// its empty body would be taken for that of the 200 in its place (RFC 9110, 8.6).
async fn answer(
    router: Router,
    request: Request<Incoming>,
    requests: Arc<Requests>,
) -> Result<Response, Infallible> {
    if !names_one_host(&request) {
        let problem = Problem::bad_request(
            "a request of HTTP/1.1 has one Host header, a host and perhaps a port",
        );
        return Ok(problem.into_response());
    }
    let sender = Sender::default();
    let has_body = !request.body().is_end_stream();
    let length = request.body().size_hint().upper();
    let (request, _held) = match length.is_none_or(|length| length > LARGE) {
        true => {
            let (head, body) = request.into_parts();
            let (body, held) = requests.large.one(body);
            let body = Body::new(sender.of(body));
            (Request::from_parts(head, body), Some(held))
        }
        false if has_body => (request.map(|body| Body::new(sender.of(body))), None),
        false => (request.map(Body::new), None),
    };
    // Dropping a handler here leaves nothing half-done: transactions run in tasks of their own,
    // since clients disconnect, too.
    let mut answering = pin!(OptionFuture::from(Some(router.oneshot(request))));
    let polled = AssertUnwindSafe(answering.as_mut()).catch_unwind();
    let unanswered = match tokio::time::timeout(requests.limit, polled).await {
        Ok(Ok(Some(answer))) => Ok(answer?),
        // A panic, which has been logged.
        Ok(_) => Err(Problem::internal()),
        Err(_) => {
            // The request has waited for its client, or else for the service's database.
            Err(match sender.is_awaited() {
                true => {
                    if let Some(times) = requests.slow.due() {
                        info!(times, "the body of a request did not arrive in time");
                    }
                    sent_too_slowly()
                }
                false => {
                    let problem = Problem::unavailable("the request took too long");
                    problem.caused_by("a request did not end", TimedOut)
                }
            })
        }
    };
    let answered = unanswered.is_ok();
    let mut response = unanswered.unwrap_or_else(Problem::into_response);
    // Before the handler gives back what has failed, such as a connection.
    if let Some(failure) = response.extensions().get::<Failure>() {
        requests.failures.heard(failure);
    }
    if !answered {
        drop_unanswered(response.status().as_u16(), || answering.set(None.into()));
    }
    if response.status() == StatusCode::NOT_MODIFIED {
        response.headers_mut().remove(header::CONTENT_LENGTH);
    } else {
        html::protect(&mut response);
    }
    Ok(response)
}

#[cfg(test)]
mod tests;
