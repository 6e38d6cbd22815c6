//! The feed's routes: which document answers which request, and with which headers.

use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};

use super::address::Addresses;
use super::conditional::{Outcome, Tags, Validators, evaluate};
use super::document::{ATOM, BATCH, Document, Link};
use super::head::Snapshot;
use super::page::{Pages, State as PageState};
use super::prefer::{IM, PREFERENCE_APPLIED, accepts_delta, wait};
use super::{Feed, Inner, atom, cloudevents};
use crate::cursor::{Cursor, Epoch};
use crate::event::{Entry, EventId, Sequence};
use crate::problem::Problem;
use crate::sequencer::end_of_second;
use crate::service::negotiate;
use crate::store::Backend;
use crate::store::publish::{Filter, Head};

/// The head may be stale only while its origin is down (RFC 5861); `no-cache` would forbid that.
const HEAD_CACHING: &str = "max-age=0, stale-if-error=86400";
/// A page whose bytes are final (RFC 8246).
const IMMUTABLE: &str = "max-age=31536000, immutable";
/// A page that still waits for one link.
const SEALED: &str = "max-age=5";
/// What holds personal data is not for shared caches, and is asked for again each time: a person
/// may have been erased.
const PRIVATE: &str = "private, no-cache";
const NO_STORE: &str = "no-store";

pub(super) fn router<B: Backend>(feed: Feed<B>) -> Router {
    let refuse = || async { Problem::method_not_allowed("GET, HEAD") };
    Router::new()
        .route("/feed", get(subscription::<B>).fallback(refuse))
        .route("/feed/{epoch}/{page}", get(page::<B>).fallback(refuse))
        .route(
            "/feed/{epoch}/batch/{range}",
            get(batch::<B>).fallback(refuse),
        )
        .route("/events/{id}", get(event::<B>).fallback(refuse))
        .with_state(feed)
}

/// `/feed`: the head, the way forward, or a filtered view, by its parameters.
async fn subscription<B: Backend>(
    State(feed): State<Feed<B>>,
    method: Method,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    accept(&headers, "application/atom+xml")?;
    match View::from_query(query.as_deref().unwrap_or_default())? {
        View::Head => feed.inner.head(&method, &headers).await,
        View::After(cursor) => feed.inner.after(cursor).await,
        View::Filtered(filter, before) => feed.inner.filtered(&filter, before, &headers).await,
    }
}

/// What the parameters of `/feed` ask for.
enum View {
    Head,
    /// `None`: from before the first event.
    After(Option<Cursor>),
    Filtered(Filter, Option<Sequence>),
}

impl View {
    /// Unknown, repeated or contradicting parameters are refused: ignored, each would be another
    /// cache key of the same bytes.
    fn from_query(query: &str) -> Result<Self, Problem> {
        let (mut after, mut before, mut filter) = (None, None, Filter::default());
        let mut seen = Vec::new();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            if seen.contains(&name) {
                return Err(Problem::bad_request(format!("`{name}` is given twice")));
            }
            match &*name {
                "after" if value == "start" => after = Some(None),
                "after" => {
                    let cursor = value.parse().map_err(|error| {
                        Problem::bad_request(format!("`after={value}`: {error}, or `start`"))
                    })?;
                    after = Some(Some(cursor));
                }
                "before" => {
                    let sequence = value.parse().ok().filter(|sequence| *sequence > 0);
                    before = Some(sequence.ok_or_else(|| {
                        Problem::bad_request(format!("`before={value}` is no sequence"))
                    })?);
                }
                "type" => filter.event_type = Some(value.into_owned()),
                "subject" => filter.subject = Some(value.into_owned()),
                other => {
                    return Err(Problem::bad_request(format!(
                        "`{other}` is no parameter of the feed; there are `after`, `type`, \
                         `subject`, and `before` beside the latter two"
                    )));
                }
            }
            seen.push(name);
        }
        match (after, filter == Filter::default(), before) {
            (None, true, None) => Ok(Self::Head),
            (Some(cursor), true, None) => Ok(Self::After(cursor)),
            (None, false, before) => Ok(Self::Filtered(filter, before)),
            _ => Err(Problem::bad_request(
                "`after` goes alone, and `before` beside `type` or `subject`",
            )),
        }
    }
}

impl<B: Backend> Inner<B> {
    /// The subscription document. Costs no query while nothing is new.
    async fn head(&self, method: &Method, headers: &HeaderMap) -> Result<Response, Problem> {
        let tags = Tags::of(headers, &header::IF_NONE_MATCH);
        let known: Vec<Cursor> = tags
            .tags
            .iter()
            .filter_map(|tag| tag.parse().ok())
            .collect();
        let mut head = self.sequencer.head();
        if known.iter().any(|cursor| beyond(cursor, &head)) {
            // We are the late one: another instance has shown more than we know.
            head = self.sequencer.look().await?.head;
        }
        let waits = wait(headers).filter(|_| method == Method::GET);
        let mut outcome = evaluate(headers, &validators(&head));
        let asked_by_tag = headers.contains_key(header::IF_NONE_MATCH);
        if outcome == Outcome::NotModified
            && asked_by_tag
            && let Some(wait) = waits
        {
            head = self.wait_for_news(&head, wait).await;
            outcome = evaluate(headers, &validators(&head));
        }
        let mut answer = match outcome {
            Outcome::Failed => return Err(Problem::precondition_failed()),
            Outcome::NotModified => Answer::not_modified(),
            Outcome::Proceed => {
                let snapshot = self
                    .entries
                    .newest(&self.sequencer, self.database.reader())
                    .await?;
                head = self.sequencer.head();
                if head.cursor() != snapshot.head.cursor() {
                    // It has moved meanwhile: what the snapshot lacks is not announced.
                    head = snapshot.head.clone();
                }
                let delta = (waits.is_some() && accepts_delta(headers))
                    .then(|| newest_seen(&known, &snapshot))
                    .flatten();
                match delta {
                    Some(seen) => Answer::delta(self.head_document(&snapshot, seen)),
                    None => Answer::ok(self.head_document(&snapshot, 0)),
                }
            }
        };
        if answer.caching.is_none() {
            answer.caching = Some(HEAD_CACHING);
        }
        answer.links = self.head_links(&head, self.pages(&head).head());
        answer.validators = Some(validators(&head));
        answer.vary = "Accept, Accept-Encoding, A-IM, Prefer";
        let mut response = answer.into_response();
        if let Some(wait) = waits
            && asked_by_tag
            && let Ok(applied) = HeaderValue::from_str(&format!("wait={}", wait.as_secs()))
        {
            response.headers_mut().insert(PREFERENCE_APPLIED, applied);
        }
        Ok(response)
    }

    /// Waits until the cursor is another one than that of `head`, `wait` is over, or we stop.
    async fn wait_for_news(&self, head: &Head, wait: Duration) -> Head {
        let mut watch = self.sequencer.watch();
        let cursor = head.cursor();
        let news = watch.wait_for(|newer| newer.cursor() != cursor);
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = self.shutdown.cancelled() => {}
            _ = news => {}
        }
        self.sequencer.head()
    }

    /// The head's entries after `seen`, or all of them if it does not reach so far back.
    fn head_document(&self, snapshot: &Snapshot, seen: Sequence) -> Bytes {
        snapshot.written(seen, || {
            let entries = snapshot.after(seen).unwrap_or(&snapshot.entries);
            let first = entries
                .first()
                .map_or(snapshot.head.sequence + 1, |entry| entry.sequence);
            let links = self.head_links(&snapshot.head, first..=snapshot.head.sequence);
            self.write(
                &snapshot.head,
                snapshot.head.cursor(),
                links,
                false,
                entries,
            )
        })
    }

    fn head_links(&self, head: &Head, events: std::ops::RangeInclusive<Sequence>) -> Vec<Link> {
        let mut links = vec![Link::feed("self", self.addresses.head())];
        if let Some(page) = self.pages(head).before_head() {
            let page = self.addresses.page(&head.epoch, page);
            links.push(Link::feed("prev-archive", page));
        }
        links.extend(self.batch_link(head, *events.start(), *events.end()));
        links
    }

    /// The way forward from `cursor`: the page that holds the next event, or what is newer.
    async fn after(&self, cursor: Option<Cursor>) -> Result<Response, Problem> {
        let mut head = self.sequencer.head();
        if let Some(cursor) = &cursor
            && beyond(cursor, &head)
        {
            head = self.sequencer.look().await?.head;
        }
        let cursor = cursor.unwrap_or_else(|| Cursor::start(head.epoch.clone()));
        self.verify(&cursor, &head).await?;
        let pages = self.pages(&head);
        let next = pages.of(cursor.sequence + 1);
        if pages.state(next) != PageState::Open {
            let page = Addresses::page_from_head(&head.epoch, next);
            let headers = [
                (header::LOCATION, page.as_str()),
                (header::CACHE_CONTROL, NO_STORE),
            ];
            return Ok((StatusCode::SEE_OTHER, headers).into_response());
        }
        let entries =
            B::entries(self.database.reader(), cursor.sequence + 1, head.sequence).await?;
        let mut links = vec![
            Link::feed("self", self.addresses.after(&cursor)),
            Link::feed("current", self.addresses.head()),
        ];
        links.extend(self.batch_link(&head, cursor.sequence + 1, head.sequence));
        let body = self.write(&head, head.cursor(), links.clone(), false, &entries);
        let mut answer = Answer::ok(body);
        answer.links = links;
        answer.caching = Some(NO_STORE);
        Ok(answer.into_response())
    }

    /// Refuses a cursor that is no place in this feed (I8).
    async fn verify(&self, cursor: &Cursor, head: &Head) -> Result<(), Problem> {
        let lost = |detail: String| {
            Problem::new(
                StatusCode::GONE,
                "cursor-gone",
                "The cursor is not a place in this feed",
                detail,
            )
            .member("epoch", head.epoch.as_str())
            .member("oldest", Cursor::start(head.epoch.clone()).to_string())
            .member("newest", head.cursor().to_string())
        };
        if cursor.epoch != head.epoch {
            return Err(lost(format!(
                "the cursor is of epoch {}, this feed of epoch {}: it is another history",
                cursor.epoch, head.epoch
            )));
        }
        if cursor.sequence > head.sequence {
            return Err(lost(format!(
                "the cursor is at sequence {}, the newest event is {}: this feed has lost events \
                 that you have seen, or was restored to an older state",
                cursor.sequence, head.sequence
            )));
        }
        let anchor = if cursor.sequence == head.sequence {
            head.anchor
        } else if cursor.sequence == 0 {
            None
        } else {
            let at = cursor.sequence;
            let entries = B::entries(self.database.reader(), at, at).await?;
            entries.first().map(|entry| entry.id)
        };
        if cursor.anchor != anchor {
            return Err(lost(format!(
                "sequence {} is another event here than the one you have seen: this feed was \
                 restored to an older state and went on from there",
                cursor.sequence
            )));
        }
        Ok(())
    }

    /// The newest events that match, or the newest of those before a sequence.
    async fn filtered(
        &self,
        filter: &Filter,
        before: Option<Sequence>,
        headers: &HeaderMap,
    ) -> Result<Response, Problem> {
        let head = self.sequencer.head();
        let bound = before.unwrap_or(head.sequence + 1).min(head.sequence + 1);
        let pool = self.database.reader();
        // One more than shown tells whether there is an older document.
        let mut entries = B::filtered(pool, filter, bound, head.page_size + 1).await?;
        let more = entries.len() as i64 > head.page_size;
        entries.truncate(usize::try_from(head.page_size).unwrap_or(usize::MAX));
        entries.reverse();
        let newest = entries.last();
        let cursor = Cursor {
            epoch: head.epoch.clone(),
            sequence: newest.map_or(0, |entry| entry.sequence),
            anchor: newest.map(|entry| entry.id),
        };
        let mut links = vec![
            Link::feed("self", self.addresses.filtered(filter, before)),
            Link::feed("first", self.addresses.filtered(filter, None)),
        ];
        if let Some(oldest) = entries.first().filter(|_| more) {
            let older = self.addresses.filtered(filter, Some(oldest.sequence));
            links.push(Link::feed("next", older));
        }
        let validators = Validators {
            tag: format!(
                "{cursor}.{}{}",
                bound_tag(before),
                if more { "+" } else { "" }
            ),
            last_modified: None,
            dated: false,
        };
        let mut answer = match evaluate(headers, &validators) {
            Outcome::Failed => return Err(Problem::precondition_failed()),
            Outcome::NotModified => Answer::not_modified(),
            Outcome::Proceed => {
                let updated = newest.map_or(head.updated, |entry| entry.updated);
                Answer::ok(atom::write(
                    &Document {
                        id: format!("{}#{}", head.feed_id.urn(), filter_name(filter)),
                        title: &format!("{}: {}", self.title, filter_name(filter)),
                        author: &self.author,
                        updated,
                        cursor,
                        links: links.clone(),
                        archive: false,
                        entries: &entries,
                    },
                    &self.addresses,
                ))
            }
        };
        answer.links = links;
        answer.caching = Some(HEAD_CACHING);
        answer.validators = Some(validators);
        Ok(answer.into_response())
    }

    /// A document of the feed itself, with the feed's id and title.
    fn write(
        &self,
        head: &Head,
        cursor: Cursor,
        links: Vec<Link>,
        archive: bool,
        entries: &[Entry],
    ) -> Bytes {
        let updated = entries.last().map_or(head.updated, |entry| entry.updated);
        atom::write(
            &Document {
                id: head.feed_id.urn(),
                title: &self.title,
                author: &self.author,
                updated,
                cursor,
                links,
                archive,
                entries,
            },
            &self.addresses,
        )
    }

    /// The link to the same events with their data, if there are any.
    fn batch_link(&self, head: &Head, first: Sequence, last: Sequence) -> Option<Link> {
        (first <= last).then(|| Link {
            rel: "related",
            href: self.addresses.batch(&head.epoch, first, last),
            media_type: Some(BATCH),
        })
    }

    fn pages(&self, head: &Head) -> Pages {
        Pages::new(head.page_size, head.sequence)
    }

    /// The head, at least as new as one in which `known` holds.
    async fn head_where(&self, known: impl Fn(&Head) -> bool) -> Result<Head, Problem> {
        let head = self.sequencer.head();
        if known(&head) {
            return Ok(head);
        }
        Ok(self.sequencer.look().await?.head)
    }
}

/// A page: a fixed range of the sequence.
async fn page<B: Backend>(
    State(feed): State<Feed<B>>,
    Path((epoch, page)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let feed = &feed.inner;
    no_parameters(query.as_deref())?;
    let missing = || Problem::not_found(format!("there is no page {page} in epoch {epoch} yet"));
    let wanted = canonical(&page).ok_or_else(missing)?;
    let epoch: Epoch = epoch.parse().map_err(|_| missing())?;
    let head = feed
        .head_where(|head| feed.pages(head).state(wanted) != PageState::Open)
        .await?;
    if epoch != head.epoch {
        return Err(another_epoch(&epoch, &head));
    }
    accept(&headers, "application/atom+xml")?;
    let pages = feed.pages(&head);
    let state = pages.state(wanted);
    let (links, caching, tag) = match state {
        PageState::Open => return Err(missing()),
        PageState::Sealed => (None, SEALED, "sealed"),
        PageState::Immutable => (Some(wanted + 1), IMMUTABLE, "immutable"),
    };
    let range = pages.range(wanted);
    let entries = B::entries(feed.database.reader(), *range.start(), *range.end()).await?;
    let Some(newest) = entries.last() else {
        return Err(Problem::internal());
    };
    let validators = Validators {
        tag: format!("{epoch}.{wanted}.{tag}"),
        last_modified: announced(newest.updated, &head).filter(|_| state == PageState::Immutable),
        dated: state == PageState::Immutable,
    };
    let page_link = |rel, page| Link::feed(rel, feed.addresses.page(&epoch, page));
    let mut all = vec![
        page_link("self", wanted),
        Link::feed("current", feed.addresses.head()),
    ];
    all.extend((wanted > 1).then(|| page_link("prev-archive", wanted - 1)));
    all.extend(links.map(|next| page_link("next-archive", next)));
    all.extend(feed.batch_link(&head, *range.start(), *range.end()));
    let mut answer = match evaluate(&headers, &validators) {
        Outcome::Failed => return Err(Problem::precondition_failed()),
        Outcome::NotModified => Answer::not_modified(),
        Outcome::Proceed => {
            let cursor = Cursor {
                epoch: epoch.clone(),
                sequence: newest.sequence,
                anchor: Some(newest.id),
            };
            Answer::ok(feed.write(&head, cursor, all.clone(), true, &entries))
        }
    };
    answer.links = all;
    answer.caching = Some(caching);
    answer.validators = Some(validators);
    Ok(answer.into_response())
}

/// The events of a range with their data.
async fn batch<B: Backend>(
    State(feed): State<Feed<B>>,
    Path((epoch, range)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let feed = &feed.inner;
    no_parameters(query.as_deref())?;
    let missing = || Problem::not_found(format!("there are no events {range} in epoch {epoch}"));
    let (first, last) = range
        .split_once('-')
        .and_then(|(first, last)| Some((canonical(first)?, canonical(last)?)))
        .filter(|(first, last)| first <= last)
        .ok_or_else(missing)?;
    let epoch: Epoch = epoch.parse().map_err(|_| missing())?;
    let head = feed.head_where(|head| last <= head.sequence).await?;
    if epoch != head.epoch {
        return Err(another_epoch(&epoch, &head));
    }
    // The head is the longest document there is.
    if last > head.sequence || last - first >= 2 * head.page_size {
        return Err(missing());
    }
    accept(&headers, BATCH)?;
    let events = B::events(feed.database.reader(), first, last).await?;
    let body = cloudevents::batch(&events, feed.addresses.base().as_str()).map_err(unreadable)?;
    Ok(with_data(body, BATCH, HeaderMap::new()))
}

/// One event, for ever as it was.
async fn event<B: Backend>(
    State(feed): State<Feed<B>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let feed = &feed.inner;
    no_parameters(query.as_deref())?;
    let missing = || Problem::not_found(format!("there is no event {id}"));
    let id = uuid::Uuid::try_parse(&id)
        .ok()
        .filter(|uuid| uuid.to_string() == id)
        .ok_or_else(missing)?;
    let event = B::event(feed.database.reader(), EventId(id))
        .await?
        .ok_or_else(missing)?;
    let source = feed.addresses.base().as_str();
    let offers = ["application/json", cloudevents::STRUCTURED];
    match negotiate(&headers, &offers) {
        Some(0) => {
            let attributes = cloudevents::binary_headers(&event, source);
            Ok(with_data(event.data.into(), "application/json", attributes))
        }
        Some(_) => {
            let body = cloudevents::structured(&event, source).map_err(unreadable)?;
            Ok(with_data(body, cloudevents::STRUCTURED, HeaderMap::new()))
        }
        None => Err(Problem::not_acceptable(&offers)),
    }
}

/// An answer with data of events.
fn with_data(body: Bytes, media_type: &'static str, attributes: HeaderMap) -> Response {
    let headers = [
        (header::CONTENT_TYPE, media_type),
        (header::CACHE_CONTROL, PRIVATE),
        (header::VARY, "Accept, Accept-Encoding"),
    ];
    (headers, attributes, body).into_response()
}

/// An answer of `/feed` or a page.
struct Answer {
    status: StatusCode,
    body: Option<Bytes>,
    caching: Option<&'static str>,
    validators: Option<Validators>,
    links: Vec<Link>,
    vary: &'static str,
}

impl Answer {
    fn ok(body: Bytes) -> Self {
        Self {
            status: StatusCode::OK,
            body: Some(body),
            caching: None,
            validators: None,
            links: Vec::new(),
            vary: "Accept, Accept-Encoding",
        }
    }

    fn not_modified() -> Self {
        Self {
            status: StatusCode::NOT_MODIFIED,
            body: None,
            ..Self::ok(Bytes::new())
        }
    }

    /// New entries alone (RFC 3229, 10.4.1); `im` tells caches that know of it, `no-store` all
    /// the others.
    fn delta(body: Bytes) -> Self {
        Self {
            status: StatusCode::IM_USED,
            caching: Some("no-store, im"),
            ..Self::ok(body)
        }
    }

    fn into_response(self) -> Response {
        let now = SystemTime::now();
        let mut headers = HeaderMap::new();
        let mut set = |name: HeaderName, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.append(name, value);
            }
        };
        set(header::DATE, &httpdate::fmt_http_date(now));
        set(header::CACHE_CONTROL, self.caching.unwrap_or(NO_STORE));
        set(header::VARY, self.vary);
        if let Some(validators) = &self.validators {
            set(header::ETAG, &validators.etag());
            // Never later than `Date`, whatever the clocks do (RFC 9110, 8.8.2.1).
            if let Some(modified) = validators.last_modified.map(|date| date.min(now)) {
                set(header::LAST_MODIFIED, &httpdate::fmt_http_date(modified));
            }
        }
        if self.status == StatusCode::IM_USED {
            set(IM, "feed");
        }
        if let Some(body) = self.body {
            set(header::CONTENT_TYPE, ATOM);
            for link in &self.links {
                let media_type = link.media_type.unwrap_or("application/atom+xml");
                let value = format!(
                    "<{}>; rel=\"{}\"; type=\"{media_type}\"",
                    link.href, link.rel
                );
                set(header::LINK, &value);
            }
            (self.status, headers, body).into_response()
        } else {
            (self.status, headers).into_response()
        }
    }
}

/// The head's validators: the tag stands for its cursor, the date for its last closed second.
fn validators(head: &Head) -> Validators {
    Validators {
        tag: head.cursor().to_string(),
        last_modified: head
            .closed_until
            .map(|until| SystemTime::from(until - TimeDelta::seconds(1))),
        dated: head.is_closed(),
    }
}

/// The date of an event that is older than the newest one, if its second is closed.
fn announced(updated: DateTime<Utc>, head: &Head) -> Option<SystemTime> {
    let closed = end_of_second(updated) <= head.closed_until?;
    closed.then(|| SystemTime::from(updated))
}

/// True if `cursor` claims to have seen more of this feed than `head` has.
fn beyond(cursor: &Cursor, head: &Head) -> bool {
    cursor.epoch == head.epoch && cursor.sequence > head.sequence
}

/// The newest of the cursors a reader names that is a place in `snapshot`.
fn newest_seen(known: &[Cursor], snapshot: &Snapshot) -> Option<Sequence> {
    known
        .iter()
        .filter(|cursor| cursor.epoch == snapshot.head.epoch)
        .filter(|cursor| cursor.sequence > 0 && snapshot.anchor(cursor.sequence) == cursor.anchor)
        .map(|cursor| cursor.sequence)
        .max()
}

fn another_epoch(epoch: &Epoch, head: &Head) -> Problem {
    Problem::not_found(format!(
        "this feed is of epoch {}, not {epoch}: it is another history",
        head.epoch
    ))
}

/// A number in its one spelling: `007` would be another address of the same bytes.
fn canonical(text: &str) -> Option<i64> {
    let number: i64 = text.parse().ok()?;
    (number > 0 && number.to_string() == text).then_some(number)
}

fn no_parameters(query: Option<&str>) -> Result<(), Problem> {
    match query {
        None => Ok(()),
        Some(_) => Err(Problem::bad_request("this address takes no parameters")),
    }
}

fn accept(headers: &HeaderMap, offer: &'static str) -> Result<(), Problem> {
    match negotiate(headers, &[offer]) {
        Some(_) => Ok(()),
        None => Err(Problem::not_acceptable(&[offer])),
    }
}

fn bound_tag(before: Option<Sequence>) -> Sequence {
    before.unwrap_or(0)
}

fn filter_name(filter: &Filter) -> String {
    let event_type = filter
        .event_type
        .iter()
        .map(|value| format!("type={value}"));
    let subject = filter
        .subject
        .iter()
        .map(|value| format!("subject={value}"));
    event_type.chain(subject).collect::<Vec<_>>().join("&")
}

fn unreadable(error: serde_json::Error) -> Problem {
    tracing::error!(
        error = &error as &dyn std::error::Error,
        "an event's data is not JSON"
    );
    Problem::internal()
}
