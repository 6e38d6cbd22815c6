//! Which document contains which event. Sequences are dense, so this is arithmetic.

use std::ops::RangeInclusive;

use crate::event::Sequence;
use crate::store::publish::Head;

/// The division of the feed into pages while `newest` is its newest sequence.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pages {
    size: i64,
    newest: Sequence,
}

/// The state of a page on its way to immutable bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum State {
    /// It fills, or has not begun: it has no address.
    Open,
    /// It is full, but does not have its `next-archive` link yet.
    Sealed,
    /// Its successor is sealed too: these bytes are final (I3).
    Immutable,
}

impl From<&Head> for Pages {
    fn from(head: &Head) -> Self {
        Self {
            size: head.page_size,
            newest: head.sequence,
        }
    }
}

impl Pages {
    /// Returns the page that contains event `sequence`.
    pub(super) fn of(self, sequence: Sequence) -> i64 {
        (sequence - 1) / self.size + 1
    }

    pub(super) fn range(self, page: i64) -> RangeInclusive<Sequence> {
        (page - 1) * self.size + 1..=page * self.size
    }

    pub(super) fn state(self, page: i64) -> State {
        let sealed = self.newest / self.size;
        if page < sealed {
            State::Immutable
        } else if page == sealed {
            State::Sealed
        } else {
            State::Open
        }
    }

    /// Returns the range of the head: the open page and the newest sealed one, so that a walk back
    /// from there meets immutable pages only.
    pub(super) fn head(self) -> RangeInclusive<Sequence> {
        let sealed = self.newest / self.size;
        (sealed - 1).max(0) * self.size + 1..=self.newest
    }

    /// Returns the page before those of the head.
    pub(super) fn before_head(self) -> Option<i64> {
        let page = self.newest / self.size - 1;
        (page >= 1).then_some(page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_is_in_one_page_and_the_walk_from_the_head_meets_each_once() {
        for newest in 0..=35 {
            let pages = Pages { size: 10, newest };
            let mut seen: Vec<i64> = pages.head().collect();
            let mut next = pages.before_head();
            while let Some(page) = next {
                assert_eq!(pages.state(page), State::Immutable, "{newest}: {page}");
                seen.extend(pages.range(page));
                next = (page > 1).then(|| page - 1);
            }
            seen.sort_unstable();
            assert_eq!(seen, (1..=newest).collect::<Vec<_>>());
            for sequence in 1..=newest {
                assert!(pages.range(pages.of(sequence)).contains(&sequence));
            }
            let open = newest / 10 + 1;
            assert_eq!(pages.state(open), State::Open);
            assert_eq!(pages.state(i64::MAX), State::Open);
        }
    }
}
