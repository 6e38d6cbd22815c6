//! Serves `/feed/stream`: the events as a Durable Stream in JSON mode, read half only. One message
//! is one `CloudEvent`.
//!
//! <https://github.com/durable-streams/durable-streams/blob/main/PROTOCOL.md>, of June 2026.

use std::convert::Infallible;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::Body as Stream;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::ready;
use futures_util::stream::{empty, once, unfold};
use serde_json::json;
use tokio::time::Instant;

use super::answer::{Metadata, NO_STORE, PRIVATE};
use super::head::beyond;
use super::with_data::end_of;
use crate::cursor::Cursor;
use crate::event::Sequence;
use crate::feed::body::Body;
use crate::feed::{Feed, Inner, cloudevents};
use crate::http::{HeldBack, Problem};
use crate::store::Backend;

const JSON: &str = "application/json";

const NEXT_OFFSET: HeaderName = HeaderName::from_static("stream-next-offset");
const UP_TO_DATE: HeaderName = HeaderName::from_static("stream-up-to-date");
const STREAM_CURSOR: HeaderName = HeaderName::from_static("stream-cursor");
/// What the `EventSource` of a browser sends when it connects again.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// How long a poll waits: shorter than the 30 seconds after which the client for Python gives up.
const POLL: Duration = Duration::from_secs(20);

/// How long a stream of server-sent events may be silent, for the same reason.
const SILENCE: Duration = Duration::from_secs(15);

/// How long an `EventSource` pauses before it connects again, in milliseconds.
const RETRY: u32 = 1_000;

/// How long such a stream lasts, as the protocol recommends (10.2): credentials are checked again.
const LONGEST: Duration = Duration::from_secs(60);

/// Serves the messages after an offset: at once, after a wait, or as server-sent events.
pub(super) async fn stream<B: Backend>(
    State(feed): State<Feed<B>>,
    request: Request,
) -> Result<Response, Problem> {
    let mut wanted = Wanted::from_query(request.uri().query().unwrap_or_default())?;
    let asks_for_end = request.method() == Method::HEAD;
    if asks_for_end {
        (wanted.offset, wanted.live) = (Offset::Now, Live::No);
    }
    if wanted.live == Live::ServerSentEvents
        && let Some(last) = request.headers().get(LAST_EVENT_ID)
    {
        wanted.offset = after_last(last)?;
    }
    let caching = match wanted.offset {
        Offset::Now => NO_STORE,
        _ => PRIVATE,
    };
    let wait = (wanted.live == Live::LongPoll).then_some(POLL);
    let first = feed.inner.messages(wanted.offset, wait).await?;
    if wanted.live == Live::ServerSentEvents {
        return Ok(first.followed(feed, wanted.cursor));
    }
    let mut response = match wanted.live == Live::LongPoll && first.are_none {
        true => (StatusCode::NO_CONTENT, [(header::CACHE_CONTROL, NO_STORE)]).into_response(),
        false => first.answer(request.headers(), caching)?,
    };
    if asks_for_end {
        // A GET has other messages: their length is not known here (RFC 9110, 8.6).
        *response.body_mut() = Stream::from_stream(empty::<Result<Bytes, Infallible>>());
    }
    let headers = response.headers_mut();
    first.describe(headers);
    if wait.is_some() {
        headers.insert(STREAM_CURSOR, HeaderValue::from(interval(wanted.cursor)));
        response.extensions_mut().insert(HeldBack);
    }
    Ok(response)
}

/// What the parameters ask for.
struct Wanted {
    offset: Offset,
    live: Live,
    cursor: Option<u64>,
}

/// A position in the stream.
enum Offset {
    Start,
    Now,
    At(Cursor),
}

#[derive(PartialEq, Eq)]
enum Live {
    No,
    LongPoll,
    ServerSentEvents,
}

impl Wanted {
    /// Other parameters are ignored, as the protocol demands; but not those of the feed itself, whose
    /// sender would get what it has not asked for.
    fn from_query(query: &str) -> Result<Self, Problem> {
        let (mut offset, mut live, mut cursor) = (None, Live::No, None);
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "offset" if offset.is_some() => {
                    return Err(Problem::bad_request("`offset` is given twice"));
                }
                "offset" => {
                    let position = match &*value {
                        "-1" => Some(Offset::Start),
                        "now" => Some(Offset::Now),
                        text => parsed(text).map(Offset::At),
                    };
                    offset = Some(position.ok_or_else(|| {
                        Problem::bad_request(format!(
                            "`offset={value}` is neither `-1` nor `now` nor a `Stream-Next-Offset`"
                        ))
                    })?);
                }
                "live" => {
                    live = match &*value {
                        "long-poll" => Live::LongPoll,
                        "sse" => Live::ServerSentEvents,
                        _ => return Err(Problem::bad_request("`live` is `long-poll` or `sse`")),
                    }
                }
                "cursor" => cursor = value.parse().ok(),
                "type" | "subject" | "after" | "before" => {
                    let why = format!("`{name}` is a parameter of /feed, not of its stream");
                    return Err(Problem::bad_request(why));
                }
                _ => {}
            }
        }
        if offset.is_none() && live != Live::No {
            return Err(Problem::bad_request("`live` needs an `offset`"));
        }
        Ok(Self {
            offset: offset.unwrap_or(Offset::Start),
            live,
            cursor,
        })
    }
}

/// Some messages, as a JSON array.
struct Messages {
    array: Bytes,
    are_none: bool,
    end: Cursor,
    /// Nothing is known after them.
    are_newest: bool,
}

impl<B: Backend> Inner<B> {
    /// Returns the messages after `offset`, as many as one document may have; waits for some.
    async fn messages(&self, offset: Offset, wait: Option<Duration>) -> Result<Messages, Problem> {
        self.sequencer.recent().await?;
        let head = self
            .head_where(|head| !matches!(&offset, Offset::At(cursor) if beyond(cursor, head)))
            .await?;
        let cursor = match offset {
            Offset::Start => Cursor::start(head.epoch),
            Offset::Now => head.cursor(),
            Offset::At(cursor) => cursor,
        };
        self.verify(&cursor, &head).await?;
        let newest = match wait.filter(|_| cursor.sequence == head.sequence) {
            Some(wait) => {
                self.wait_for_news(&head, wait).await?;
                Some(self.newest_after(&cursor).await?)
            }
            None => None,
        };
        let newest = newest.as_deref();
        let head = newest.map_or(&head, |newest| &newest.head);
        let events = self
            .first_events(newest, cursor.sequence + 1, head.sequence)
            .await?;
        let end = end_of(&events, head).unwrap_or(cursor);
        Ok(Messages {
            array: self
                .unread
                .hold(cloudevents::batch_document(&events, &self.documents.origin).body)?,
            are_none: events.is_empty(),
            are_newest: end.sequence == head.sequence,
            end,
        })
    }
}

impl Messages {
    fn answer(&self, request: &HeaderMap, caching: &'static str) -> Result<Response, Problem> {
        let body = Body::new(self.array.clone());
        let metadata = Metadata {
            validators: Some(body.validators(JSON)).filter(|_| caching != NO_STORE),
            ..Metadata::new(JSON, caching, "Accept-Encoding")
        };
        metadata.answer(request, &body)
    }

    fn describe(&self, headers: &mut HeaderMap) {
        if let Ok(offset) = HeaderValue::try_from(written(&self.end)) {
            headers.insert(NEXT_OFFSET, offset);
        }
        if self.are_newest {
            headers.insert(UP_TO_DATE, HeaderValue::from_static("true"));
        }
    }

    /// Answers with these messages and those that come.
    fn followed<B: Backend>(self, feed: Feed<B>, cursor: Option<u64>) -> Response {
        let until = Instant::now() + LONGEST;
        let retry = format!("retry: {RETRY}\n\n").into_bytes();
        let first = Bytes::from([retry, self.server_sent(cursor).into()].concat());
        let first = match feed.inner.unread.hold(first) {
            Ok(first) => first,
            Err(problem) => return problem.into_response(),
        };
        let later = unfold((feed, self.end), move |(feed, end)| async move {
            if Instant::now() >= until || feed.inner.shutdown.is_cancelled() {
                return None;
            }
            // After an error the reader asks again, and learns what it is.
            let news = feed.inner.messages(Offset::At(end), Some(SILENCE));
            let messages = news.await.ok()?;
            let text = match messages.are_none {
                true => Bytes::from_static(b":\n\n"),
                false => messages.server_sent(cursor),
            };
            Some((feed.inner.unread.hold(text).ok()?, (feed, messages.end)))
        });
        let events = once(ready(first)).chain(later).map(Ok::<_, Infallible>);
        let headers = [
            (header::CONTENT_TYPE, "text/event-stream"),
            (header::CACHE_CONTROL, "private, no-cache, no-store"),
            // For nginx, which would collect the events.
            (HeaderName::from_static("x-accel-buffering"), "no"),
        ];
        (headers, Stream::from_stream(events)).into_response()
    }

    /// Writes both events at once: a reader who gets one of them alone would read again from the
    /// previous offset.
    fn server_sent(&self, cursor: Option<u64>) -> Bytes {
        let mut text = Vec::with_capacity(self.array.len() + 256);
        if !self.are_none {
            text.extend_from_slice(b"event: data\ndata:");
            // In JSON they are only between tokens; here they would end the line.
            text.extend(self.array.iter().map(|byte| match byte {
                b'\n' | b'\r' => b' ',
                other => *other,
            }));
            text.extend_from_slice(b"\n\n");
        }
        let mut control = json!({
            "streamNextOffset": written(&self.end),
            "streamCursor": interval(cursor).to_string(),
        });
        if self.are_newest {
            control["upToDate"] = true.into();
        }
        // The id is that of an event that ends: before it, a reader has to read the messages again.
        let id = written(&self.end);
        text.extend_from_slice(format!("event: control\nid: {id}\ndata:{control}\n\n").as_bytes());
        text.into()
    }
}

/// Returns the position of an `EventSource` that connects again, at its address with the offset it began at.
fn after_last(id: &HeaderValue) -> Result<Offset, Problem> {
    let offset = id.to_str().ok().and_then(parsed);
    offset.map(Offset::At).ok_or_else(|| {
        Problem::bad_request("`Last-Event-ID` is not the id of an event of this stream")
    })
}

/// Writes a cursor so that a later one is also greater as text.
fn written(cursor: &Cursor) -> String {
    let anchor = cursor.anchor.map(|id| id.0.simple().to_string());
    let anchor = anchor.as_deref().unwrap_or("0");
    format!("{}.{:016}.{anchor}", cursor.epoch, cursor.sequence)
}

/// Parses an offset; each has one spelling.
fn parsed(offset: &str) -> Option<Cursor> {
    let (epoch, rest) = offset.split_once('.')?;
    let (sequence, anchor) = rest.split_once('.')?;
    let sequence: Sequence = sequence.parse().ok()?;
    let cursor = format!("{epoch}.{sequence}.{anchor}").parse().ok()?;
    (written(&cursor) == offset).then_some(cursor)
}

/// Returns the number of the interval of 20 seconds, or one after `theirs`: the key under which a
/// cache may share an answer (10.1). Ours are for one reader, but clients expect it.
fn interval(theirs: Option<u64>) -> u64 {
    const BEGIN: u64 = 1_728_432_000; // 9 October 2024
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.unwrap_or_default().as_secs().saturating_sub(BEGIN) / 20;
    match theirs {
        Some(theirs) if theirs >= now => theirs.saturating_add(fastrand::u64(1..=180)),
        _ => now,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_ordered_as_text_and_have_one_spelling() {
        let at = |sequence: Sequence| {
            let anchor = (sequence > 0).then(crate::event::EventId::new);
            let epoch = "k3v9x2pq".parse().expect("an epoch");
            Cursor {
                epoch,
                sequence,
                anchor,
            }
        };
        let cursors = [0, 1, 9, 10, 99, 100, crate::event::LAST_SEQUENCE].map(at);
        let offsets: Vec<String> = cursors.iter().map(written).collect();
        assert!(offsets.is_sorted(), "{offsets:?}");
        for (cursor, offset) in cursors.iter().zip(&offsets) {
            assert_eq!(parsed(offset).as_ref(), Some(cursor));
        }
        assert_eq!(parsed(&cursors[1].to_string()), None);
    }
}
