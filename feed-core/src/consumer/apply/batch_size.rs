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

/// Batches that must succeed after a failure before a larger one is tried again; twice as many after
/// each further failure.
const FIRST_BACKOFF: u32 = 8;
const LONGEST_BACKOFF: u32 = 1_024;

/// The size of the next batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BatchSize {
    next: usize,
    /// The largest size for now.
    ceiling: usize,
    /// The last size that failed; 0 if a batch of that size has succeeded since.
    failed: usize,
    backoff: u32,
    /// Batches that must still succeed before the ceiling is lifted.
    left: u32,
}

impl Default for BatchSize {
    fn default() -> Self {
        Self {
            next: SMALLEST,
            ceiling: LARGEST,
            failed: 0,
            backoff: 0,
            left: 0,
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
        if events >= self.failed {
            (self.failed, self.backoff) = (0, 0);
        }
        self.left = self.left.saturating_sub(1);
        if self.left == 0 {
            self.ceiling = LARGEST;
        }
        let each = time.max(Duration::from_micros(1)).as_secs_f64() / events as f64;
        // A float that is too large becomes the largest integer.
        let in_time = (TIME.min(limit / 2).as_secs_f64() / each) as usize;
        self.next = in_time.min(events * GROWTH).clamp(SMALLEST, self.ceiling);
    }

    /// Learns that a batch of `events` has failed. The smallest ones show nothing about sizes.
    pub(super) fn failed(&mut self, events: usize) {
        self.next = SMALLEST;
        if events > SMALLEST {
            self.failed = events;
            self.ceiling = (events / 2).max(SMALLEST);
            self.backoff = (2 * self.backoff).clamp(FIRST_BACKOFF, LONGEST_BACKOFF);
            self.left = self.backoff;
        }
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

    /// The sizes that are tried where batches of more than `most` events fail.
    fn tried(most: usize) -> Vec<usize> {
        let mut size = BatchSize::default();
        let mut tried = Vec::new();
        for _ in 0..300 {
            let events = size.next();
            tried.push(events);
            match events > most {
                true => size.failed(events),
                false => size.succeeded(events, Duration::from_millis(1), Duration::from_secs(10)),
            }
        }
        tried
    }

    #[test]
    fn a_size_that_has_failed_is_tried_again_ever_more_rarely() {
        for most in [100, 150, 600] {
            let failures = tried(most).iter().filter(|size| **size > most).count();
            assert!((2..=8).contains(&failures), "{most}: {failures}");
        }
        // One failure, of whatever cause.
        let mut size = BatchSize::default();
        size.failed(1_000);
        size.failed(100);
        for _ in 0..FIRST_BACKOFF + 3 {
            let events = size.next();
            size.succeeded(events, Duration::from_millis(1), Duration::from_secs(10));
        }
        assert_eq!(size.next(), 1_000);
        assert_eq!(size.backoff, 0);
    }
}
