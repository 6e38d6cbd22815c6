//! Answers whose clients have not read them yet, of which few bytes are in memory at the same time (I11). A client that does
//! not read keeps its answer until the time of a write is over; meanwhile others get a `503` where there is no room.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::BoxError;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use feed_http::Problem;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::warn;

use super::log_throttle::LogThrottle;

/// The largest answer that needs no room, in bytes: it takes less than the head of its request may.
const SMALL: usize = 4 * 1024;

/// The largest answer of a usual size, such as a page of the feed or a list. Larger ones have room of their own, so that few
/// readers of documents with data do not keep out all others.
const USUAL: usize = 64 * 1024;

/// All of them.
#[derive(Debug)]
pub(super) struct UnreadAnswers {
    usual: Room,
    large: Room,
    refused: LogThrottle,
}

/// Room for so many bytes.
#[derive(Debug)]
struct Room {
    bytes: usize,
    free: Arc<Semaphore>,
}

/// The room that an answer takes; `None` for a small one.
type Taken = Option<Arc<OwnedSemaphorePermit>>;

/// Too many bytes wait for their clients.
#[derive(Debug, thiserror::Error)]
#[error("too many bytes of answers wait for clients that do not read them")]
struct TooMany;

impl UnreadAnswers {
    /// At most so many bytes of those of a usual size, and of the larger ones.
    pub(super) fn of((usual, large): (usize, usize)) -> Arc<Self> {
        let room = |bytes| Room {
            bytes,
            free: Arc::new(Semaphore::new(bytes)),
        };
        Arc::new(Self {
            usual: room(usual),
            large: room(large),
            refused: LogThrottle::default(),
        })
    }

    /// Returns the answer, which takes room until its client has read it; a `503` if there is none.
    pub(super) fn hold(self: &Arc<Self>, response: Response) -> Response {
        let length = response.body().size_hint().exact();
        let length = length.map(|length| usize::try_from(length).unwrap_or(usize::MAX));
        if length.is_some_and(|length| length <= SMALL) {
            return response;
        }
        match length.map_or(Ok(None), |length| self.take(length)) {
            Ok(taken) => response.map(|body| {
                Body::new(Held {
                    all: Arc::clone(self),
                    taken,
                    body,
                })
            }),
            Err(error) => Problem::unavailable(error.to_string()).into_response(),
        }
    }

    /// Takes room for so many bytes. An answer with more than there is for all takes all.
    fn take(&self, length: usize) -> Result<Taken, TooMany> {
        let room = match length {
            ..=SMALL => return Ok(None),
            ..=USUAL => &self.usual,
            _ => &self.large,
        };
        let permits = u32::try_from(length.min(room.bytes)).unwrap_or(u32::MAX);
        match Arc::clone(&room.free).try_acquire_many_owned(permits) {
            Ok(permit) => Ok(Some(Arc::new(permit))),
            Err(_) => {
                if let Some(times) = self.refused.due() {
                    warn!(times, "refused a request: {TooMany}");
                }
                Err(TooMany)
            }
        }
    }
}

/// The body of an answer.
#[derive(Debug)]
struct Held {
    all: Arc<UnreadAnswers>,
    /// The room of the whole body; `None` if its length is not known: each part then takes its own.
    taken: Taken,
    body: Body,
}

/// A part of a body, which gives its room back when the connection has written it.
struct Part {
    bytes: Bytes,
    _taken: Arc<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for Part {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Held {
    fn hold(&self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, BoxError> {
        let bytes = match frame.into_data() {
            Ok(bytes) => bytes,
            Err(trailers) => return Ok(trailers),
        };
        let taken = match &self.taken {
            Some(whole) => Some(Arc::clone(whole)),
            None => self.all.take(bytes.len())?,
        };
        Ok(Frame::data(match taken {
            Some(_taken) => Bytes::from_owner(Part { bytes, _taken }),
            None => bytes,
        }))
    }
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        let frame = frame.map(|frame| self.hold(frame?));
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
