//! How long to wait for a database that says nothing. A connection whose other end is gone without a
//! word (a machine that lost its power, a firewall that forgot) looks like one that takes its time, for
//! a quarter of an hour or for ever.

use std::io;
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The longest time for one statement of ours. Longer than any waits for a lock.
pub(crate) const STATEMENT: Duration = Duration::from_secs(8);

/// The longest time for a transaction: well over the slowest batch in a healthy system, and short enough
/// that all is level again half a minute after every connection has fallen silent.
pub(crate) const TRANSACTION: Duration = Duration::from_secs(20);

/// How long after somebody has waited in vain connections are not used again.
#[cfg(feature = "postgres")]
const DOUBT: Duration = Duration::from_secs(60);

/// When somebody last waited in vain, in this process.
static IN_VAIN: Mutex<Option<Instant>> = Mutex::new(None);

/// The outcome of `work`, or an error if there is none in time. Whether a commit on the way was done,
/// nobody knows.
pub(crate) async fn within<T, E: From<sqlx::Error>>(
    longest: Duration,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let mut work = pin!(work);
    match tokio::time::timeout(longest, work.as_mut()).await {
        Ok(done) => done,
        Err(_) => {
            // Before the connection goes back to its pool.
            in_vain();
            let silent = io::Error::new(io::ErrorKind::TimedOut, "the database says nothing");
            Err(sqlx::Error::Io(silent).into())
        }
    }
}

/// Somebody has waited in vain.
pub(crate) fn in_vain() {
    *IN_VAIN.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
}

/// Notes what an error says of connections: a session of PostgreSQL that began while its database was
/// to be read only stays so, also when it may be written to again; and a plan from before a table was
/// altered stays in its session.
pub(crate) fn learn_from(error: &sqlx::Error) {
    let code = error.as_database_error().and_then(|error| error.code());
    if code.is_some_and(|code| matches!(&*code, "25006" | "0A000")) {
        in_vain();
    }
}

#[cfg(feature = "postgres")]
/// True if a connection that comes back to its pool is to be closed. To ask it whether it is there might
/// take for ever; and who left it may have left a transaction open in it.
pub(crate) fn doubts() -> bool {
    let in_vain = *IN_VAIN.lock().unwrap_or_else(PoisonError::into_inner);
    in_vain.is_some_and(|at| at.elapsed() < DOUBT)
}
