//! How many events one transaction may have: more while that is quick, fewer after a failure.

use std::time::Duration;

/// The most events of the first transactions, and of those after a failure.
pub(super) const SMALLEST: usize = 100;

/// The most events of one transaction. A backlog is taken in batches that grow up to that: each costs
/// a commit, and a few statements that take as long for many events as for one.
const LARGEST: usize = 1_000;

/// The time that a batch should take: an effect that is slow for each event must not run into its
/// time limit, nor hold its locks for longer.
const TIME: Duration = Duration::from_millis(200);

/// A batch becomes at most so many times as large as the one before: what was quick for a hundred
/// events need not be for a thousand.
const GROWTH: usize = 4;

/// How much closer a batch that succeeds comes to a size that has failed.
const RECOVERY: usize = 10;

/// The size of the next batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BatchSize {
    next: usize,
    /// Below a size that has failed, and slowly rising again.
    ceiling: usize,
}

impl Default for BatchSize {
    fn default() -> Self {
        Self {
            next: SMALLEST,
            ceiling: LARGEST,
        }
    }
}

impl BatchSize {
    pub(super) fn next(self) -> usize {
        self.next
    }

    /// Learns that a batch of `events` took `time`, of an effect that has `limit` for it.
    pub(super) fn succeeded(&mut self, events: usize, time: Duration, limit: Duration) {
        // One that was not full does not show how long a larger one takes.
        if events < self.next {
            return;
        }
        let each = time.max(Duration::from_micros(1)).as_secs_f64() / events as f64;
        // A float that is too large becomes the largest integer.
        let in_time = (TIME.min(limit / 2).as_secs_f64() / each) as usize;
        self.ceiling = (self.ceiling + RECOVERY).min(LARGEST);
        self.next = in_time.min(events * GROWTH).clamp(SMALLEST, self.ceiling);
    }

    /// Learns that a batch of `events` has failed.
    pub(super) fn failed(&mut self, events: usize) {
        self.ceiling = self.ceiling.min(events / 2).max(SMALLEST);
        self.next = SMALLEST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sizes after batches of so many events that took so many milliseconds.
    fn after(batches: &[(usize, u64)], limit: u64) -> usize {
        let mut size = BatchSize::default();
        for (events, time) in batches {
            let limit = Duration::from_millis(limit);
            size.succeeded(*events, Duration::from_millis(*time), limit);
        }
        size.next()
    }

    #[test]
    fn a_batch_has_as_many_events_as_should_take_the_time_of_one() {
        for (batches, expected) in [
            (&[][..], 100),
            (&[(100, 5)], 400),
            (&[(100, 5), (400, 20)], 1_000),
            (&[(100, 0), (400, 0), (1_000, 0)], 1_000),
            (&[(100, 80)], 250),
            (&[(100, 5), (400, 20), (1_000, 250)], 800),
            (&[(100, 5), (400, 20), (1_000, 5_000)], 100),
            (&[(100, 5_000)], 100),
            // It was not full.
            (&[(1, 0)], 100),
        ] {
            assert_eq!(after(batches, 10_000), expected, "{batches:?}");
        }
        assert_eq!(after(&[(100, 10)], 40), 200, "half of the effect's limit");
    }

    #[test]
    fn a_size_that_has_failed_is_not_tried_again_soon() {
        let mut size = BatchSize::default();
        let mut failures = 0;
        for _ in 0..200 {
            let events = size.next();
            if events > 600 {
                failures += 1;
                size.failed(events);
            } else {
                let (time, limit) = (Duration::from_millis(1), Duration::from_secs(10));
                size.succeeded(events, time, limit);
            }
        }
        assert!((1..=12).contains(&failures), "{failures}");
        for _ in 0..10 {
            size.failed(100);
        }
        assert_eq!(size.next(), SMALLEST);
    }
}
