//! How long an answer is fresh and needs no new request (RFC 9111, 4.2).

use std::time::Duration;

use reqwest::header::{self, HeaderMap, HeaderName};

use super::header::from_header;

/// The longest freshness that is honoured for a head: a server that says "a year" does not mean it.
pub(crate) const LONGEST_FRESH: Duration = Duration::from_secs(3600);

/// Returns the remaining freshness for a client with a private cache: `max-age`, else `Expires`,
/// less `Age`. `s-maxage` is for shared caches. An answer with `no-store` or `no-cache` is never
/// fresh.
pub(crate) fn fresh(headers: &HeaderMap) -> Duration {
    let cache_control: Vec<String> = headers
        .get_all(header::CACHE_CONTROL)
        .iter()
        .flat_map(|value| directives(&from_header(value)))
        .collect();
    let is_barred = |directive: &String| matches!(directive.as_str(), "no-store" | "no-cache");
    if cache_control.iter().any(is_barred) {
        return Duration::ZERO;
    }
    // The first one counts (RFC 9111, 4.2.1); an invalid number makes the answer stale.
    let max_age = cache_control.iter().find_map(|directive| {
        let argument = directive.strip_prefix("max-age")?;
        match argument.strip_prefix('=') {
            Some(seconds) => Some(delta_seconds(seconds.trim_matches('"'))),
            None => argument.is_empty().then_some(None),
        }
    });
    let lifetime = match max_age {
        Some(seconds) => seconds.unwrap_or(0),
        None => until_expires(headers).unwrap_or(0),
    };
    let age = headers.get(header::AGE).map(from_header);
    let age = age.and_then(|age| delta_seconds(age.split(',').next()?.trim()));
    Duration::from_secs(lifetime.saturating_sub(age.unwrap_or(0))).min(LONGEST_FRESH)
}

/// Returns the directives of a `Cache-Control`, with names in lower case and without white space
/// around them. A quoted argument may contain commas.
fn directives(value: &str) -> Vec<String> {
    let mut quoted = false;
    let mut escaped = false;
    let parts = value.split(|character| {
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        character == ',' && !quoted
    });
    let directive = |part: &str| match part.split_once('=') {
        Some((name, argument)) => {
            format!("{}={}", name.trim().to_ascii_lowercase(), argument.trim())
        }
        None => part.trim().to_ascii_lowercase(),
    };
    parts.map(directive).collect()
}

/// Parses seconds in digits; saturates on overflow (RFC 9111, 1.2.2).
fn delta_seconds(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

/// Returns the seconds from `Date` to `Expires`, both by the server's clock: the local one may
/// differ.
fn until_expires(headers: &HeaderMap) -> Option<u64> {
    let date = |name: HeaderName| {
        let date = headers.get(name)?.to_str().ok()?;
        httpdate::parse_http_date(date.trim()).ok()
    };
    let expires = date(header::EXPIRES)?;
    let lifetime = expires.duration_since(date(header::DATE)?).ok()?;
    Some(lifetime.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh_by(lines: &[(&'static str, &str)]) -> u64 {
        let lines = lines.iter().map(|(name, value)| {
            let name = HeaderName::from_static(name);
            (name, value.parse().expect("a value"))
        });
        fresh(&lines.collect()).as_secs()
    }

    #[test]
    fn cache_control_is_read_as_the_standard_says() {
        for (cache_control, seconds) in [
            ("max-age=60", 60),
            ("Max-Age = \"60\"", 60),
            ("public, max-age=60, must-revalidate", 60),
            ("private=\"x-name, max-age=7\", max-age=60", 60),
            ("private=\"a\\\", max-age=7\", max-age=60", 60),
            ("no-cache=\"Set-Cookie\", max-age=60", 60),
            ("no-cache, max-age=60", 0),
            ("max-age=60, NO-STORE", 0),
            ("max-age=60, max-age=5", 60),
            ("max-age=5, max-age=60", 5),
            ("max-age=soon, max-age=60", 0),
            ("max-age, max-age=60", 0),
            ("max-age=-5", 0),
            ("max-age=+5", 0),
            ("max-age=1.5", 0),
            ("max-age=", 0),
            ("max-age=99999999999999999999999", 3600),
            ("s-maxage=60", 0),
            ("s-maxage=5, max-age=60", 60),
            ("x-max-age=60", 0),
            ("max-ages=60", 0),
            ("stale-if-error=60, no-transform", 0),
            ("", 0),
        ] {
            let found = fresh_by(&[("cache-control", cache_control)]);
            assert_eq!(found, seconds, "{cache_control}");
        }
        let two = [("cache-control", "public"), ("cache-control", "max-age=60")];
        assert_eq!(fresh_by(&two), 60);
    }

    #[test]
    fn age_is_subtracted() {
        for (age, seconds) in [
            ("20", 40),
            ("60", 0),
            ("61", 0),
            ("99999999999999999999999", 0),
            ("20, 30", 40),
            ("-1", 60),
            ("old", 60),
        ] {
            let found = fresh_by(&[("cache-control", "max-age=60"), ("age", age)]);
            assert_eq!(found, seconds, "{age}");
        }
    }

    #[test]
    fn expires_counts_by_the_clock_of_the_server_where_there_is_no_max_age() {
        const DATE: &str = "Thu, 01 Jan 1970 00:00:10 GMT";
        const EXPIRES: &str = "Thu, 01 Jan 1970 00:01:10 GMT";
        let date = ("date", DATE);
        assert_eq!(fresh_by(&[date, ("expires", EXPIRES)]), 60);
        assert_eq!(fresh_by(&[date, ("expires", EXPIRES), ("age", "20")]), 40);
        assert_eq!(fresh_by(&[date, ("expires", DATE)]), 0);
        assert_eq!(fresh_by(&[date, ("expires", "0")]), 0);
        assert_eq!(fresh_by(&[("date", EXPIRES), ("expires", DATE)]), 0);
        assert_eq!(fresh_by(&[("expires", EXPIRES)]), 0);
        for (cache_control, seconds) in [("max-age=5", 5), ("no-cache", 0), ("max-age=x", 0)] {
            let cache_control = ("cache-control", cache_control);
            let found = fresh_by(&[cache_control, date, ("expires", EXPIRES)]);
            assert_eq!(found, seconds, "{cache_control:?}");
        }
    }
}
