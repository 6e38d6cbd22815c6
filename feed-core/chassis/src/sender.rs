//! Who a request waits for: the client that sends its body, or the service. A slow client is no failure of the service.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::http::{HeaderValue, StatusCode, header};
use feed_http::Problem;
use hyper::body::{Body, Frame, SizeHint};

/// The client that sends a request.
#[derive(Debug, Clone, Default)]
pub(super) struct Sender(Arc<AtomicBool>);

/// The body that it sends.
#[derive(Debug)]
pub(super) struct Sent<B> {
    sender: Sender,
    body: B,
}

impl Sender {
    /// Returns the body, which notes whether a handler waits for more of it.
    pub(super) fn of<B>(&self, body: B) -> Sent<B> {
        Sent {
            sender: self.clone(),
            body,
        }
    }

    /// Returns true if a handler reads the body, and the next part has not arrived.
    pub(super) fn is_awaited(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl<B: Body + Unpin> Body for Sent<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        self.sender.0.store(frame.is_pending(), Ordering::Relaxed);
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// `408`: the body did not arrive in time (RFC 9110, 15.5.9). What arrives later is no next request.
pub(super) fn sent_too_slowly() -> Problem {
    let problem = Problem::new(
        StatusCode::REQUEST_TIMEOUT,
        "too-slow",
        "The body did not arrive in time",
        "the rest of the request's body did not come in time: send the request again, faster or with less in it",
    );
    problem.header(header::CONNECTION, HeaderValue::from_static("close"))
}
