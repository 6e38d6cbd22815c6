//! Answers while a service starts, which may take long: its database may be away, or be migrated. It is alive, and
//! not ready.

use std::io;
use std::os::fd::AsFd;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::http::HeaderMap;
use feed_http::with_causes;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::warn;

use super::connections::{self, Limits};
use super::failures::Failures;
use super::health::ok;
use super::html::{Frame, stylesheet};
use super::routing::get;
use feed_http::Problem;

/// A start that is faster needs no answers: clients wait that long for the service itself.
const SOON: Duration = Duration::from_secs(2);

/// Awaits `starting`. From two seconds on, clients of `listener` get an answer: `/health/live` succeeds, and everything
/// else is a `503`, in `frame` for a browser.
pub(super) async fn answer_while<T>(
    starting: impl Future<Output = T>,
    listener: &TcpListener,
    frame: Frame<'static>,
) -> T {
    let mut starting = pin!(starting);
    if let Ok(started) = tokio::time::timeout(SOON, starting.as_mut()).await {
        return started;
    }
    let listener = match second(listener) {
        Ok(listener) => listener,
        Err(error) => {
            warn!(
                error = with_causes(&error),
                "nothing is answered until the service has started"
            );
            return starting.await;
        }
    };
    // A connection that is still open when the service has started gets the answer to its one request, even if that
    // arrives later: to end the connection would be to leave its client without an answer.
    let serving = tokio::spawn(connections::serve(
        listener,
        (router(frame), None),
        Failures::default(),
        Limits::of_one_request(),
        CancellationToken::new(),
    ));
    let _until_started = AbortOnDropHandle::new(serving);
    starting.await
}

/// Another handle to the same listener.
fn second(listener: &TcpListener) -> io::Result<TcpListener> {
    let descriptor = listener.as_fd().try_clone_to_owned()?;
    TcpListener::from_std(descriptor.into())
}

fn router(frame: Frame<'static>) -> Router {
    let waiting = async move |headers: HeaderMap| frame.problem(&headers, not_ready());
    Router::new()
        .route("/health/live", get(|| async { ok() }))
        .merge(stylesheet())
        .fallback(waiting)
}

fn not_ready() -> Problem {
    Problem::unavailable(
        "the service is starting, and waits for what it needs, such as its database; its log says for what",
    )
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_connection_that_the_start_overtakes_is_answered() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (started, starting) = oneshot::channel::<()>();
        let frame = Frame {
            base: "http://x/".parse().expect("a base URL"),
            home: None,
            home_name: "Home",
            service: "the service",
            menu: &[],
            feed: None,
        };
        let waiting = tokio::spawn(async move { answer_while(starting, &listener, frame).await });
        // Connections are accepted in their order: that of `early` before that of `other`.
        let connect = async || TcpStream::connect(address).await.expect("connected");
        let (mut early, mut other) = (connect().await, connect().await);
        let answer = ask(&mut other).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        started.send(()).expect("it is starting");
        waiting.await.expect("no panic").expect("it has started");
        let answer = ask(&mut early).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }

    async fn ask(connection: &mut TcpStream) -> String {
        let request = "GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        let mut answer = String::new();
        connection
            .write_all(request.as_bytes())
            .await
            .expect("sent");
        connection.read_to_string(&mut answer).await.expect("read");
        answer
    }
}
