//! The bounds of a period on the command line: an event by its number, a day, or an instant.

use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};
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
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
    let midnight = day.and_then(|day| day.checked_add_days(Days::new(days)));
    let midnight = midnight.map(|day| day.and_time(NaiveTime::MIN).and_utc());
    let instant = || DateTime::parse_from_rfc3339(text).ok();
    let time = midnight.or_else(|| instant().map(|instant| instant.with_timezone(&Utc)));
    time.map(Bound::Time).ok_or_else(|| {
        "it is neither the number of an event nor a date like 2026-11-30 or 2026-11-30T12:00:00Z"
            .to_owned()
    })
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
                "2026-11-30T12:00:00+02:00",
                "2026-11-30T10:00:00Z",
                "2026-11-30T10:00:00Z",
            ),
        ] {
            assert_eq!(from(text), Ok(time(first)), "{text}");
            assert_eq!(until(text), Ok(time(last)), "{text}");
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
        ] {
            assert!(from(wrong).is_err(), "{wrong}");
        }
    }
}
