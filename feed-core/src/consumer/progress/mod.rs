//! The progress of this instance: its `position` in the feed, the `cursors` of its partitions, the `leases` on them,
//! its `trust` in "nothing new", and a `stale` head. State without I/O.

pub(super) mod cursors;
pub(super) mod leases;
pub(super) mod position;
pub(super) mod stale;
pub(super) mod trust;
