//! Readiness: the database answers, and its schema fits this program.

use std::io;
use std::pin::pin;
use std::time::Duration;

use super::Database;
use crate::http::Problem;
use crate::store::Backend;

/// The timeout of the check; the caller is a machine that asks again soon. It is shorter than the timeouts of callers:
/// that of `--probe` is three seconds.
const TIMEOUT: Duration = Duration::from_millis(2_500);

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
        match tokio::time::timeout(TIMEOUT, check.as_mut()).await {
            Ok(Ok(())) => Ok(()),
            // Then there are no connections.
            _ if self.shared.health.is_standby() => Err(self.standby()),
            Ok(Err(problem)) => Err(problem),
            Err(_) => Err(Problem::unavailable(self.silence())),
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
        // Through a pooler, if there is one: it may be away where the database is not.
        match self.compare_addresses().await? {
            Some(different) => Err(Problem::unavailable(different)),
            None => Ok(()),
        }
    }
}
