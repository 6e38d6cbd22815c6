//! How long to wait for a database that says nothing. A connection whose other end is gone without a
//! word (a machine that lost its power, a firewall that forgot) looks like one that takes its time, for
//! a quarter of an hour or for ever.

use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The longest time for one statement of ours. Longer than any waits for a lock.
pub(crate) const STATEMENT: Duration = Duration::from_secs(8);

/// The longest time for a transaction: well over the slowest batch in a healthy system, and short enough
/// that all is level again half a minute after every connection has fallen silent.
pub(crate) const TRANSACTION: Duration = Duration::from_secs(20);

/// For how long connections stay suspect.
#[cfg(feature = "postgres")]
const SUSPECT_FOR: Duration = Duration::from_secs(60);

/// Whether the connections of one database are to be trusted. Its pools and all who wait for it share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Suspicion(Arc<Mutex<Option<Instant>>>);

impl Suspicion {
    /// The outcome of `work`, or an error if there is none in time; then the connections are suspect. Whether a
    /// commit on the way was done, nobody knows.
    pub(crate) async fn within<T, E: From<sqlx::Error>>(
        &self,
        longest: Duration,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let mut work = pin!(work);
        match tokio::time::timeout(longest, work.as_mut()).await {
            Ok(done) => done,
            Err(_) => {
                // Before the connection goes back to its pool.
                self.mark_suspect();
                let silent = io::Error::new(io::ErrorKind::TimedOut, "the database says nothing");
                Err(sqlx::Error::Io(silent).into())
            }
        }
    }

    /// Somebody has waited in vain.
    pub(crate) fn mark_suspect(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Notes what an error says of connections: a session of PostgreSQL that began while its database was
    /// to be read only stays so, also when it may be written to again; and a plan from before a table was
    /// altered stays in its session.
    pub(crate) fn learn_from(&self, error: &sqlx::Error) {
        let code = error.as_database_error().and_then(|error| error.code());
        if code.is_some_and(|code| matches!(&*code, "25006" | "0A000")) {
            self.mark_suspect();
        }
    }

    /// True if a connection that comes back to its pool is to be closed. To ask it whether it is there might
    /// take for ever; and who left it may have left a transaction open in it.
    #[cfg(feature = "postgres")]
    pub(crate) fn is_suspect(&self) -> bool {
        let marked = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        marked.is_some_and(|at| at.elapsed() < SUSPECT_FOR)
    }
}

#[cfg(all(test, feature = "postgres"))]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_the_database_that_said_nothing_is_suspect() {
        let (one, other) = (Suspicion::default(), Suspicion::default());
        let clone = one.clone();
        let done: sqlx::Result<u8> = other.within(STATEMENT, async { Ok(7) }).await;
        assert!(matches!(done, Ok(7)));
        let silent: sqlx::Result<u8> = one.within(STATEMENT, pending()).await;
        assert!(matches!(silent, Err(sqlx::Error::Io(_))));
        assert!(clone.is_suspect());
        assert!(!other.is_suspect());
    }
}
