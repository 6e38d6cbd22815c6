//! Why a feed could not be read. Each message says what happened, what it means, and what to do.

use std::time::Duration;

use super::body::LARGEST;
use super::entry::InvalidDocument;
use super::link::RefusedLink;

/// Why a feed could not be read.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No connection, no answer in time, or an answer that broke off.
    #[error("cannot read {url}")]
    Unreachable {
        /// What was asked for.
        url: String,
        /// What happened.
        #[source]
        cause: reqwest::Error,
    },
    /// The proxy does not pass our request on.
    #[error("{url} was not asked: the proxy {proxy} (FEED_PROXY) {wrong}")]
    Proxy {
        /// What was to be asked for.
        url: String,
        /// The proxy, without its credentials.
        proxy: String,
        /// What it does, and what to do about it.
        wrong: String,
        /// What happened, where it did not answer.
        #[source]
        cause: Option<reqwest::Error>,
    },
    /// An answer that is neither the document nor "nothing new".
    #[error("{url} answered {status}: {detail}")]
    Status {
        /// What was asked for.
        url: String,
        /// The status code.
        status: u16,
        /// The `detail` of the problem document, or nothing.
        detail: String,
        /// How long the server asks us to stay away.
        retry_after: Option<Duration>,
    },
    /// The feed asks for credentials, and these are none or not the right ones.
    #[error("{url} answered {status}, so {needs}: {detail}")]
    Refused {
        /// What was asked for.
        url: String,
        /// The status code, `401` or `403`.
        status: u16,
        /// What to do about it.
        needs: &'static str,
        /// The `detail` of the problem document, or nothing.
        detail: String,
    },
    /// No whole answer in time.
    #[error("{url} did not answer within {limit:?}")]
    Late {
        /// What was asked for.
        url: String,
        /// How long we waited.
        limit: Duration,
    },
    /// A redirect to another origin, to nowhere, or one too many.
    #[error("{url} redirects us {wrong}")]
    Redirect {
        /// What was asked for.
        url: String,
        /// Where to, and what to do about it.
        wrong: String,
    },
    /// An answer over the bound.
    #[error("{url} answered with more than {LARGEST} bytes")]
    TooLarge {
        /// What was asked for.
        url: String,
    },
    /// An answer that is cut, damaged, or in a coding that we did not ask for.
    #[error("{url} sent an answer that {wrong}")]
    Unusable {
        /// What was asked for.
        url: String,
        /// What is wrong, and what to do about it.
        wrong: String,
    },
    /// A web page or something else that is not meant as a feed.
    #[error("{url} answered {found}")]
    NotAFeed {
        /// What was asked for.
        url: String,
        /// What it is instead, and what to do about it.
        found: String,
    },
    /// An answer that is no feed document.
    #[error("{url} is not a feed that we can read")]
    Document {
        /// What was asked for.
        url: String,
        /// What is wrong.
        #[source]
        cause: InvalidDocument,
    },
    /// A link that we do not follow.
    #[error("the feed cannot be followed")]
    Link(#[from] RefusedLink),
}

impl FetchError {
    /// How long to pause before another request that does not wait tells whether only the wait was cut by
    /// something on the way; `None`: this is no such error.
    pub(crate) fn cuts_a_wait(&self) -> Option<Duration> {
        match self {
            Self::Unreachable { .. } | Self::Late { .. } => Some(Duration::ZERO),
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

/// The longest `Retry-After` of an error that may come from something that cuts waits: some caches say 5 s.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
