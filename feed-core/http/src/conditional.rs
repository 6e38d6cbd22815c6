//! Conditional requests (RFC 9110, section 13).
//!
//! The crate `headers` evaluates one field; the order of the fields (13.2.2) would remain to be done.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, header};
use sha2::{Digest, Sha256};

use crate::Problem;
#[cfg(feature = "axum")]
pub use crate::response::{tagged, tagged_strongly};

/// The validators of a representation.
///
/// ```
/// use http::{HeaderMap, header};
/// use feed_http::conditional::{Outcome, Validators, evaluate};
///
/// let validators = Validators::tag("order-17.placed");
/// let request = HeaderMap::from_iter([(header::IF_NONE_MATCH, validators.etag().parse()?)]);
/// assert_eq!(evaluate(&request, &validators), Outcome::NotModified);
/// # Ok::<(), http::header::InvalidHeaderValue>(())
/// ```
#[derive(Debug, Clone)]
pub struct Validators {
    /// A weak tag without its `W/` and quotes. All tags are weak: a content coding changes the
    /// bytes, not the tag.
    pub tag: String,
    /// `Last-Modified`, if a date identifies exactly this state, so that it hides no change.
    pub last_modified: Option<SystemTime>,
}

impl Validators {
    /// Creates a weak tag without a date.
    #[must_use]
    pub fn tag(tag: impl Into<String>) -> Self {
        Self {
            tag: tag.into(),
            last_modified: None,
        }
    }

    /// Creates a weak tag of `body` as a representation of that media type, without a date.
    #[must_use]
    pub fn of(media_type: &str, body: &[u8]) -> Self {
        Self::tag(format!("{:016x}", digest(&[media_type.as_bytes(), body])))
    }

    /// Returns the value of the `ETag` field.
    #[must_use]
    pub fn etag(&self) -> String {
        format!("W/\"{}\"", self.tag)
    }
}

/// The outcome of the preconditions of a `GET` or `HEAD`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Answer as if there were none.
    Proceed,
    /// `304`
    NotModified,
    /// `412`
    Failed,
}

/// Evaluates the preconditions in the order of RFC 9110, 13.2.2.
#[must_use]
pub fn evaluate(headers: &HeaderMap, validators: &Validators) -> Outcome {
    if headers.contains_key(header::IF_MATCH) {
        // By strong comparison, in which a weak tag matches nothing (8.8.3.2).
        if !Tags::of(headers, &header::IF_MATCH).any {
            return Outcome::Failed;
        }
    } else if let Some(date) = date(headers, &header::IF_UNMODIFIED_SINCE)
        && validators
            .last_modified
            .is_some_and(|modified| whole(modified) > date)
    {
        return Outcome::Failed;
    }
    if headers.contains_key(header::IF_NONE_MATCH) {
        if Tags::of(headers, &header::IF_NONE_MATCH).match_weakly(&validators.tag) {
            return Outcome::NotModified;
        }
    } else if let Some(since) = date(headers, &header::IF_MODIFIED_SINCE)
        // Ignore a date in the future: it would hide all changes until then.
        && since <= SystemTime::now()
        && validators
            .last_modified
            .is_some_and(|modified| whole(modified) <= since)
    {
        return Outcome::NotModified;
    }
    Outcome::Proceed
}

/// Returns a 64-bit digest of these bytes, part by part.
pub fn digest(parts: &[&[u8]]) -> u64 {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    let [a, b, c, d, e, f, g, h, ..] = <[u8; 32]>::from(digest.finalize());
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// Evaluates the preconditions of a request that changes something: there a match of
/// `If-None-Match` is a failure too (RFC 9110, 13.1.2).
///
/// # Errors
///
/// Returns a `412` if one fails.
pub fn guard(headers: &HeaderMap, validators: &Validators) -> Result<(), Problem> {
    match evaluate(headers, validators) {
        Outcome::NotModified | Outcome::Failed if is_conditional(headers) => {
            Err(Problem::precondition_failed())
        }
        _ => Ok(()),
    }
}

/// The same for a resource whose current representations have strong tags ([`tagged_strongly`]), given without quotes: a
/// client that has one of them can name it in `If-Match`.
///
/// # Errors
///
/// Returns a `412` if one fails.
pub fn guard_strongly(headers: &HeaderMap, tags: &[&str]) -> Result<(), Problem> {
    match evaluate_strongly(headers, tags) {
        Outcome::Proceed => Ok(()),
        Outcome::NotModified | Outcome::Failed => Err(Problem::precondition_failed()),
    }
}

/// Evaluates the preconditions of a request for a resource with these strong tags, likewise; a `GET` or `HEAD` is for one
/// of its representations.
#[must_use]
pub fn evaluate_strongly(headers: &HeaderMap, tags: &[&str]) -> Outcome {
    if headers.contains_key(header::IF_MATCH) {
        let named = Tags::of(headers, &header::IF_MATCH);
        let are_named = |each: &Cow<'_, str>| tags.contains(&each.as_ref());
        if !named.any && !named.strong.iter().any(are_named) {
            return Outcome::Failed;
        }
    }
    if headers.contains_key(header::IF_NONE_MATCH) {
        let named = Tags::of(headers, &header::IF_NONE_MATCH);
        if tags.iter().any(|tag| named.match_weakly(tag)) {
            return Outcome::NotModified;
        }
    }
    Outcome::Proceed
}

/// Returns true if a request that changes something has a precondition. `If-Modified-Since` is
/// none: it is for reads only (RFC 9110, 13.1.3).
#[must_use]
pub fn is_conditional(headers: &HeaderMap) -> bool {
    let mut named = [
        header::IF_MATCH,
        header::IF_UNMODIFIED_SINCE,
        header::IF_NONE_MATCH,
    ]
    .into_iter();
    named.any(|name| headers.contains_key(name))
}

/// The members of an `If-Match` or `If-None-Match`.
#[derive(Debug, Default)]
pub struct Tags<'a> {
    /// `*`
    pub any: bool,
    /// The tags without `W/` and quotes.
    pub tags: Vec<Cow<'a, str>>,
    /// Those without a `W/`.
    strong: Vec<Cow<'a, str>>,
}

impl<'a> Tags<'a> {
    /// Parses all fields of that name.
    #[must_use]
    pub fn of(headers: &'a HeaderMap, name: &HeaderName) -> Self {
        let mut tags = Self::default();
        for value in headers.get_all(name) {
            tags.read(value.as_bytes());
        }
        tags
    }

    fn match_weakly(&self, tag: &str) -> bool {
        self.any || self.tags.iter().any(|each| each == tag)
    }

    /// Parses `W/"a", "b,c", *`. A malformed member ends the list: it matches nothing.
    fn read(&mut self, mut rest: &'a [u8]) {
        loop {
            while let [b' ' | b'\t' | b',', tail @ ..] = rest {
                rest = tail;
            }
            match rest {
                [b'*', tail @ ..] => {
                    self.any = true;
                    rest = tail;
                }
                [b'W', b'/', b'"', tail @ ..] | [b'"', tail @ ..] => {
                    let Some(end) = tail.iter().position(|byte| *byte == b'"') else {
                        return;
                    };
                    let tag = String::from_utf8_lossy(&tail[..end]);
                    if rest.starts_with(b"\"") {
                        self.strong.push(tag.clone());
                    }
                    self.tags.push(tag);
                    rest = &tail[end + 1..];
                }
                _ => return,
            }
        }
    }
}

/// Parses the date of a field that must have exactly one valid value, in any of the three forms.
fn date(headers: &HeaderMap, name: &HeaderName) -> Option<SystemTime> {
    let mut values = headers.get_all(name).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    httpdate::parse_http_date(value.to_str().ok()?).ok()
}

/// Rounds down, since HTTP dates have whole seconds.
fn whole(instant: SystemTime) -> SystemTime {
    match instant.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs()),
        Err(_) => SystemTime::UNIX_EPOCH,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    fn outcome(headers: &[(HeaderName, &str)], dated: bool) -> Outcome {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, value.parse().expect("a header value"));
        }
        let validators = Validators {
            tag: "cur".to_owned(),
            last_modified: httpdate::parse_http_date(NOW).ok().filter(|_| dated),
        };
        evaluate(&map, &validators)
    }

    #[test]
    fn rfc_9110_13_1_2_if_none_match() {
        for matching in [
            "W/\"cur\"",
            "\"cur\"",
            "*",
            "\"x\", W/\"cur\"",
            " ,\"a,b\" ,\"cur\"",
        ] {
            let headers = [(header::IF_NONE_MATCH, matching)];
            assert_eq!(outcome(&headers, true), Outcome::NotModified, "{matching}");
        }
        for other in [
            "",
            "cur",
            "\"x\"",
            "\"cur",
            "W/cur",
            "\"a,cur,b\"",
            "w/\"cur\"",
        ] {
            // A date in addition is ignored (13.1.3).
            let headers = [
                (header::IF_NONE_MATCH, other),
                (header::IF_MODIFIED_SINCE, NOW),
            ];
            assert_eq!(outcome(&headers, true), Outcome::Proceed, "{other}");
        }
    }

    #[test]
    fn rfc_9110_13_1_3_if_modified_since() {
        let forms = [
            NOW,
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Sun, 06 Nov 1994 08:49:38 GMT",
        ];
        for form in forms {
            let headers = [(header::IF_MODIFIED_SINCE, form)];
            assert_eq!(outcome(&headers, true), Outcome::NotModified, "{form}");
            assert_eq!(outcome(&headers, false), Outcome::Proceed, "{form}");
        }
        for other in [
            "Sun, 06 Nov 1994 08:49:36 GMT",
            "yesterday",
            "1994-11-06T08:49:37Z",
            "",
        ] {
            let headers = [(header::IF_MODIFIED_SINCE, other)];
            assert_eq!(outcome(&headers, true), Outcome::Proceed, "{other}");
        }
        let twice = [
            (header::IF_MODIFIED_SINCE, NOW),
            (header::IF_MODIFIED_SINCE, NOW),
        ];
        assert_eq!(outcome(&twice, true), Outcome::Proceed);
    }

    #[test]
    fn rfc_9110_13_1_1_if_match_compares_strongly() {
        for (name, value, expected) in [
            (header::IF_MATCH, "\"cur\"", Outcome::Proceed),
            (header::IF_MATCH, "\"x\", \"cur\"", Outcome::Proceed),
            (header::IF_MATCH, "*", Outcome::Proceed),
            (header::IF_MATCH, "W/\"cur\"", Outcome::Failed),
            (header::IF_MATCH, "\"x\"", Outcome::Failed),
            (header::IF_MATCH, "", Outcome::Failed),
            (header::IF_NONE_MATCH, "W/\"cur\"", Outcome::NotModified),
            (header::IF_NONE_MATCH, "*", Outcome::NotModified),
            (header::IF_NONE_MATCH, "\"x\"", Outcome::Proceed),
        ] {
            let headers = HeaderMap::from_iter([(name, value.parse().expect("a value"))]);
            assert_eq!(evaluate_strongly(&headers, &["cur"]), expected, "{value}");
            assert_eq!(
                guard_strongly(&headers, &["cur"]).is_ok(),
                expected == Outcome::Proceed,
                "{value}"
            );
        }
    }

    #[test]
    fn rfc_9110_13_2_2_if_match_comes_first() {
        assert_eq!(outcome(&[(header::IF_MATCH, "*")], true), Outcome::Proceed);
        let headers = [(header::IF_MATCH, "\"cur\""), (header::IF_NONE_MATCH, "*")];
        assert_eq!(outcome(&headers, true), Outcome::Failed);
        let older = "Sun, 06 Nov 1994 08:49:36 GMT";
        let headers = [(header::IF_UNMODIFIED_SINCE, older)];
        assert_eq!(outcome(&headers, true), Outcome::Failed);
        let headers = [(header::IF_UNMODIFIED_SINCE, NOW)];
        assert_eq!(outcome(&headers, true), Outcome::Proceed);
    }
}
