//! The result that stays stored. What a comparison has found, only one that covers it may clear.

use serde::{Deserialize, Serialize};

use super::period::{Bound, Period};
use super::report::Reconciliation;
use crate::event::Sequence;

/// The result of a comparison as it is stored; an older version has stored the result alone.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    #[serde(flatten)]
    pub(super) result: Reconciliation,
    /// The epoch of the feed, if it has sequences.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) epoch: Option<String>,
    /// The lowest cursor when the comparison began.
    #[serde(default)]
    pub(super) taken: Sequence,
    /// Earlier comparisons up to this event have found differences that this one does not cover.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) others_up_to: Option<Sequence>,
}

impl Kept {
    /// Returns what to store of this comparison of `period`, in place of an earlier one. `None` if that one stays, since
    /// it has found differences and this one has found none where they are.
    pub(super) fn replacing(mut self, earlier: Option<Self>, period: Period) -> Option<Self> {
        let Some(earlier) = earlier.filter(Self::differs) else {
            return Some(self);
        };
        if !self.covers(&earlier, period) {
            self.others_up_to = Some(earlier.furthest());
            return self.differs().then_some(self);
        }
        Some(self)
    }

    fn differs(&self) -> bool {
        self.result.totals.unequal() > 0
    }

    /// Returns the last event that it, or an earlier one that was not cleared, is about.
    fn furthest(&self) -> Sequence {
        self.taken
            .max(self.result.to)
            .max(self.others_up_to.unwrap_or(0))
    }

    /// Returns true if this comparison of `period` must have met what the earlier one has found, if it is still there.
    fn covers(&self, earlier: &Self, period: Period) -> bool {
        let (new, old) = (&self.result, &earlier.result);
        if new.events + new.left_out == 0 {
            return false;
        }
        let is_whole = period == Period::default();
        // Sequences of another feed say nothing.
        if self.epoch != earlier.epoch || self.epoch.is_none() {
            return is_whole;
        }
        // A replay has not come so far again.
        if self.taken < earlier.furthest() {
            return false;
        }
        if is_whole || earlier.others_up_to.is_some() {
            return is_whole;
        }
        let begins_before = match period.from {
            None => true,
            Some(Bound::Sequence(from)) => from <= old.from,
            Some(Bound::Time(from)) => old.since.is_some_and(|since| from <= since),
        };
        let ends_after = match period.until {
            None => true,
            // Only a period without an end has what no event explains.
            Some(_) if old.totals.unexplained > 0 => false,
            Some(Bound::Sequence(until)) => until >= old.to,
            Some(Bound::Time(until)) => old.until.is_some_and(|end| until >= end),
        };
        begins_before && ends_after
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta, Utc};

    use super::*;
    use crate::consumer::{Difference, Kind, Totals};

    /// A comparison of events 1 to 100 in one epoch, with a difference or none.
    fn compared(kind: Option<Kind>) -> Kept {
        let difference = |kind| Difference {
            id: "order/7".to_owned(),
            what: "it differs".to_owned(),
            kind,
        };
        let differences: Vec<Difference> = kind.map(difference).into_iter().collect();
        Kept {
            result: Reconciliation {
                at: Utc::now(),
                from: 1,
                to: 100,
                since: None,
                until: None,
                events: 100,
                left_out: 0,
                totals: Totals::of(99, &differences, std::collections::BTreeMap::new()),
                found: differences.len() as u64,
                differences,
            },
            epoch: Some("one".to_owned()),
            taken: 100,
            others_up_to: None,
        }
    }

    fn numbered(from: Option<Sequence>, until: Option<Sequence>) -> Period {
        Period {
            from: from.map(Bound::Sequence),
            until: until.map(Bound::Sequence),
        }
    }

    /// What is stored after a comparison without a difference.
    fn clears(earlier: Kept, new: Kept, period: Period) -> bool {
        new.replacing(Some(earlier), period).is_some()
    }

    #[test]
    fn a_difference_stays_until_a_comparison_covers_it() {
        let different = || compared(Some(Kind::Different));
        for (from, until, expected) in [
            (None, None, true),
            (Some(1), None, true),
            (None, Some(100), true),
            (Some(2), None, false),
            (None, Some(99), false),
        ] {
            let period = numbered(from, until);
            assert_eq!(
                clears(different(), compared(None), period),
                expected,
                "{period:?}"
            );
        }
        // With an end, a comparison does not look for what no event explains.
        let unexplained = || compared(Some(Kind::Unexplained));
        assert!(!clears(
            unexplained(),
            compared(None),
            numbered(None, Some(100))
        ));
        assert!(clears(
            unexplained(),
            compared(None),
            numbered(Some(1), None)
        ));
        // A gap stays whatever an operator does.
        assert!(clears(
            compared(Some(Kind::Gap)),
            compared(None),
            numbered(Some(50), None)
        ));
    }

    #[test]
    fn days_cover_days() {
        let begin: DateTime<Utc> = "2026-11-01T00:00:00Z".parse().expect("an instant");
        let day = |n| begin + TimeDelta::days(n);
        let november = || {
            let mut kept = compared(Some(Kind::Missing));
            (kept.result.since, kept.result.until) = (Some(day(0)), Some(day(30)));
            kept
        };
        for (from, until, expected) in [
            (0, 30, true),
            (-1, 31, true),
            (1, 30, false),
            (0, 29, false),
        ] {
            let period = Period {
                from: Some(Bound::Time(day(from))),
                until: Some(Bound::Time(day(until))),
            };
            assert_eq!(
                clears(november(), compared(None), period),
                expected,
                "{period:?}"
            );
        }
        let since = Period {
            from: Some(Bound::Time(day(0))),
            until: None,
        };
        assert!(clears(november(), compared(None), since));
        assert!(!clears(
            compared(Some(Kind::Missing)),
            compared(None),
            since
        ));
    }

    #[test]
    fn what_has_not_come_so_far_or_compared_nothing_clears_nothing() {
        let different = || compared(Some(Kind::Different));
        let replaying = Kept {
            taken: 50,
            ..compared(None)
        };
        assert!(!clears(different(), replaying, Period::default()));
        let mut empty = compared(None);
        empty.epoch = None;
        empty.result.events = 0;
        assert!(!clears(different(), empty, Period::default()));
        // Another feed may be shorter.
        let other = || Kept {
            epoch: Some("two".to_owned()),
            taken: 50,
            ..compared(None)
        };
        assert!(clears(different(), other(), Period::default()));
        assert!(!clears(different(), other(), numbered(Some(1), None)));
    }

    #[test]
    fn after_differences_in_two_periods_only_a_whole_comparison_clears() {
        let other = compared(Some(Kind::Missing));
        let mut newer = compared(Some(Kind::Different));
        (newer.result.from, newer.result.to) = (40, 60);
        let period = numbered(Some(40), Some(60));
        let kept = newer.replacing(Some(other), period).expect("it is stored");
        assert_eq!((kept.result.from, kept.others_up_to), (40, Some(100)));
        let text = serde_json::to_string(&kept).expect("it is JSON");
        let read = || serde_json::from_str::<Kept>(&text).expect("it is read");
        assert!(!clears(read(), compared(None), period));
        assert!(!clears(read(), compared(None), numbered(Some(1), None)));
        assert!(clears(read(), compared(None), Period::default()));
    }
}
