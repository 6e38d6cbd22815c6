//! Asks a feed, within bounds: on size, time, redirects and origin (I11).

use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, ClientBuilder, Response, StatusCode, redirect};
use serde::Deserialize;
use tokio::time::Instant;
use tracing::{error, warn};
use url::Url;

use super::address::RefusedLink;
use super::charset::{Undecodable, decode};
use super::credentials::FeedCredentials;
use super::document::{Document, InvalidDocument};
use super::verdict::brief;
use crate::cursor::Cursor;

/// The longest we ask a server to hold a request back.
pub(super) const WAIT: Duration = Duration::from_secs(20);

/// An answer that took so long was held back for us; one that came sooner was not, whoever gave it.
const HELD_BACK: Duration = Duration::from_secs(1);

/// How long a request may take beyond the time it was asked to wait.
const TIMEOUT: Duration = Duration::from_secs(20);

/// How long an answer that was held back may take to begin beyond that. Where the network has
/// forgotten the connection it never does; a feed that is slow to say "nothing new" is asked again.
const BEGINS: Duration = Duration::from_secs(6);

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The largest answer we take: a hundred events of 160 KiB each.
const LARGEST_ANSWER: usize = 16 * 1024 * 1024;

/// The longest tag that we keep, in bytes. Those of servers have less than a hundred.
const LONGEST_VALIDATOR: usize = 1_024;

/// Redirects followed for one request.
const REDIRECTS: usize = 5;

/// The longest `Retry-After` we honour at a stretch; then we look again.
pub(super) const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(300);

/// The longest `max-age` that keeps us away from a head: one that says "a year" was not meant so.
pub(super) const LONGEST_FRESH: Duration = Duration::from_secs(3600);

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
    #[error(
        "{url} answered {status}, so it needs other credentials than ours (FEED_CREDENTIALS_FILE): \
         {detail}"
    )]
    Refused {
        /// What was asked for.
        url: String,
        /// The status code, `401` or `403`.
        status: u16,
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
        /// Where to.
        wrong: &'static str,
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
pub(super) struct Head {
    /// `None`: nothing new (`304`).
    pub(super) new: Option<New>,
    /// True if the server held the request back as asked.
    pub(super) waited: bool,
    /// How long the answer is fresh: no reason to ask before.
    pub(super) fresh: Duration,
}

/// A head with something new.
#[derive(Debug)]
pub(super) struct New {
    pub(super) document: Document,
    pub(super) validators: Validators,
    /// True if it is only what is newer than the tag we sent, which the server has found to be a
    /// place in its feed.
    pub(super) delta: bool,
}

/// The way to one feed.
#[derive(Debug, Clone)]
pub(super) struct Source {
    client: Client,
    feed_url: Url,
    /// Where the feed was read after it had moved for good.
    moved: Option<Url>,
    credentials: Option<FeedCredentials>,
}

const PREFER: HeaderName = HeaderName::from_static("prefer");
const A_IM: HeaderName = HeaderName::from_static("a-im");
const ATOM: HeaderValue = HeaderValue::from_static("application/atom+xml, application/xml;q=0.5");

impl Source {
    pub(super) fn new(feed_url: Url, credentials: Option<FeedCredentials>) -> Self {
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
        Self {
            client,
            feed_url,
            moved: None,
            credentials,
        }
    }

    /// Where it is by the settings.
    pub(super) fn feed_url(&self) -> &Url {
        &self.feed_url
    }

    /// Where the feed is asked for.
    fn address(&self) -> &Url {
        self.moved.as_ref().unwrap_or(&self.feed_url)
    }

    /// Believes no longer that the feed has moved: where it was sent to, it is not any more.
    pub(super) fn return_home(&mut self) {
        self.moved = None;
    }

    /// Asks anew where a feed is that has moved: where it was sent to for good may be a copy of it, which
    /// stands still.
    pub(super) async fn find_again(&mut self) -> Result<(), FetchError> {
        if self.moved.take().is_some() {
            self.whole_head().await?;
        }
        Ok(())
    }

    /// Asks for what is newer than `seen`; with `wait`, lets the server hold the answer back; with `delta`,
    /// takes that alone (RFC 3229).
    pub(super) async fn head(
        &mut self,
        seen: &Validators,
        wait: bool,
        delta: bool,
    ) -> Result<Head, FetchError> {
        let mut request = HeaderMap::from_iter([(header::ACCEPT, ATOM)]);
        let validators = [
            (header::IF_NONE_MATCH, &seen.etag),
            (header::IF_MODIFIED_SINCE, &seen.last_modified),
        ];
        for (name, value) in validators {
            request.extend(
                value
                    .as_deref()
                    .and_then(to_header)
                    .map(|value| (name, value)),
            );
        }
        let mut timeout = TIMEOUT;
        let conditional = request.len() > 1;
        if conditional && delta {
            request.insert(A_IM, HeaderValue::from_static("feed"));
        }
        if conditional && wait {
            let wait = format!("wait={}", WAIT.as_secs());
            request.extend(HeaderValue::from_str(&wait).map(|wait| (PREFER, wait)));
            timeout += WAIT;
        }
        let asked = Instant::now();
        let answer = self.get(self.address().clone(), request, timeout).await?;
        let moved = answer.moved.clone();
        // What the answer says of itself may be a cache's memory; the clock is not.
        let waited = conditional && asked.elapsed() >= HELD_BACK;
        let fresh = fresh(&answer.headers);
        let new = match answer.status {
            StatusCode::NOT_MODIFIED if conditional => None,
            StatusCode::NOT_MODIFIED => {
                return Err(answer.into_error("nothing was asked that could be unmodified"));
            }
            status => Some(New {
                validators: Validators {
                    etag: validator(&answer.headers, &header::ETAG),
                    last_modified: validator(&answer.headers, &header::LAST_MODIFIED),
                },
                delta: status == StatusCode::IM_USED,
                document: answer.into_document()?,
            }),
        };
        // Only a feed shows that it is there: whoever is sent away for good while a server is mended
        // finds a page that says so, and that would be asked for ever.
        if let (Some(moved), Some(_)) = (moved, &new) {
            warn!("the feed has moved for good: FEED_URL is to be {moved}");
            self.moved = Some(moved);
        }
        Ok(Head { new, waited, fresh })
    }

    /// The head as it is, whatever was read before.
    pub(super) async fn whole_head(&mut self) -> Result<Option<New>, FetchError> {
        Ok(self.head(&Validators::default(), false, false).await?.new)
    }

    /// The way forward from `cursor`; from the first event if there is none yet.
    pub(super) async fn after(&self, cursor: Option<&Cursor>) -> Result<Document, FetchError> {
        let mut url = self.address().clone();
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

    /// The text at `url`.
    pub(super) async fn text(
        &self,
        url: Url,
        accept: &'static str,
    ) -> Result<Result<String, Undecodable>, FetchError> {
        Ok(self.found(url, accept).await?.text())
    }

    /// One event's data, and the trace context beside it, where it comes as a CloudEvent.
    pub(super) async fn event(
        &self,
        url: Url,
    ) -> Result<(Result<String, Undecodable>, Option<String>), FetchError> {
        let answer = self.found(url, "application/json, */*;q=0.5").await?;
        let traceparent = answer.headers.get("ce-traceparent").map(from_header);
        Ok((answer.text(), traceparent))
    }

    async fn found(&self, url: Url, accept: &'static str) -> Result<Answer, FetchError> {
        let accept = HeaderValue::from_static(accept);
        let request = HeaderMap::from_iter([(header::ACCEPT, accept)]);
        let answer = self.get(url, request, TIMEOUT).await?;
        if answer.status == StatusCode::OK {
            Ok(answer)
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
        // One time limit for all of it: a chain of redirects gets no more than one answer.
        match tokio::time::timeout(timeout, self.follow(url.clone(), headers)).await {
            Ok(answer) => answer,
            Err(_) => Err(FetchError::Late {
                url: shown(&url),
                limit: timeout,
            }),
        }
    }

    /// The answer at the end of all redirects, which stay within the origin.
    async fn follow(&self, asked: Url, headers: HeaderMap) -> Result<Answer, FetchError> {
        let mut url = asked.clone();
        let mut moved = None;
        let mut for_good = true;
        for _ in 0..=REDIRECTS {
            let response = self.ask(&url, &headers).await?;
            if !is_redirect(response.status()) {
                let answer = read(response, url, moved).await?;
                return Ok(answer);
            }
            let location = response.headers().get(header::LOCATION);
            let target = location
                .and_then(|location| url.join(&from_header(location)).ok())
                .ok_or_else(|| redirect_error(&asked, "to nowhere"))?;
            if target.origin() != asked.origin() {
                return Err(redirect_error(&asked, "to another origin"));
            }
            for_good &= matches!(response.status().as_u16(), 301 | 308);
            if for_good {
                moved = Some(target.clone());
            }
            url = target;
        }
        Err(redirect_error(&asked, "too often"))
    }

    /// The answer to one request, with our credentials if it goes to the feed's own origin. Where
    /// they are refused, they may be others by now.
    async fn ask(&self, url: &Url, headers: &HeaderMap) -> Result<Response, FetchError> {
        let at_home = url.origin() == self.feed_url.origin();
        let credentials = self.credentials.as_ref().filter(|_| at_home);
        let Some(credentials) = credentials else {
            return self.send(url, headers.clone()).await;
        };
        let mut shown = credentials.shown();
        loop {
            let mut headers = headers.clone();
            headers.insert(header::AUTHORIZATION, shown.clone());
            let response = self.send(url, headers).await?;
            let instead = match is_refused(response.status()) {
                true => credentials.instead_of(&shown),
                false => None,
            };
            match instead {
                Some(instead) => shown = instead,
                None => return Ok(response),
            }
        }
    }

    async fn send(&self, url: &Url, headers: HeaderMap) -> Result<Response, FetchError> {
        let limit = match headers.contains_key(&PREFER) {
            true => WAIT + BEGINS,
            false => TIMEOUT,
        };
        let request = self.client.get(url.clone()).headers(headers);
        match tokio::time::timeout(limit, request.send()).await {
            Ok(sent) => sent.map_err(|cause| unreachable(url, cause)),
            Err(_) => Err(FetchError::Late {
                url: shown(url),
                limit,
            }),
        }
    }
}

/// The whole body, chunk by chunk: what is over the bound is never in memory, however it is
/// compressed.
async fn read(mut response: Response, url: Url, moved: Option<Url>) -> Result<Answer, FetchError> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|cause| unreachable(&url, cause))?
    {
        if body.len() + chunk.len() > LARGEST_ANSWER {
            return Err(FetchError::TooLarge { url: shown(&url) });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer {
        url,
        moved,
        status: response.status(),
        headers: std::mem::take(response.headers_mut()),
        body: body.freeze(),
    })
}

/// An address as it may be shown: without what it is protected by.
pub(super) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    let _ = url.set_username("");
    let _ = url.set_password(None);
    brief(url.as_str())
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

fn is_refused(status: StatusCode) -> bool {
    matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
}

fn unreachable(url: &Url, cause: reqwest::Error) -> FetchError {
    FetchError::Unreachable {
        url: shown(url),
        cause: cause.without_url(),
    }
}

fn redirect_error(url: &Url, wrong: &'static str) -> FetchError {
    FetchError::Redirect {
        url: shown(url),
        wrong,
    }
}

/// What is kept of an answer to be sent with the next request, unless it would fill that, and each of our
/// rows.
fn validator(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let value = headers.get(name).map(from_header);
    value.filter(|value| value.len() <= LONGEST_VALIDATOR)
}

/// A header's bytes as text, each byte a character: tags are opaque and go back as they came
/// (RFC 9110, 8.8.3 allows bytes that are no UTF-8).
pub(super) fn from_header(value: &HeaderValue) -> String {
    value
        .as_bytes()
        .iter()
        .map(|byte| char::from(*byte))
        .collect()
}

/// The way back.
pub(super) fn to_header(text: &str) -> Option<HeaderValue> {
    let bytes: Vec<u8> = text
        .chars()
        .map(|character| u8::try_from(character).ok())
        .collect::<Option<_>>()?;
    HeaderValue::from_bytes(&bytes).ok()
}

/// What is left of `max-age` (RFC 9111, 4.2).
pub(super) fn fresh(headers: &HeaderMap) -> Duration {
    let cache_control = headers.get_all(header::CACHE_CONTROL).iter();
    let max_age = cache_control
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .find_map(|directive| {
            // Names in any case, arguments with quotes or without (RFC 9111, 5.2).
            let (name, seconds) = directive.split_once('=')?;
            let seconds = seconds.trim().trim_matches('"').parse().ok();
            seconds.filter(|_| name.trim().eq_ignore_ascii_case("max-age"))
        });
    let age = headers
        .get(header::AGE)
        .and_then(|age| age.to_str().ok()?.trim().parse().ok());
    let left = max_age.unwrap_or(0_u64).saturating_sub(age.unwrap_or(0));
    Duration::from_secs(left).min(LONGEST_FRESH)
}

/// What all requests have in common.
fn client() -> ClientBuilder {
    Client::builder()
        .user_agent(concat!("feed-core/", env!("CARGO_PKG_VERSION")))
        // We follow them ourselves: within the origin, and we want to know of those for good.
        .redirect(redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
}

/// A whole answer.
struct Answer {
    /// Where it came from, after redirects.
    url: Url,
    /// Where it is to be asked for from now on.
    moved: Option<Url>,
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn into_document(self) -> Result<Document, FetchError> {
        match self.status {
            StatusCode::OK | StatusCode::IM_USED => {
                let content_type = self.content_type();
                let document =
                    Document::read(&self.body, content_type.as_deref(), self.url.clone());
                document.map_err(|cause| FetchError::Document {
                    url: shown(&self.url),
                    cause,
                })
            }
            _ => Err(self.into_error("")),
        }
    }

    fn content_type(&self) -> Option<String> {
        self.headers.get(header::CONTENT_TYPE).map(from_header)
    }

    fn text(&self) -> Result<String, Undecodable> {
        decode(&self.body, self.content_type().as_deref())
    }

    fn into_error(self, detail: &str) -> FetchError {
        let detail = told(&self.body).unwrap_or_else(|| detail.to_owned());
        let (url, status) = (shown(&self.url), self.status.as_u16());
        if is_refused(self.status) {
            return FetchError::Refused {
                url,
                status,
                detail,
            };
        }
        FetchError::Status {
            url,
            status,
            detail,
            retry_after: retry_after(&self.headers),
        }
    }
}

/// The `detail` of a problem document (RFC 9457). All else in it is passed over and not built: a value
/// of JSON takes many times the memory of its text.
pub(super) fn told(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Problem {
        detail: String,
    }
    let problem: Problem = serde_json::from_slice(body).ok()?;
    Some(brief(&problem.detail))
}

/// Both forms of RFC 9110, 10.2.3.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
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
