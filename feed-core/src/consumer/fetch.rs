//! Asks a feed, within bounds: on size, time, redirects and origin (I11).

use std::time::{Duration, Instant, SystemTime};

use bytes::{Bytes, BytesMut};
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, ClientBuilder, StatusCode, redirect};
use tracing::error;
use url::Url;

use super::address::RefusedLink;
use super::document::{Document, InvalidDocument};
use crate::cursor::Cursor;

/// The longest we ask a server to hold a request back.
pub(super) const WAIT: Duration = Duration::from_secs(20);

/// An answer that took so long was held back for us; one that came sooner was not, whoever gave it.
const HELD_BACK: Duration = Duration::from_secs(1);

/// How long a request may take beyond the time it was asked to wait.
const TIMEOUT: Duration = Duration::from_secs(20);

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The largest answer we take: a hundred events of 160 KiB each.
const LARGEST_ANSWER: usize = 16 * 1024 * 1024;

/// Redirects followed for one request.
const REDIRECTS: usize = 5;

/// The longest `Retry-After` we honour at a stretch; then we look again.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(300);

/// Why a feed could not be read.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No connection, no answer in time, an answer that broke off, or a redirect elsewhere.
    #[error("cannot read {url}")]
    Unreachable {
        /// What was asked for.
        url: String,
        /// What happened.
        #[source]
        cause: reqwest::Error,
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
    /// An answer over the bound.
    #[error("{url} answered with more than {LARGEST_ANSWER} bytes")]
    TooLarge {
        /// What was asked for.
        url: String,
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

/// The validators that an answer came with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Validators {
    pub(super) etag: Option<String>,
    pub(super) last_modified: Option<String>,
}

/// What the head said.
#[derive(Debug)]
pub(super) enum Head {
    /// `304`; true if the server held the request back as asked.
    NotModified { waited: bool },
    /// A document; true if it is only what is newer than the tag we sent, which the server has
    /// found to be a place in its feed.
    New(Box<Document>, Validators, bool),
}

/// The way to one feed.
#[derive(Debug)]
pub(super) struct Source {
    client: Client,
    feed_url: Url,
}

const PREFER: HeaderName = HeaderName::from_static("prefer");
const A_IM: HeaderName = HeaderName::from_static("a-im");
const ATOM: HeaderValue = HeaderValue::from_static("application/atom+xml, application/xml;q=0.5");

impl Source {
    pub(super) fn new(feed_url: Url) -> Self {
        // Fails where a provider is installed already: that one is used.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // Without certificates nothing has to be installed for plain HTTP.
        let trusting_nobody = || {
            let builder = client().tls_certs_only([]).build();
            builder.expect("a client with constant settings")
        };
        let client = match feed_url.scheme() {
            "http" => trusting_nobody(),
            _ => client().build().unwrap_or_else(|error| {
                // The service still answers, and each poll says what is missing.
                error!(
                    error = &error as &dyn std::error::Error,
                    "no certificates of authorities on this machine: https feeds cannot be read"
                );
                trusting_nobody()
            }),
        };
        Self { client, feed_url }
    }

    /// Asks for what is newer than `seen`, and lets the server hold the answer back.
    pub(super) async fn head(&self, seen: &Validators) -> Result<Head, FetchError> {
        let mut request = HeaderMap::from_iter([(header::ACCEPT, ATOM)]);
        let mut set = |name, value: &Option<String>| {
            let value = value.as_deref().and_then(|v| HeaderValue::from_str(v).ok());
            if let Some(value) = value {
                request.insert(name, value);
            }
        };
        set(header::IF_NONE_MATCH, &seen.etag);
        set(header::IF_MODIFIED_SINCE, &seen.last_modified);
        let mut timeout = TIMEOUT;
        let conditional = seen.etag.is_some() || seen.last_modified.is_some();
        if conditional {
            let wait = format!("wait={}", WAIT.as_secs());
            request.extend(HeaderValue::from_str(&wait).map(|wait| (PREFER, wait)));
            request.insert(A_IM, HeaderValue::from_static("feed"));
            timeout += WAIT;
        }
        let asked = Instant::now();
        let answer = self.get(self.feed_url.clone(), request, timeout).await?;
        if answer.status == StatusCode::NOT_MODIFIED {
            if !conditional {
                return Err(answer.into_error("nothing was asked that could be unmodified"));
            }
            // What the answer says of itself may be a cache's memory; the clock is not.
            let waited = asked.elapsed() >= HELD_BACK;
            return Ok(Head::NotModified { waited });
        }
        let text = |name: HeaderName| {
            let value = answer.headers.get(name)?.to_str().ok()?;
            Some(value.to_owned())
        };
        let validators = Validators {
            etag: text(header::ETAG),
            last_modified: text(header::LAST_MODIFIED),
        };
        let delta = answer.status == StatusCode::IM_USED;
        Ok(Head::New(
            Box::new(answer.into_document()?),
            validators,
            delta,
        ))
    }

    /// The way forward from `cursor`; from the first event if there is none yet.
    pub(super) async fn after(&self, cursor: Option<&Cursor>) -> Result<Document, FetchError> {
        let mut url = self.feed_url.clone();
        let cursor = cursor.map_or("start".to_owned(), Cursor::to_string);
        url.query_pairs_mut().append_pair("after", &cursor);
        self.document(url).await
    }

    /// A document that is no head.
    pub(super) async fn document(&self, url: Url) -> Result<Document, FetchError> {
        let request = HeaderMap::from_iter([(header::ACCEPT, ATOM)]);
        let answer = self.get(url, request, TIMEOUT).await?;
        answer.into_document()
    }

    /// The bytes at `url`, for content and batches.
    pub(super) async fn bytes(&self, url: Url, accept: &'static str) -> Result<Bytes, FetchError> {
        let accept = HeaderValue::from_static(accept);
        let request = HeaderMap::from_iter([(header::ACCEPT, accept)]);
        let answer = self.get(url, request, TIMEOUT).await?;
        if answer.status == StatusCode::OK {
            Ok(answer.body)
        } else {
            Err(answer.into_error(""))
        }
    }

    async fn get(
        &self,
        url: Url,
        headers: HeaderMap,
        timeout: Duration,
    ) -> Result<Answer, FetchError> {
        let failed = |cause: reqwest::Error| FetchError::Unreachable {
            url: url.to_string(),
            cause: cause.without_url(),
        };
        let request = self.client.get(url.clone()).headers(headers);
        let mut response = request.timeout(timeout).send().await.map_err(failed)?;
        let mut body = BytesMut::new();
        // Chunk by chunk: what is over the bound is never in memory, however it is compressed.
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > LARGEST_ANSWER {
                return Err(FetchError::TooLarge { url: url.into() });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer {
            url: response.url().clone(),
            status: response.status(),
            headers: std::mem::take(response.headers_mut()),
            body: body.freeze(),
        })
    }
}

/// What all requests have in common: bounds, and no way to another origin.
fn client() -> ClientBuilder {
    let same_origin = redirect::Policy::custom(|attempt| {
        let first = attempt.previous().first().map(Url::origin);
        if attempt.previous().len() > REDIRECTS {
            attempt.error("too many redirects")
        } else if first.is_some_and(|first| first == attempt.url().origin()) {
            attempt.follow()
        } else {
            attempt.error("a redirect to another origin")
        }
    });
    Client::builder()
        .user_agent(concat!("feed-core/", env!("CARGO_PKG_VERSION")))
        .redirect(same_origin)
        .connect_timeout(CONNECT_TIMEOUT)
}

/// A whole answer.
struct Answer {
    /// Where it came from, after redirects.
    url: Url,
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn into_document(self) -> Result<Document, FetchError> {
        match self.status {
            StatusCode::OK | StatusCode::IM_USED => Document::read(&self.body, self.url.clone())
                .map_err(|cause| FetchError::Document {
                    url: self.url.into(),
                    cause,
                }),
            _ => Err(self.into_error("")),
        }
    }

    fn into_error(self, detail: &str) -> FetchError {
        let problem: Option<serde_json::Value> = serde_json::from_slice(&self.body).ok();
        let told = problem.and_then(|problem| Some(problem.get("detail")?.as_str()?.to_owned()));
        FetchError::Status {
            status: self.status.as_u16(),
            detail: told.unwrap_or_else(|| detail.to_owned()),
            retry_after: retry_after(&self.headers),
            url: self.url.into(),
        }
    }
}

/// Both forms of RFC 9110, 10.2.3.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(text)
            .ok()?
            .duration_since(SystemTime::now())
            .unwrap_or(Duration::ZERO),
    };
    Some(wait.min(LONGEST_RETRY_AFTER))
}
