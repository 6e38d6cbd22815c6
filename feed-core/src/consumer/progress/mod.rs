//! The progress of this instance: its `position` in the feed, the `cursors` of its partitions, and
//! the `leases` on them. State without I/O.

pub(super) mod cursors;
pub(super) mod leases;
pub(super) mod position;
