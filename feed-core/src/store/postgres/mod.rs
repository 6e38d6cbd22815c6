//! PostgreSQL: what is its own, and what it shares with SQLite (`statements`).

mod connect;
#[cfg(feature = "consume")]
mod consume;
mod dialect;
mod error;
mod migrate;
#[cfg(feature = "consume")]
mod operate;
#[cfg(feature = "publish")]
mod publish;
mod session;
#[path = "../statements/mod.rs"]
mod statements;
mod transfer;

#[cfg(feature = "consume")]
pub(crate) use error::sqlstate;

use std::io;
use std::time::Duration;

use sqlx::postgres::PgListener;
use sqlx::{Acquire, AssertSqlSafe, ConnectOptions, Executor, PgPool, Postgres};
use tokio::time::{sleep, timeout};

#[cfg(feature = "consume")]
use super::Writer;
use super::listen::Listen;
use super::{Backend, Open, Operations};
use crate::database::timeout::{ConnectionHealth, STATEMENT};
use crate::transfer::Migrations;

/// The pause between attempts to end a listener, where no server answers.
const AGAIN: Duration = Duration::from_secs(5);

impl Backend for Postgres {}

impl Operations for Postgres {
    const ONE_WRITER: bool = false;
    const MIGRATION_LIST: &'static str = "
    version BIGINT PRIMARY KEY,
    description TEXT NOT NULL,
    installed_on TIMESTAMPTZ NOT NULL DEFAULT now(),
    success BOOLEAN NOT NULL,
    checksum BYTEA NOT NULL,
    execution_time BIGINT NOT NULL
";
    const BYTES: [&'static str; 2] = ["'\\x", "'"];
    const MIGRATIONS: Migrations = crate::migrations! {
        "postgres":
        "0001_feed",
        "0002_decisions",
        "0003_outbox",
        "0004_expand_archive",
        "0005_expand_quarantine",
        "0006_expand_served",
        "0007_expand_source",
        "0008_expand_effect",
        "0009_expand_ids",
        "0010_expand_number_at_commit",
        "0011_expand_number_when_alone",
        "0012_expand_append",
        "0013_expand_numbers",
        "0014_expand_console",
        "0015_expand_pause",
        "0016_expand_undo",
        "0017_expand_taken",
        "0018_expand_former_epochs",
        "0019_expand_due",
        "0020_expand_corrected_data",
        "0021_expand_parked_index",
        "0022_expand_corrected_rights",
    };

    async fn migration_tables(pool: &PgPool, schema: Option<&str>) -> sqlx::Result<Vec<String>> {
        sqlx::query_scalar(
            "SELECT -- database::migration_tables
             tablename::text FROM pg_tables
             WHERE schemaname = COALESCE($1, current_schema())
               AND tablename LIKE '\\_%\\_migrations'",
        )
        .bind(schema)
        .fetch_all(pool)
        .await
    }

    fn file(_: &PgPool) -> Option<(u64, u64)> {
        None
    }
}

impl Listen for Postgres {
    type Listener = PgListener;

    async fn listen(
        pool: &PgPool,
        channel: &str,
        health: &ConnectionHealth,
    ) -> sqlx::Result<PgListener> {
        let mut listener = PgListener::connect_with(pool).await?;
        // It would connect inside `try_recv`, which we interrupt: sqlx 0.9.0 then loses where notifications go, and a
        // connection that listens returns to the pool, where each notification breaks a statement of ours.
        listener.eager_reconnect(false);
        let listening = async {
            // A transaction that is open there would last as long as the listener, and `LISTEN` count from its end on.
            Self::end_open_transaction(listener.acquire().await?).await?;
            listener.listen(channel).await
        };
        match health.within(STATEMENT, listening).await {
            Ok(()) => Ok(listener),
            Err(error) => {
                Self::abandon(pool, listener);
                Err(error)
            }
        }
    }

    async fn confirm(
        pool: &PgPool,
        channel: &str,
        mut listener: PgListener,
        health: &ConnectionHealth,
    ) -> sqlx::Result<PgListener> {
        // Changes nothing, and the sessions of the server still show which of them listen.
        let again = AssertSqlSafe(format!("LISTEN -- listener::confirm\n {channel}"));
        match health.within(STATEMENT, listener.execute(again)).await {
            Ok(_) => Ok(listener),
            Err(error) => {
                Self::abandon(pool, listener);
                Err(error)
            }
        }
    }

    async fn notified(listener: &mut PgListener) -> sqlx::Result<String> {
        match listener.try_recv().await? {
            Some(said) => Ok(said.payload().to_owned()),
            // The caller makes a listener anew, in a task that nothing interrupts.
            None => Err(io::Error::from(io::ErrorKind::ConnectionAborted).into()),
        }
    }

    /// When a listener is dropped, sqlx 0.9.0 waits without a limit for the answer to `UNLISTEN`, and the pool has one
    /// connection less meanwhile. So the listener gets another connection for that, one that has ended.
    fn abandon(pool: &PgPool, mut listener: PgListener) {
        const END: &str = "SELECT pg_terminate_backend(pg_backend_pid())";
        let options = pool.connect_options();
        tokio::spawn(async move {
            loop {
                let ended = timeout(STATEMENT, async {
                    let mut other = options.connect().await?;
                    let _ = other.execute(END).await;
                    *listener.acquire().await? = other;
                    Ok::<_, sqlx::Error>(())
                });
                match ended.await {
                    Ok(Ok(())) => return,
                    // It answers, and waits for this session to end.
                    Ok(Err(error)) if is_shutting_down(&error) => return,
                    _ => sleep(AGAIN).await,
                }
            }
        });
    }

    #[cfg(feature = "consume")]
    async fn notify(writer: Writer<'_, Postgres>, channel: &str) -> sqlx::Result<()> {
        sqlx::query(
            "SELECT -- news::notify
             pg_notify($1, '')",
        )
        .bind(channel)
        .execute(&mut *writer.acquire().await?)
        .await?;
        Ok(())
    }
}

/// Also while it starts: then there is no session of before.
fn is_shutting_down(error: &sqlx::Error) -> bool {
    let error = error.as_database_error();
    error.is_some_and(|error| error.code().as_deref() == Some("57P03"))
}

#[cfg(all(test, feature = "publish"))]
mod tests {
    use harness::{FreshDatabase, tables};

    use super::*;

    /// Who waits for a notification may stop at any moment, also while it would connect.
    #[tokio::test]
    async fn a_listener_that_is_lost_is_not_made_again_while_it_waits() -> sqlx::Result<()> {
        let fresh = FreshDatabase::postgres().await;
        let pool = PgPool::connect(fresh.url()).await?;
        let health = ConnectionHealth::default();
        let mut listener = Postgres::listen(&pool, "test", &health).await?;
        let listening = "FROM pg_stat_activity
                         WHERE datname = current_database() AND query LIKE 'LISTEN%'";
        let end = format!("SELECT pg_terminate_backend(pid)::text {listening}");
        assert_eq!(tables::texts(fresh.url(), &end).await, ["true"]);
        assert!(Postgres::notified(&mut listener).await.is_err());
        let there = format!("SELECT count(*) {listening}");
        assert_eq!(tables::number(fresh.url(), &there).await, 0);
        Ok(())
    }
}
