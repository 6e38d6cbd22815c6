//! What becomes of events in the consumer's own database: `batch` is the transaction, `call_effect`
//! calls the effect in it, `failure` says whose fault it was, `parked` keeps what failed, `retry` tries it
//! again, and `sweep` removes old claims.

pub(super) mod batch;
pub(super) mod call_effect;
mod failure;
mod parked;
mod retry;
mod sweep;
