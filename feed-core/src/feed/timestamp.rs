//! Writes instants.

use std::fmt::Write;

use chrono::{DateTime, Datelike, Timelike, Utc};

/// Formats as RFC 3339 in UTC; always with milliseconds, so that equal instants have equal bytes.
pub(super) fn timestamp(instant: DateTime<Utc>) -> String {
    let mut out = String::with_capacity(24);
    push_timestamp(&mut out, instant);
    out
}

/// Formats likewise, a leap second as the second after it: only events of earlier versions have one,
/// where it need not be one, and parsers of RFC 3339 in many languages reject it.
pub(super) fn timestamp_without_leap(instant: DateTime<Utc>) -> String {
    let instant = DateTime::from_timestamp_millis(instant.timestamp_millis()).unwrap_or(instant);
    timestamp(instant)
}

/// Appends digit by digit: formatting by a pattern would be half the cost of a page.
pub(super) fn push_timestamp(out: &mut String, instant: DateTime<Utc>) {
    let (year, clock) = (instant.year(), instant.time());
    match u32::try_from(year) {
        Ok(year @ 0..=9999) => push_number(out, year, 4),
        // Outside of the range of RFC 3339.
        _ => _ = write!(out, "{year:+05}"),
    }
    let rest = [
        ('-', instant.month(), 2),
        ('-', instant.day(), 2),
        ('T', clock.hour(), 2),
        (':', clock.minute(), 2),
        // A leap second has more than a thousand milliseconds.
        (':', clock.second() + clock.nanosecond() / 1_000_000_000, 2),
        ('.', clock.nanosecond() / 1_000_000 % 1_000, 3),
    ];
    for (mark, number, digits) in rest {
        out.push(mark);
        push_number(out, number, digits);
    }
    out.push('Z');
}

fn push_number(out: &mut String, number: u32, digits: u32) {
    for place in (0..digits).rev() {
        let digit = number / 10_u32.pow(place) % 10;
        out.push(char::from(b'0' + digit as u8));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_written_as_rfc_3339_has_it() {
        let mut instants = vec!["1969-12-31T23:59:59.999Z", "2016-12-31T23:59:60.500Z"];
        instants.extend(["0000-01-01T00:00:00Z", "9999-12-31T23:59:59.9999Z"]);
        let mut instants: Vec<DateTime<Utc>> = instants
            .into_iter()
            .map(|text| text.parse().expect("an instant"))
            .collect();
        let spread = (0..1_000).map(|n| DateTime::from_timestamp_nanos(n * 987_654_321_987_654));
        instants.extend(spread);
        for instant in instants {
            // The form in which chrono writes a leap second.
            let expected = instant.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
            assert_eq!(timestamp(instant), expected);
            let leap = expected.replace("2016-12-31T23:59:60.", "2017-01-01T00:00:00.");
            assert_eq!(timestamp_without_leap(instant), leap);
        }
    }
}
