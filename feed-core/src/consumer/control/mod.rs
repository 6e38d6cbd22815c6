//! What people see and decide.

pub(super) mod decision;
mod execute_decision;
pub(super) mod handle;
pub(super) mod reconcile;
