//! Limits metrics queries to one at a time per database.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::timeout::{STATEMENT, Suspicion};

/// How long a request for metrics waits for a database.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Asks a database for metrics, one at a time: while one hangs, the next request takes no
/// further connection.
#[derive(Debug)]
pub(crate) struct Turns(Arc<Semaphore>);

impl Default for Turns {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

impl Turns {
    /// The answer, or `None` if there is none soon. The question then ends by itself, in its own time: left
    /// half-way, it would spoil its connection for others.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        suspicion: &Suspicion,
        question: impl Future<Output = sqlx::Result<T>> + Send + 'static,
    ) -> Option<T> {
        let asked = async {
            let turn = Arc::clone(&self.0).acquire_owned().await.ok()?;
            let suspicion = suspicion.clone();
            let answer = tokio::spawn(async move {
                let answer = suspicion.within(STATEMENT, question).await;
                drop(turn);
                answer
            });
            answer.await.ok()?.ok()
        };
        tokio::time::timeout(TIMEOUT, asked).await.ok()?
    }
}
