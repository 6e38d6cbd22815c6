//! What people see and decide, through a [`Handle`](handle::Handle): the `status`, and a `decision`, which
//! `execute_decision` carries out where it needs the feed. `reconcile` compares what is stored with what
//! the feed says, and `metrics` says how far we are.

pub(super) mod decision;
pub(super) mod execute_decision;
pub(super) mod handle;
mod metrics;
pub(super) mod reconcile;
pub(super) mod status;
