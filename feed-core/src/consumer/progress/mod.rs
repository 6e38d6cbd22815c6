//! How far this instance has got, and which share of the events is its own: state without I/O.

pub(super) mod cursors;
pub(super) mod leases;
