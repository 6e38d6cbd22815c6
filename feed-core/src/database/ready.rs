//! Readiness: the database answers, and its schema fits this program.

use std::future::pending;
use std::io;
use std::iter::from_fn;
use std::pin::pin;
use std::time::Duration;

use super::{Database, Shared, has_none_free};
use crate::http::{Problem, with_causes};
use crate::store::{Backend, DatabaseError, Pools};

/// The timeout of the check; the caller is a machine that asks again soon. It is shorter than the timeouts of callers:
/// that of `--probe` is three seconds.
const TIMEOUT: Duration = Duration::from_millis(2_500);

/// When a server that has not answered the check is asked whether it refuses connections.
const REFUSED_FROM: Duration = Duration::from_millis(1_400);

/// How long a connection may take to be closed.
const CLOSED: Duration = Duration::from_millis(100);

const FILE_REMOVED: &str = "the database's file was removed, or is another one now: what this process still \
     writes to the old one is lost with it. Stop the service, restore the file, and start \
     the service only then: without the file it would begin with a new, empty database";

impl<B: Backend> Database<B> {
    /// For `/health/ready`: the database answers, can be written to unless it was opened
    /// [for reading](super::DatabaseOptions::read_only), and has had the migrations of this program, no less and no more.
    ///
    /// # Errors
    ///
    /// A `503` that says what is wrong.
    pub async fn ready(&self) -> Result<(), Problem> {
        let mut check = pin!(self.check_schemas());
        let refused = async {
            tokio::time::sleep(REFUSED_FROM).await;
            match self.refusal().await {
                Some(refusal) => Err(Problem::unavailable(refusal)),
                None => pending().await,
            }
        };
        let checked = async {
            tokio::select! {
                checked = check.as_mut() => checked,
                refused = refused => refused,
            }
        };
        match tokio::time::timeout(TIMEOUT, checked).await {
            Ok(Ok(())) => Ok(()),
            // Then there are no connections.
            _ if self.shared.health.is_standby() => Err(self.standby()),
            Ok(Err(problem)) => Err(problem),
            Err(_) => Err(Problem::unavailable(self.silence())),
        }
    }

    /// Why the server refuses another connection, if it does: while it does, sqlx 0.9.0 tries again until the time is over,
    /// and keeps the reason to itself.
    pub(crate) async fn refusal(&self) -> Option<String> {
        let Pools {
            reader,
            transactions,
            of_host,
            ours,
            ..
        } = &self.shared.pools;
        if *of_host && has_none_free(reader) {
            return None;
        }
        let mut refusal = B::refusal(reader, self.shared.names).await;
        if refusal.is_none() && self.shared.addresses.is_some() {
            refusal = B::refusal(transactions, self.shared.names).await;
        }
        let refusal = refusal?;
        if matches!(refusal, DatabaseError::NotYet(..)) {
            // A shutdown that waits for sessions to end would wait for ours, also for those that nothing uses.
            self.suspect_connections();
            for idle in ours.iter().flat_map(|pool| from_fn(|| pool.try_acquire())) {
                let _ = tokio::time::timeout(CLOSED, idle.close()).await;
            }
        }
        Some(with_causes(&refusal))
    }

    /// The error of a statement; if it got no connection, with what the server says of that.
    #[cfg(any(feature = "consume", feature = "publish"))]
    pub(crate) async fn explained(&self, error: sqlx::Error) -> sqlx::Error {
        match error {
            sqlx::Error::PoolTimedOut => match self.refusal().await {
                Some(refusal) => io::Error::other(refusal).into(),
                None => error,
            },
            error => error,
        }
    }

    fn standby(&self) -> Problem {
        Problem::unavailable(format!(
            "{self} leads to a standby, which cannot be written to; this ends when it leads to the primary"
        ))
    }

    /// False if the database's file was removed or replaced: our open connections would not notice.
    pub(super) fn is_there(&self) -> bool {
        B::file(&self.shared.pools.writer) == self.shared.file
    }

    /// Fails if the database's file was removed or replaced.
    #[cfg(any(feature = "consume", feature = "publish"))]
    pub(crate) fn check_file(&self) -> sqlx::Result<()> {
        match self.is_there() {
            true => Ok(()),
            false => Err(io::Error::new(io::ErrorKind::NotFound, FILE_REMOVED).into()),
        }
    }

    async fn check_schemas(&self) -> Result<(), Problem> {
        if !self.is_there() {
            return Err(Problem::unavailable(FILE_REMOVED));
        }
        if !self.shared.read_only && B::is_standby(&self.shared.pools.reader).await? {
            return Err(self.standby());
        }
        for schema in self.schemas() {
            let found = B::migrations(&self.shared.pools.reader, schema.table).await?;
            if let Some(wrong) = schema.compare(&found) {
                return Err(Problem::unavailable(wrong));
            }
        }
        self.check_transactions().await?;
        // Through a pooler, if there is one: it may be away where the database is not.
        match self.compare_addresses().await? {
            Some(different) => Err(Problem::unavailable(different)),
            None => Ok(()),
        }
    }

    /// Checks that transactions get a connection: the server may refuse new ones, while those that read stay. That all are
    /// in use is no reason to be taken for dead.
    async fn check_transactions(&self) -> Result<(), Problem> {
        let Shared {
            pools,
            health,
            addresses,
            read_only,
            ..
        } = &*self.shared;
        // A file needs none, and a pooler is asked next.
        if B::ONE_WRITER || pools.of_host || *read_only || addresses.is_some() {
            return Ok(());
        }
        let pool = &pools.transactions;
        if pool.num_idle() > 0 || pool.size() == 0 {
            pool.acquire().await?;
        } else if health.is_starved()
            && let Some(refusal) = self.refusal().await
        {
            return Err(Problem::unavailable(refusal));
        }
        Ok(())
    }
}
