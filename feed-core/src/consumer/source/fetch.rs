//! Requests a feed, within bounds on size, time, redirects and origin (I11).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Response, StatusCode};
use tokio::time::Instant;
use tracing::{debug, info, warn};
use url::Url;

use super::answer::Answer;
use super::body::{self, BodyError, LARGEST};
use super::charset::Undecodable;
use super::document::Document;
use super::fetch_error::FetchError;
use super::freshness::fresh;
use super::header::{from_header, to_header, validator};
use super::option_names::FeedOptionNames;
use super::redact::{redact_query, redact_url};
use super::request::Requester;
use super::wait::{WAIT, Wait};
use crate::consumer::sanitize::sanitize;
use crate::consumer::subscription::Subscription;
use crate::cursor::Cursor;
use crate::event::is_traceparent;
use crate::http::with_causes;
use crate::partition::Partitions;
use crate::reached::Mark;

/// An answer that was held back took at least so long; a faster one was not, whichever server or cache gave it.
const HELD_BACK: Duration = Duration::from_secs(1);

/// The timeout of a request, in addition to the wait that it asks for.
const TIMEOUT: Duration = Duration::from_secs(20);

/// How long a held-back answer may take to begin after the wait. It never begins if the network has
/// dropped the connection; a feed that is slow to answer "nothing new" is asked again.
const BEGINS: Duration = Duration::from_secs(6);

/// How much older than the head a further page may be, as one of another server of the feed.
const LAG: Duration = Duration::from_secs(5);

/// Redirects followed for one request.
const REDIRECTS: usize = 5;

/// The validators of an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Validators {
    pub(crate) etag: Option<String>,
    pub(crate) last_modified: Option<String>,
}

/// The answer to a request for the head.
#[derive(Debug)]
pub(crate) struct HeadAnswer {
    /// `None`: nothing new (`304`).
    pub(crate) new: Option<NewHead>,
    /// True if the server held the request back as asked.
    pub(crate) waited: bool,
    /// How long the answer is fresh: no reason to ask before.
    pub(crate) fresh: Duration,
}

/// A head with new entries.
#[derive(Debug)]
pub(crate) struct NewHead {
    pub(crate) document: Document,
    pub(crate) validators: Validators,
    /// True if it contains only what is newer than the tag of the request, which the server has
    /// found in its feed.
    pub(crate) delta: bool,
}

/// Reads one feed.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    requester: Requester,
    /// The URL after a permanent redirect.
    moved: Option<Url>,
    wait: Wait,
    /// True if the server held back the last answer without news that it might have; `None` if it gave none yet.
    holds_back: Option<bool>,
    /// Where the server has asked for a pause last, and how often in a row.
    pauses: Arc<Mutex<Option<(Url, u32)>>>,
}

const PREFER: HeaderName = HeaderName::from_static("prefer");
/// Asks for entries with their data; a feed that has none with data ignores it (RFC 7240, section
/// 2).
const EVENT_DATA: &str = "event-data";
/// How a server says which preferences it has applied (RFC 7240, section 3).
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
const A_IM: HeaderName = HeaderName::from_static("a-im");
const ATOM: HeaderValue = HeaderValue::from_static("application/atom+xml, application/xml;q=0.5");

/// An answer whose body has not been read.
struct Unread {
    response: Response,
    url: Url,
    /// Its target, if redirects to it are permanent.
    moved: Option<Url>,
}

impl Source {
    pub(crate) fn new(subscription: &Subscription) -> Self {
        Self {
            requester: Requester::new(subscription),
            moved: None,
            wait: Wait::new(subscription.wait),
            holds_back: None,
            pauses: Arc::default(),
        }
    }

    /// Returns true if the server holds answers back: it may then be asked all the time. `None` if it is not known.
    pub(crate) fn holds_back(&self) -> Option<bool> {
        self.holds_back
    }

    /// Counts a pause that the server asks for at `url`, and returns how many it has asked for there and nowhere else since.
    pub(super) fn pauses_at(&self, url: &Url) -> u32 {
        let mut last = self.pauses.lock().unwrap_or_else(PoisonError::into_inner);
        let before = last.take().filter(|(at, _)| at == url);
        let pauses = before.map_or(0, |(_, pauses)| pauses) + 1;
        *last = Some((url.clone(), pauses));
        pauses
    }

    /// Returns the configured URL.
    pub(crate) fn feed_url(&self) -> &Url {
        self.requester.feed_url()
    }

    /// Returns the URL for requests.
    fn address(&self) -> &Url {
        self.moved.as_ref().unwrap_or(self.feed_url())
    }

    /// Forgets what may lead to one sick server: a permanent redirect, and the connections, which a balancer has
    /// assigned one by one, and which stay open as long as they are used.
    pub(crate) fn start_over(&mut self) {
        self.moved = None;
        self.requester.reconnect();
    }

    /// Starts over, and requests the configured URL again after a permanent redirect: its target may be a copy of
    /// the feed that no longer changes.
    pub(crate) async fn recheck_configured_url(&mut self) -> Result<(), FetchError> {
        let has_moved = self.moved.is_some();
        self.start_over();
        if has_moved {
            self.whole_head().await?;
        }
        Ok(())
    }

    /// Requests what is newer than `seen`; with `wait`, lets the server hold the answer back; with
    /// `delta`, accepts the new entries alone (RFC 3229).
    pub(crate) async fn head(
        &mut self,
        seen: &Validators,
        wait: bool,
        delta: bool,
    ) -> Result<HeadAnswer, FetchError> {
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
                if let Ok(head) = &answer {
                    if head.waited {
                        self.wait.held(held);
                    }
                    // News come at once also where others would be held back.
                    if head.waited || !wait.is_zero() && head.new.is_none() {
                        self.holds_back = Some(head.waited);
                    }
                }
                return answer;
            }
        };
        let Some(pause) = error.cuts_a_wait() else {
            return Err(error);
        };
        // If the feed is down, this request fails too; if it succeeds, only the wait was cut.
        tokio::time::sleep(pause).await;
        let head = self.ask_head(seen, Duration::ZERO, delta).await?;
        Mark::WaitCut.reached();
        let error = with_causes(&error);
        match self.wait.cut(held, Instant::now()) {
            true => info!(
                "{} answers, but two requests in a row that waited there were cut after {} s ({error}), as by a \
                 proxy with a time limit, or by instances that went away. Asks it to wait for {} s from now on, and \
                 each hour for longer. If there is such a limit, raise it above {} s to have longer waits",
                self.requester.named(self.feed_url()),
                held.as_secs(),
                self.wait.next(Instant::now()).as_secs(),
                (WAIT + BEGINS).as_secs(),
            ),
            false => debug!("a wait was cut after {} s: {error}", held.as_secs()),
        }
        Ok(HeadAnswer {
            waited: true,
            ..head
        })
    }

    /// Requests what is newer than `seen`, and lets the server hold the answer back for `wait`.
    async fn ask_head(
        &mut self,
        seen: &Validators,
        wait: Duration,
        delta: bool,
    ) -> Result<HeadAnswer, FetchError> {
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
        let waits = conditional && !wait.is_zero();
        let mut prefers = Vec::new();
        if waits {
            prefers.push(format!("wait={}", wait.as_secs()));
            timeout += wait;
        }
        // A whole head has events that were taken before: their data is of no use.
        if conditional && delta {
            prefers.push(EVENT_DATA.to_owned());
        }
        if !prefers.is_empty() {
            let prefers = HeaderValue::from_str(&prefers.join(", "));
            request.extend(prefers.map(|prefers| (PREFER, prefers)));
        }
        let asked = Instant::now();
        let begins = match waits {
            true => wait + BEGINS,
            false => TIMEOUT,
        };
        let address = self.address().clone();
        let answer = self.get(address, request, begins, timeout, LARGEST).await?;
        let moved = answer.moved.clone();
        let waited = waits && is_held_back(asked.elapsed(), wait, &answer.headers);
        let fresh = fresh(&answer.headers);
        let new = match answer.status {
            StatusCode::NOT_MODIFIED if conditional => None,
            StatusCode::NOT_MODIFIED => {
                return Err(answer.into_error("nothing was asked that could be unmodified"));
            }
            status => Some(NewHead {
                validators: Validators {
                    etag: validator(&answer.headers, &header::ETAG),
                    last_modified: validator(&answer.headers, &header::LAST_MODIFIED),
                },
                delta: status == StatusCode::IM_USED,
                document: answer.into_document()?,
            }),
        };
        // Follow a permanent redirect only to a feed: during maintenance a server may redirect to a
        // page that says so, which would then be requested for ever.
        if let (Some(moved), Some(_)) = (moved, &new) {
            let setting = self.requester.names.feed_url;
            let shown = redact_url(&moved);
            warn!("the feed has moved permanently: set {setting} to {shown}");
            self.moved = Some(moved);
        }
        Ok(HeadAnswer { new, waited, fresh })
    }

    /// Requests the head unconditionally.
    pub(crate) async fn whole_head(&mut self) -> Result<Option<NewHead>, FetchError> {
        Ok(self.head(&Validators::default(), false, false).await?.new)
    }

    /// Requests the head of a feed without sequences whose further pages did not continue it, when these had time to follow.
    pub(crate) async fn unnumbered_head_again(&mut self) -> Result<Option<NewHead>, FetchError> {
        tokio::time::sleep(LAG).await;
        let head = self.whole_head().await?;
        Ok(head.filter(|head| head.document.cursor.is_none()))
    }

    /// Requests the events after `cursor`, with their data; from the first event if it is `None`.
    /// With `share`, the feed may leave out the events of other partitions.
    pub(crate) async fn after(
        &self,
        cursor: Option<&Cursor>,
        share: Option<Partitions>,
    ) -> Result<Document, FetchError> {
        let prefers = match share {
            Some(share) => HeaderValue::try_from(format!("{EVENT_DATA}; partitions=\"{share}\"")),
            None => Ok(HeaderValue::from_static(EVENT_DATA)),
        };
        let mut request = HeaderMap::from_iter([(header::ACCEPT, ATOM)]);
        request.extend(prefers.map(|prefers| (PREFER, prefers)));
        let answer = self.get(
            self.address_after(cursor),
            request,
            TIMEOUT,
            TIMEOUT,
            LARGEST,
        );
        answer.await?.into_document_of(share)
    }

    /// Requests the events after `cursor` to see whether the feed knows it.
    pub(crate) async fn position(&self, cursor: Option<&Cursor>) -> Result<Document, FetchError> {
        self.document(self.address_after(cursor)).await
    }

    fn address_after(&self, cursor: Option<&Cursor>) -> Url {
        let mut url = self.address().clone();
        let cursor = cursor.map_or("start".to_owned(), Cursor::to_string);
        url.query_pairs_mut().append_pair("after", &cursor);
        url
    }

    /// Requests a document other than the head.
    pub(crate) async fn document(&self, url: Url) -> Result<Document, FetchError> {
        let request = HeaderMap::from_iter([(header::ACCEPT, ATOM)]);
        let answer = self.get(url, request, TIMEOUT, TIMEOUT, LARGEST).await?;
        answer.into_document()
    }

    /// Requests a document other than the head, past all caches.
    pub(crate) async fn current_document(&self, url: Url) -> Result<Document, FetchError> {
        let no_cache = HeaderValue::from_static("no-cache");
        let request =
            HeaderMap::from_iter([(header::ACCEPT, ATOM), (header::CACHE_CONTROL, no_cache)]);
        let answer = self.get(url, request, TIMEOUT, TIMEOUT, LARGEST).await?;
        answer.into_document()
    }

    /// Requests the text at `url`.
    pub(crate) async fn text(
        &self,
        url: Url,
        accept: &'static str,
    ) -> Result<Result<String, Undecodable>, FetchError> {
        Ok(self.found(url, accept, LARGEST).await?.text())
    }

    /// Requests one event's data, of at most `most` bytes, and its trace context if it comes as a CloudEvent.
    pub(crate) async fn event(
        &self,
        url: Url,
        media_type: Option<&str>,
        most: usize,
    ) -> Result<(Result<String, Undecodable>, Option<String>), FetchError> {
        let answer = self.found(url, "application/json, */*;q=0.5", most).await?;
        let text = answer.text();
        let wrong =
            body::check_type(&answer.headers, media_type, answer.names).and_then(
                |()| match &text {
                    Ok(text) => body::check_end(&answer.headers, media_type, text),
                    Err(_) => Ok(()),
                },
            );
        if let Err(wrong) = wrong {
            return Err(FetchError::Unusable {
                url: answer.name,
                wrong,
            });
        }
        let traceparent = answer.headers.get("ce-traceparent").map(from_header);
        Ok((text, traceparent.filter(|text| is_traceparent(text))))
    }

    async fn found(
        &self,
        url: Url,
        accept: &'static str,
        most: usize,
    ) -> Result<Answer, FetchError> {
        let accept = HeaderValue::from_static(accept);
        let request = HeaderMap::from_iter([(header::ACCEPT, accept)]);
        let answer = self.get(url, request, TIMEOUT, TIMEOUT, most).await?;
        if answer.status == StatusCode::OK {
            Ok(answer)
        } else {
            Err(answer.into_error(""))
        }
    }

    /// Requests an answer of at most `most` bytes that must begin within `begins`, and be complete within
    /// `timeout`, or a large one later (see [`body::read`]).
    async fn get(
        &self,
        url: Url,
        headers: HeaderMap,
        begins: Duration,
        timeout: Duration,
        most: usize,
    ) -> Result<Answer, FetchError> {
        let asked = Instant::now();
        // One timeout for all: a chain of redirects gets no more time than one answer.
        match tokio::time::timeout(timeout, self.follow(url.clone(), headers, begins)).await {
            Ok(last) => self.read(last?, asked, timeout, most).await,
            Err(_) => Err(FetchError::Late {
                url: self.requester.named(&url),
                limit: timeout,
            }),
        }
    }

    /// Follows redirects within the origin, and returns the last answer, its body unread.
    async fn follow(
        &self,
        asked: Url,
        headers: HeaderMap,
        begins: Duration,
    ) -> Result<Unread, FetchError> {
        let mut url = asked.clone();
        let mut moved = None;
        let mut for_good = true;
        let redirect_error = |wrong| FetchError::Redirect {
            url: self.requester.named(&asked),
            wrong,
        };
        for _ in 0..=REDIRECTS {
            let response = self.requester.ask(&url, &headers, begins).await?;
            if !is_redirect(response.status()) {
                return Ok(Unread {
                    response,
                    url,
                    moved,
                });
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
                return Err(redirect_error(elsewhere(&target, self.requester.names)));
            }
            for_good &= matches!(response.status().as_u16(), 301 | 308);
            if for_good {
                moved = Some(target.clone());
            }
            url = target;
        }
        Err(redirect_error(format!(
            "too often, at last to {}; the server has to be repaired",
            redact_query(&url)
        )))
    }

    /// Reads the whole answer. The body of an error only adds detail; without it, the error is the
    /// same.
    async fn read(
        &self,
        last: Unread,
        asked: Instant,
        timeout: Duration,
        most: usize,
    ) -> Result<Answer, FetchError> {
        let Unread {
            mut response,
            url,
            moved,
        } = last;
        let name = self.requester.named(&url);
        let body = body::read(&mut response, asked + timeout, most).await;
        let status = response.status();
        let body = match body {
            Ok(body) => body,
            Err(_) if !matches!(status, StatusCode::OK | StatusCode::IM_USED) => Bytes::new(),
            Err(BodyError::TooLarge) => return Err(FetchError::TooLarge { url: name }),
            Err(BodyError::Slow(bytes)) => {
                let limit = Duration::from_secs(asked.elapsed().as_secs());
                return Err(FetchError::Slow {
                    url: name,
                    bytes,
                    limit,
                });
            }
            Err(BodyError::Unusable(wrong)) => {
                return Err(FetchError::Unusable { url: name, wrong });
            }
            Err(BodyError::Broken(cause)) => {
                return Err(self.requester.unreachable(&url, cause).await);
            }
        };
        Ok(Answer {
            proxied: self.requester.is_proxied(&url),
            names: self.requester.names,
            url,
            name,
            moved,
            status,
            headers: std::mem::take(response.headers_mut()),
            body,
        })
    }
}

/// Names the target of a redirect to another origin, without its query, which may contain a secret
/// of a login.
fn elsewhere(target: &Url, names: FeedOptionNames) -> String {
    format!(
        "to another origin: {}; a login page or a captive portal? If the feed has moved there, {} must \
         say so",
        redact_query(target),
        names.feed_url
    )
}

/// Returns true if a server has held back an answer that took this long, as it was asked to for `wait`. Its headers may be
/// a cache's; the clock is not. One that does not say so is taken at its word if it took most of the wait: others are
/// slow.
fn is_held_back(took: Duration, wait: Duration, headers: &HeaderMap) -> bool {
    let applied = headers.get_all(PREFERENCE_APPLIED).iter().map(from_header);
    let says_so = applied.into_iter().any(|applied| {
        let mut preferences = applied
            .split(',')
            .map(|one| one.trim().to_ascii_lowercase());
        preferences.any(|one| one == "wait" || one.starts_with("wait="))
    });
    took >= HELD_BACK && (says_so || 2 * took >= wait)
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}
