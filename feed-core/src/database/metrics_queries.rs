//! Runs the queries of metrics, one at a time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::timeout::{ConnectionHealth, STATEMENT};

/// How long a request for metrics waits for a database.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Runs queries for metrics, one at a time: while one hangs, the next request takes no further connection.
#[derive(Debug)]
pub(crate) struct MetricsQueries(Arc<Semaphore>);

impl Default for MetricsQueries {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

impl MetricsQueries {
    /// Returns the answer, or `None` if there is none soon. The query then ends by itself, in its own time: left
    /// half-way, it would spoil its connection for others.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        health: &ConnectionHealth,
        query: impl Future<Output = sqlx::Result<T>> + Send + 'static,
    ) -> Option<T> {
        let answered = async {
            let permit = Arc::clone(&self.0).acquire_owned().await.ok()?;
            let health = health.clone();
            let answer = tokio::spawn(async move {
                let answer = health.within(STATEMENT, query).await;
                drop(permit);
                answer
            });
            answer.await.ok()?.ok()
        };
        tokio::time::timeout(TIMEOUT, answered).await.ok()?
    }
}
