//! The round: ask the `head`, find what continues our sequence, have it applied. Where the feed numbers its
//! events and we are behind, `catch_up` goes forward; where it does not, `backfill` goes back to what it
//! showed before. Each works for a `follower`.

pub(super) mod backfill;
mod catch_up;
pub(super) mod follower;
pub(super) mod head;
