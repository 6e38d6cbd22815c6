//! When the second of the newest event is over, so that the feed can give it a date.

use chrono::{DateTime, DurationRound, TimeDelta, Utc};

use super::LONGEST_AGE;
use crate::store::publish::Head;

/// The second of the newest event, until it is closed.
#[derive(Debug, Default)]
pub(super) struct OpenSecond {
    /// The head whose second it is, and the latest date when this instance first saw it.
    head: Option<(Head, DateTime<Utc>)>,
    /// The latest date that an answer can have had: the clock may go back.
    latest: DateTime<Utc>,
}

impl OpenSecond {
    /// Returns when the second of a head that was just read may be closed. The date that is announced then, a second before
    /// it, must be later than that of each answer without the newest event: readers send such a date too (RFC 9110, 13.1.3).
    /// A commit may take long after the event was stamped, and another instance may have answered from an older head for
    /// [`LONGEST_AGE`].
    pub(super) fn closes_at(&mut self, head: &Head) -> DateTime<Utc> {
        self.latest = self.latest.max(head.read_at);
        let first_seen = match &self.head {
            Some((known, seen)) if known.is_unchanged_in(head) => *seen,
            _ => self.latest,
        };
        self.head = Some((head.clone(), first_seen));
        let last_without = head.updated.max(first_seen) + LONGEST_AGE;
        last_without
            .duration_trunc(TimeDelta::seconds(1))
            .unwrap_or(last_without)
            + TimeDelta::seconds(2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cursor::Epoch;
    use crate::event::EventId;

    #[test]
    fn a_second_closes_when_no_answer_without_its_events_can_have_its_date() {
        let at = |millis| DateTime::UNIX_EPOCH + TimeDelta::milliseconds(millis);
        let empty = Head {
            feed_id: EventId::new(),
            epoch: Epoch::random(),
            page_size: 10,
            created: at(0),
            sequence: 1,
            anchor: None,
            updated: at(10_900),
            closed_until: None,
            closed_sequence: 0,
            presentation: None,
            revision: 0,
            read_at: at(0),
        };
        let read = |sequence, read_at| Head {
            sequence,
            read_at: at(read_at),
            ..empty.clone()
        };
        let mut second = OpenSecond::default();
        // Another instance may have answered without it until 11.9, so 12 is the first date that is announced with it.
        assert_eq!(second.closes_at(&read(1, 10_900)), at(13_000));
        assert_eq!(second.closes_at(&read(1, 12_500)), at(13_000), "known");
        // It was stamped long before it was committed.
        assert_eq!(second.closes_at(&read(2, 20_100)), at(23_000));
        // The clock goes back: answers have had later dates.
        assert_eq!(second.closes_at(&read(3, 15_000)), at(23_000));
    }
}
