//! A head that stays behind what was taken: that of a cache, or of an instance of the publisher, which is out of date. It
//! causes no error, since the events after the cursor are requested by the cursor; they may arrive late.

use std::time::Duration;

use tokio::time::Instant;

use crate::cursor::{Cursor, Epoch};
use crate::event::Sequence;

/// How far in the past a head is stale. Caches may keep one for some seconds.
const STALE: Duration = Duration::from_secs(60);

/// What is known of heads that were older than the cursor.
#[derive(Debug, Default)]
pub(crate) struct StaleHead(Option<Older>);

#[derive(Debug)]
struct Older {
    /// When one was older, and the cursor then.
    since: Instant,
    epoch: Epoch,
    seen: Sequence,
    reported: bool,
}

impl StaleHead {
    /// Takes the head of an answer at `now`, with the cursor at `seen`. Returns true, once, if the head is older than the cursor
    /// was a minute ago.
    pub(crate) fn is_news(&mut self, head: &Cursor, seen: Sequence, now: Instant) -> bool {
        if head.sequence >= seen {
            return false;
        }
        // Another epoch, or a cursor that was moved back, shows nothing about the one before.
        let is_comparable = |older: &Older| older.epoch == head.epoch && older.seen <= seen;
        match &mut self.0 {
            Some(older) if is_comparable(older) && head.sequence < older.seen => {
                let stale = now.duration_since(older.since) >= STALE;
                stale && !std::mem::replace(&mut older.reported, stale)
            }
            older => {
                *older = Some(Older {
                    since: now,
                    epoch: head.epoch,
                    seen,
                    reported: false,
                });
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(epoch: &str, sequence: Sequence) -> Cursor {
        Cursor {
            sequence,
            ..Cursor::start(epoch.parse().expect("an epoch"))
        }
    }

    #[test]
    fn a_head_that_stays_behind_is_reported_once() {
        let mut stale = StaleHead::default();
        let begin = Instant::now();
        let mut at = |seconds, sequence, seen| {
            let now = begin + Duration::from_secs(seconds);
            stale.is_news(&head("abcdefgh", sequence), seen, now)
        };
        // A cache is some seconds behind, each time.
        for seconds in 0..200 {
            let seen = 100 + i64::try_from(seconds).expect("few");
            assert!(!at(seconds, seen - 3, seen), "{seconds}");
        }
        // One of two instances has stopped there.
        assert!(!at(200, 298, 300));
        assert!(!at(230, 301, 301));
        assert!(!at(259, 298, 301));
        assert!(at(263, 298, 301));
        assert!(!at(400, 298, 301), "it was reported");
        // It was well again.
        assert!(!at(500, 310, 312));
        assert!(at(560, 310, 312));
    }
    #[test]
    fn a_feed_that_begins_anew_is_compared_with_itself() {
        let begin = Instant::now();
        for (epoch, seen) in [("abcdefgh", 60), ("bcdefghi", 120)] {
            let mut stale = StaleHead::default();
            let mut at = |seconds, head: &Cursor, seen| {
                stale.is_news(head, seen, begin + Duration::from_secs(seconds))
            };
            assert!(!at(0, &head("abcdefgh", 50), 100));
            // A cache is some seconds behind.
            let behind = head(epoch, 59);
            assert!(!at(3_600, &behind, seen), "{epoch}");
            assert!(at(3_661, &behind, seen), "{epoch}: it stays there");
        }
    }
}
