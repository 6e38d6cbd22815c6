//! Begins transactions in a task, so that a cancelled caller leaves none open.

use sqlx::{Pool, SqlStr, Transaction};

use super::Backend;
use crate::database::timeout::{ConnectionHealth, STATEMENT};

/// Begins a transaction, in a task of its own that also finishes when the caller stops waiting:
/// in sqlx 0.9.0 a `begin_with` that is dropped half-way leaves a transaction open in the pool, in
/// which the next writer's work would vanish although it reported success. So only a pool that discards suspect
/// connections, one of ours, may have a limit here: its `health`.
pub(crate) async fn begin_with<B: Backend>(
    pool: &Pool<B>,
    statement: SqlStr,
    health: Option<&ConnectionHealth>,
) -> sqlx::Result<Transaction<'static, B>> {
    let (pool, health) = (pool.clone(), health.cloned());
    let begun = tokio::spawn(async move {
        let begin = pool.begin_with(statement);
        match health {
            Some(health) => health.within(STATEMENT, begin).await,
            None => begin.await,
        }
    });
    begun.await.unwrap_or(Err(sqlx::Error::WorkerCrashed))
}
