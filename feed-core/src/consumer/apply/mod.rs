//! What becomes of events in the consumer's own database: `batch` is the transaction, `call_effect`
//! calls the effect in it, `failure` says whose fault it was, `parked` keeps what failed, and `retry` tries
//! it again. Beside it, `renewal` keeps the leases of this `instance`, and `sweep` removes old claims.

pub(super) mod batch;
mod call_effect;
mod failure;
pub(super) mod instance;
mod parked;
pub(super) mod renewal;
pub(super) mod retry;
pub(super) mod sweep;
