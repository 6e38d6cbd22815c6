//! Between the producer and the consumer: answers as the producer does, except for the fault that is planted.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, LOCATION, RETRY_AFTER,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use feed_core::EventId;
use futures_util::stream;
use tower::ServiceExt;
use url::Url;

use super::entries::Entries;

/// How long a late answer takes.
const LATE: Duration = Duration::from_secs(3);

/// The largest document that is changed.
const LARGEST: usize = 32 * 1024 * 1024;

/// A fault in the answers of a producer.
#[derive(Debug, Clone, Default)]
pub(super) enum Fault {
    #[default]
    None,
    /// Each event comes twice, also in the next document.
    Duplicates,
    /// This event is left out of Atom documents. In a batch the publisher may leave one out for good.
    Gap(EventId),
    /// `500` and `503`, with `Retry-After: 1`.
    Errors,
    /// The connection ends in the middle of a document.
    Cut,
    /// `304`, also for a request without a condition.
    NotModified,
    /// The answer comes when there are newer events.
    Late,
    /// The newest entry of an Atom document is between the others.
    Reordered,
    /// Another origin has the same resource, it says.
    Redirect(Url),
    /// It answers with its first events, whatever the cursor is.
    FromStart,
    /// The date of the head, whose seconds are all that a reader may go by.
    Dates,
}

/// What has passed.
#[derive(Debug, Default)]
pub(super) struct Passed {
    /// Requests.
    pub(super) requests: usize,
    /// Answers with the fault.
    pub(super) faults: usize,
    /// Answers with events.
    pub(super) documents: usize,
    /// The most requests in a second, since the fault was planted.
    pub(super) busiest: usize,
    /// A request had credentials.
    pub(super) authorized: bool,
    /// The ids of events that were in documents.
    shown: String,
    times: Vec<Instant>,
    last_entry: [Option<String>; 2],
}

impl Passed {
    /// Returns true if a document had this event.
    pub(super) fn has_shown(&self, event: EventId) -> bool {
        self.shown.contains(&event.to_string())
    }

    fn note(&mut self, headers: &HeaderMap) {
        let now = Instant::now();
        self.requests += 1;
        self.authorized |= headers.contains_key(AUTHORIZATION);
        self.times
            .retain(|time| now.duration_since(*time) < Duration::from_secs(1));
        self.times.push(now);
        self.busiest = self.busiest.max(self.times.len());
    }
}

#[derive(Debug)]
struct Inner {
    routes: Router,
    fault: Fault,
    passed: Passed,
    /// The second of the newest event.
    newest: SystemTime,
}

/// Answers by the routes of a feed.
#[derive(Debug, Clone)]
pub(super) struct Gate(Arc<Mutex<Inner>>);

impl Gate {
    pub(super) fn before(routes: Router) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            routes,
            fault: Fault::None,
            passed: Passed::default(),
            newest: SystemTime::UNIX_EPOCH,
        })))
    }

    /// Plants a fault in place of the last one; the requests are counted anew.
    pub(super) fn plant(&self, fault: Fault) {
        let mut inner = self.lock();
        inner.fault = fault;
        inner.passed = Passed::default();
    }

    /// Answers by other routes from now on.
    pub(super) fn replace(&self, routes: Router) {
        self.lock().routes = routes;
        self.plant(Fault::None);
    }

    /// Notes that there is a new event.
    pub(super) fn published(&self) {
        self.lock().newest = SystemTime::now();
    }

    pub(super) fn passed<T>(&self, look: impl FnOnce(&Passed) -> T) -> T {
        look(&self.lock().passed)
    }

    pub(super) fn routes(&self) -> Router {
        Router::new().fallback(answer).with_state(self.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an answer with the fault.
    fn plants(&self) -> usize {
        let passed = &mut self.lock().passed;
        passed.faults += 1;
        passed.faults
    }
}

async fn answer(State(gate): State<Gate>, mut request: Request) -> Response {
    let (fault, routes, newest) = {
        let mut inner = gate.lock();
        inner.passed.note(request.headers());
        (inner.fault.clone(), inner.routes.clone(), inner.newest)
    };
    let headers = request.headers_mut();
    headers.remove(ACCEPT_ENCODING);
    match &fault {
        Fault::Errors => {
            let status = match gate.plants() % 2 {
                0 => StatusCode::INTERNAL_SERVER_ERROR,
                _ => StatusCode::SERVICE_UNAVAILABLE,
            };
            return (status, [(RETRY_AFTER, "1")]).into_response();
        }
        Fault::NotModified => {
            gate.plants();
            return StatusCode::NOT_MODIFIED.into_response();
        }
        Fault::Redirect(origin) => {
            gate.plants();
            let path = request.uri().path_and_query();
            let to = path.and_then(|path| origin.join(path.as_str()).ok());
            let to = to.unwrap_or_else(|| origin.clone());
            let status = StatusCode::TEMPORARY_REDIRECT;
            return (status, [(LOCATION, to.to_string())]).into_response();
        }
        Fault::Duplicates | Fault::Gap(_) | Fault::Reordered => {
            headers.remove(IF_NONE_MATCH);
            headers.remove(IF_MODIFIED_SINCE);
        }
        Fault::Dates => {
            let since = headers.remove(IF_MODIFIED_SINCE);
            let since = since.filter(|_| !headers.contains_key(IF_NONE_MATCH));
            let newest = httpdate::fmt_http_date(newest);
            if since.is_some_and(|since| since == newest) {
                gate.plants();
                return StatusCode::NOT_MODIFIED.into_response();
            }
        }
        Fault::FromStart => {
            headers.remove(IF_NONE_MATCH);
            if request.uri().query().is_some() {
                *request.uri_mut() = Uri::from_static("/feed?after=start");
            }
        }
        Fault::None | Fault::Cut | Fault::Late => {}
    }
    let is_head = request.uri().path().ends_with("/feed") && request.uri().query().is_none();
    let response = match routes.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    let (mut parts, body) = response.into_parts();
    let Ok(body) = to_bytes(body, LARGEST).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let media_type = parts.headers.get(CONTENT_TYPE);
    let media_type = media_type.and_then(|value| value.to_str().ok());
    let entries = media_type.zip(std::str::from_utf8(&body).ok());
    let entries = entries.and_then(|(media_type, body)| Entries::of(media_type, body));
    let entries = entries.filter(|entries| !entries.all.is_empty());
    let changed = entries.and_then(|mut entries| {
        gate.lock().passed.documents += 1;
        let changed = gate.change(&fault, &mut entries);
        gate.lock().passed.shown += &entries.all.concat();
        changed.then(|| entries.written())
    });
    let body = match (&fault, changed) {
        (_, Some(changed)) => {
            // What is wrong must not be kept.
            for name in [ETAG, LAST_MODIFIED, CONTENT_LENGTH] {
                parts.headers.remove(name);
            }
            (parts.headers).insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            Body::from(changed)
        }
        (Fault::Cut, None) if body.len() > 1 => {
            gate.plants();
            cut(&body)
        }
        (Fault::Late, None) if gate.passed(|passed| passed.documents) == 1 => {
            gate.plants();
            tokio::time::sleep(LATE).await;
            Body::from(body)
        }
        _ => Body::from(body),
    };
    if matches!(fault, Fault::Dates) && is_head && parts.status == StatusCode::OK {
        let newest = HeaderValue::from_str(&httpdate::fmt_http_date(newest));
        parts
            .headers
            .extend(newest.ok().map(|date| (LAST_MODIFIED, date)));
    }
    Response::from_parts(parts, body)
}

impl Gate {
    /// Puts the fault into a document; returns true if it was.
    fn change(&self, fault: &Fault, entries: &mut Entries) -> bool {
        let mut inner = self.lock();
        let kept = &mut inner.passed.last_entry[usize::from(entries.is_atom)];
        match fault {
            Fault::Duplicates => {
                let newest = match entries.is_atom {
                    true => entries.all.first().cloned(),
                    false => entries.all.last().cloned(),
                };
                let again = kept.take();
                *kept = newest;
                let doubled = entries
                    .all
                    .iter()
                    .flat_map(|entry| [entry.clone(), entry.clone()]);
                entries.all = again.into_iter().chain(doubled).collect();
            }
            Fault::Gap(id) if entries.is_atom && entries.contain(&id.to_string()) => {
                let id = id.to_string();
                entries.all.retain(|entry| !entry.contains(&id));
            }
            Fault::Reordered if entries.is_atom && entries.all.len() > 1 => {
                entries.all.rotate_left(1);
                entries.all.reverse();
            }
            _ => return false,
        }
        inner.passed.faults += 1;
        true
    }
}

/// Returns half of a document, and then an error in place of the rest.
fn cut(body: &Bytes) -> Body {
    let half = body.slice(..body.len() / 2);
    let error = std::io::Error::other("cut");
    Body::from_stream(stream::iter([Ok(half), Err(error)]))
}
