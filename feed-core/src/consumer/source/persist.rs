//! Retries a request that fails for a transient reason or is late: a long walk takes thousands of
//! requests, and one instance of the feed may serve an event a second after another one.

use std::time::Duration;

use crate::http::with_causes;
use tracing::warn;

use super::fetch_error::FetchError;

/// The pause before the second attempt; it grows with each.
pub(crate) const PAUSE: Duration = Duration::from_millis(500);

/// Makes up to `attempts` attempts.
pub(crate) async fn with_retries<T, F>(
    attempts: u32,
    mut ask: impl FnMut() -> F,
) -> Result<T, FetchError>
where
    F: Future<Output = Result<T, FetchError>>,
{
    let mut attempt = 1;
    loop {
        match ask().await {
            Err(error) if attempt < attempts && passes(&error) => {
                warn!(error = with_causes(&error), "asking again");
                tokio::time::sleep(PAUSE * attempt).await;
                attempt += 1;
            }
            answer => return answer,
        }
    }
}

fn passes(error: &FetchError) -> bool {
    match error {
        FetchError::Unreachable { .. } | FetchError::Late { .. } | FetchError::Slow { .. } => true,
        FetchError::Status { status, .. } => *status >= 500 || *status == 429,
        _ => false,
    }
}
