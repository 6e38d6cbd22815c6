//! Headers of an answer.

use std::time::{Duration, SystemTime};

use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};

/// The longest validator that is kept, in bytes. Those of servers have less than a hundred.
const LONGEST_VALIDATOR: usize = 1_024;

/// The longest `Retry-After` that is honoured at once; the next request follows then.
pub(crate) const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(300);

/// Returns a validator to send with the next request, unless it is too long for a request and for
/// rows.
pub(super) fn validator(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let value = headers.get(name).map(from_header);
    value.filter(|value| value.len() <= LONGEST_VALIDATOR)
}

/// Converts a header's bytes to text, each byte to a character: tags are opaque and are sent back
/// unchanged (RFC 9110, 8.8.3 allows bytes that are no UTF-8).
pub(crate) fn from_header(value: &HeaderValue) -> String {
    value
        .as_bytes()
        .iter()
        .map(|byte| char::from(*byte))
        .collect()
}

/// The inverse of [`from_header`].
pub(crate) fn to_header(text: &str) -> Option<HeaderValue> {
    let bytes: Vec<u8> = text
        .chars()
        .map(|character| u8::try_from(character).ok())
        .collect::<Option<_>>()?;
    HeaderValue::from_bytes(&bytes).ok()
}

/// Returns the pause that an answer asks for, in either form of `Retry-After` (RFC 9110, 10.2.3), five minutes at most:
/// for [`EffectError::Later`](crate::EffectError::Later), too.
#[must_use]
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let wait = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        // More seconds than a number of this machine has.
        Err(_) if is_number => LONGEST_RETRY_AFTER,
        Err(_) => httpdate::parse_http_date(text)
            .ok()?
            .duration_since(SystemTime::now())
            .unwrap_or(Duration::ZERO),
    };
    Some(wait.min(LONGEST_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_bounded_however_long_it_is() {
        for (text, wait) in [
            ("7", Some(Duration::from_secs(7))),
            ("301", Some(LONGEST_RETRY_AFTER)),
            ("99999999999999999999999", Some(LONGEST_RETRY_AFTER)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(LONGEST_RETRY_AFTER)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(Duration::ZERO)),
            ("-1", None),
            ("", None),
            ("soon", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::RETRY_AFTER, text.parse().expect("a value"));
            assert_eq!(retry_after(&headers), wait, "{text}");
        }
    }
}
