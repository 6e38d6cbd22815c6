//! How far this instance has got: its `position` in the feed, the `cursors` of its partitions, and the
//! `leases` under which these are its own. State without I/O.

pub(super) mod cursors;
pub(super) mod leases;
pub(super) mod position;
