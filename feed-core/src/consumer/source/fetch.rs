//! Asks a feed, within bounds: on size, time, redirects and origin (I11).

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Response, StatusCode};
use serde::Deserialize;
use tokio::time::Instant;
use tracing::{debug, info, warn};
use url::Url;

use super::body::{self, BodyError};
use super::charset::{Undecodable, decode};
use super::credentials::FeedCredentials;
use super::document::Document;
use super::freshness::fresh;
use super::proxy::FeedProxy;
use super::request::client;
use super::wait::Wait;
use crate::consumer::sanitize::sanitize;
use crate::cursor::Cursor;
use crate::service::with_causes;

pub(crate) use super::fetch_error::FetchError;
pub(crate) use super::wait::WAIT;

/// An answer that took so long was held back for us; one that came sooner was not, whoever gave it.
const HELD_BACK: Duration = Duration::from_secs(1);

/// How long a request may take beyond the time it was asked to wait.
const TIMEOUT: Duration = Duration::from_secs(20);

/// How long an answer that was held back may take to begin beyond that. Where the network has
/// forgotten the connection it never does; a feed that is slow to say "nothing new" is asked again.
const BEGINS: Duration = Duration::from_secs(6);

/// The longest tag that we keep, in bytes. Those of servers have less than a hundred.
const LONGEST_VALIDATOR: usize = 1_024;

/// Redirects followed for one request.
const REDIRECTS: usize = 5;

/// The longest `Retry-After` we honour at a stretch; then we look again.
pub(crate) const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(300);

/// The validators that an answer came with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Validators {
    pub(crate) etag: Option<String>,
    pub(crate) last_modified: Option<String>,
}

/// What the head said.
#[derive(Debug)]
pub(crate) struct Head {
    /// `None`: nothing new (`304`).
    pub(crate) new: Option<New>,
    /// True if the server held the request back as asked.
    pub(crate) waited: bool,
    /// How long the answer is fresh: no reason to ask before.
    pub(crate) fresh: Duration,
}

/// A head with something new.
#[derive(Debug)]
pub(crate) struct New {
    pub(crate) document: Document,
    pub(crate) validators: Validators,
    /// True if it is only what is newer than the tag we sent, which the server has found to be a
    /// place in its feed.
    pub(crate) delta: bool,
}

/// The way to one feed.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) client: Client,
    pub(crate) feed_url: Url,
    /// Where the feed was read after it had moved for good.
    moved: Option<Url>,
    pub(crate) credentials: Option<FeedCredentials>,
    pub(crate) proxy: Option<FeedProxy>,
    wait: Wait,
}

const PREFER: HeaderName = HeaderName::from_static("prefer");
const A_IM: HeaderName = HeaderName::from_static("a-im");
const ATOM: HeaderValue = HeaderValue::from_static("application/atom+xml, application/xml;q=0.5");

impl Source {
    pub(crate) fn new(
        feed_url: Url,
        credentials: Option<FeedCredentials>,
        proxy: Option<FeedProxy>,
    ) -> Self {
        let client = client(&feed_url, proxy.as_ref());
        Self {
            client,
            feed_url,
            moved: None,
            credentials,
            proxy,
            wait: Wait::new(),
        }
    }

    /// Where it is by the settings.
    pub(crate) fn feed_url(&self) -> &Url {
        &self.feed_url
    }

    /// Where the feed is asked for.
    fn address(&self) -> &Url {
        self.moved.as_ref().unwrap_or(&self.feed_url)
    }

    /// Believes no longer that the feed has moved: where it was sent to, it is not any more.
    pub(crate) fn return_home(&mut self) {
        self.moved = None;
    }

    /// Asks anew where a feed is that has moved: where it was sent to for good may be a copy of it, which
    /// stands still.
    pub(crate) async fn find_again(&mut self) -> Result<(), FetchError> {
        if self.moved.take().is_some() {
            self.whole_head().await?;
        }
        Ok(())
    }

    /// Asks for what is newer than `seen`; with `wait`, lets the server hold the answer back; with `delta`,
    /// takes that alone (RFC 3229).
    pub(crate) async fn head(
        &mut self,
        seen: &Validators,
        wait: bool,
        delta: bool,
    ) -> Result<Head, FetchError> {
        let wait = match wait && *seen != Validators::default() {
            true => self.wait.next(Instant::now()),
            false => Duration::ZERO,
        };
        let asked = Instant::now();
        let answer = self.ask_head(seen, wait, delta).await;
        let held = asked.elapsed();
        let error = match answer {
            Err(error) if !wait.is_zero() && held >= HELD_BACK => error,
            answer => {
                if answer.as_ref().is_ok_and(|head| head.waited) {
                    self.wait.held(held);
                }
                return answer;
            }
        };
        let Some(pause) = error.cuts_a_wait() else {
            return Err(error);
        };
        // A feed that is away does not answer this one either; where it does, only the wait was cut.
        tokio::time::sleep(pause).await;
        let head = self.ask_head(seen, Duration::ZERO, delta).await?;
        let error = with_causes(&error);
        match self.wait.cut(held, Instant::now()) {
            true => info!(
                "{} answers, but a request that waits there is cut after {} s ({error}), as by a proxy \
                 with a time limit. Asks it to wait for {} s from now on, and each hour for longer. To \
                 have longer waits, raise that limit above {} s",
                self.named(&self.feed_url),
                held.as_secs(),
                self.wait.next(Instant::now()).as_secs(),
                (WAIT + BEGINS).as_secs(),
            ),
            false => debug!("a wait was cut again after {} s: {error}", held.as_secs()),
        }
        Ok(Head {
            waited: true,
            ..head
        })
    }

    /// Asks for what is newer than `seen`, and lets the server hold the answer back for `wait`.
    async fn ask_head(
        &mut self,
        seen: &Validators,
        wait: Duration,
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
        if conditional && !wait.is_zero() {
            let prefer = format!("wait={}", wait.as_secs());
            request.extend(HeaderValue::from_str(&prefer).map(|prefer| (PREFER, prefer)));
            timeout += wait;
        }
        let asked = Instant::now();
        let begins = match request.contains_key(&PREFER) {
            true => wait + BEGINS,
            false => TIMEOUT,
        };
        let address = self.address().clone();
        let answer = self.get(address, request, begins, timeout).await?;
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
    pub(crate) async fn whole_head(&mut self) -> Result<Option<New>, FetchError> {
        Ok(self.head(&Validators::default(), false, false).await?.new)
    }

    /// The way forward from `cursor`; from the first event if there is none yet.
    pub(crate) async fn after(&self, cursor: Option<&Cursor>) -> Result<Document, FetchError> {
        let mut url = self.address().clone();
        let cursor = cursor.map_or("start".to_owned(), Cursor::to_string);
        url.query_pairs_mut().append_pair("after", &cursor);
        self.document(url).await
    }

    /// A document that is no head.
    pub(crate) async fn document(&self, url: Url) -> Result<Document, FetchError> {
        let request = HeaderMap::from_iter([(header::ACCEPT, ATOM)]);
        let answer = self.get(url, request, TIMEOUT, TIMEOUT).await?;
        answer.into_document()
    }

    /// The text at `url`.
    pub(crate) async fn text(
        &self,
        url: Url,
        accept: &'static str,
    ) -> Result<Result<String, Undecodable>, FetchError> {
        Ok(self.found(url, accept).await?.text())
    }

    /// One event's data, and the trace context beside it, where it comes as a CloudEvent.
    pub(crate) async fn event(
        &self,
        url: Url,
        media_type: Option<&str>,
    ) -> Result<(Result<String, Undecodable>, Option<String>), FetchError> {
        let answer = self.found(url, "application/json, */*;q=0.5").await?;
        let text = answer.text();
        let wrong = body::check_type(&answer.headers, media_type).and_then(|()| match &text {
            Ok(text) => body::check_end(&answer.headers, text),
            Err(_) => Ok(()),
        });
        if let Err(wrong) = wrong {
            return Err(FetchError::Unusable {
                url: answer.name,
                wrong,
            });
        }
        let traceparent = answer.headers.get("ce-traceparent").map(from_header);
        Ok((text, traceparent))
    }

    async fn found(&self, url: Url, accept: &'static str) -> Result<Answer, FetchError> {
        let accept = HeaderValue::from_static(accept);
        let request = HeaderMap::from_iter([(header::ACCEPT, accept)]);
        let answer = self.get(url, request, TIMEOUT, TIMEOUT).await?;
        if answer.status == StatusCode::OK {
            Ok(answer)
        } else {
            Err(answer.into_error(""))
        }
    }

    /// The answer, which must begin within `begins`, and be complete within `timeout`.
    async fn get(
        &self,
        url: Url,
        headers: HeaderMap,
        begins: Duration,
        timeout: Duration,
    ) -> Result<Answer, FetchError> {
        // One time limit for all of it: a chain of redirects gets no more than one answer.
        match tokio::time::timeout(timeout, self.follow(url.clone(), headers, begins)).await {
            Ok(answer) => answer,
            Err(_) => Err(FetchError::Late {
                url: self.named(&url),
                limit: timeout,
            }),
        }
    }

    /// The answer at the end of all redirects, which stay within the origin.
    async fn follow(
        &self,
        asked: Url,
        headers: HeaderMap,
        begins: Duration,
    ) -> Result<Answer, FetchError> {
        let mut url = asked.clone();
        let mut moved = None;
        let mut for_good = true;
        let redirect_error = |wrong| FetchError::Redirect {
            url: self.named(&asked),
            wrong,
        };
        for _ in 0..=REDIRECTS {
            let response = self.ask(&url, &headers, begins).await?;
            if !is_redirect(response.status()) {
                let answer = self.read(response, url, moved).await?;
                return Ok(answer);
            }
            let location = response.headers().get(header::LOCATION).map(from_header);
            let target = match &location {
                None => Err("to nowhere: its answer has no Location".to_owned()),
                Some(location) => url
                    .join(location)
                    .map_err(|_| format!("to nowhere: {:?} is no URL", sanitize(location))),
            };
            let target = target.map_err(redirect_error)?;
            if target.origin() != asked.origin() {
                return Err(redirect_error(elsewhere(&target)));
            }
            for_good &= matches!(response.status().as_u16(), 301 | 308);
            if for_good {
                moved = Some(target.clone());
            }
            url = target;
        }
        Err(redirect_error(format!(
            "too often, at last to {}; the server has to be repaired",
            shown_without_query(&url)
        )))
    }

    /// The whole answer. What an error says is a help; without it, it is the same error.
    async fn read(
        &self,
        mut response: Response,
        url: Url,
        moved: Option<Url>,
    ) -> Result<Answer, FetchError> {
        let name = self.named(&url);
        let body = body::read(&mut response).await;
        let status = response.status();
        let body = match body {
            Ok(body) => body,
            Err(_) if !matches!(status, StatusCode::OK | StatusCode::IM_USED) => Bytes::new(),
            Err(BodyError::TooLarge) => return Err(FetchError::TooLarge { url: name }),
            Err(BodyError::Unusable(wrong)) => {
                return Err(FetchError::Unusable { url: name, wrong });
            }
            Err(BodyError::Broken(cause)) => return Err(self.unreachable(&url, cause).await),
        };
        Ok(Answer {
            proxied: self.proxy.is_some() && url.scheme() == "http",
            url,
            name,
            moved,
            status,
            headers: std::mem::take(response.headers_mut()),
            body,
        })
    }
}

/// An address as it may be shown: without what it is protected by.
pub(crate) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    let _ = url.set_username("");
    let _ = url.set_password(None);
    sanitize(url.as_str())
}

/// A redirect to another origin, as an error names it: its query may be a secret of somebody who logs in.
fn elsewhere(target: &Url) -> String {
    format!(
        "to another origin: {}; a login page or a captive portal? If the feed has moved there, FEED_URL \
         must say so",
        shown_without_query(target)
    )
}

fn shown_without_query(url: &Url) -> String {
    let mut bare = url.clone();
    bare.set_query(None);
    bare.set_fragment(None);
    let query = if url.query().is_some() { "?…" } else { "" };
    format!("{}{query}", shown(&bare))
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

pub(crate) fn is_refused(status: StatusCode) -> bool {
    matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
}

/// What is kept of an answer to be sent with the next request, unless it would fill that, and each of our
/// rows.
fn validator(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let value = headers.get(name).map(from_header);
    value.filter(|value| value.len() <= LONGEST_VALIDATOR)
}

/// A header's bytes as text, each byte a character: tags are opaque and go back as they came
/// (RFC 9110, 8.8.3 allows bytes that are no UTF-8).
pub(crate) fn from_header(value: &HeaderValue) -> String {
    value
        .as_bytes()
        .iter()
        .map(|byte| char::from(*byte))
        .collect()
}

/// The way back.
pub(crate) fn to_header(text: &str) -> Option<HeaderValue> {
    let bytes: Vec<u8> = text
        .chars()
        .map(|character| u8::try_from(character).ok())
        .collect::<Option<_>>()?;
    HeaderValue::from_bytes(&bytes).ok()
}

/// A whole answer.
struct Answer {
    /// Where it came from, after redirects.
    url: Url,
    /// The same, as errors name it.
    name: String,
    /// True if it may be a proxy's own.
    proxied: bool,
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
                let read = Document::read(&self.body, content_type.as_deref(), self.url.clone());
                read.map_err(|cause| {
                    let url = self.name;
                    match body::instead_of_a_feed(&self.headers, &self.body) {
                        Some(found) => FetchError::NotAFeed { url, found },
                        None => FetchError::Document { url, cause },
                    }
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
        let status = self.status.as_u16();
        let detail = match status {
            407 => "a proxy on the way asks for a user and a password; FEED_PROXY sets them",
            511 => {
                "the network asks for a login first (a captive portal); log in to it, or have this \
                 machine exempted"
            }
            _ => detail,
        };
        let detail = told(&self.body).unwrap_or_else(|| detail.to_owned());
        let url = self.name;
        if is_refused(self.status) {
            let needs = match self.proxied && self.status == StatusCode::FORBIDDEN {
                true => {
                    "the feed needs other credentials than ours (FEED_CREDENTIALS_FILE), or the proxy \
                     does not let us reach it"
                }
                false => "it needs other credentials than ours (FEED_CREDENTIALS_FILE)",
            };
            return FetchError::Refused {
                url,
                status,
                needs,
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
pub(crate) fn told(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Problem {
        detail: String,
    }
    let problem: Problem = serde_json::from_slice(body).ok()?;
    Some(sanitize(&problem.detail))
}

/// Both forms of RFC 9110, 10.2.3.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
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
