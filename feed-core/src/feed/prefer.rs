//! A reader's preferences: to wait, and to get events with their data (RFC 7240), and to get only
//! new entries (RFC 3229).

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName};

use crate::http::{members, split, weight};
use crate::partition::Partitions;

pub(super) const PREFER: HeaderName = HeaderName::from_static("prefer");
pub(super) const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
pub(super) const A_IM: HeaderName = HeaderName::from_static("a-im");
/// The tag of what a `226` adds to (RFC 3229, 10.5.1).
pub(super) const DELTA_BASE: HeaderName = HeaderName::from_static("delta-base");
pub(super) const IM: HeaderName = HeaderName::from_static("im");

/// The longest time a request is held back: below the usual timeouts of proxies (RFC 6202, 5.5).
pub(super) const LONGEST_WAIT: u64 = 30;

/// Parses the `wait` of a `Prefer`, in whole seconds, bounded. The first instance of a preference
/// counts; unknown and malformed ones are ignored (RFC 7240, section 2).
pub(super) fn wait(headers: &HeaderMap) -> Option<Duration> {
    let first = members(headers, &PREFER).find_map(|member| {
        let (name, value) = member.split_once('=')?;
        name.trim().eq_ignore_ascii_case("wait").then(|| {
            let value = split(value, ';').next().unwrap_or_default();
            value.trim().trim_matches('"').to_owned()
        })
    })?;
    let digits = !first.is_empty() && first.bytes().all(|byte| byte.is_ascii_digit());
    // A number that overflows is a long wait as well.
    digits.then(|| Duration::from_secs(first.parse().unwrap_or(LONGEST_WAIT).min(LONGEST_WAIT)))
}

/// A preference of our own: entries with their data, instead of links to it.
pub(super) const EVENT_DATA: &str = "event-data";

/// Returns true if the reader prefers entries with their data.
pub(super) fn prefers_data(headers: &HeaderMap) -> bool {
    members(headers, &PREFER).any(|member| {
        let name = member.split([';', '=']).next().unwrap_or_default();
        name.trim().eq_ignore_ascii_case(EVENT_DATA)
    })
}

/// Returns the partitions whose events the reader prefers: the parameter `partitions` of
/// [`EVENT_DATA`]. A malformed one is ignored.
pub(super) fn partitions(headers: &HeaderMap) -> Option<Partitions> {
    let mut parameters = members(headers, &PREFER)
        .map(|member| split(member, ';').map(str::trim))
        .find_map(|mut parts| {
            let name = parts.next()?.split('=').next()?.trim();
            name.eq_ignore_ascii_case(EVENT_DATA).then_some(parts)
        })?;
    let value = parameters.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let ours = name.trim().eq_ignore_ascii_case("partitions");
        ours.then(|| value.trim())
    })?;
    match value.strip_prefix('"') {
        Some(quoted) => quoted.strip_suffix('"')?.parse().ok(),
        None => value.parse().ok(),
    }
}

/// Returns true if the reader accepts a document of new entries alone: the `feed` instance
/// manipulation.
pub(super) fn accepts_delta(headers: &HeaderMap) -> bool {
    members(headers, &A_IM).any(|member| {
        let mut parts = split(member, ';');
        let name = parts.next().unwrap_or_default().trim();
        name.eq_ignore_ascii_case("feed") && weight(parts) != Some(0.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name.clone(), value.parse().expect("a header value"))])
    }

    #[test]
    fn rfc_7240_2_the_first_wait_counts() {
        let cases = [
            ("foo, wait=5, wait=50", Some(5)),
            ("wait=0", Some(0)),
            ("WAIT = 7; x=1", Some(7)),
            ("wait=\"9\"", Some(9)),
            ("wait=31", Some(30)),
            ("wait=99999999999999999999999", Some(30)),
            ("wait=-1", None),
            ("wait=1.5", None),
            ("wait=", None),
            ("wait", None),
            ("respond-async", None),
            // What is quoted is no preference.
            ("foo=\"a, wait=2, b\"", None),
            ("foo=\"a, wait=2, b\", wait=7", Some(7)),
            ("foo=\"\\\", wait=2\", wait=7", Some(7)),
            ("foo; bar=\", wait=2\", wait=7; x=\";\"", Some(7)),
            ("foo=\"a, wait=2", None),
        ];
        for (value, seconds) in cases {
            let expected = seconds.map(Duration::from_secs);
            assert_eq!(wait(&headers(&PREFER, value)), expected, "{value}");
        }
        assert_eq!(wait(&HeaderMap::new()), None);
    }

    #[test]
    fn rfc_7240_2_a_preference_is_named_in_any_case_and_place() {
        for yes in [
            "event-data",
            "wait=5, Event-Data",
            "event-data;x=1",
            "event-data=\"\"",
            "foo=\"a, b\", event-data",
        ] {
            assert!(prefers_data(&headers(&PREFER, yes)), "{yes}");
        }
        for no in [
            "",
            "wait=5",
            "event-data2",
            "x=event-data",
            "x;event-data",
            "x=\"a, event-data, b\"",
        ] {
            assert!(!prefers_data(&headers(&PREFER, no)), "{no}");
        }
    }

    #[test]
    fn rfc_7240_2_a_preference_may_have_partitions() {
        let some = |value| partitions(&headers(&PREFER, value)).map(|some| some.to_string());
        for (value, expected) in [
            ("event-data; partitions=\"0 4 15\"", Some("0 4 15")),
            ("wait=5, Event-Data;x;Partitions = 7", Some("7")),
            ("event-data", None),
            ("event-data, event-data; partitions=7", None),
            ("event-data; partitions=\"16\"", None),
            ("event-data; partitions=", None),
            ("event-data; partitions=\"4,2\"", None),
            ("other; partitions=7", None),
            ("x=\", event-data; partitions=7\"", None),
            ("event-data; x=\"; partitions=7\"", None),
            ("event-data; x=\", ;\"; partitions=7", Some("7")),
        ] {
            assert_eq!(some(value).as_deref(), expected, "{value}");
        }
    }

    #[test]
    fn rfc_3229_a_im_names_feed() {
        for yes in [
            "feed",
            "vcdiff, feed",
            "FEED;q=0.5",
            "feed, gzip",
            "x=\"a,\", feed",
        ] {
            assert!(accepts_delta(&headers(&A_IM, yes)), "{yes}");
        }
        for no in [
            "",
            "vcdiff",
            "feed;q=0",
            "feed; Q=0.0",
            "feedx",
            "x=\"a, feed, b\"",
            "feed; x=\";\"; q=0",
        ] {
            assert!(!accepts_delta(&headers(&A_IM, no)), "{no}");
        }
    }
}
