//! Reads and decodes the whole body of an answer, or fails; never returns a shorter text.
//!
//! It decodes gzip itself: the decoder of the HTTP client ends after the first of several members.
//!
//! It cannot detect a cut body that ends with the connection (HTTP/1.0, or no length) or whose
//! `Content-Length` is too short. Gzip has a trailer that reveals the cut; XML and JSON have an
//! end, which [`check_end`] looks for. Other text is taken as it came.

use std::io::{self, ErrorKind, Write};
use std::time::Duration;

use bytes::Bytes;
use flate2::write::MultiGzDecoder;
use quick_xml::events::Event;
use reqwest::Response;
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use serde::de::IgnoredAny;
use tokio::time::{Instant, timeout_at};

use super::header::from_header;
use super::media_type::{essence, is_json, is_xml};
use super::option_names::FeedOptionNames;
use crate::consumer::sanitize::sanitize;

/// The largest body, before and after decoding: a hundred events of 160 KiB each.
pub(crate) const LARGEST: usize = 16 * 1024 * 1024;

/// The bytes a second at which a body may take longer than the timeout: 256 kbit/s. The largest one
/// takes less than nine minutes then.
pub(crate) const SLOWEST: u32 = 32 * 1024;

/// The content coding to request.
pub(crate) const GZIP: HeaderValue = HeaderValue::from_static("gzip");

/// The first bytes of gzip data.
const MAGIC: &[u8] = &[0x1f, 0x8b, 8];

/// Why a body is rejected.
pub(crate) enum BodyError {
    /// The connection was interrupted.
    Broken(reqwest::Error),
    /// It has more bytes than the bound.
    TooLarge,
    /// It is not complete in time, and slower than [`SLOWEST`].
    Slow(usize),
    /// It is complete, and not the expected body. The text says how.
    Unusable(String),
}

impl From<io::Error> for BodyError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::FileTooLarge => Self::TooLarge,
            _ => Self::Unusable(format!(
                "says Content-Encoding: gzip, and its body is damaged, cut, or not gzip ({error}); a \
                 server or a proxy on the way has to be repaired"
            )),
        }
    }
}

/// Reads a body of at most `most` bytes chunk by chunk: bytes over the bound never enter the memory.
///
/// After `deadline` it continues while the body comes at [`SLOWEST`] or faster: on a slow link, a large
/// document would otherwise never be read, however often it is requested.
pub(crate) async fn read(
    response: &mut Response,
    deadline: Instant,
    most: usize,
) -> Result<Bytes, BodyError> {
    let mut body = Decoder::of(response.headers(), most).map_err(BodyError::Unusable)?;
    let length = response.content_length();
    if length.is_some_and(|length| length > most as u64) {
        return Err(BodyError::TooLarge);
    }
    loop {
        let chunk = timeout_at(deadline + body.may_take(), response.chunk()).await;
        let chunk = chunk.map_err(|_| BodyError::Slow(body.taken))?;
        match chunk.map_err(BodyError::Broken)? {
            Some(chunk) => body.take(&chunk)?,
            None => break,
        }
    }
    let (body, packed) = body.finish()?;
    if body.starts_with(MAGIC) {
        let how = match packed {
            true => "is compressed twice, and its Content-Encoding says gzip once",
            false => "is compressed by gzip, without a Content-Encoding that says so",
        };
        return Err(BodyError::Unusable(format!(
            "{how}; the server has to be repaired"
        )));
    }
    Ok(body)
}

/// Decodes the chunks of a body.
struct Decoder {
    taken: usize,
    most: usize,
    coding: Coding,
}

enum Coding {
    Identity(Bounded),
    Gzip(Box<MultiGzDecoder<Bounded>>),
}

impl Decoder {
    /// Creates the decoder for a body with these headers. The error says what cannot be decoded, or
    /// that the body is only a part.
    fn of(headers: &HeaderMap, most: usize) -> Result<Self, String> {
        let transfer = codings(headers, &header::TRANSFER_ENCODING);
        if let Some(coding) = transfer.iter().find(|coding| *coding != "chunked") {
            return Err(unasked("transfer", coding));
        }
        let range = headers.get(header::CONTENT_RANGE).map(from_header);
        if let Some(range) = range.filter(|range| !is_all(range)) {
            let range = sanitize(&range);
            return Err(format!(
                "is a part (Content-Range: {range}), and we asked for all; a cache on the way has to be \
                 repaired"
            ));
        }
        let body = Bounded {
            bytes: Vec::new(),
            most,
        };
        let coding = match codings(headers, &header::CONTENT_ENCODING)
            .join(", ")
            .as_str()
        {
            "" => Coding::Identity(body),
            "gzip" | "x-gzip" => Coding::Gzip(Box::new(MultiGzDecoder::new(body))),
            other => return Err(unasked("content", other)),
        };
        Ok(Self {
            taken: 0,
            most,
            coding,
        })
    }

    /// How long the bytes so far may have taken.
    fn may_take(&self) -> Duration {
        Duration::from_secs(self.taken as u64) / SLOWEST
    }

    fn take(&mut self, chunk: &[u8]) -> Result<(), BodyError> {
        // Gzip members without data take space on the wire alone.
        self.taken += chunk.len();
        if self.taken > self.most {
            return Err(BodyError::TooLarge);
        }
        match &mut self.coding {
            Coding::Identity(body) => body.write_all(chunk)?,
            Coding::Gzip(decoder) => decoder.write_all(chunk)?,
        }
        Ok(())
    }

    /// Returns the whole body, and whether it was compressed.
    fn finish(self) -> Result<(Bytes, bool), BodyError> {
        Ok(match self.coding {
            Coding::Identity(body) => (body.bytes.into(), false),
            Coding::Gzip(decoder) => (decoder.finish()?.bytes.into(), true),
        })
    }
}

/// The decoded bytes, up to the bound.
#[derive(Debug)]
struct Bounded {
    bytes: Vec<u8>,
    most: usize,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.most {
            return Err(ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn unasked(kind: &str, coding: &str) -> String {
    format!(
        "is in the {kind} coding {}, which we did not ask for; the server or a proxy on the way has to \
         heed Accept-Encoding",
        sanitize(coding)
    )
}

/// Returns the codings of a header in lower case, without those that change nothing.
fn codings(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
    let values = headers.get_all(name).iter().map(from_header);
    let text = values.collect::<Vec<_>>().join(",").to_ascii_lowercase();
    let codings = text.split(',').map(str::trim);
    let codings = codings.filter(|coding| !matches!(*coding, "" | "identity"));
    codings.map(str::to_owned).collect()
}

/// Returns true for a range of the whole, such as `bytes 0-99/100`.
fn is_all(range: &str) -> bool {
    let numbers = range.trim().strip_prefix("bytes ").and_then(|range| {
        let (range, length) = range.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let number = |text: &str| text.trim().parse::<u64>().ok();
        Some((number(first)?, number(last)?, number(length)?))
    });
    numbers.is_some_and(|(first, last, length)| first == 0 && last.checked_add(1) == Some(length))
}

/// Rejects a web page if the entry gives its data another type.
pub(crate) fn check_type(
    headers: &HeaderMap,
    expected: Option<&str>,
    names: FeedOptionNames,
) -> Result<(), String> {
    let expected = expected.map(essence).filter(|expected| !is_html(expected));
    match (media_type(headers), expected) {
        (found, Some(expected)) if is_html(&found) => Err(format!(
            "is {found} instead of {}: a login page or a captive portal? Open the address in a browser; \
             the feed may need {}",
            sanitize(&expected),
            names.credentials
        )),
        _ => Ok(()),
    }
}

fn is_html(media_type: &str) -> bool {
    matches!(media_type, "text/html" | "application/xhtml+xml")
}

/// Rejects JSON and XML without an end, by media type: that of the entry if the answer's own says neither, such as
/// `text/plain`. The effect detects other malformed data.
pub(crate) fn check_end(
    headers: &HeaderMap,
    expected: Option<&str>,
    text: &str,
) -> Result<(), String> {
    let own = media_type(headers);
    let media_type = match expected.map(essence) {
        Some(expected) if !is_json(&own) && !is_xml(&own) && !is_html(&own) => expected,
        _ => own,
    };
    let kind = if is_json(&media_type) {
        let json = serde_json::from_str::<IgnoredAny>(text);
        json.is_err_and(|error| error.is_eof()).then_some("JSON")
    } else if is_xml(&media_type) {
        has_open_elements(text).then_some("XML")
    } else {
        None
    };
    match kind {
        Some(kind) => Err(format!(
            "is cut: its {kind} has no end; the server, or a proxy on the way, has to be repaired"
        )),
        None => Ok(()),
    }
}

/// Returns true for XML that ends within an element or a tag.
fn has_open_elements(text: &str) -> bool {
    let mut reader = quick_xml::Reader::from_str(text);
    let mut depth = 0_u64;
    loop {
        match reader.read_event() {
            Ok(Event::Start(_)) => depth += 1,
            Ok(Event::End(_)) => depth -= 1,
            Ok(Event::Eof) => return depth > 0,
            Ok(_) => {}
            Err(error) => return matches!(error, quick_xml::Error::Syntax(_)),
        }
    }
}

/// Returns the media type without parameters, in lower case.
fn media_type(headers: &HeaderMap) -> String {
    let content_type = headers.get(header::CONTENT_TYPE).map(from_header);
    let content_type = content_type.unwrap_or_default();
    sanitize(&essence(&content_type))
}

/// Describes a body that cannot be a feed, and what to do about it; `None` if it may be a feed.
pub(crate) fn instead_of_a_feed(
    headers: &HeaderMap,
    body: &[u8],
    names: FeedOptionNames,
) -> Option<String> {
    let FeedOptionNames {
        feed_url,
        credentials,
        ..
    } = names;
    let media_type = media_type(headers);
    let begin = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let begin = begin.trim_ascii_start();
    let begins = |with: &str| {
        let begin = begin.get(..with.len());
        begin.is_some_and(|begin| begin.eq_ignore_ascii_case(with.as_bytes()))
    };
    let named = |kind: &str| match media_type.as_str() {
        "" => kind.to_owned(),
        known => known.to_owned(),
    };
    let atom = format!("{feed_url} must be the address of an Atom feed");
    let (what, cure) = if is_html(&media_type) || begins("<!doctype html") || begins("<html") {
        let cure = format!(
            "a login page or a captive portal? Open the address in a browser; the feed may need {credentials}, or \
             {feed_url} another address"
        );
        match media_type.contains("html") {
            true => (media_type, cure),
            false => ("a web page".to_owned(), cure),
        }
    } else if begins("{") || begins("[") || is_json(&media_type) {
        (named("JSON"), atom)
    } else if begins("<rss") || begins("<rdf:RDF") {
        let cure = format!("{atom}, which the server may have beside it");
        ("RSS".to_owned(), cure)
    } else if begin.first().is_some_and(u8::is_ascii_alphanumeric) {
        (named("text"), atom)
    } else {
        return None;
    };
    Some(format!("{what} instead of a feed: {cure}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, values: &[&str]) -> HeaderMap {
        let values = values.iter().map(|value| value.parse().expect("a value"));
        values.map(|value| (name.clone(), value)).collect()
    }

    /// A body that comes in pieces of a second.
    fn a_second_each(piece: usize, pieces: usize) -> Response {
        let pieces = futures_util::stream::unfold(pieces, move |left| async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let left = left.checked_sub(1)?;
            Some((io::Result::Ok(vec![b'x'; piece]), left))
        });
        http::Response::new(reqwest::Body::wrap_stream(pieces)).into()
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_body_may_come_by_a_slow_link() {
        let timeout = Duration::from_secs(20);
        for (piece, pieces, whole) in [
            (100 * 1024, 100, true),
            (SLOWEST as usize, 300, true),
            (SLOWEST as usize / 2, 30, true),
            (SLOWEST as usize / 2, 50, false),
            (1, 19, true),
            (1, 25, false),
            (0, 25, false),
        ] {
            let begins = Instant::now();
            let body = read(&mut a_second_each(piece, pieces), begins + timeout, LARGEST).await;
            assert_eq!(body.is_ok(), whole, "{piece} {pieces}");
            assert_eq!(matches!(body, Err(BodyError::Slow(_))), !whole);
            assert!(whole || begins.elapsed() <= 2 * timeout, "{piece}");
        }
        // Until it is over the bound.
        let begins = Instant::now();
        let endless = read(
            &mut a_second_each(SLOWEST as usize, 9_999),
            begins + timeout,
            LARGEST,
        )
        .await;
        assert!(matches!(endless, Err(BodyError::TooLarge)));
        assert!(begins.elapsed() < Duration::from_secs(9 * 60));
    }

    #[test]
    fn only_a_range_that_is_all_is_taken() {
        for (range, all) in [
            ("bytes 0-99/100", true),
            ("bytes 0-0/1", true),
            ("bytes 0-98/100", false),
            ("bytes 1-99/100", false),
            ("bytes 0-99/*", false),
            ("bytes */100", false),
            ("bytes 0-18446744073709551615/0", false),
            ("items 0-9/10", false),
            ("", false),
        ] {
            assert_eq!(is_all(range), all, "{range}");
        }
    }

    #[test]
    fn what_has_no_end_is_found_and_what_is_malformed_is_not_judged() {
        let (json, xml) = (Some("application/json"), Some("application/xml"));
        for (media_type, expected, text, whole) in [
            ("text/plain", json, "{\"id\":1,\"tot", false),
            ("application/octet-stream", json, "{\"id\":1}", true),
            ("", Some("application/vnd.shop+json; v=1"), "[1", false),
            ("text/plain", xml, "<o><id>1</id><tot", false),
            ("application/json", xml, "\"<b>\"", true),
            ("application/xml", json, "<b>", false),
            ("text/html", Some("application/xhtml+xml"), "<br>", true),
        ] {
            let headers = headers(header::CONTENT_TYPE, &[media_type]);
            let found = check_end(&headers, expected, text);
            assert_eq!(found.is_ok(), whole, "{media_type} {text}: {found:?}");
        }
        for (media_type, text, whole) in [
            ("application/json", "{\"a\": [1, 2]}", true),
            ("application/json", "{\"a\": [1, 2]", false),
            ("application/vnd.shop+json; charset=utf-8", "\"Mü", false),
            ("application/json", "", false),
            ("application/json", "\u{feff}{}", true),
            ("application/json", "no JSON", true),
            ("application/xml", "<a><b>x</b></a>", true),
            ("application/xml", "<?xml version='1.0'?>\n<a/>\n", true),
            ("application/xml", "<a><b>x</b>", false),
            ("text/xml", "<a><b>x</", false),
            ("image/svg+xml", "<a b='", false),
            ("image/svg+xml", "<a><!-- b", false),
            ("application/xml", "<a></b>", true),
            ("application/xml", "no XML", true),
            ("text/plain", "{", true),
        ] {
            let headers = headers(header::CONTENT_TYPE, &[media_type]);
            let found = check_end(&headers, None, text);
            assert_eq!(found.is_ok(), whole, "{media_type} {text}: {found:?}");
        }
    }

    #[test]
    fn an_unknown_field_is_named() {
        for (values, named) in [
            (&["br"][..], Some("content coding br,")),
            (&["gzip", "gzip"], Some("content coding gzip, gzip,")),
            (&["gzip, BR"], Some("content coding gzip, br,")),
            (&["gzip"], None),
            (&["X-GZIP"], None),
            (&["identity", "gzip,"], None),
            (&[""], None),
        ] {
            let decoder = Decoder::of(&headers(header::CONTENT_ENCODING, values), LARGEST);
            let error = decoder.map(drop).err();
            assert_eq!(error.is_some(), named.is_some(), "{values:?}");
            assert!(
                error
                    .unwrap_or_default()
                    .contains(named.unwrap_or_default())
            );
        }
    }

    #[test]
    fn a_body_that_is_no_feed_is_identified() {
        let html = "a login page or a captive portal?";
        for (media_type, body, said) in [
            ("text/html; charset=utf-8", "", Some(html)),
            (
                "application/xhtml+xml",
                "<?xml version='1.0'?><html/>",
                Some(html),
            ),
            (
                "application/atom+xml",
                "\u{feff}\n <!DOCTYPE HTML>",
                Some("a web page instead"),
            ),
            ("", "<html lang=en>", Some("a web page instead")),
            (
                "application/problem+json",
                "{}",
                Some("application/problem+json instead"),
            ),
            ("", " [1]", Some("JSON instead")),
            ("text/plain", "Not now", Some("text/plain instead")),
            (
                "application/rss+xml",
                "<rss version='2.0'>",
                Some("RSS instead"),
            ),
            ("application/xml", "<feed><entry>", None),
            ("application/atom+xml", "", None),
        ] {
            let found = match media_type {
                "" => HeaderMap::new(),
                known => headers(header::CONTENT_TYPE, &[known]),
            };
            let found = instead_of_a_feed(&found, body.as_bytes(), FeedOptionNames::default());
            assert_eq!(found.is_some(), said.is_some(), "{media_type} {body}");
            let found = found.unwrap_or_default();
            assert!(found.contains(said.unwrap_or_default()), "{found}");
        }
    }
}
