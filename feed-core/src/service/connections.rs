//! Accepts connections, within bounds: on their number, and on the time a client takes to say what
//! it wants (I11).

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use tower_http::timeout::RequestBodyTimeoutLayer;
use tracing::{debug, warn};

use super::requests::Counting;

/// What one client may take of the service.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Connections served at the same time; more wait to be accepted. Each waiting reader is one.
    connections: usize,
    /// How long the headers of a request may take, the wait for the next request included: longer
    /// than a proxy keeps a connection it does not use.
    headers: Duration,
    /// How long a body may be silent.
    body: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            headers: Duration::from_secs(75),
            body: Duration::from_secs(15),
        }
    }
}

/// The pause after a failed accept, which is most often a lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `shutdown`, then until what is in flight is finished.
pub(super) async fn serve(
    listener: TcpListener,
    (router, counting): (Router, Option<Counting>),
    limits: Limits,
    shutdown: CancellationToken,
) {
    let body = RequestBodyTimeoutLayer::new(limits.body);
    // One layer, since each costs every request some allocations.
    let router = match counting {
        Some(counting) => router.layer((counting, body)),
        None => router.layer(body),
    };
    let places = Arc::new(Semaphore::new(limits.connections));
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = async {
                let place = Arc::clone(&places).acquire_owned().await;
                (listener.accept().await, place)
            } => accepted,
        };
        let (stream, place) = match accepted {
            (Ok((stream, _)), place) => (stream, place),
            (Err(error), _) => {
                warn!(
                    error = &error as &dyn std::error::Error,
                    "cannot accept a connection"
                );
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // An answer is small and written at once: waiting for more to send only delays it.
        let _ = stream.set_nodelay(true);
        let router = router.clone();
        let service = service_fn(move |request| answer(router.clone(), request));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.headers)
            .serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                debug!(
                    error = &error as &dyn std::error::Error,
                    "a connection broke off"
                );
            }
            drop(place);
        });
    }
    drop(listener);
    graceful.shutdown().await;
}

/// The router's answer. A 304 says nothing of a length: that of its empty body would be taken for
/// that of the 200 in its place (RFC 9110, 8.6).
async fn answer(
    router: Router,
    request: Request<Incoming>,
) -> Result<axum::http::Response<Body>, std::convert::Infallible> {
    let mut response = router.oneshot(request.map(Body::new)).await?;
    if response.status() == StatusCode::NOT_MODIFIED {
        response.headers_mut().remove(header::CONTENT_LENGTH);
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::{get, post};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    /// Sends `bytes`, and reads what comes until the server closes the connection.
    async fn send(address: std::net::SocketAddr, bytes: &str) -> String {
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        stream.write_all(bytes.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        let read = stream.read_to_string(&mut answer);
        let closed = tokio::time::timeout(Duration::from_secs(20), read).await;
        // A reset is an end too.
        let _ = closed.expect("the server closes the connection");
        answer
    }

    #[tokio::test]
    async fn a_silent_client_is_let_go_and_others_are_served() {
        let router = Router::new()
            .route("/", get(|| async { "here" }))
            .route("/body", post(|body: String| async move { body }))
            .route("/304", get(|| async { StatusCode::NOT_MODIFIED }));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let shutdown = CancellationToken::new();
        let limits = Limits {
            connections: 8,
            headers: Duration::from_millis(200),
            body: Duration::from_millis(200),
        };
        let serving = tokio::spawn(serve(listener, (router, None), limits, shutdown.clone()));
        // More of them than there are places: each is let go, and the next one served.
        for _ in 0..3 {
            let silent = (0..8).map(|_| send(address, "GET / HTTP/1.1\r\nHost"));
            futures_util::future::join_all(silent).await;
        }
        let close = "Host: x\r\nConnection: close\r\n";
        let slow = format!("POST /body HTTP/1.1\r\n{close}Content-Length: 9\r\n\r\nhalf");
        let slow = send(address, &slow).await;
        assert!(slow.starts_with("HTTP/1.1 4"), "{slow}");
        let here = send(address, &format!("GET / HTTP/1.1\r\n{close}\r\n")).await;
        assert!(here.ends_with("here"), "{here}");
        for method in ["GET", "HEAD"] {
            let unmodified = format!("{method} /304 HTTP/1.1\r\n{close}\r\n");
            let unmodified = send(address, &unmodified).await.to_lowercase();
            assert!(unmodified.starts_with("http/1.1 304"), "{unmodified}");
            assert!(!unmodified.contains("content-length"), "{unmodified}");
        }
        shutdown.cancel();
        serving.await.expect("it stops");
    }
}
