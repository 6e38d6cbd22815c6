//! One round: ask the feed, find what continues our sequence, have it applied.

pub(super) mod backfill;
pub(super) mod catch_up;
mod outcome;
pub(super) mod poll;
