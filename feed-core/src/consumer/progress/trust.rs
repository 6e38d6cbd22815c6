//! How long "nothing new" is believed. A cache that repeats it for ever would hide the end of the feed, and the restore of
//! a feed.

use std::time::Duration;

use tokio::time::Instant;

/// The longest time for which only "nothing new" is believed.
const BELIEVED: Duration = Duration::from_secs(300);

/// What a feed has answered last.
#[derive(Debug)]
pub(crate) struct Trust {
    /// When the feed last answered with more than "nothing new".
    answered: Instant,
    /// True if the feed has answered "nothing new" since.
    believed: bool,
}

impl Default for Trust {
    fn default() -> Self {
        Self {
            answered: Instant::now(),
            believed: false,
        }
    }
}

impl Trust {
    /// Records that the feed has answered with more than "nothing new".
    pub(crate) fn answered(&mut self) {
        *self = Self::default();
    }

    /// Records that the feed has answered "nothing new".
    pub(crate) fn trust_304(&mut self) {
        self.believed = true;
    }

    /// Records the answer of a head. One without news may come from a cache, which proves nothing.
    pub(crate) fn head(&mut self, has_news: bool) {
        match has_news {
            true => self.answered(),
            false => self.trust_304(),
        }
    }

    /// Returns true if, at `now`, the next request must bypass caches. A head that is fresh for
    /// longer is still requested once with its tag.
    pub(crate) fn must_bypass_caches(&self, now: Instant) -> bool {
        self.believed && now.duration_since(self.answered) >= BELIEVED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_new_is_not_believed_for_ever() {
        let mut trust = Trust::default();
        let begin = trust.answered;
        assert!(
            !trust.must_bypass_caches(begin + 2 * BELIEVED),
            "it was not said yet"
        );
        trust.trust_304();
        assert!(!trust.must_bypass_caches(begin + BELIEVED / 2));
        assert!(trust.must_bypass_caches(begin + BELIEVED));
        // A head that ends at our position confirms it as little.
        trust.head(false);
        assert!(trust.must_bypass_caches(begin + BELIEVED));
        trust.head(true);
        assert!(trust.answered > begin && !trust.believed);
    }
}
