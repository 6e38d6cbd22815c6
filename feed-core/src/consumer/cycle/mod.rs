//! What a consumer does around a round: `prepare` does what needs no feed, `record` the outcome, and `pause` waits for the
//! next round.

pub(super) mod pause;
pub(super) mod prepare;
pub(super) mod record;
