//! Timeouts for a database that does not answer. A connection whose other end has disappeared (a machine
//! that lost its power, a firewall that dropped its state) looks like a slow one, for a quarter of an hour or
//! for ever.

use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::http::cannot_store;
use crate::reached::Mark;

/// The longest time for one statement of ours. Longer than any waits for a lock.
pub(crate) const STATEMENT: Duration = Duration::from_secs(8);

/// The longest time for a transaction: well over the slowest batch in a healthy system, and short enough
/// that all is level again half a minute after every connection has fallen silent.
pub(crate) const TRANSACTION: Duration = Duration::from_secs(20);

/// What is known of the connections to one database: which are suspect, and whether they lead to a standby. Its pools
/// and everything that waits for it share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct ConnectionHealth(Arc<Mutex<Noticed>>);

#[derive(Debug, Default)]
struct Noticed {
    /// The last sign of trouble: the connections that were there are suspect.
    trouble: Option<Instant>,
    /// When a standby was met, if the last server was one.
    standby: Option<Instant>,
    /// Whether the last transaction that was to begin got no connection.
    starved: bool,
    /// Whether the last write failed since the database cannot store anything.
    full: bool,
}

/// What a timeout says.
pub(crate) const SILENT: &str = "the database does not answer";

/// How long a standby that was met counts as the reason that there is no connection: longer than a request waits
/// for one, and the pauses between attempts.
const STANDBY_FOR: Duration = Duration::from_secs(10);

impl ConnectionHealth {
    /// Returns the outcome of `work`, or an error after a timeout, which makes the connections suspect. A commit
    /// that was under way may or may not have been done.
    pub(crate) async fn within<T, E: From<sqlx::Error>>(
        &self,
        longest: Duration,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        self.within_or(longest, work, || SILENT).await
    }

    /// The same, with what the error says.
    pub(crate) async fn within_or<T, E: From<sqlx::Error>>(
        &self,
        longest: Duration,
        work: impl Future<Output = Result<T, E>>,
        describe: impl FnOnce() -> &'static str,
    ) -> Result<T, E> {
        let mut work = pin!(work);
        match tokio::time::timeout(longest, work.as_mut()).await {
            Ok(done) => done,
            Err(_) => {
                Mark::DatabaseSilent.reached();
                // Before the connection goes back to its pool.
                self.mark_suspect();
                let silent = io::Error::new(io::ErrorKind::TimedOut, describe());
                Err(sqlx::Error::Io(silent).into())
            }
        }
    }

    /// Marks the connections that are there as suspect.
    pub(crate) fn mark_suspect(&self) {
        self.noticed().trouble = Some(Instant::now());
    }

    /// Marks the connections as suspect after an error that concerns all of them: the server ends its sessions, as it
    /// does when another one takes its place; or one that lasts as long as its session: a session of PostgreSQL that
    /// began while the database was read-only stays read-only, a plan from before a table was altered stays in its
    /// session, and so do answers that do not fit the questions.
    pub(crate) fn learn_from(&self, error: &sqlx::Error) {
        let code = error.as_database_error().and_then(|error| error.code());
        let all = ["25006", "0A000", "57P01", "57P02", "57P03"];
        let is_confused = matches!(error, sqlx::Error::Protocol(_));
        if is_confused || code.is_some_and(|code| all.contains(&&*code)) {
            self.mark_suspect();
        }
        if cannot_store(error) {
            self.noticed().full = true;
        }
    }

    /// Notes that a write was committed.
    #[cfg(any(feature = "consume", feature = "publish"))]
    pub(crate) fn note_stored(&self) {
        self.noticed().full = false;
    }

    /// Returns true if the last write failed since the database cannot store anything.
    pub(crate) fn is_full(&self) -> bool {
        self.noticed().full
    }

    /// Returns true if a connection of this age must be closed when it comes back to its pool, or before it is taken
    /// from there. A ping might never return, and the connection may still have an open transaction.
    pub(crate) fn is_suspect(&self, age: Duration) -> bool {
        let trouble = self.noticed().trouble;
        trouble.is_some_and(|at| at.elapsed() < age)
    }

    /// Records whether the server that accepted a connection is a standby.
    #[cfg(feature = "postgres")]
    pub(crate) fn mark_standby(&self, is_one: bool) {
        self.noticed().standby = is_one.then(Instant::now);
    }

    /// Notes whether a transaction has begun: by the error of a `BEGIN`, a pooler leads to a standby, whose sessions begin no
    /// transaction that writes.
    pub(crate) fn note_begun(&self, error: Option<&sqlx::Error>) {
        let mut noticed = self.noticed();
        noticed.starved = matches!(error, Some(sqlx::Error::PoolTimedOut));
        let error = error.and_then(sqlx::Error::as_database_error);
        let code = error.and_then(|error| error.code());
        if code.is_some_and(|code| code == "0A000") {
            noticed.standby = Some(Instant::now());
        }
    }

    /// Returns true if the last transaction that was to begin got no connection.
    pub(crate) fn is_starved(&self) -> bool {
        self.noticed().starved
    }

    /// Returns true if the last server that accepted a connection was a standby, a moment ago.
    pub(crate) fn is_standby(&self) -> bool {
        let met = self.noticed().standby;
        met.is_some_and(|at| at.elapsed() < STANDBY_FOR)
    }

    fn noticed(&self) -> MutexGuard<'_, Noticed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(all(test, feature = "postgres"))]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_the_database_that_did_not_answer_is_suspect() {
        let (one, other) = (ConnectionHealth::default(), ConnectionHealth::default());
        let clone = one.clone();
        let done: sqlx::Result<u8> = other.within(STATEMENT, async { Ok(7) }).await;
        assert!(matches!(done, Ok(7)));
        let silent: sqlx::Result<u8> = one.within(STATEMENT, pending()).await;
        assert!(matches!(silent, Err(sqlx::Error::Io(_))));
        assert!(clone.is_suspect(STATEMENT));
        assert!(!other.is_suspect(STATEMENT));
    }

    /// What a request that failed with `error` gets, and whether the database counts as full then.
    #[cfg(all(feature = "sqlite", any(feature = "consume", feature = "publish")))]
    fn outcome<T>(failed: sqlx::Result<T>) -> (String, bool) {
        let health = ConnectionHealth::default();
        let error = failed.err().expect("a failure");
        health.learn_from(&error);
        let is_full = health.is_full();
        health.note_stored();
        assert!(!health.is_full());
        (
            crate::http::Problem::from(error).detail().to_owned(),
            is_full,
        )
    }

    #[cfg(all(feature = "sqlite", any(feature = "consume", feature = "publish")))]
    #[tokio::test]
    async fn a_full_disk_is_no_database_that_does_not_answer() -> sqlx::Result<()> {
        use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, SqliteConnection};
        const FULL: &str = "the database cannot store anything at the moment";
        const OTHER: &str = "the database cannot do that at the moment";
        let mut file = SqliteConnection::connect("sqlite::memory:").await?;
        for (sql, expected) in [
            (
                "PRAGMA max_page_count = 1; CREATE TABLE t AS SELECT zeroblob(1000000)",
                (FULL, true),
            ),
            ("SELECT 1 FROM nowhere", (OTHER, false)),
        ] {
            let (detail, is_full) = outcome(file.execute(sql).await);
            assert_eq!((detail.as_str(), is_full), expected, "{sql}");
        }
        let fresh = harness::FreshDatabase::postgres().await;
        let mut session = PgConnection::connect(fresh.url()).await?;
        // The last one is that of SQLite's IOERR, as a number.
        for (code, expected) in [
            ("53100", (FULL, true)),
            ("40P01", (OTHER, false)),
            ("22026", (OTHER, false)),
        ] {
            let raised = format!("DO $$ BEGIN RAISE 'failed' USING ERRCODE = '{code}'; END $$");
            let (detail, is_full) = outcome(session.execute(AssertSqlSafe(raised)).await);
            assert_eq!((detail.as_str(), is_full), expected, "{code}");
        }
        Ok(())
    }

    #[test]
    fn connections_from_after_the_trouble_are_not_suspect() {
        let health = ConnectionHealth::default();
        health.mark_suspect();
        assert!(health.is_suspect(Duration::from_secs(1)));
        assert!(!health.is_suspect(Duration::ZERO));
    }
}
