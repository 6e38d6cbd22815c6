//! Formats numbers and times for sentences.

use chrono::{DateTime, Utc};
use indicatif::HumanCount;

/// Formats a number with thousands separators: `12,300`.
#[must_use]
pub fn grouped(number: impl Into<i64>) -> String {
    let number = number.into();
    let sign = if number < 0 { "-" } else { "" };
    format!("{sign}{}", HumanCount(number.unsigned_abs()))
}

/// Formats a number with its noun: `1 event`, `2 events`. A larger one than an `i64` is cut to it.
#[must_use]
pub fn counted(number: impl TryInto<i64>, one: &str) -> String {
    let number = number.try_into().unwrap_or(i64::MAX);
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {one}{plural}", grouped(number))
}

/// Formats an instant to the second: `2026-01-31 12:00:00 UTC`.
#[must_use]
pub fn moment(at: DateTime<Utc>) -> String {
    at.format(MOMENT).to_string()
}

/// The format of an instant to the second.
pub(crate) const MOMENT: &str = "%Y-%m-%d %H:%M:%S UTC";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_for_people() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (12_300, "12,300"),
            (1_234_567, "1,234,567"),
            (-1_000, "-1,000"),
            (i64::MIN, "-9,223,372,036,854,775,808"),
        ] {
            assert_eq!(grouped(number), text);
        }
        assert_eq!(counted(1, "event"), "1 event");
        assert_eq!(counted(1_000, "event"), "1,000 events");
    }
}
