//! Takes the data of entries by the rules of RFC 4287, 4.1.3.3: from the document, or else in one
//! request if the feed has a batch document, or one by one.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::future::ready;
use std::time::{Duration, SystemTime};

use base64::Engine;
use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::warn;
use url::{Position, Url};

use super::body::LARGEST;
use super::charset::decode;
use super::document::Document;
use super::entry::FoundEntry;
use super::fetch::Source;
use super::fetch_error::FetchError;
use super::link::{RefusedLink, resolve};
use super::media_type::{essence, is_xml};
use super::redact::redact_url;
use crate::consumer::received::Received;
use crate::event::is_traceparent;
use crate::http::with_causes;
use crate::trace::{Kind, Span, of_event};

/// The data of an event, and its trace context.
pub(crate) type Content = (String, Option<String>);

/// Why an event has no data. It is stored with the event, so that each retry fetches the data
/// again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Missing {
    /// The URL of the data; `None` if the data is in the entry and cannot be read.
    pub(crate) src: Option<String>,
    /// The media type in the entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) media_type: Option<String>,
    pub(crate) reason: String,
    /// True if the cause may be transient.
    #[serde(skip)]
    pub(crate) passes: bool,
}

impl Missing {
    /// The data in the entry cannot be read.
    fn in_entry(reason: String) -> Self {
        Self {
            src: None,
            media_type: None,
            reason,
            passes: false,
        }
    }

    /// The data at `url` cannot be read. Stores the path alone: the feed may have another origin when the event is
    /// retried.
    fn at(url: &Url, media_type: Option<&str>, reason: String, passes: bool) -> Self {
        Self {
            src: Some(url[Position::BeforePath..].to_owned()),
            media_type: media_type.map(str::to_owned),
            reason,
            passes,
        }
    }
}

/// An event that has arrived, with its data or the reason why it has none.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    pub(crate) event: Received,
    pub(crate) missing: Option<Missing>,
    /// The span from reading to applying the event.
    pub(crate) span: Span,
}

impl Arrival {
    /// Begins the span of applying the event.
    pub(crate) fn applying(&self) -> Span {
        let parent = self.span.traceparent();
        let (id, now) = (&self.event.id, SystemTime::now());
        of_event("feed.apply", Kind::Internal, id, parent.as_deref(), now)
    }
}

/// Concurrent fetches of data without a batch document.
const FETCHES: usize = 8;

/// The most bytes of data that is fetched beside others: that of an event of feed-core. Larger data waits until
/// it is the first, and then may be as large as any answer; so only one of the [`FETCHES`] is large (I11).
const LARGEST_BESIDE_OTHERS: usize = 1024 * 1024;

/// Bytes of data after which fetching stops until these are applied: a feed document links to any number of
/// data documents (I11).
pub(crate) const TOGETHER: usize = LARGEST;

/// How much longer than the first data all others may take, and how long data may take that is requested again. What has
/// come by then is applied: it does not wait for data that hangs (I7), and of thousands that are linked, a stop discards few.
const PATIENCE: Duration = Duration::from_secs(3);

/// Takes the data of `entries`: from the document, or else in one request if the feed has a batch
/// document, or one by one. Returns the first of them, at least one, if all together would be too much or take too long.
///
/// The first one may have as much data as an answer may have, and the others together [`TOGETHER`]. It may take as long as
/// an answer may take, and the others together as long again and [`PATIENCE`].
pub(crate) async fn arrivals(
    source: &Source,
    document: &Document,
    entries: &[&FoundEntry],
) -> Result<Vec<Arrival>, FetchError> {
    let begun = SystemTime::now();
    let linked = entries.iter().filter(|entry| entry.is_linked()).count();
    let mut batch = match linked {
        0 => HashMap::new(),
        // A batch document of a hundred events would be too much for one of them.
        1 if document.entries.len() > 1 => HashMap::new(),
        _ => fetch_batch_document(source, document, entries).await,
    };
    let mut arrivals = Vec::with_capacity(entries.len());
    let mut single = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let found = batch.remove(&entry.id);
        let mut arrival = arrival_of(entry);
        match found {
            _ if arrival.missing.is_some() => {}
            Some(content) => (arrival.event.data, arrival.event.traceparent) = content,
            None => single.push(index),
        }
        arrivals.push(arrival);
    }
    let asked = Instant::now();
    let mut contents = stream::iter(single.clone())
        .map(|index| {
            let most = match index {
                0 => LARGEST,
                _ => LARGEST_BESIDE_OTHERS,
            };
            content(source, document, entries[index], most)
        })
        .buffered(FETCHES);
    let (mut bytes, mut until, mut failed) = (0, asked + PATIENCE, None);
    for index in single {
        let content = match index {
            0 => contents.next().await,
            _ => timeout_at(until, contents.next()).await.ok().flatten(),
        };
        match content {
            Some(Ok(content)) if index == 0 || bytes < TOGETHER => match content {
                Ok(content) => {
                    bytes += content.0.len();
                    let event = &mut arrivals[index].event;
                    (event.data, event.traceparent) = content;
                }
                Err(missing) => arrivals[index].missing = Some(missing),
            },
            Some(Err(error)) if index == 0 => {
                failed = Some(error);
                break;
            }
            // The rest is fetched again: when there is space, or the server is less busy. The next call fetches this one
            // first.
            _ => {
                arrivals.truncate(index);
                break;
            }
        }
        if index == 0 {
            until += 2 * asked.elapsed();
        }
    }
    drop(contents);
    if let Some(error) = failed {
        let missing = park_if_alone(source, document, entries[0], error).await?;
        arrivals.truncate(1);
        arrivals[0].missing = Some(missing);
    }
    for Arrival { event, span, .. } in &mut arrivals {
        let parent = event.traceparent.as_deref();
        *span = of_event("feed.poll", Kind::Consumer, &event.id, parent, begun);
    }
    Ok(arrivals)
}

/// Returns the data of those `entries` that are in the batch document, by id. Empty if there is none that
/// can be read: each is then fetched alone.
async fn fetch_batch_document(
    source: &Source,
    document: &Document,
    entries: &[&FoundEntry],
) -> HashMap<String, Content> {
    let batch = "application/cloudevents-batch+json";
    // Fetch each event alone instead: whatever is wrong with the batch document, its events may have their data. If the
    // server is away, that shows at the first one.
    let none = |error: &(dyn std::error::Error + 'static)| {
        warn!(
            error,
            "the batch document cannot be read: its events are fetched one by one"
        );
        HashMap::new()
    };
    let url = match document.link("related", Some(batch)) {
        Ok(Some(url)) => url,
        Ok(None) => return HashMap::new(),
        Err(error) => return none(&error),
    };
    let body = match source.text(url, batch).await {
        Ok(Ok(text)) => text,
        Ok(Err(error)) => return none(&error),
        Err(error) => return none(&error),
    };
    let wanted: HashSet<&str> = entries.iter().map(|entry| entry.id.as_str()).collect();
    match serde_json::from_str::<Vec<Structured<'_>>>(&body) {
        Ok(events) => events
            .into_iter()
            .map(|event| (format!("urn:uuid:{}", event.id), event))
            .filter(|(id, _)| wanted.contains(id.as_str()))
            .map(|(id, event)| {
                let traceparent = event.traceparent.filter(|text| is_traceparent(text));
                (id, (event.data.get().to_owned(), traceparent))
            })
            .collect(),
        Err(error) => none(&error),
    }
}

/// Returns the content of an entry by RFC 4287, 4.1.3.3; an error if it is linked and has more than `most` bytes, if
/// these are fewer than [`LARGEST`]. The inner error belongs to the event, and parks it.
async fn content(
    source: &Source,
    document: &Document,
    entry: &FoundEntry,
    most: usize,
) -> Result<Result<Content, Missing>, FetchError> {
    let Some(content) = &entry.content else {
        // Such an entry has no content, only links (RFC 4287, 4.1.2).
        return Ok(Ok(Content::default()));
    };
    let Some(src) = &content.src else {
        return Ok(match inline(content) {
            Ok(data) => Ok((data, entry.traceparent.clone())),
            Err(reason) => Err(Missing::in_entry(reason)),
        });
    };
    match address_of(document, entry, content, src) {
        Ok(url) if document.is_at(&url) => Ok(Err(Missing::in_entry(
            "the address of the content is that of the feed".to_owned(),
        ))),
        Ok(url) => content_at(source, url, content.content_type(), most).await,
        // If the feed moves to that origin later, the link is allowed.
        Err(error) => Ok(Err(Missing {
            reason: error.to_string(),
            src: error.target.map(String::from),
            media_type: content.content_type.clone(),
            passes: false,
        })),
    }
}

fn address_of(
    document: &Document,
    entry: &FoundEntry,
    content: &atom_syndication::Content,
    src: &str,
) -> Result<Url, RefusedLink> {
    let bases = [entry.base.as_deref(), content.base.as_deref()];
    let bases: Vec<&str> = bases.into_iter().flatten().collect();
    document.resolve(src, &bases)
}

/// How often the content of an event is requested again, and the pause before, until only this event waits.
const AGAIN: (u32, Duration) = (3, Duration::from_millis(500));

/// Rounds that the same content ends by a `Retry-After`, until only this event waits. Some balancers add one to each `503`.
const PAUSES: u32 = 3;

/// Entries of which one has to be readable while the content of another one is not.
const WITNESSES: usize = 3;

/// Returns why the event of `entry` is parked if its content fails with `error` again and again, while that of another
/// entry of its document can be read: it must not stop all others then (I7). Otherwise returns the error, since a server
/// that is away would have one event parked after the other.
async fn park_if_alone(
    source: &Source,
    document: &Document,
    entry: &FoundEntry,
    error: FetchError,
) -> Result<Missing, FetchError> {
    let Some((linked, src)) = entry.linked() else {
        return Err(error);
    };
    let url = address_of(document, entry, linked, src)?;
    let (attempts, pause) = AGAIN;
    let attempts = match error {
        // All others have waited long.
        FetchError::Late { .. } | FetchError::Slow { .. } => 1,
        FetchError::Status {
            retry_after: Some(_),
            status,
            ..
        } if status < 500 || source.pauses_at(&url) < PAUSES => return Err(error),
        FetchError::Status {
            retry_after: Some(_),
            ..
        } => 1,
        _ => attempts,
    };
    let is_other = |other: &&FoundEntry| other.is_linked() && other.id != entry.id;
    let others = document.entries.iter().rev().filter(is_other);
    let others: Vec<&FoundEntry> = others.take(WITNESSES).collect();
    for _ in 0..attempts {
        // What is too large to be read beside others is there, too.
        let works = stream::iter(0..others.len())
            .map(|other| content(source, document, others[other], LARGEST_BESIDE_OTHERS))
            .buffer_unordered(WITNESSES)
            .any(|read| ready(matches!(read, Ok(Ok(_)) | Err(FetchError::TooLarge { .. }))));
        if !works.await {
            return Err(error);
        }
        tokio::time::sleep(pause).await;
        // A retry of a parked event takes more time, beside the rounds.
        let again = timeout(PATIENCE, content(source, document, entry, LARGEST));
        if matches!(again.await, Ok(Ok(_))) {
            return Err(error);
        }
    }
    Ok(Missing::at(
        &url,
        linked.content_type(),
        with_causes(&error),
        true,
    ))
}

/// Returns true for a status that one event may cause alone: it parks the event at once. The server, a proxy or our
/// credentials cause the others, for one event after the other.
fn is_of_event(status: u16) -> bool {
    !matches!(status, 401 | 403 | 407 | 408 | 421 | 425 | 429 | 500..)
}

/// Fetches the content at `url`, whose type in the entry is `media_type`. The inner error belongs
/// to the event, and parks it.
async fn content_at(
    source: &Source,
    url: Url,
    media_type: Option<&str>,
    most: usize,
) -> Result<Result<Content, Missing>, FetchError> {
    let missing = |reason, passes| Ok(Err(Missing::at(&url, media_type, reason, passes)));
    match source.event(url.clone(), media_type, most).await {
        Ok((Ok(data), traceparent)) => Ok(Ok((data, traceparent))),
        Ok((Err(error), _)) => missing(
            format!("the content at {}: {error}", redact_url(&url)),
            false,
        ),
        Err(error @ FetchError::TooLarge { .. }) if most < LARGEST => Err(error),
        Err(
            error @ (FetchError::Status { status: 410, .. }
            | FetchError::TooLarge { .. }
            | FetchError::Redirect { .. }),
        ) => missing(error.to_string(), false),
        // A missing document may be transient.
        Err(error @ FetchError::Unusable { .. }) => missing(error.to_string(), true),
        Err(error @ FetchError::Status { status, .. }) if is_of_event(status) => {
            missing(error.to_string(), true)
        }
        Err(error) => Err(error),
    }
}

/// Fetches the missing data of an event again, by the same rules.
///
/// The event does not cause the failure of a server. But only this event is retried here, and no
/// other waits for it.
pub(crate) async fn content_again(
    source: &Source,
    src: &str,
    media_type: Option<&str>,
) -> Result<Content, Missing> {
    let missing = |reason, passes| Missing {
        src: Some(src.to_owned()),
        media_type: media_type.map(str::to_owned),
        reason,
        passes,
    };
    let url = resolve(src, &[], None, source.feed_url())
        .map_err(|error| missing(error.to_string(), false))?;
    match content_at(source, url, media_type, LARGEST).await {
        Ok(content) => content,
        Err(error) => Err(missing(with_causes(&error), true)),
    }
}

/// Creates an event whose data is not fetched yet.
fn arrival_of(entry: &FoundEntry) -> Arrival {
    Arrival {
        event: Received {
            id: entry.id.clone(),
            event_type: entry.event_type.clone(),
            subject: entry.subject().to_owned(),
            sequence: entry.sequence,
            time: entry.published,
            data: String::new(),
            traceparent: None,
        },
        missing: entry.unreadable.clone().map(Missing::in_entry),
        span: Span::none(),
    }
}

/// Returns content that is in the entry (RFC 4287, 4.1.3.3): text, or elements as they were
/// written; JSON and other media types in Base64.
pub(crate) fn inline(content: &atom_syndication::Content) -> Result<String, String> {
    let value = content.value().unwrap_or_default();
    let media_type = content.content_type().unwrap_or("text");
    let essence = essence(media_type);
    // XML may also be written as text: escaped, or in a CDATA section.
    if essence == "xhtml" || is_xml(&essence) {
        return Ok(unmarked(value).trim().to_owned());
    }
    if matches!(essence.as_str(), "text" | "html") || essence.starts_with("text/") {
        return Ok(unmarked(value).to_owned());
    }
    let packed: String = value.split_ascii_whitespace().collect();
    let decoded = base64::engine::general_purpose::STANDARD
        .decode(packed)
        .map_err(|error| format!("the content of type {essence} is not Base64: {error}"))?;
    let text = decode(&decoded, Some(media_type));
    text.map(Cow::into_owned)
        .map_err(|error| format!("the content: {error}"))
}

/// Removes a byte order mark, which JSON parsers reject.
fn unmarked(text: &str) -> &str {
    text.trim_start_matches('\u{feff}')
}

/// What is read of an event in a batch document, borrowed until it is known to be wanted: the entry
/// has its identity and position.
#[derive(Deserialize)]
struct Structured<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    traceparent: Option<String>,
    #[serde(borrow)]
    data: &'a RawValue,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consumer::source::document::tests::feed;
    use crate::consumer::source::walk::tests::serve;

    /// Otherwise eight answers of 16 MiB would be in memory at once, however many are kept.
    #[tokio::test]
    async fn one_large_answer_is_read_at_a_time_and_each_is_taken() {
        const MIB: usize = 1024 * 1024;
        const PATHS: [&str; 8] = ["/0", "/1", "/2", "/3", "/4", "/5", "/6", "/7"];
        let sizes = [1, MIB, 2 * MIB, 3 * MIB, LARGEST, LARGEST + 1, 2, MIB + 1];
        let entry = |path: &str| format!("<entry><id>{path}</id><content src=\"{path}\"/></entry>");
        let entries: String = PATHS.iter().rev().map(|path| entry(path)).collect();
        let mut documents = vec![("/feed", feed(&entries))];
        let data = PATHS.iter().zip(sizes);
        documents.extend(data.map(|(path, size)| (*path, "y".repeat(size))));
        let source = serve(&documents).await;
        let document = source.document(source.feed_url().clone()).await;
        let document = document.expect("a document");
        let mut rest: Vec<&FoundEntry> = document.entries.iter().collect();
        let (mut steps, mut taken) = (Vec::new(), Vec::new());
        while !rest.is_empty() {
            let arrivals = arrivals(&source, &document, &rest).await;
            let arrivals = arrivals.expect("the first of them");
            rest.drain(..arrivals.len());
            steps.push(arrivals.len());
            let data = arrivals.iter().map(|one| one.event.data.len());
            taken.extend(data);
            let too_large = arrivals.iter().filter(|one| one.missing.is_some());
            let ids: Vec<_> = too_large.map(|one| one.event.id.as_str()).collect();
            assert!(ids.iter().all(|id| *id == "/5"), "{ids:?}");
        }
        assert_eq!(steps, [2, 1, 1, 1, 2, 1]);
        assert_eq!(
            taken,
            sizes.map(|size| if size > LARGEST { 0 } else { size })
        );
    }
}
