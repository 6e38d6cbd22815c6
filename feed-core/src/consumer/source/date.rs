//! Parses dates as feeds write them.

use chrono::format::{Parsed, StrftimeItems, parse as parse_form};
use chrono::{DateTime, Datelike, FixedOffset, Utc};

/// Forms other than those of RFC 3339 and RFC 2822. `%#z` is an offset such as `-05:00`, `-0500`, `-05` or `Z`, behind a blank
/// or not.
const FORMS: &[&str] = &[
    "%Y-%m-%dT%H:%M:%S%.f%#z",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%dT%H:%M%#z",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%d %H:%M:%S%.f%#z",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%d %H:%M%#z",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d%#z",
    "%Y-%m-%d",
    "%a %b %d %H:%M:%S %z %Y",
    "%B %d %Y",
    "%B %d, %Y",
    "%m/%d/%Y",
    "%d.%m.%Y",
];

/// Parses all of a date: what is left over could be an offset, without which it is another instant. Returns `None` also
/// outside of the years 1 to 9999, which databases compare and write in other ways. A leap second is the second after it, as
/// it is stored.
pub(super) fn parse(text: &str) -> Option<DateTime<Utc>> {
    // Neither RFC 3339 nor all of RFC 2822 has these names.
    let zone = [" UTC", " GMT"];
    let date = zone.iter().find_map(|zone| text.strip_suffix(zone));
    let in_utc = date.map(|date| format!("{date} +0000"));
    let text = in_utc.as_deref().unwrap_or(text);
    let at = DateTime::parse_from_rfc3339(text).ok();
    let at = at.or_else(|| FORMS.iter().find_map(|form| in_form(text, form)));
    // Feeds leave the zone out, and the time.
    let mail = ["", " +0000", " 00:00:00 +0000"].into_iter();
    let mut mail = mail.map(|rest| DateTime::parse_from_rfc2822(&format!("{text}{rest}")).ok());
    let at = at.or_else(|| mail.find_map(|date| date))?.to_utc();
    let (seconds, nanoseconds) = (at.timestamp(), at.timestamp_subsec_nanos());
    let at = DateTime::from_timestamp(
        seconds + i64::from(nanoseconds / 1_000_000_000),
        nanoseconds % 1_000_000_000,
    );
    at.filter(|at| (1..=9999).contains(&at.year()))
}

/// A date without a time is its midnight, one without an offset in UTC.
fn in_form(text: &str, form: &str) -> Option<DateTime<FixedOffset>> {
    let mut parsed = Parsed::new();
    parse_form(&mut parsed, text, StrftimeItems::new(form)).ok()?;
    // chrono reads 26 as the year 26.
    parsed.year().filter(|year| *year >= 1000)?;
    if parsed.minute().is_none() {
        parsed.set_hour(0).ok()?;
        parsed.set_minute(0).ok()?;
    }
    if parsed.offset().is_none() {
        parsed.set_offset(0).ok()?;
    }
    parsed.to_datetime().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(text: &str) -> Option<String> {
        parse(text).map(|at| at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true))
    }

    #[test]
    fn an_offset_counts_however_it_is_written() {
        for (text, expected) in [
            ("2026-12-31T23:30:00-05:00", "2027-01-01T04:30:00Z"),
            ("2026-12-31T23:30:00-0500", "2027-01-01T04:30:00Z"),
            ("2026-12-31T23:30:00.123-0500", "2027-01-01T04:30:00.123Z"),
            ("2026-12-31T23:30:00-05", "2027-01-01T04:30:00Z"),
            ("2026-12-31T23:30-05:00", "2027-01-01T04:30:00Z"),
            ("2026-12-31T23:30:00 -05:00", "2027-01-01T04:30:00Z"),
            ("2026-12-31T23:30Z", "2026-12-31T23:30:00Z"),
            ("2026-12-31 23:30:00-05", "2027-01-01T04:30:00Z"),
            ("2026-12-31 23:30:00-05:00", "2027-01-01T04:30:00Z"),
            ("2026-12-31 23:30:00 -0500", "2027-01-01T04:30:00Z"),
            ("2026-12-31 23:30 -0500", "2027-01-01T04:30:00Z"),
            (
                "2026-12-31 23:30:00.123456-05",
                "2027-01-01T04:30:00.123456Z",
            ),
            ("2026-12-31 23:30:00 UTC", "2026-12-31T23:30:00Z"),
            ("2026-12-31T23:30:00 GMT", "2026-12-31T23:30:00Z"),
            ("2026-12-31-05:00", "2026-12-31T05:00:00Z"),
            ("2026-12-31Z", "2026-12-31T00:00:00Z"),
            ("Thu, 31 Dec 2026 23:30:00 -0500", "2027-01-01T04:30:00Z"),
            ("Thu, 31 Dec 2026 23:30 EDT", "2027-01-01T03:30:00Z"),
            ("31 Dec 26 23:30:00 PST", "2027-01-01T07:30:00Z"),
            ("Thu, 31 Dec 2026 23:30:00 UTC", "2026-12-31T23:30:00Z"),
            ("Thu Dec 31 23:30:00 -0500 2026", "2027-01-01T04:30:00Z"),
        ] {
            assert_eq!(utc(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn a_date_without_an_offset_is_in_utc() {
        for (text, expected) in [
            ("2026-12-31T23:30:00", "2026-12-31T23:30:00Z"),
            ("2026-12-31T23:30", "2026-12-31T23:30:00Z"),
            ("2026-12-31 23:30:00.125", "2026-12-31T23:30:00.125Z"),
            ("2026-12-31 23:30", "2026-12-31T23:30:00Z"),
            ("2026-12-31", "2026-12-31T00:00:00Z"),
            ("Thu, 31 Dec 2026 23:30:00", "2026-12-31T23:30:00Z"),
            ("Thu,  31  Dec 2026 23:30", "2026-12-31T23:30:00Z"),
            ("Thu, 31 Dec 2026", "2026-12-31T00:00:00Z"),
            ("31 Dec 2026", "2026-12-31T00:00:00Z"),
            ("Dec 31 2026", "2026-12-31T00:00:00Z"),
            ("December  1, 2026", "2026-12-01T00:00:00Z"),
            ("12/31/2026", "2026-12-31T00:00:00Z"),
            ("31.12.2026", "2026-12-31T00:00:00Z"),
        ] {
            assert_eq!(utc(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn no_part_of_a_date_is_ignored() {
        for text in [
            "2026-12-31T99:99:99-05:00",
            "2026-12-31T24:00:00Z",
            "2026-12-31T23:59:61Z",
            "2026-12-31T23:30:00,5-05:00",
            "2026-12-31T23:30:00 GMT-5",
            "2026-12-31T23:30:00 CET",
            "2026-12-31T23:30:00-05:00 UTC",
            "2026-12-31T23:30:00+24:00",
            "2026-12-31T23",
            "2010-02-17T00:00:00ZT00:00:00-08:00",
            "Thu, 31 Dec 2026 23:30:00 CET",
            "Wed, 31 Dec 2026 23:30:00 GMT",
            "31 Dec 2026 23:30:00 UTC+2",
            "31.12.2026 23:30",
            "31.12.26",
            "12/31/26",
            "26-12-31",
            "2026",
            "1767225600",
            "yesterday",
        ] {
            assert_eq!(utc(text), None, "{text}");
        }
    }

    #[test]
    fn an_instant_is_in_the_years_of_a_database() {
        for text in [
            "0000-12-31T23:59:59.999Z",
            "0001-01-01T00:00:00+14:00",
            "9999-12-31T23:59:59-12:00",
            "9999-12-31T23:59:60Z",
            "+10000-01-01T00:00:00Z",
            "-0001-01-01T00:00:00Z",
            "+262142-12-31T23:59:59Z",
            "294277-01-01T00:00:00Z",
        ] {
            assert_eq!(utc(text), None, "{text}");
        }
        for text in ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z"] {
            assert_eq!(utc(text).as_deref(), Some(text));
        }
    }

    #[test]
    fn a_leap_second_is_the_second_after_it() {
        for (text, expected) in [
            ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"),
            (
                "2016-12-31T23:59:60.999999999Z",
                "2017-01-01T00:00:00.999999999Z",
            ),
            ("Sat, 31 Dec 2016 23:59:60 GMT", "2017-01-01T00:00:00Z"),
        ] {
            assert_eq!(utc(text).as_deref(), Some(expected), "{text}");
        }
        let at = parse("2016-12-31T23:59:60Z").expect("a date");
        assert_eq!((at.year(), at.timestamp_subsec_nanos()), (2017, 0));
    }
}
