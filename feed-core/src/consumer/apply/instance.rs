//! The instance and the subscription that it works for.

use sqlx::Pool;
use tokio_util::task::TaskTracker;

use crate::database::Database;
use crate::store::Backend;

/// One instance of a subscription, as its statements need it.
#[derive(Debug)]
pub(crate) struct Instance<B: Backend> {
    pub(crate) database: Database<B>,
    pub(crate) subscription: String,
    /// Unique for each start: the owner in leases.
    pub(crate) name: String,
    /// The transactions that are under way.
    pub(crate) transactions: TaskTracker,
}

impl<B: Backend> Instance<B> {
    pub(crate) fn scope(&self) -> (&Pool<B>, &str, &str) {
        (self.database.writer(), &self.subscription, &self.name)
    }
}
