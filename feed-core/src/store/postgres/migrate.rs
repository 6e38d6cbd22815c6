//! Runs migrations while no other instance does. Ends within a limit, and logs what it waits for.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use sqlx::migrate::{Migrate, MigrateError, Migrator};
use sqlx::{Executor, PgPool};
use tracing::warn;

use super::session;
use crate::database::announce::announced;
use crate::database::timeout::{ConnectionHealth, STATEMENT};
use crate::store::{DatabaseError, Writer};

/// The longest time for the migrations of one program: they may rewrite tables of millions of rows.
const MIGRATIONS: Duration = Duration::from_secs(3600);

/// How long another connection may take to answer, and this one to be closed.
const ANSWER: Duration = Duration::from_secs(2);

/// How often to check that the session of the migrations works for us.
const CHECK: Duration = Duration::from_secs(5);

/// How long migrations wait for an instance that is migrating. The server ends a session whose client has disappeared
/// (`idle_session_timeout` came with 14): it would hold the lock that every other start waits for, for hours.
const BEGIN: &str = "SET lock_timeout = '10min';
    SELECT set_config('idle_session_timeout', '15s', false)
    WHERE current_setting('idle_session_timeout', true) IS NOT NULL";

/// How long a migration waits for what another session has locked. All statements of other instances queue behind it
/// meanwhile, so it gives up before they do (three seconds), and the start is tried again. Five older migrations (0005, 0007,
/// 0010, 0011 and 0012) set five seconds for themselves: docs/upgrade.md says what that means.
const MIGRATION_LOCK_TIMEOUT: &str = "SET lock_timeout = '2s'";

/// What the server says when it ends a session: by [`session::end_if_idle`], by an operator, or because the session was idle for
/// too long, as that of a process that was frozen.
const ENDED: [&str; 3] = ["57P01", "57P05", "25P03"];

/// Holds sqlx's advisory lock meanwhile, if `migrator` locks. Tries again after its connection has fallen silent.
pub(super) async fn run_migrations(
    pool: &PgPool,
    migrator: &Migrator,
    schema: Option<&str>,
    health: &ConnectionHealth,
) -> Result<(), DatabaseError> {
    let begun = Instant::now();
    while let Some(limit) = MIGRATIONS.checked_sub(begun.elapsed()) {
        match migrated(pool, migrator, schema, health, limit).await? {
            Outcome::Done => return Ok(()),
            Outcome::Lost => {
                warn!("the session of the migrations was lost: trying again in another one")
            }
            Outcome::TooLate => break,
        }
    }
    Err(DatabaseError::MigrationsTimedOut)
}

/// How an attempt ends that no statement ends with an error.
enum Outcome {
    Done,
    /// Its connection has fallen silent, or the server has ended it.
    Lost,
    TooLate,
}

async fn migrated(
    pool: &PgPool,
    migrator: &Migrator,
    schema: Option<&str>,
    health: &ConnectionHealth,
    limit: Duration,
) -> Result<Outcome, DatabaseError> {
    let mut connection = Writer::new(pool, true).acquire().await?;
    // Also where the caller stops waiting: sqlx's lock lasts as long as the session.
    connection.close_on_drop();
    let session = health.within(STATEMENT, async {
        connection.execute(BEGIN).await?;
        session::id(&mut connection).await
    });
    let session = session.await?;
    let describe = async || {
        let blocker = health.within(ANSWER, session::blocker(pool, session)).await;
        match blocker.ok().flatten() {
            Some(other) => format!("for migrations; {other} holds a lock that they need"),
            None => "for migrations, which are running".to_owned(),
        }
    };
    let migrating = async {
        if migrator.locking {
            connection.lock().await?;
        }
        // No instance makes tables between this and ours.
        session::check_place(&mut connection, &migrator.table_name, schema).await?;
        let run = async {
            if let Some(schema) = schema {
                session::enter(&mut connection, schema).await?;
            }
            connection.execute(MIGRATION_LOCK_TIMEOUT).await?;
            migrator.run_direct(None, &mut *connection, false).await
        };
        run.await.map_err(DatabaseError::Migrate)
    };
    let outcome = tokio::select! {
        outcome = announced(limit, describe, migrating) => match outcome {
            Some(Ok(())) => Ok(Outcome::Done),
            Some(Err(DatabaseError::Migrate(error))) => match sqlstate(&error).as_deref() {
                Some("55P03" | "40P01") => Err(DatabaseError::Locked(error)),
                Some(code) if ENDED.contains(&code) => Ok(Outcome::Lost),
                _ => Err(error.into()),
            },
            Some(Err(error)) => Err(error),
            None => Ok(Outcome::TooLate),
        },
        () = silent(pool, session, health) => Ok(Outcome::Lost),
    };
    // Its settings are not those of the pool.
    let _ = tokio::time::timeout(ANSWER, connection.close()).await;
    outcome
}

/// Waits until the server has ended the session, or waits for a statement of it: we wait for an answer.
async fn silent(pool: &PgPool, session: i32, health: &ConnectionHealth) {
    loop {
        tokio::time::sleep(CHECK).await;
        let ended = session::end_if_idle(pool, session);
        if health.within(ANSWER, ended).await.unwrap_or(false) {
            return;
        }
    }
}

/// The SQLSTATE of an error of the server.
fn sqlstate(error: &MigrateError) -> Option<Cow<'_, str>> {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
            error.as_database_error()?.code()
        }
        _ => None,
    }
}
