//! Removes claims far below the cursor: they are never needed again, since an event at or below the
//! cursor is not new. It never removes claims by age: a consumer that was down for a year needs the
//! same claims as one that was down for a second.
//!
//! A feed without sequences has no cursor, so its claims stay.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::instance::Instance;
use crate::consumer::progress::leases::Leases;
use crate::store::Backend;

/// Claims kept below the cursor: far more than a document repeats or an operator reads.
const MARGIN: i64 = 10_000;

/// Claims deleted by one statement, and the pause after it, so that no other statement waits long.
const SWEPT_AT_ONCE: i64 = 1_000;
const PAUSE: Duration = Duration::from_millis(50);

/// How often to check whether the cursor has moved far enough for a sweep.
const CHECK: Duration = Duration::from_secs(30);

/// Sweeps at the start, and whenever a batch of old claims has accumulated, until `shutdown`.
pub(crate) async fn sweep_claims<B: Backend>(
    instance: &Instance<B>,
    leases: &Leases,
    shutdown: &CancellationToken,
) {
    let mut swept_at = None;
    loop {
        let reached = leases.heartbeat(|heartbeat| heartbeat.head_sequence);
        let far = swept_at.is_none_or(|at| reached.unwrap_or(0) - at >= SWEPT_AT_ONCE);
        if far {
            match sweep(instance, shutdown).await {
                Ok(()) => swept_at = Some(reached.unwrap_or(0)),
                Err(error) => tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "cannot remove old claims; trying again"
                ),
            }
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(CHECK) => {}
        }
    }
}

async fn sweep<B: Backend>(
    instance: &Instance<B>,
    shutdown: &CancellationToken,
) -> sqlx::Result<()> {
    let (pool, s, _) = instance.names();
    while B::sweep(pool, s, MARGIN, SWEPT_AT_ONCE).await? == SWEPT_AT_ONCE as u64 {
        tokio::select! {
            () = shutdown.cancelled() => break,
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
    Ok(())
}
