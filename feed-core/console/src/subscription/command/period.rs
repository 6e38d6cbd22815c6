//! The bounds of a period: a day or an instant, and on the command line also an event by its number.

use std::ops::RangeInclusive;

use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use feed_core::consumer::Bound;

/// Parses the first event, or the day or instant from which on they happened.
pub(super) fn from(text: &str) -> Result<Bound, String> {
    parse(text, 0)
}

/// Parses the last event or day, or the instant before which they happened.
pub(super) fn until(text: &str) -> Result<Bound, String> {
    parse(text, 1)
}

/// A day is the midnight so many days after its first.
fn parse(text: &str, days: u64) -> Result<Bound, String> {
    if let Ok(sequence) = text.parse::<i64>() {
        return match sequence {
            1.. => Ok(Bound::Sequence(sequence)),
            _ => Err("the first event has the number 1".to_owned()),
        };
    }
    time(text, days).map(Bound::Time).ok_or_else(|| {
        "it is neither the number of an event nor a date like 2026-11-30 or 2026-11-30T12:00:00Z"
            .to_owned()
    })
}

/// Parses a day or an instant: the first of its instants.
pub(in crate::subscription) fn first_instant(text: &str) -> Option<DateTime<Utc>> {
    time(text, 0)
}

/// Parses a day or an instant: the end of it.
pub(in crate::subscription) fn last_instant(text: &str) -> Option<DateTime<Utc>> {
    time(text, 1)
}

/// Parses the start of a period, with an error text for the command line.
pub(super) fn since(text: &str) -> Result<DateTime<Utc>, &'static str> {
    first_instant(text).ok_or(NO_TIME)
}

/// Parses the end of a period, with an error text for the command line.
pub(super) fn before(text: &str) -> Result<DateTime<Utc>, &'static str> {
    last_instant(text).ok_or(NO_TIME)
}

const NO_TIME: &str = "it is no date like 2026-11-30 or 2026-11-30T12:00:00Z";

/// The years whose instants are texts in the order of time, as SQLite compares them.
const YEARS: RangeInclusive<i32> = 1..=9999;

/// The last instant of these years: the end of their last day.
const END: DateTime<Utc> = DateTime::from_timestamp_millis(253_402_300_799_999).unwrap();

/// The midnight so many days after the first of a day, or an instant. Without an offset it is in UTC, as a browser writes it.
fn time(text: &str, days: u64) -> Option<DateTime<Utc>> {
    let is_known = |year: i32| YEARS.contains(&year);
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
    let day = day.filter(|day| is_known(day.year()));
    let midnight = day.and_then(|day| day.checked_add_days(Days::new(days)));
    let midnight = midnight.map(|day| day.and_time(NaiveTime::MIN).and_utc().min(END));
    let instant = || DateTime::parse_from_rfc3339(text).ok();
    let browsers = || {
        let forms = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S%.f"];
        forms
            .iter()
            .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
    };
    midnight
        .or_else(|| instant().map(|instant| instant.with_timezone(&Utc)))
        .or_else(|| browsers().map(|time| time.and_utc()))
        .filter(|instant| is_known(instant.year()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_whole() {
        let time = |text: &str| Bound::Time(text.parse().expect("a time"));
        for (text, first, last) in [
            ("2026-11-01", "2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z"),
            ("2026-12-31", "2026-12-31T00:00:00Z", "2027-01-01T00:00:00Z"),
            (
                "9999-12-31",
                "9999-12-31T00:00:00Z",
                "9999-12-31T23:59:59.999Z",
            ),
            (
                "2026-11-30T12:00:00+02:00",
                "2026-11-30T10:00:00Z",
                "2026-11-30T10:00:00Z",
            ),
        ] {
            assert_eq!(from(text), Ok(time(first)), "{text}");
            assert_eq!(until(text), Ok(time(last)), "{text}");
        }
        for local in [
            "2026-11-30T12:00",
            "2026-11-30T12:00:00",
            "2026-11-30T12:00:00.000",
        ] {
            assert_eq!(from(local), Ok(time("2026-11-30T12:00:00Z")), "{local}");
        }
        assert_eq!(until("2026"), Ok(Bound::Sequence(2026)));
        for wrong in [
            "0",
            "-1",
            "",
            "November",
            "2026-11",
            "2026-02-30",
            "2026-11-30 12:00",
            "0000-12-31",
            "-0001-01-01",
            "10000-01-01",
        ] {
            assert!(from(wrong).is_err(), "{wrong}");
        }
    }
}
