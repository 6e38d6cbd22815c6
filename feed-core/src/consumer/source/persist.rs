//! Retries a request that fails for a transient reason or is late: a long walk takes thousands of
//! requests, and one instance of the feed may serve an event a second after another one.

use std::time::Duration;

use crate::http::with_causes;
use tracing::warn;

use super::fetch_error::FetchError;

/// The pause before the second attempt; it grows with each.
pub(crate) const PAUSE: Duration = Duration::from_millis(500);

/// A server that asks for a longer pause is asked again by the next round.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Makes up to `attempts` attempts, at the pace that the server asks for.
pub(crate) async fn with_retries<T, F>(
    attempts: u32,
    mut ask: impl FnMut() -> F,
) -> Result<T, FetchError>
where
    F: Future<Output = Result<T, FetchError>>,
{
    let mut attempt = 1;
    loop {
        let error = match ask().await {
            Err(error) if attempt < attempts && passes(&error) => error,
            answer => return answer,
        };
        let pause = (PAUSE * attempt).max(error.retry_after().unwrap_or_default());
        if pause > LONGEST_PAUSE {
            return Err(error);
        }
        warn!(error = with_causes(&error), "asking again");
        tokio::time::sleep(pause).await;
        attempt += 1;
    }
}

fn passes(error: &FetchError) -> bool {
    match error {
        FetchError::Unreachable { .. } | FetchError::Late { .. } | FetchError::Slow { .. } => true,
        FetchError::Status { status, .. } => *status >= 500 || *status == 429,
        _ => false,
    }
}
