//! Decides what happens after a batch has failed: what caused the failure, and when to retry.

use std::time::Duration;

use tokio_util::task::TaskTracker;

use crate::consumer::effect::{EffectError, LONGEST_PAUSE};
use crate::consumer::sanitize::sanitize;
use crate::consumer::source::content::Missing;
use crate::http::{with_causes, without_quoted};
use crate::store::sqlstate;

/// The number of attempts after which a failing event waits for the operator.
const ATTEMPTS: i64 = 8;

/// The pause before the first retry, in seconds; it doubles with each attempt.
const FIRST_RETRY: i64 = 2;

/// The longest pause between retries, in seconds.
const LONGEST_RETRY: i64 = 300;

/// The result code of an error in a statement or a function.
const SQLITE_ERROR: i32 = 1;

/// The extended result code of a commit hook that rejects the commit.
const SQLITE_CONSTRAINT_COMMITHOOK: i32 = 531;

/// Why a transaction was rolled back.
pub(crate) enum Failure {
    /// An event caused it.
    Effect(EffectError),
    /// Something else caused it; the events come again.
    Stopped(Stopped),
}

/// Why events come again: no event is the cause.
#[derive(Debug)]
pub(crate) enum Stopped {
    /// The database has failed.
    Database(sqlx::Error),
    /// The effect needs something that is out of reach, and can say for how long.
    Later(String, Option<Duration>),
}

impl From<sqlx::Error> for Stopped {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Stopped(error.into())
    }
}

impl From<EffectError> for Failure {
    fn from(error: EffectError) -> Self {
        match error {
            EffectError::Later { reason, after } => {
                Self::Stopped(Stopped::Later(sanitize(&reason), after))
            }
            error => Self::Effect(error),
        }
    }
}

impl From<Missing> for EffectError {
    fn from(missing: Missing) -> Self {
        match missing.passes {
            true => Self::Retry(missing.reason),
            false => Self::Park(missing.reason),
        }
    }
}

/// Runs a transaction until it has finished, even if the caller stops waiting. A panic of the
/// effect parks the event.
pub(crate) async fn run_detached<T: Send + 'static>(
    transactions: &TaskTracker,
    work: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> Result<T, Failure> {
    match transactions.spawn(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => {
            let panic = error.into_panic();
            let text = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("no message");
            Err(Failure::Effect(EffectError::Park(format!(
                "the effect panicked: {text}"
            ))))
        }
        Err(_) => Err(sqlx::Error::WorkerCrashed.into()),
    }
}

/// Returns the seconds between attempt `attempts` and the next one; `None` if the event waits for
/// the operator.
pub(crate) fn retry_in(error: &EffectError, attempts: i64) -> Option<i64> {
    let retry = match error {
        // What it needs comes back, with no operator of ours.
        EffectError::Later { .. } => true,
        EffectError::Retry(_) => attempts < ATTEMPTS,
        EffectError::Park(_) => false,
        // Nor does an operator of ours make room.
        EffectError::Database(error) if lacks_resources(error) => true,
        EffectError::Database(error) => attempts < ATTEMPTS && !is_permanent(error),
    };
    let least = match error {
        EffectError::Later { after, .. } => after.unwrap_or_default().min(LONGEST_PAUSE),
        _ => Duration::ZERO,
    };
    let least = least.as_secs().cast_signed();
    let exponent = u32::try_from(attempts - 1).unwrap_or(0);
    retry.then(|| {
        let pause = (FIRST_RETRY << exponent.min(20)).min(LONGEST_RETRY);
        // Add jitter, so that events that failed together are not retried together.
        least.max(pause + fastrand::i64(0..=pause / 2))
    })
}

/// Returns the reason with its causes, for the status page. It is bounded, since it may quote
/// received text. Values that the database quotes are left out: they may be data of a person.
pub(crate) fn describe(error: &EffectError) -> String {
    let reason = with_causes(error);
    sanitize(&match error {
        EffectError::Database(sqlx::Error::Database(error)) if quotes_data(error.as_ref()) => {
            without_quoted(&reason)
        }
        _ => reason,
    })
}

/// Returns true if SQLite quotes a value, such as in `bad JSON path: '…'` and `fts5: syntax error near "…"`: what cannot be
/// parsed, `near "…": syntax error`, is a text of the effect. With other codes, it names columns and constraints alone.
/// [`with_causes`] knows the errors of PostgreSQL.
fn quotes_data(error: &dyn sqlx::error::DatabaseError) -> bool {
    matches!(code_of(error), Code::Sqlite(SQLITE_ERROR)) && !error.message().starts_with("near ")
}

/// The cause of an error that an effect returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The event, or the effect's use of it; the default.
    Event,
    /// The server or file reports that it is the cause.
    Server,
    /// A connection; the transaction's own, if that does not answer.
    Connection,
}

/// Classifies the cause of `error`.
pub(crate) fn cause_of(error: &sqlx::Error) -> Cause {
    use sqlx::Error;
    match error {
        Error::Database(error) => match code_of(error.as_ref()) {
            Code::Postgres(code) => match (code.get(..2).unwrap_or_default(), code) {
                // query_canceled, also by `statement_timeout`; configuration_limit_exceeded, such
                // as `temp_file_limit`: limits of one statement.
                (_, "57014" | "53400") => Cause::Event,
                // Transaction rollback, insufficient resources, operator intervention; a read-only
                // server; system_error and io_error.
                ("40" | "53" | "57", _) | (_, "25006" | "58000" | "58030") => Cause::Server,
                // This class includes protocol_violation, the error for a wrong number of
                // parameters.
                ("08", _) => Cause::Connection,
                _ => Cause::Event,
            },
            Code::Sqlite(code) => match code & 0xff {
                // PERM, BUSY, LOCKED, NOMEM, READONLY, IOERR, CORRUPT, FULL, CANTOPEN, PROTOCOL, NOLFS,
                // NOTADB.
                3 | 5..=8 | 10 | 11 | 13..=15 | 22 | 26 => Cause::Server,
                _ => Cause::Event,
            },
        },
        Error::Io(_)
        | Error::Tls(_)
        | Error::Protocol(_)
        | Error::PoolTimedOut
        | Error::PoolClosed
        | Error::WorkerCrashed
        | Error::BeginFailed => Cause::Connection,
        _ => Cause::Event,
    }
}

/// Returns true if the database was the cause, or a connection to it.
pub(crate) fn is_of_server(error: &EffectError) -> bool {
    matches!(error, EffectError::Database(error) if cause_of(error) != Cause::Event)
}

/// A misuse of the transaction by an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Misuse {
    /// The effect has ended the transaction, or tried to.
    Ended,
    /// The effect has continued after a failed statement.
    Hidden,
}

/// Returns the misuse that `error` indicates.
pub(crate) fn misuse_of(error: &sqlx::Error) -> Option<Misuse> {
    let error = error.as_database_error()?;
    match code_of(error) {
        Code::Postgres(_)
            if error.constraint() == Some("an_effect_must_not_end_its_transaction") =>
        {
            Some(Misuse::Ended)
        }
        // in_failed_sql_transaction
        Code::Postgres("25P02") => Some(Misuse::Hidden),
        Code::Sqlite(SQLITE_CONSTRAINT_COMMITHOOK) => Some(Misuse::Ended),
        _ => None,
    }
}

/// Returns true if a statement has waited too long for a lock.
pub(crate) fn is_lock_timeout(error: &sqlx::Error) -> bool {
    let error = error.as_database_error();
    error.is_some_and(|error| matches!(code_of(error), Code::Postgres("55P03")))
}

/// Returns true if a retry meets the same error until the event, the effect or the schema changes.
fn is_permanent(error: &sqlx::Error) -> bool {
    use sqlx::Error;
    match error {
        Error::Database(error) => match code_of(error.as_ref()) {
            // A foreign key may refer to a row that another event inserts.
            Code::Postgres("23503") | Code::Sqlite(787) => false,
            // Cardinality violation, data exception, integrity constraint violation, syntax error
            // or access rule violation. Not "feature not supported": a plan from before an `ALTER
            // TABLE` causes it too.
            Code::Postgres(code) => {
                matches!(code.get(..2), Some("21" | "22" | "23" | "42"))
            }
            // ERROR, TOOBIG, CONSTRAINT, MISMATCH, RANGE.
            Code::Sqlite(code) => matches!(code & 0xff, 1 | 18..=20 | 25),
        },
        // The row may come with another event or subject.
        Error::RowNotFound => false,
        error => cause_of(error) == Cause::Event,
    }
}

/// Returns true if the server or file has too little space, memory or connections, or cannot be written to: this passes, and
/// the event has no part in it.
fn lacks_resources(error: &sqlx::Error) -> bool {
    let error = error.as_database_error();
    error.is_some_and(|error| match code_of(error) {
        // configuration_limit_exceeded: a limit of one statement.
        Code::Postgres("53400") => false,
        // Insufficient resources; system error; a read-only server.
        Code::Postgres(code) => matches!(code.get(..2), Some("53" | "58")) || code == "25006",
        // NOMEM, READONLY, IOERR, FULL.
        Code::Sqlite(code) => matches!(code & 0xff, 7 | 8 | 10 | 13),
    })
}

/// An error's code as its database reports it.
enum Code<'a> {
    /// SQLSTATE.
    Postgres(&'a str),
    /// The extended result code; its low byte is the primary one.
    Sqlite(i32),
}

fn code_of(error: &dyn sqlx::error::DatabaseError) -> Code<'_> {
    match sqlstate(error) {
        Some(code) => Code::Postgres(code),
        None => {
            let code = error.code().unwrap_or_default();
            Code::Sqlite(code.parse().unwrap_or(0))
        }
    }
}

#[cfg(all(test, feature = "postgres", feature = "sqlite"))]
mod tests {
    use harness::FreshDatabase;
    use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, SqliteConnection};

    use super::*;

    /// Whether an event whose statement has failed a hundred times is tried again.
    fn is_retried<T>(failed: sqlx::Result<T>) -> bool {
        let error = failed.err().expect("a failure");
        retry_in(&EffectError::Database(error), 100).is_some()
    }

    #[tokio::test]
    async fn only_a_lack_of_resources_needs_no_operator_on_postgres() -> sqlx::Result<()> {
        let fresh = FreshDatabase::postgres().await;
        let mut session = PgConnection::connect(fresh.url()).await?;
        for (code, again) in [
            ("53100", true),
            ("53200", true),
            ("58030", true),
            ("25006", true),
            ("53400", false),
            ("40001", false),
            ("40P01", false),
            ("57014", false),
            ("23505", false),
        ] {
            let raised = format!("DO $$ BEGIN RAISE 'failed' USING ERRCODE = '{code}'; END $$");
            let failed = session.execute(AssertSqlSafe(raised)).await;
            assert_eq!(is_retried(failed), again, "{code}");
        }
        Ok(())
    }

    #[tokio::test]
    async fn only_a_lack_of_resources_needs_no_operator_on_sqlite() -> sqlx::Result<()> {
        let mut file = SqliteConnection::connect("sqlite::memory:").await?;
        file.execute("CREATE TABLE t (a PRIMARY KEY); INSERT INTO t VALUES (1)")
            .await?;
        for (sql, again) in [
            (
                "PRAGMA max_page_count = 1; INSERT INTO t VALUES (zeroblob(1000000))",
                true,
            ),
            ("PRAGMA query_only = ON; DELETE FROM t", true),
            ("PRAGMA query_only = OFF; INSERT INTO t VALUES (1)", false),
            ("SELECT 1 FROM nowhere", false),
        ] {
            assert_eq!(is_retried(file.execute(sql).await), again, "{sql}");
        }
        Ok(())
    }
}
