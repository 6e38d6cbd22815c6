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
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, times) = &mut *state;
        *times += 1;
        if last.is_some_and(|last| last.elapsed() < PERIOD) {
            return None;
        }
        *last = Some(Instant::now());
        Some(std::mem::take(times))
    }
}
