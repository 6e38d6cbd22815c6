//! Texts that commands and pages share.

use chrono::Utc;

pub(in crate::subscription) use feed_chassis::{counted, grouped, moment};
use feed_core::Sequence;
use feed_core::consumer::{Decided, Lag, Outcome, ParkedEvent};

/// The longest list that is returned at once.
pub(in crate::subscription) const MOST: u32 = 1000;

/// The meaning of each way to resume after a halt.
pub(in crate::subscription) const KEEP: &str =
    "Resume from the stored cursor; the feed has been repaired, or its address was wrong";
pub(in crate::subscription) const FROM_START: &str = "Take all events of the feed, from the first one on, or after those that are known to have been taken; effects that are still there are not doubled, by their own unique key";
pub(in crate::subscription) const FROM_NOW: &str = "Resume from the next new event; earlier events that were not taken are never taken: an erasure among them \
     leaves the person's data here";

/// What to do about a halt. It follows the reason, wherever that is shown.
pub const WHAT_TO_DO: &str = "an operator has to resume it, on the status page or \
     by the command resume --keep, --from-start or --from-now";

/// When a halted subscription retries parked events.
pub(super) const WHEN_RESUMED: &str = "when the subscription is resumed";

/// Formats a length of time, in the largest unit that is precise enough: `5 min`.
pub(in crate::subscription) fn span(seconds: i64) -> String {
    match seconds {
        ..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", grouped(seconds / 86_400)),
    }
}

/// Formats the lag of a subscription: `2 events, 5 s`. A halted one does not ask the feed, whose silence is then no news.
pub(in crate::subscription) fn behind(lag: Lag, halted: bool) -> String {
    let events = counted(lag.events, "event");
    match (lag.events, lag.seconds) {
        (0, None | Some(0)) => "none".to_owned(),
        (0, _) if halted => "none known".to_owned(),
        (0, Some(silent)) => format!(
            "none known, but the feed has not answered for {}",
            span(silent)
        ),
        (_, Some(seconds)) => format!("{events}, {}", span(seconds)),
        (_, None) => events,
    }
}

/// Says how many events have failed: `2 events are parked`.
pub(in crate::subscription) fn parked(events: i64) -> String {
    let are = if events == 1 { "is" } else { "are" };
    format!("{} {are} parked", counted(events, "event"))
}

/// Capitalizes the beginning.
pub(in crate::subscription) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

/// Formats the number of an event, if the feed has sequences.
pub(in crate::subscription) fn number(sequence: Option<Sequence>) -> String {
    sequence.map_or_else(|| "\u{2013}".to_owned(), grouped)
}

/// Names what has happened to an event, in a word or two.
pub(in crate::subscription) fn outcome_name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Applied => "applied",
        Outcome::Parked => "parked",
        Outcome::Waiting => "waiting",
        Outcome::Skipped => "skipped",
        Outcome::PassedOver => "passed over",
    }
}

/// Says what has come of a decision.
pub(in crate::subscription) fn outcome_of(decided: &Decided) -> String {
    let outcome = match &decided.outcome {
        Some(outcome) => outcome,
        None if decided.can_be_undone => "not carried out yet",
        None => "under way",
    };
    match decided.still_parked {
        0 => outcome.to_owned(),
        parked => format!("{outcome}; {parked} still parked"),
    }
}

/// Describes what happens next to a failed event, in a subscription that may be `halted`.
pub(in crate::subscription) fn next_try(event: &ParkedEvent, halted: bool) -> String {
    match event.retry_at {
        Some(_) if halted => format!("it is tried again {WHEN_RESUMED}"),
        Some(at) if at <= Utc::now() => "it is tried again now".to_owned(),
        Some(at) => format!("it is tried again at {}", moment(at)),
        None => "it waits for the operator".to_owned(),
    }
}

/// Groups failed events, each with the later ones of its subject that wait for it; oldest first.
pub(in crate::subscription) fn by_cause(
    parked: &[ParkedEvent],
) -> Vec<(&ParkedEvent, Vec<&ParkedEvent>)> {
    let failed = parked.iter().filter(|event| event.reason.is_some());
    failed
        .map(|event| {
            let waits =
                |other: &&ParkedEvent| other.reason.is_none() && other.subject == event.subject;
            (event, parked.iter().filter(waits).collect())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_has_one_unit() {
        for (seconds, text) in [
            (0, "0 s"),
            (119, "119 s"),
            (120, "2 min"),
            (7_200, "2 h"),
            (864_000, "10 days"),
        ] {
            assert_eq!(span(seconds), text);
        }
    }

    #[test]
    fn lag_has_no_time_before_the_first_event() {
        let halted = |seconds| behind(Lag { events: 0, seconds }, true);
        assert_eq!(halted(Some(0)), "none");
        assert_eq!(halted(Some(300)), "none known");
        let behind = |events, seconds| behind(Lag { events, seconds }, false);
        assert_eq!(behind(0, Some(0)), "none");
        let silent = "none known, but the feed has not answered for 5 min";
        assert_eq!(behind(0, Some(300)), silent);
        assert_eq!(behind(1, Some(5)), "1 event, 5 s");
        assert_eq!(behind(1_200, None), "1,200 events");
    }
}
