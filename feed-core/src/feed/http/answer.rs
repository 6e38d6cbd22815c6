//! The headers of a document, on a 200 as on a 304 (RFC 9110, 15.4.5).

use std::sync::Arc;
use std::time::SystemTime;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

use super::unread::Unread;
use crate::cursor::Cursor;
use crate::feed::body::{Body, Coding, coding};
use crate::feed::document::LinkHeaders;
use crate::feed::prefer::IM;
use crate::http::Problem;
use crate::http::conditional::{Outcome, Validators, evaluate};

/// The position of a reader after a document with data.
const FEED_CURSOR: HeaderName = HeaderName::from_static("feed-cursor");

/// A cache may serve a stale head only while the origin is down (RFC 5861); `no-cache` would forbid
/// that.
pub(super) const HEAD: &str = "max-age=0, stale-if-error=86400";
/// A page whose bytes are final (RFC 8246).
pub(super) const IMMUTABLE: &str = "max-age=31536000, immutable";
/// A page that does not have its last link yet.
pub(super) const SEALED: &str = "max-age=5";
/// The schema of an event type, which changes with the program.
pub(super) const SCHEMA: &str = "max-age=300";
/// Shared caches must not store personal data, and every cache must revalidate it: a person may
/// have been erased.
pub(super) const PRIVATE: &str = "private, no-cache";
/// For a document with personal data that changes with each event.
pub(super) const PRIVATE_NO_STORE: &str = "private, no-store";
/// For an answer that is valid for one reader at one moment.
pub(super) const NO_STORE: &str = "no-store";
/// For an answer after a cursor to readers that wait, with what is newer: a shared cache may ask once
/// for all of them. It stays right; a reader who gets it late finds the rest in its next steps. A cache
/// needs seconds to answer ten thousand readers. (Not `must-revalidate`, with which caches may store
/// answers to credentials: RFC 9111, 3.5.)
pub(super) const NEWS: &str = "max-age=5";
/// For the same without anything newer. Readers who get it ask again at once, so it must be over soon,
/// and never be served stale, as some caches do unless told (RFC 5861).
pub(super) const NO_NEWS: &str = "max-age=1, stale-while-revalidate=0";
/// For new entries alone (RFC 3229, 10.4.1): `im` is for caches that know it, `no-store` for all
/// others.
pub(super) const DELTA: &str = "no-store, im";

/// The headers of an answer.
#[derive(Debug)]
pub(super) struct Metadata {
    pub(super) media_type: &'static str,
    pub(super) caching: &'static str,
    pub(super) validators: Option<Validators>,
    /// Sent only with a body, since a 304 does not need them.
    pub(super) links: LinkHeaders,
    /// The position of a reader after the document. Sent where the document itself may not name it.
    pub(super) cursor: Option<Cursor>,
    /// The request headers that the answer depends on.
    pub(super) vary: &'static str,
    /// The `Date`, if a `Last-Modified` is compared with it: when the content was read, by the clock that stamps events. The
    /// answer may be written later.
    pub(super) read_at: Option<SystemTime>,
    /// Where the body takes room, if it is for this reader alone.
    pub(super) unread: Option<Unread>,
}

impl Metadata {
    pub(super) fn new(media_type: &'static str, caching: &'static str, vary: &'static str) -> Self {
        Self {
            media_type,
            caching,
            vary,
            validators: None,
            links: LinkHeaders::default(),
            cursor: None,
            read_at: None,
            unread: None,
        }
    }

    /// Evaluates the preconditions; a failed one is an answer of its own.
    pub(super) fn evaluate(&self, request: &HeaderMap) -> Result<Outcome, Problem> {
        coding(request).ok_or_else(no_coding)?;
        match &self.validators {
            Some(validators) => match evaluate(request, validators) {
                Outcome::Failed => Err(Problem::precondition_failed()),
                outcome => Ok(outcome),
            },
            None => Ok(Outcome::Proceed),
        }
    }

    /// Answers as the preconditions say: with `body`, or without.
    pub(super) fn answer(self, request: &HeaderMap, body: &Body) -> Result<Response, Problem> {
        match self.evaluate(request)? {
            Outcome::NotModified => Ok(self.not_modified()),
            _ => self.ok(request, body),
        }
    }

    /// `304`
    pub(super) fn not_modified(self) -> Response {
        (StatusCode::NOT_MODIFIED, self.headers()).into_response()
    }

    /// `200` with the body in the coding that the reader prefers.
    pub(super) fn ok(self, request: &HeaderMap, body: &Body) -> Result<Response, Problem> {
        self.with_body(StatusCode::OK, request, body)
    }

    /// `226` with the new entries alone.
    pub(super) fn delta(
        mut self,
        request: &HeaderMap,
        body: &Arc<Body>,
    ) -> Result<Response, Problem> {
        if self.caching == NO_STORE {
            self.caching = DELTA;
        }
        let mut response = self.with_body(StatusCode::IM_USED, request, body)?;
        let feed = HeaderValue::from_static("feed");
        response.headers_mut().insert(IM, feed);
        Ok(response)
    }

    fn with_body(
        self,
        status: StatusCode,
        request: &HeaderMap,
        body: &Body,
    ) -> Result<Response, Problem> {
        let coding = coding(request).ok_or_else(no_coding)?;
        let (mut bytes, coding): (Bytes, Coding) = body.coded(coding);
        if let Some(unread) = &self.unread {
            bytes = unread.hold(bytes)?;
        }
        let mut headers = self.headers();
        let constant = HeaderValue::from_static;
        headers.insert(header::CONTENT_TYPE, constant(self.media_type));
        if coding == Coding::Gzip {
            headers.insert(header::CONTENT_ENCODING, constant("gzip"));
        }
        if let Some(cursor) = &self.cursor {
            set(&mut headers, FEED_CURSOR, cursor.to_string());
        }
        for link in self.links.iter() {
            headers.append(header::LINK, link.clone());
        }
        Ok((status, headers, bytes).into_response())
    }

    /// Returns the headers that a 304 shares with the 200 in its place.
    fn headers(&self) -> HeaderMap {
        let date = self.read_at.unwrap_or_else(SystemTime::now);
        // With this capacity the map does not grow.
        let mut headers = HeaderMap::with_capacity(12);
        set(&mut headers, header::DATE, httpdate::fmt_http_date(date));
        let constant = HeaderValue::from_static;
        headers.insert(header::CACHE_CONTROL, constant(self.caching));
        headers.insert(header::VARY, constant(self.vary));
        if let Some(validators) = &self.validators {
            set(&mut headers, header::ETAG, validators.etag());
            // Never later than `Date`, whatever the clocks show (RFC 9110, 8.8.2.1).
            if let Some(modified) = validators.last_modified.map(|modified| modified.min(date)) {
                let modified = httpdate::fmt_http_date(modified);
                set(&mut headers, header::LAST_MODIFIED, modified);
            }
        }
        headers
    }
}

/// The reader rejects all supported codings.
fn no_coding() -> Problem {
    let vary = HeaderValue::from_static("Accept-Encoding");
    Problem::not_acceptable(&["gzip", "identity"]).header(header::VARY, vary)
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: String) {
    // All values are ASCII; drop any other rather than fail the answer.
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(name, value);
    }
}
