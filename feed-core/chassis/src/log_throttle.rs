//! Bounds the lines of the log that a client or a lasting fault could repeat without end.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The least time between two lines about the same.
const PERIOD: Duration = Duration::from_secs(60);

/// One thing that is logged seldom, however often it happens.
#[derive(Debug, Default)]
pub(super) struct LogThrottle(Mutex<(Option<Instant>, u64)>);

impl LogThrottle {
    /// Counts once. If a line is due, returns how often it has happened since the last one.
    pub(super) fn due(&self) -> Option<u64> {
        self.due_at(Instant::now())
    }

    fn due_at(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, times) = &mut *state;
        *times += 1;
        if last.is_some_and(|last| now.saturating_duration_since(last) < PERIOD) {
            return None;
        }
        *last = Some(now);
        Some(std::mem::take(times))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_line_a_minute_with_all_since_the_last_one() {
        let (throttle, begin) = (LogThrottle::default(), Instant::now());
        let at = |seconds| throttle.due_at(begin + Duration::from_secs(seconds));
        assert_eq!(at(0), Some(1));
        assert_eq!(at(0), None);
        assert_eq!(at(1), None);
        assert_eq!(at(59), None);
        assert_eq!(at(60), Some(4));
        assert_eq!(at(119), None);
        assert_eq!(at(300), Some(2));
        assert_eq!(at(360), Some(1));
    }
}
