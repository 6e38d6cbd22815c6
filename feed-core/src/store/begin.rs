//! Connections for what writes: no transaction is open in them before, and a cancelled caller leaves none open.

use sqlx::pool::PoolConnection;
use sqlx::{Pool, SqlStr, Transaction};

use super::{Backend, Open};
use crate::database::timeout::{ConnectionHealth, STATEMENT};

/// A pool for what writes.
///
/// In that of a host, a connection may be inside a transaction that nobody ends: sqlx 0.9.0 returns it like that if a
/// `begin` of the host is dropped half-way. A statement of ours would stay uncommitted there, although it reports success.
#[derive(Debug)]
pub(crate) struct Writer<'a, B: sqlx::Database> {
    pool: &'a Pool<B>,
    of_host: bool,
}

impl<B: sqlx::Database> Clone for Writer<'_, B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B: sqlx::Database> Copy for Writer<'_, B> {}

impl<'a, B: sqlx::Database> Writer<'a, B> {
    pub(crate) fn new(pool: &'a Pool<B>, of_host: bool) -> Self {
        Self { pool, of_host }
    }
}

impl<B: Open> Writer<'_, B> {
    /// A connection without a transaction.
    pub(crate) async fn acquire(self) -> sqlx::Result<PoolConnection<B>> {
        let mut others = self.pool.options().get_max_connections();
        loop {
            let mut connection = self.pool.acquire().await?;
            if !self.of_host {
                return Ok(connection);
            }
            match B::end_open_transaction(&mut connection).await {
                Ok(()) => return Ok(connection),
                Err(error) => {
                    connection.close_on_drop();
                    if others == 0 {
                        return Err(error);
                    }
                }
            }
            others -= 1;
        }
    }
}

/// Begins a transaction, in a task of its own that also finishes when the caller stops waiting:
/// in sqlx 0.9.0 a `begin_with` that is dropped half-way leaves a transaction open in the pool, in
/// which the next writer's work would vanish although it reported success. So only a pool that discards suspect
/// connections, one of ours, may have a limit here: its `health`.
pub(crate) async fn begin_with<B: Backend>(
    writer: Writer<'_, B>,
    statement: SqlStr,
    health: Option<&ConnectionHealth>,
) -> sqlx::Result<Transaction<'static, B>> {
    let (pool, of_host, health) = (writer.pool.clone(), writer.of_host, health.cloned());
    let begun = tokio::spawn(async move {
        let begin = async {
            let connection = Writer::new(&pool, of_host).acquire().await?;
            Transaction::begin(connection, Some(statement)).await
        };
        match health {
            Some(health) => health.within(STATEMENT, begin).await,
            None => begin.await,
        }
    });
    begun.await.unwrap_or(Err(sqlx::Error::WorkerCrashed))
}
