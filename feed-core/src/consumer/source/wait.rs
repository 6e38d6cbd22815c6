//! How long a server may hold an answer back: as long as the network path permits.

use std::time::Duration;

use tokio::time::Instant;

/// The longest time for which the server may hold a request back.
pub(crate) const WAIT: Duration = Duration::from_secs(20);

/// How long a feed that is polled all the time may be silent: the longest wait, and the rest of a
/// round.
pub(crate) const SILENCE: Duration = Duration::from_secs(WAIT.as_secs() + 10);

/// How long a shorter wait is used before a longer one is tried again: the cause of the cut may be
/// gone.
const SHORTER: Duration = Duration::from_secs(3600);

/// How much the durations of two waits may differ that the same limit has cut.
const SAME: Duration = Duration::from_secs(1);

/// The wait to ask for. Two cuts in a row after the same time halve it; each hour it doubles again. One alone may be due to
/// an instance that went away.
#[derive(Debug, Clone)]
pub(crate) struct Wait {
    /// The wait if nothing cuts it.
    bound: Duration,
    longest: Duration,
    since: Instant,
    /// After which time a wait was cut last, if none has been held for longer since.
    cut_after: Option<Duration>,
    /// True if a cut was logged, and no wait of full length has succeeded since.
    logged: bool,
}

impl Wait {
    /// Waits for at most `bound`, in whole seconds, and never longer than [`WAIT`].
    pub(crate) fn new(bound: Duration) -> Self {
        let fraction = u64::from(bound.subsec_nanos() > 0);
        let bound = Duration::from_secs(bound.as_secs().saturating_add(fraction)).min(WAIT);
        Self {
            bound,
            longest: bound,
            since: Instant::now(),
            cut_after: None,
            logged: false,
        }
    }

    /// Returns the wait to ask for at `now`, in whole seconds; zero for none.
    pub(crate) fn next(&mut self, now: Instant) -> Duration {
        if self.longest < self.bound && now.duration_since(self.since) >= SHORTER {
            let longer = (self.longest * 2).max(Duration::from_secs(1));
            self.longest = longer.min(self.bound);
            self.since = now;
        }
        self.longest
    }

    /// Records that a wait was cut at `now`, after this time. Returns true if that shows a limit which the log must
    /// report.
    pub(crate) fn cut(&mut self, after: Duration, now: Instant) -> bool {
        let before = self.cut_after.replace(after);
        if before.is_none_or(|before| before.abs_diff(after) > SAME) {
            return false;
        }
        self.longest = Duration::from_secs(after.min(self.longest).as_secs() / 2);
        self.since = now;
        !std::mem::replace(&mut self.logged, true)
    }

    /// Records an answer that was held back for this time.
    pub(crate) fn held(&mut self, time: Duration) {
        if self.cut_after.is_some_and(|cut| time > cut + SAME) {
            self.cut_after = None;
        }
        if time >= self.bound {
            self.logged = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_that_is_cut_is_halved_and_grows_again_with_the_hours() {
        let seconds = Duration::from_secs;
        let mut wait = Wait::new(WAIT);
        let mut now = Instant::now();
        assert_eq!(wait.next(now), WAIT);
        assert!(
            !wait.cut(seconds(10), now),
            "an instance may have gone away"
        );
        assert_eq!(wait.next(now), WAIT);
        assert!(wait.cut(seconds(11), now), "it is news");
        assert_eq!(wait.next(now), seconds(5));
        wait.held(seconds(5));
        let cut_twice = |wait: &mut Wait, after, now| wait.cut(after, now) | wait.cut(after, now);
        assert!(!cut_twice(&mut wait, seconds(3), now), "it is known");
        assert_eq!(wait.next(now), seconds(1));
        assert!(!wait.cut(seconds(1), now));
        assert!(!wait.cut(seconds(1), now));
        assert_eq!(wait.next(now), Duration::ZERO);
        let mut before = Duration::ZERO;
        for longer in [1, 2, 4, 8, 16, 20, 20].map(seconds) {
            now += SHORTER / 2;
            assert_eq!(wait.next(now), before);
            now += SHORTER / 2;
            assert_eq!(wait.next(now), longer);
            before = longer;
        }
        assert!(!cut_twice(&mut wait, seconds(25), now), "still known");
        assert_eq!(wait.next(now), seconds(10), "more than was asked for");
        wait.held(WAIT);
        assert!(
            cut_twice(&mut wait, seconds(10), now),
            "it was gone for a while"
        );
    }

    #[test]
    fn cuts_after_different_times_show_no_limit() {
        let seconds = Duration::from_secs;
        let now = Instant::now();
        let mut wait = Wait::new(WAIT);
        for after in [3, 9, 1, 15].map(seconds) {
            assert!(!wait.cut(after, now));
        }
        // Between two equal ones, a wait was held for longer.
        wait.held(WAIT);
        assert!(!wait.cut(seconds(15), now));
        assert_eq!(wait.next(now), WAIT);
        // An answer with news may come before.
        wait.held(seconds(4));
        assert!(wait.cut(seconds(15), now));
        assert_eq!(wait.next(now), seconds(7));
    }

    #[test]
    fn a_bound_is_kept_also_when_waits_grow_again() {
        let seconds = Duration::from_secs;
        let now = Instant::now();
        let mut wait = Wait::new(seconds(5));
        assert_eq!(wait.next(now), seconds(5));
        wait.cut(seconds(5), now);
        wait.cut(seconds(5), now);
        assert_eq!(wait.next(now), seconds(2));
        assert_eq!(wait.next(now + SHORTER), seconds(4));
        assert_eq!(wait.next(now + 2 * SHORTER), seconds(5));
        for (bound, asked) in [
            (seconds(60), WAIT),
            (Duration::MAX, WAIT),
            (Duration::from_millis(1_500), seconds(2)),
            (Duration::from_nanos(1), seconds(1)),
        ] {
            assert_eq!(Wait::new(bound).next(now), asked, "{bound:?}");
        }
        assert_eq!(
            Wait::new(Duration::ZERO).next(now + SHORTER),
            Duration::ZERO
        );
    }
}
