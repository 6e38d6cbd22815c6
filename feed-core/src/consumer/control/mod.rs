//! Serves operators through a [`Handle`](handle::Handle): shows the `status`. `decide` decides about parked events, one or
//! a `selection`, records each `decision`, and takes it back. `execute_decision` executes those that need the feed.
//! `instances` pauses the subscription and retires instances. `reconcile` compares the stored data with the feed,
//! `metrics` measures the progress, and `pace` samples it.

pub(super) mod decide;
pub(super) mod decision;
pub(super) mod execute_decision;
pub(super) mod handle;
mod instances;
mod metrics;
pub(super) mod pace;
pub(super) mod reconcile;
pub(super) mod selection;
pub(super) mod status;
