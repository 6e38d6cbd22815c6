//! Waiting at the start: within a limit, and logged.

use std::pin::pin;
use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

/// When to say for the first time what is waited for; the pause doubles up to [`LONGEST_PAUSE`].
const FIRST: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The outcome of `work`, or `None` if there is none within `limit`. After two seconds, and again from time to
/// time, it logs what `describe` says.
pub(crate) async fn announced<T, D: Future<Output = String>>(
    limit: Duration,
    mut describe: impl FnMut() -> D,
    work: impl Future<Output = T>,
) -> Option<T> {
    let mut work = pin!(work);
    let deadline = Instant::now() + limit;
    let mut pause = FIRST;
    loop {
        let next = (Instant::now() + pause).min(deadline);
        match tokio::time::timeout_at(next, work.as_mut()).await {
            Ok(done) => return Some(done),
            Err(_) if Instant::now() >= deadline => return None,
            Err(_) => {
                let what = describe().await;
                warn!("still waiting: {what}");
            }
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waits_are_announced_and_end() {
        let mut said = Vec::new();
        let begun = Instant::now();
        let describe = || {
            said.push(begun.elapsed().as_secs());
            ready(String::new())
        };
        let limit = Duration::from_secs(300);
        assert_eq!(announced(limit, describe, pending::<()>()).await, None);
        assert_eq!(begun.elapsed(), limit);
        assert_eq!(said, [2, 6, 14, 30, 62, 122, 182, 242]);
        let silent = || -> std::future::Ready<String> { panic!("nothing was waited for") };
        assert_eq!(announced(limit, silent, ready(7)).await, Some(7));
    }
}
