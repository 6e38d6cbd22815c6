//! What this process has measured of a subscription, in memory: `counts` of polls and events, and `samples` of the progress.

pub(super) mod counts;
pub(super) mod samples;
