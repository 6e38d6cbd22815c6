//! Caches batch documents for consumers that request the same ones at the same time: instances of
//! one subscription, or all that were notified of an event.
//!
//! Batch documents contain personal data, which may be erased. Erasing publishes an event, so the
//! cache is valid only until the head moves.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use lru::LruCache;

use super::body::Body;
use crate::event::Sequence;
use crate::store::publish::Head;

/// Batch documents kept: instances that catch up together are a few pages apart.
const KEPT: NonZeroUsize = NonZeroUsize::new(16).expect("not zero");

/// The largest document kept, in bytes: three times that of a hundred ordinary orders.
const LARGEST: usize = 256 * 1024;

/// The first and the last sequence.
type Range = (Sequence, Sequence);

/// The batch documents that were requested since the head last moved.
#[derive(Debug, Default)]
pub(super) struct BatchDocuments(Mutex<Kept>);

#[derive(Debug)]
struct Kept {
    head: Option<Head>,
    batches: LruCache<Range, Arc<Body>>,
}

impl Default for Kept {
    fn default() -> Self {
        Self {
            head: None,
            batches: LruCache::new(KEPT),
        }
    }
}

impl BatchDocuments {
    /// Returns the batch document of `range`, if it was written while the head was `head`.
    pub(super) fn get(&self, head: &Head, range: Range) -> Option<Arc<Body>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match kept.head.as_ref().is_some_and(|at| at.is_same(head)) {
            true => kept.batches.get(&range).map(Arc::clone),
            false => None,
        }
    }

    /// Keeps a batch document that was read after the head was seen as `head`.
    pub(super) fn put(&self, head: &Head, range: Range, body: &Arc<Body>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Another request has seen a newer head meanwhile.
        let is_newer = |at: &Head| {
            let (at_place, place) = ((at.sequence, at.revision), (head.sequence, head.revision));
            at.epoch == head.epoch && at_place > place
        };
        if body.len() > LARGEST || kept.head.as_ref().is_some_and(is_newer) {
            return;
        }
        if !kept.head.as_ref().is_some_and(|at| at.is_same(head)) {
            kept.batches.clear();
            kept.head = Some(head.clone());
        }
        kept.batches.put(range, Arc::clone(body));
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::cursor::Epoch;
    use crate::event::EventId;

    #[test]
    fn nothing_is_kept_when_the_head_has_moved() {
        let epoch = Epoch::random();
        let at = |sequence| Head {
            feed_id: EventId::new(),
            epoch,
            page_size: 10,
            created: DateTime::UNIX_EPOCH,
            sequence,
            anchor: Some(EventId::new()),
            updated: DateTime::UNIX_EPOCH,
            closed_until: None,
            closed_sequence: -1,
            presentation: None,
            revision: 0,
            read_at: DateTime::UNIX_EPOCH,
        };
        let (batches, body) = (BatchDocuments::default(), Arc::new(Body::default()));
        let (before, after) = (at(10), at(11));
        batches.put(&before, (1, 10), &body);
        assert!(batches.get(&before, (1, 10)).is_some());
        assert!(batches.get(&before, (1, 9)).is_none());
        assert!(batches.get(&after, (1, 10)).is_none());

        batches.put(&after, (1, 11), &body);
        // Read before the head moved, written after.
        batches.put(&before, (1, 10), &body);
        assert!(batches.get(&before, (1, 10)).is_none());
        assert!(batches.get(&after, (1, 10)).is_none());
        assert!(batches.get(&after, (1, 11)).is_some());

        let corrected = Head {
            revision: 1,
            ..after
        };
        assert!(batches.get(&corrected, (1, 11)).is_none());
    }
}
