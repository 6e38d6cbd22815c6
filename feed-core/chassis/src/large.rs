//! Large bodies, of which few are in memory at the same time: a body takes a permit when a handler
//! begins to read it, and the request keeps it until its answer. A request whose body nobody reads,
//! such as that of a waiting reader of the feed, takes none.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use axum::BoxError;
use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::error;

use super::log_throttle::LogThrottle;

/// All of them.
#[derive(Debug)]
pub(super) struct LargeBodies {
    permits: Arc<Semaphore>,
    refused: LogThrottle,
}

/// The permit of a request, once it has one.
pub(super) type Held = Arc<OnceLock<OwnedSemaphorePermit>>;

/// The body of a request.
#[derive(Debug)]
pub(super) struct LargeBody {
    all: Arc<LargeBodies>,
    held: Held,
    body: Incoming,
}

/// A large body is not read since there are others. [`read_body`](super::read_body) answers `503`.
#[derive(Debug, thiserror::Error)]
#[error("too many large bodies at the same time")]
pub(super) struct TooMany;

impl LargeBodies {
    /// At most so many.
    pub(super) fn at_most(count: usize) -> Arc<Self> {
        Arc::new(Self {
            permits: Arc::new(Semaphore::new(count)),
            refused: LogThrottle::default(),
        })
    }

    /// Returns the body, and the place for its permit, which the request has to keep.
    pub(super) fn one(self: &Arc<Self>, body: Incoming) -> (LargeBody, Held) {
        let held = Held::default();
        let body = LargeBody {
            all: Arc::clone(self),
            held: Arc::clone(&held),
            body,
        };
        (body, held)
    }
}

impl Body for LargeBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.held.get().is_none() {
            match Arc::clone(&self.all.permits).try_acquire_owned() {
                Ok(permit) => _ = self.held.set(permit),
                Err(_) => {
                    if let Some(times) = self.all.refused.due() {
                        error!(times, "refused a request: {TooMany}");
                    }
                    return Poll::Ready(Some(Err(TooMany.into())));
                }
            }
        }
        let frame = Pin::new(&mut self.body).poll_frame(context);
        frame.map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
