//! Waits for a condition, up to a deadline.

use std::time::{Duration, Instant};

/// How long a condition may take to come true on a loaded machine. A test that reaches it has
/// failed; none depends on a short value.
pub const DEADLINE: Duration = Duration::from_secs(120);

/// Waits until `holds` gives something.
///
/// # Panics
///
/// It gives nothing within [`DEADLINE`].
pub async fn until<T>(what: &str, holds: impl AsyncFnMut() -> Option<T>) -> T {
    poll(Duration::from_millis(20), what, holds).await
}

/// As [`until`], for what takes seconds: it polls less often, since many tests wait in parallel.
///
/// # Panics
///
/// It gives nothing within [`DEADLINE`].
pub async fn patiently<T>(what: &str, holds: impl AsyncFnMut() -> Option<T>) -> T {
    poll(Duration::from_millis(200), what, holds).await
}

async fn poll<T>(pause: Duration, what: &str, mut holds: impl AsyncFnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = holds().await {
            return found;
        }
        assert!(begin.elapsed() < DEADLINE, "timed out: {what}");
        tokio::time::sleep(pause).await;
    }
}
