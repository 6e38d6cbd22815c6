//! Removes claims far below the cursor: they are never needed again, since an event at or below the
//! cursor is not new. It never removes claims by age: a consumer that was down for a year needs the
//! same claims as one that was down for a second.
//!
//! A feed without sequences has no cursor, so its claims stay.
//!
//! It also removes what was kept for the undo of a skip, when its time is over.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::instance::Instance;
use crate::consumer::progress::leases::Leases;
use crate::event::Sequence;
use crate::http::with_causes;
use crate::store::Backend;

/// Claims kept below the cursor: far more than a document repeats or an operator reads.
pub(in crate::consumer) const MARGIN: i64 = 10_000;

/// Claims deleted by one statement, and the pause after it, so that no other statement waits long.
const SWEPT_AT_ONCE: i64 = 1_000;
const PAUSE: Duration = Duration::from_millis(50);

/// How often to check whether the cursor has moved far enough for a sweep.
const CHECK: Duration = Duration::from_secs(30);

/// How long a skip can be undone: long enough to notice a mistake, and short for a copy of data, which may be personal.
const UNDO: Duration = Duration::from_hours(7 * 24);

/// How often to look for such copies.
const UNDO_CHECK: Duration = Duration::from_hours(1);

/// Sweeps at the start, and whenever a batch of old claims has accumulated, until `shutdown`.
pub(crate) async fn sweep_claims<B: Backend>(
    instance: &Instance<B>,
    leases: &Leases,
    shutdown: &CancellationToken,
) {
    let mut swept_at = None;
    let mut undo_swept: Option<Instant> = None;
    loop {
        if undo_swept.is_none_or(|at| at.elapsed() >= UNDO_CHECK) {
            match sweep_undo(instance, shutdown).await {
                Ok(()) => undo_swept = Some(Instant::now()),
                Err(error) => tracing::warn!(
                    error = with_causes(&error),
                    "cannot remove what was kept for an undo; trying again"
                ),
            }
        }
        let reached = leases.heartbeat(|heartbeat| heartbeat.head_sequence);
        if is_due(swept_at, reached) {
            match sweep(instance, shutdown).await {
                // While a decision is open, nothing is swept.
                Ok(()) => {
                    let open = leases.signals.borrow().decision;
                    swept_at = open.is_none().then_some(reached.unwrap_or(0));
                }
                Err(error) => tracing::warn!(
                    error = with_causes(&error),
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

/// Returns true if the head is far from where it was at the last sweep. A shorter feed may have taken its place.
fn is_due(swept_at: Option<Sequence>, reached: Option<Sequence>) -> bool {
    swept_at.is_none_or(|at| (reached.unwrap_or(0) - at).abs() >= SWEPT_AT_ONCE)
}

async fn sweep<B: Backend>(
    instance: &Instance<B>,
    shutdown: &CancellationToken,
) -> sqlx::Result<()> {
    let (writer, s) = (instance.database.writing(), &instance.subscription);
    loop {
        let swept = B::sweep(writer, s, MARGIN, SWEPT_AT_ONCE);
        if instance.database.statement(swept).await? < SWEPT_AT_ONCE as u64 {
            return Ok(());
        }
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

async fn sweep_undo<B: Backend>(
    instance: &Instance<B>,
    shutdown: &CancellationToken,
) -> sqlx::Result<()> {
    let (writer, s) = (instance.database.writing(), &instance.subscription);
    let age = UNDO.as_secs().cast_signed();
    loop {
        let swept = B::sweep_undo(writer, s, age, SWEPT_AT_ONCE);
        if instance.database.statement(swept).await? < SWEPT_AT_ONCE as u64 {
            return Ok(());
        }
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_is_due_when_the_head_has_moved_either_way() {
        for (swept_at, reached, due) in [
            (None, None, true),
            (Some(5_000), Some(5_999), false),
            (Some(5_000), Some(6_000), true),
            // The feed was replaced by a shorter one.
            (Some(5_000), Some(3_000), true),
            (Some(0), None, false),
        ] {
            assert_eq!(is_due(swept_at, reached), due, "{swept_at:?}, {reached:?}");
        }
    }
}
