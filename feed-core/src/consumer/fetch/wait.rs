//! How long a server may hold an answer back: as long as what lies on the way lets it.

use std::time::Duration;

use tokio::time::Instant;

/// The longest we ask a server to hold a request back.
pub(in crate::consumer) const WAIT: Duration = Duration::from_secs(20);

/// How long a shorter wait is asked for before a longer one is tried again: what cut it may be gone.
const SHORTER: Duration = Duration::from_secs(3600);

/// The wait to ask for. A wait that is cut halves it; each hour it is doubled again.
#[derive(Debug, Clone)]
pub(super) struct Wait {
    longest: Duration,
    since: Instant,
    /// True if it was logged that waits are cut, and none of full length was answered since.
    logged: bool,
}

impl Wait {
    pub(super) fn new() -> Self {
        Self {
            longest: WAIT,
            since: Instant::now(),
            logged: false,
        }
    }

    /// The wait to ask for now, in whole seconds; zero: none.
    pub(super) fn next(&mut self) -> Duration {
        if self.longest < WAIT && self.since.elapsed() >= SHORTER {
            self.longest = (self.longest * 2).clamp(Duration::from_secs(1), WAIT);
            self.since = Instant::now();
        }
        self.longest
    }

    /// Records that a wait was cut after this time. True if that is news for the log.
    pub(super) fn cut(&mut self, after: Duration) -> bool {
        self.longest = Duration::from_secs(after.min(self.longest).as_secs() / 2);
        self.since = Instant::now();
        !std::mem::replace(&mut self.logged, true)
    }

    /// Records that a request was answered that was held back for this time.
    pub(super) fn held(&mut self, time: Duration) {
        if time >= WAIT {
            self.logged = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_is_cut_is_halved_and_grows_again_with_the_hours() {
        let seconds = Duration::from_secs;
        let mut wait = Wait::new();
        assert_eq!(wait.next(), WAIT);
        assert!(wait.cut(seconds(10)), "it is news");
        assert_eq!(wait.next(), seconds(5));
        wait.held(seconds(5));
        assert!(!wait.cut(seconds(3)), "it is known");
        assert_eq!(wait.next(), seconds(1));
        assert!(!wait.cut(seconds(1)));
        assert_eq!(wait.next(), Duration::ZERO);
        for expected in [1, 2, 4, 8, 16, 20, 20] {
            tokio::time::advance(SHORTER / 2).await;
            let before = wait.next();
            assert!(before < seconds(expected) || before == WAIT);
            tokio::time::advance(SHORTER / 2).await;
            assert_eq!(wait.next(), seconds(expected));
        }
        assert!(!wait.cut(seconds(25)), "still known");
        assert_eq!(wait.next(), seconds(10), "more than was asked for");
        wait.held(WAIT);
        assert!(wait.cut(seconds(10)), "it was gone for a while");
    }
}
