//! Applies events in the consumer's own database: `batch` is the transaction, `call_effect` calls
//! the effect in it, `batch_size` says how many events it may have, `failure` classifies errors, `parked` stores events that failed, and `retry`
//! applies them again, with the data that `refetch` brings if they had none. `renewal` keeps the leases of this `instance`, and `sweep` removes old
//! claims.

pub(super) mod batch;
mod batch_size;
mod call_effect;
pub(super) mod failure;
pub(super) mod instance;
mod parked;
pub(super) mod refetch;
pub(super) mod renewal;
pub(super) mod retry;
pub(super) mod sweep;
