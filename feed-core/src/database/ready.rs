//! Whether a service can do its work on its database: it answers, and its schema is the one that this
//! program was made for.

use std::time::Duration;

use super::Database;
use crate::http::Problem;
use crate::store::Backend;

/// The timeout of the check; the caller is a machine that asks again soon.
const TIMEOUT: Duration = Duration::from_secs(5);

impl<B: Backend> Database<B> {
    /// For `/health/ready`: the database answers, and has had the migrations of this program, no less
    /// and no more.
    ///
    /// # Errors
    ///
    /// A `503` that says what is wrong.
    pub async fn ready(&self) -> Result<(), Problem> {
        let checked = tokio::time::timeout(TIMEOUT, self.check_schemas()).await;
        checked.unwrap_or_else(|_| Err(Problem::unavailable("the database does not answer")))
    }

    /// False if somebody has removed the database's file, or put another one there: what we have open
    /// would not tell.
    pub(super) fn is_there(&self) -> bool {
        B::file(&self.writer) == self.file
    }

    async fn check_schemas(&self) -> Result<(), Problem> {
        if !self.is_there() {
            return Err(Problem::unavailable(
                "the database's file was removed, or is another one now: what this process still \
                 writes to the old one is lost with it; restart it",
            ));
        }
        for schema in self.schemas() {
            let found = B::migrations(&self.reader, schema.table).await?;
            if let Some(wrong) = schema.compare(&found) {
                return Err(Problem::unavailable(wrong));
            }
        }
        // Through a pooler, if there is one: it may be away where the database is not.
        if self.pooled {
            self.begin().await?;
        }
        Ok(())
    }
}
