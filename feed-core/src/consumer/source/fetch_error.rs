//! Why a feed could not be read. Each message says what happened, what it means, and what to do.

use std::time::Duration;

use super::body::{LARGEST, SLOWEST};
use super::entry::InvalidDocument;
use super::link::RefusedLink;

/// Why a feed could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// No connection, no answer in time, or an interrupted answer.
    #[error("cannot read {url}")]
    Unreachable {
        /// The requested URL.
        url: String,
        /// The cause.
        #[source]
        cause: reqwest::Error,
    },
    /// The proxy does not forward the request.
    #[error("{url} was not asked: the proxy {proxy} ({setting}) {wrong}")]
    Proxy {
        /// The requested URL.
        url: String,
        /// The proxy, without its credentials.
        proxy: String,
        /// What the operator calls [`Subscription::proxy`](crate::Subscription::proxy).
        setting: &'static str,
        /// What the proxy does, and what to do about it.
        wrong: String,
        /// The cause, if the proxy did not answer.
        #[source]
        cause: Option<reqwest::Error>,
    },
    /// An answer that is neither the document nor "nothing new".
    #[error("{url} answered {status}{}", said(.detail))]
    Status {
        /// The requested URL.
        url: String,
        /// The status code.
        status: u16,
        /// The `detail` of the problem document, or nothing.
        detail: String,
        /// The pause that the server asks for.
        retry_after: Option<Duration>,
    },
    /// The feed rejects the credentials, or requires some.
    #[error("{url} answered {status}, so {needs}{}", said(.detail))]
    Refused {
        /// The requested URL.
        url: String,
        /// The status code, `401` or `403`.
        status: u16,
        /// What to do about it.
        needs: String,
        /// The `detail` of the problem document, or nothing.
        detail: String,
    },
    /// No complete answer in time.
    #[error("{url} did not answer within {limit:?}")]
    Late {
        /// The requested URL.
        url: String,
        /// The timeout.
        limit: Duration,
    },
    /// An answer that is not complete in time, and slower than 32 KiB a second.
    #[error(
        "{url} is too slow: {bytes} bytes of its answer have come in {limit:?}, and after 20 s it has to come at {} KiB a second",
        SLOWEST / 1024
    )]
    Slow {
        /// The requested URL.
        url: String,
        /// What has come of the body.
        bytes: usize,
        /// The time it had.
        limit: Duration,
    },
    /// A redirect to another origin, without a target, or one too many.
    #[error("{url} redirects us {wrong}")]
    Redirect {
        /// The requested URL.
        url: String,
        /// Its target, and what to do about it.
        wrong: String,
    },
    /// An answer over the bound.
    #[error("{url} answered with more than {LARGEST} bytes")]
    TooLarge {
        /// The requested URL.
        url: String,
    },
    /// An answer that is cut, damaged, or in a coding that was not requested.
    #[error("{url} sent an answer that {wrong}")]
    Unusable {
        /// The requested URL.
        url: String,
        /// What is wrong, and what to do about it.
        wrong: String,
    },
    /// A web page or something else that is not meant as a feed.
    #[error("{url} answered {found}")]
    NotAFeed {
        /// The requested URL.
        url: String,
        /// What it is instead, and what to do about it.
        found: String,
    },
    /// An answer that is no feed document.
    #[error("{url} is not a feed that we can read")]
    Document {
        /// The requested URL.
        url: String,
        /// What is wrong.
        #[source]
        cause: InvalidDocument,
    },
    /// A link that must not be followed.
    #[error("the feed cannot be followed")]
    Link(#[from] RefusedLink),
}

/// Returns what a server said, after a colon; most say nothing.
fn said(detail: &str) -> String {
    match detail {
        "" => String::new(),
        detail => format!(": {detail}"),
    }
}

impl FetchError {
    /// Returns the pause that the server asks for, if it does.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Returns how long to pause before a request without a wait, which shows whether an
    /// intermediary cut only the wait; `None` if this is another error.
    pub(crate) fn cuts_a_wait(&self) -> Option<Duration> {
        match self {
            Self::Unreachable { .. } | Self::Late { .. } | Self::Slow { .. } => {
                Some(Duration::ZERO)
            }
            Self::Status {
                status: 408 | 500..,
                retry_after,
                ..
            } => {
                let pause = retry_after.unwrap_or_default();
                (pause <= LONGEST_PAUSE).then_some(pause)
            }
            _ => None,
        }
    }
}

/// The longest `Retry-After` of an error that an intermediary that cuts waits may have produced:
/// some caches say 5 s.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
