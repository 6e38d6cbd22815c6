//! The pace of a subscription in words: whether it catches up, and until when.

use std::fmt::Write as _;

use super::command::words::{counted, span};
use feed_core::consumer::Pace;

/// Says how fast it is, and when all events are taken: `20 events a second; all are taken in about
/// 3 min`.
pub(super) fn words(pace: &Pace, lag: i64, stopped: bool) -> String {
    let mut words = if pace.taken > 0.0 {
        rate(pace.taken)
    } else {
        "no event".to_owned()
    };
    let _ = write!(words, " over the last {}", span(pace.seconds));
    if lag == 0 {
        return words;
    }
    match pace.level_in {
        _ if stopped => words += ": none is taken until it is resumed",
        Some(seconds) => {
            let _ = write!(words, "; all are taken in about {}", span(seconds));
        }
        None if pace.published > pace.taken => {
            let _ = write!(words, ", and {} published: ", rate(pace.published));
            words += "it falls further behind";
        }
        None => words += ": it does not catch up",
    }
    words
}

/// Formats a pace, in the unit in which it is a number that can be imagined.
pub(super) fn rate(a_second: f64) -> String {
    let events = |count: f64| counted(count.round() as i64, "event");
    match a_second {
        10.0.. => format!("{} a second", events(a_second)),
        1.0.. => format!("{a_second:.1} events a second"),
        _ if a_second * 60.0 >= 1.0 => format!("{} a minute", events(a_second * 60.0)),
        _ => format!("{} an hour", events(a_second * 3600.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_says_whether_it_catches_up_and_until_when() {
        let pace = |taken, published, level_in| Pace {
            taken,
            published,
            seconds: 60,
            level_in,
        };
        for (pace, lag, text) in [
            (pace(0.0, 0.0, Some(0)), 0, "no event over the last 60 s"),
            (
                pace(0.25, 0.25, Some(0)),
                0,
                "15 events a minute over the last 60 s",
            ),
            (
                pace(1_200.0, 200.0, Some(300)),
                300_000,
                "1,200 events a second over the last 60 s; all are taken in about 5 min",
            ),
            (
                pace(2.0, 5.0, None),
                300,
                "2.0 events a second over the last 60 s, and 5.0 events a second published: \
                 it falls further behind",
            ),
            (
                pace(0.0, 0.0, None),
                7,
                "no event over the last 60 s: it does not catch up",
            ),
        ] {
            assert_eq!(words(&pace, lag, false), text);
        }
        let stopped = words(&pace(0.0, 1.0, None), 7, true);
        assert_eq!(
            stopped,
            "no event over the last 60 s: none is taken until it is resumed"
        );
    }
}
