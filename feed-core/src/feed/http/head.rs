//! Serves `/feed`: the head, which readers poll, and the events after a cursor.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::extract::{RawQuery, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::TimeDelta;

use super::answer::{HEAD, Metadata, NEWS, NO_NEWS, NO_STORE, PRIVATE_NO_STORE};
use super::request::{canonical, not_yet};
use super::with_data::LARGEST_KEPT;
use crate::cursor::Cursor;
use crate::event::{LONGEST_NAME, Sequence, check_name};
use crate::feed::address::Addresses;
use crate::feed::body::Body;
use crate::feed::document::{Link, LinkHeaders};
use crate::feed::form::Form;
use crate::feed::page::{Pages, State as PageState};
use crate::feed::prefer::{DELTA_BASE, EVENT_DATA, PREFERENCE_APPLIED, accepts_delta, wait};
use crate::feed::presentation::cursor_in;
use crate::feed::snapshot::Snapshot;
use crate::feed::{Feed, Inner};
use crate::http::HeldBack;
use crate::http::conditional::{Outcome, Tags, Validators};
use crate::http::{Problem, query};
use crate::reached::Mark;
use crate::sequencer::Access;
use crate::store::Backend;
use crate::store::publish::{Filter, Head};

/// What an answer to `?after=` depends on. Without `Prefer` in it, caches would give an answer that
/// readers who wait may share to all others.
const VARY_AFTER: &str = "Accept, Accept-Encoding, Prefer";

/// Serves the head, the events after a cursor, or a filtered view, by the parameters.
pub(super) async fn by_parameters<B: Backend>(
    State(feed): State<Feed<B>>,
    // The whole request: an extractor would copy its headers.
    request: Request,
) -> Result<Response, Problem> {
    let view = match request.uri().query() {
        None => View::Head,
        Some(query) => View::from_query(query)?,
    };
    let headers = request.headers();
    let form = feed.inner.documents.form(headers);
    match view {
        View::Head => feed.inner.head(form, request.method(), headers).await,
        View::After(cursor) => {
            feed.inner
                .after(form, cursor, request.method(), headers)
                .await
        }
        View::Filtered(filter, before) => {
            let method = request.method();
            (feed.inner.filtered(form, &filter, before, method, headers)).await
        }
        View::FilteredAfter(filter, cursor) => {
            feed.inner
                .filtered_after(form, &filter, cursor, request.method(), headers)
                .await
        }
    }
}

/// Serves `/feed.atom`: the head as Atom, for people whose browser asks for HTML. It is a separate
/// view, not the feed's address: only the page for people links to it.
pub(super) async fn raw<B: Backend>(
    State(feed): State<Feed<B>>,
    method: Method,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    query::none(query.as_deref())?;
    let mut response = feed.inner.head(Form::Atom, &method, &headers).await?;
    let caching = HeaderValue::from_static(NO_STORE);
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, caching);
    Ok(response)
}

/// The view that the parameters of `/feed` select.
enum View {
    Head,
    /// `None`: before the first event.
    After(Option<Cursor>),
    Filtered(Filter, Option<Sequence>),
    FilteredAfter(Filter, Option<Cursor>),
}

impl View {
    fn from_query(query: &str) -> Result<Self, Problem> {
        // It would be another cache key of the same bytes.
        if query.split('&').any(str::is_empty) {
            return Err(Problem::bad_request("the query has an empty parameter"));
        }
        let (mut after, mut before, mut filter) = (None, None, Filter::default());
        let names = ["after", "before", "type", "subject"];
        for (name, value) in query::read(Some(query), "the feed", &names)? {
            match name {
                "after" if value == "start" => after = Some(None),
                "after" => {
                    let cursor = value.parse().map_err(|error| {
                        Problem::bad_request(format!("`after={value}`: {error}, or `start`"))
                    })?;
                    after = Some(Some(cursor));
                }
                "before" => {
                    let sequence = canonical(&value);
                    before = Some(sequence.ok_or_else(|| {
                        Problem::bad_request(format!("`before={value}` is not a sequence"))
                    })?);
                }
                "type" => filter.event_type = Some(wanted(name, value)?),
                _ => filter.subject = Some(wanted(name, value)?),
            }
        }
        match (after, filter.is_empty(), before) {
            (None, true, None) => Ok(Self::Head),
            (Some(cursor), true, None) => Ok(Self::After(cursor)),
            (Some(cursor), false, None) => Ok(Self::FilteredAfter(filter, cursor)),
            (None, false, before) => Ok(Self::Filtered(filter, before)),
            _ => Err(Problem::bad_request(
                "use `before` only with `type` or `subject`, and without `after`",
            )),
        }
    }
}

/// Returns the type or subject that a parameter asks for. One that no event can have is refused: its
/// reader has made a mistake, and would wait for ever.
fn wanted(name: &str, value: Cow<'_, str>) -> Result<String, Problem> {
    match check_name(&value) {
        Ok(()) => Ok(value.into_owned()),
        Err(_) => Err(Problem::bad_request(format!(
            "no event can match `{name}`: a type or subject has 1 to {LONGEST_NAME} bytes, no white \
             space around it, and no character that XML does not have"
        ))),
    }
}

impl<B: Backend> Inner<B> {
    /// Serves the head. It costs no query while nothing is new.
    async fn head(
        &self,
        form: Form,
        method: &Method,
        request: &HeaderMap,
    ) -> Result<Response, Problem> {
        let tags = Tags::of(request, &header::IF_NONE_MATCH);
        let known: Vec<Cursor> = tags.tags.iter().filter_map(|tag| cursor_in(tag)).collect();
        self.sequencer.recent().await?;
        // If a reader has seen more than this instance knows, the instance is behind.
        let mut head = self
            .head_where(|head| !known.iter().any(|cursor| beyond(cursor, head)))
            .await?;
        let caching = head_caching(form, request);
        let mut metadata = self.head_metadata(form, &head, caching);
        let mut outcome = metadata.evaluate(request)?;
        let wait = wait(request).filter(|_| method == Method::GET);
        let waits = wait.filter(|_| request.contains_key(header::IF_NONE_MATCH));
        if let (Outcome::NotModified, Some(wait)) = (outcome, waits) {
            head = self.wait_for_news(&head, wait).await?;
            metadata = self.head_metadata(form, &head, caching);
            outcome = metadata.evaluate(request)?;
        }
        let mut response = if outcome == Outcome::NotModified {
            metadata.not_modified()
        } else {
            self.head_answer(form, wait, &known, request).await?
        };
        // Of several tags, the oldest counts: `surely_seen` (RFC 3229, 10.5.1).
        if response.status() == StatusCode::IM_USED && tags.tags.len() > 1 {
            let sequence = |tag: &&Cow<'_, str>| cursor_in(tag).map(|cursor| cursor.sequence);
            let base = tags
                .tags
                .iter()
                .filter(|tag| sequence(tag).is_some())
                .min_by_key(sequence);
            if let Some(Ok(base)) = base.map(|tag| HeaderValue::from_str(&format!("W/\"{tag}\""))) {
                response.headers_mut().insert(DELTA_BASE, base);
            }
        }
        applied(&mut response, form, waits);
        Ok(response)
    }

    /// Waits until the cursor differs from that of `head`, `wait` is over, or the service stops.
    /// One watch serves all waiting readers; none of them queries the database.
    pub(super) async fn wait_for_news(&self, head: &Head, wait: Duration) -> sqlx::Result<Head> {
        let mut watch = self.sequencer.watch();
        let news = watch.wait_for(|newer| !newer.is_same(head));
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = self.shutdown.cancelled() => {}
            _ = news => {}
        }
        self.sequencer.recent().await
    }

    /// Answers with the current head: all of it, or what is newer than the reader's tag, if the
    /// request asks both for that and to wait. (Some feed readers send `A-IM: feed` and then fail
    /// on a 226; none sends `Prefer`.)
    async fn head_answer(
        &self,
        form: Form,
        wait: Option<Duration>,
        known: &[Cursor],
        request: &HeaderMap,
    ) -> Result<Response, Problem> {
        let snapshot = self.entries.newest(&self.sequencer, &self.database).await?;
        // The newest closed second, unless the cursor has moved on meanwhile.
        let head = Some(self.sequencer.head()).filter(|head| head.is_same(&snapshot.head));
        let caching = head_caching(form, request);
        let head = head.as_ref().unwrap_or(&snapshot.head);
        let mut metadata = self.head_metadata(form, head, caching);
        let wants_delta = wait.is_some() || form.has_data();
        let wants_delta = wants_delta && form != Form::Html && accepts_delta(request);
        let seen = surely_seen(known, &snapshot).filter(|_| wants_delta);
        if wants_delta && seen.is_none() && !known.is_empty() {
            Mark::TagUnproven.reached();
        }
        if form.has_data() {
            let (body, links, end) = self
                .head_with_data(form, &snapshot, seen.unwrap_or(0))
                .await?;
            // Not all of the head: a validator would hide what is at `next`. But a reader that takes
            // new entries alone gets the next ones by the tag of what it has then.
            if end != snapshot.head.cursor() {
                let head = Head {
                    sequence: end.sequence,
                    anchor: end.anchor,
                    closed_until: None,
                    ..snapshot.head.clone()
                };
                metadata = self.head_metadata(form, &head, caching);
                let leads_on = seen.is_some() || wants_delta && !known.contains(&end);
                metadata.validators = metadata.validators.filter(|_| leads_on);
            }
            (metadata.links, metadata.cursor) = (links, Some(end));
            metadata.unread = (body.len() > LARGEST_KEPT).then(|| self.unread.clone());
            return match seen {
                Some(_) => metadata.delta(request, &body),
                None => metadata.ok(request, &body),
            };
        }
        metadata.links = snapshot.links(|| {
            let head = &snapshot.head;
            LinkHeaders::new(&self.documents.head_links(head, Pages::from(head).head()))
        });
        match seen {
            Some(seen) => metadata.delta(request, &self.head_body(form, &snapshot, seen)),
            None => metadata.ok(request, &self.head_body(form, &snapshot, 0)),
        }
    }

    fn head_metadata(&self, form: Form, head: &Head, caching: &'static str) -> Metadata {
        Metadata {
            // The tag identifies the cursor and the presentation. So does the date, once the newest
            // second is closed; until then there is none, since curl drops a 200 whose date is not
            // later than the one it has sent. The date is the end of that second, and is announced
            // a second later. So it is later than what a reader takes from its own clock before the
            // event exists, and earlier than what a cache takes from its clock for the next answer
            // without one. A copy of the database may lag behind any date.
            validators: Some(Validators {
                tag: self.presentation.tag(form, head),
                last_modified: head
                    .closed_until
                    .filter(|_| head.is_closed() && self.is_presented(head))
                    .filter(|_| !self.sequencer.only_reads())
                    .map(|until| SystemTime::from(until - TimeDelta::seconds(1))),
            }),
            read_at: Some(head.read_at.into()),
            ..Metadata::new(
                form.media_type(),
                caching,
                "Accept, Accept-Encoding, A-IM, Prefer",
            )
        }
    }

    /// Returns the document of the entries after `seen`, or of all entries if the head does not
    /// reach back so far.
    fn head_body(&self, form: Form, snapshot: &Snapshot, seen: Sequence) -> Arc<Body> {
        snapshot.written(form, seen, || {
            let head = &snapshot.head;
            let entries = snapshot.after(seen).unwrap_or(&snapshot.entries);
            let first = entries
                .first()
                .map_or(head.sequence + 1, |entry| entry.sequence);
            let links = self.documents.head_links(head, first..=head.sequence);
            let document = (self.documents).document(head, head.cursor(), links, &[], entries);
            self.documents.write(form, &document)
        })
    }

    /// Serves the events after `cursor`: the page that contains the next event, or what is newer.
    async fn after(
        &self,
        form: Form,
        cursor: Option<Cursor>,
        method: &Method,
        request: &HeaderMap,
    ) -> Result<Response, Problem> {
        let (cursor, head) = self.position(cursor).await?;
        self.verify(&cursor, &head).await?;
        let wait = wait(request);
        let waits = wait.filter(|_| method == Method::GET && cursor.sequence == head.sequence);
        if let Some(wait) = waits {
            self.wait_for_news(&head, wait).await?;
        }
        // With data, only what is new is in memory.
        let from_memory = if form.has_data() { waits } else { wait };
        let newest = match from_memory {
            Some(_) => Some(self.newest_after(&cursor).await?),
            None => None,
        };
        let newest = newest.as_deref();
        let head = newest.map_or(&head, |newest| &newest.head);
        let mut response = match form.has_data() {
            true => {
                self.after_with_data(form, &cursor, head, newest, request)
                    .await?
            }
            false => {
                self.after_without_data(form, &cursor, head, newest, request)
                    .await?
            }
        };
        applied(&mut response, form, waits);
        Ok(response)
    }

    /// Returns a reader's cursor, not verified yet, and a head that is not behind it. `None`: before
    /// the first event.
    pub(super) async fn position(&self, cursor: Option<Cursor>) -> Result<(Cursor, Head), Problem> {
        self.sequencer.recent().await?;
        let head = self
            .head_where(|head| !cursor.as_ref().is_some_and(|cursor| beyond(cursor, head)))
            .await?;
        Ok((cursor.unwrap_or_else(|| Cursor::start(head.epoch)), head))
    }

    /// Returns the newest entries, for a reader at `cursor`: one query for all that waited. The
    /// history may be another one than when the wait began.
    pub(super) async fn newest_after(&self, cursor: &Cursor) -> Result<Arc<Snapshot>, Problem> {
        let newest = self.entries.newest(&self.sequencer, &self.database).await?;
        let head = &newest.head;
        if head.epoch != cursor.epoch || newest.anchor(cursor.sequence) != cursor.anchor {
            self.verify(cursor, head).await?;
        }
        Ok(newest)
    }

    /// Serves the entries after `cursor`, a position in this feed, or the page of the next one.
    ///
    /// `newest` is for readers that ask to wait, which a cache may answer together. They get no page
    /// if the head reaches back to their cursor: not every cache stores a redirect.
    async fn after_without_data(
        &self,
        form: Form,
        cursor: &Cursor,
        head: &Head,
        newest: Option<&Snapshot>,
        request: &HeaderMap,
    ) -> Result<Response, Problem> {
        let caching = match newest {
            None => NO_STORE,
            Some(_) if head.sequence > cursor.sequence => NEWS,
            Some(_) => NO_NEWS,
        };
        let first = cursor.sequence + 1;
        let entries = match newest.and_then(|newest| newest.after(cursor.sequence)) {
            Some(entries) => Cow::Borrowed(entries),
            None => {
                let pages = Pages::from(head);
                let next = pages.of(first);
                if pages.state(next) != PageState::Open {
                    return Ok(see_other(
                        &Addresses::page_from_head(&head.epoch, next),
                        caching,
                    ));
                }
                let entries = B::entries(self.database.reader(), first, head.sequence);
                Cow::Owned(self.database.statement(entries).await?)
            }
        };
        let mut links = vec![
            Link::feed(
                "self",
                self.documents.addresses.after(&Filter::default(), cursor),
            ),
            Link::feed("current", self.documents.addresses.head()),
        ];
        links.extend(self.documents.batch_link(head, first..=head.sequence));
        let link_headers = LinkHeaders::new(&links);
        let document = (self.documents).document(head, head.cursor(), links, &[], &entries);
        let metadata = Metadata {
            links: link_headers,
            ..Metadata::new(form.media_type(), caching, VARY_AFTER)
        };
        metadata.ok(request, &self.documents.write(form, &document))
    }

    /// Rejects a cursor that is no position in this feed (I8).
    pub(super) async fn verify(&self, cursor: &Cursor, head: &Head) -> Result<(), Problem> {
        if cursor.epoch != head.epoch {
            if self.access == Access::Read {
                let had = B::had_epoch(self.database.reader(), &cursor.epoch);
                if !self.database.statement(had).await? {
                    return Err(not_yet());
                }
            }
            return Err(lost(
                head,
                format!(
                    "the cursor is of epoch {}, this feed of epoch {}: it is another history",
                    cursor.epoch, head.epoch
                ),
            ));
        }
        if cursor.sequence > head.sequence {
            return Err(lost(
                head,
                format!(
                    "the cursor is at sequence {}, the newest event is {}: this feed was restored \
                     to an older state, and has lost events that you have seen",
                    cursor.sequence, head.sequence
                ),
            ));
        }
        let at = cursor.sequence;
        let anchor = match at {
            0 => None,
            _ if at == head.sequence => head.anchor,
            _ => {
                let id = B::id_at(self.database.reader(), at);
                self.database.statement(id).await?
            }
        };
        if cursor.anchor != anchor {
            return Err(lost(
                head,
                format!(
                    "sequence {at} is another event here than the one you have seen: this feed \
                     was restored to an older state and has diverged since"
                ),
            ));
        }
        Ok(())
    }
}

/// Adds which preferences of a request the answer has applied (RFC 7240, section 3).
pub(super) fn applied(response: &mut Response, form: Form, waited: Option<Duration>) {
    let headers = response.headers_mut();
    // The document of some partitions says that itself.
    if form == Form::AtomWithData && !headers.contains_key(PREFERENCE_APPLIED) {
        headers.append(PREFERENCE_APPLIED, HeaderValue::from_static(EVENT_DATA));
    }
    if let Some(wait) = waited
        && let Ok(applied) = HeaderValue::from_str(&format!("wait={}", wait.as_secs()))
    {
        headers.append(PREFERENCE_APPLIED, applied);
        response.extensions_mut().insert(HeldBack);
    }
}

/// Tells a reader whose cursor is no position in this feed where it can resume.
fn lost(head: &Head, detail: String) -> Problem {
    Mark::CursorRefused.reached();
    let title = "The cursor is not a position in this feed";
    Problem::new(StatusCode::GONE, "cursor-gone", title, detail)
        .member("epoch", head.epoch.as_str())
        .member("oldest", Cursor::start(head.epoch).to_string())
        .member("newest", head.cursor().to_string())
}

/// Returns what a reader with one of these cursors has seen, if `snapshot` reaches back so far.
fn surely_seen(known: &[Cursor], snapshot: &Snapshot) -> Option<Sequence> {
    let seen = known.iter().map(|cursor| {
        let is_here = cursor.epoch == snapshot.head.epoch
            && cursor.sequence > 0
            && snapshot.anchor(cursor.sequence) == cursor.anchor;
        is_here.then_some(cursor.sequence)
    });
    // Of several tags, any may be the reader's: a cache adds those of what it has (RFC 9110, 13.1.2).
    seen.min().flatten()
}

/// Returns the caching of the head for this request. An answer to a reader who waits is never stored: a cache that has one
/// asks with its own tag for the next reader, who then gets what the cache lacks, or waits for what the cache has.
pub(super) fn head_caching(form: Form, request: &HeaderMap) -> &'static str {
    match wait(request) {
        _ if form.has_data() => PRIVATE_NO_STORE,
        Some(_) => NO_STORE,
        None => HEAD,
    }
}

/// Returns true if `cursor` claims to have seen more of this feed than `head` has.
pub(super) fn beyond(cursor: &Cursor, head: &Head) -> bool {
    cursor.epoch == head.epoch && cursor.sequence > head.sequence
}

/// An answer without a body.
fn see_other(location: &str, caching: &'static str) -> Response {
    let headers = [
        (header::LOCATION, location),
        (header::CACHE_CONTROL, caching),
        (header::VARY, VARY_AFTER),
    ];
    (StatusCode::SEE_OTHER, headers).into_response()
}
