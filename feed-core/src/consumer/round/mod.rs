//! One round: requests the `head`, finds the events after the cursor, and applies them. If the feed
//! has sequences and the consumer is behind, `catch_up` reads forward; if it has none, `backfill`
//! reads back to what was shown last. Each works on a `follower`.

pub(super) mod backfill;
mod catch_up;
pub(super) mod follower;
pub(super) mod head;
