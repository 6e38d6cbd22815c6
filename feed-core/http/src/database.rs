//! Converts an error of a database to a problem.

use sqlx::error::ErrorKind;

use crate::Problem;

/// Returns true if a database has no space, or a disk that cannot be written to.
#[must_use]
pub fn cannot_store(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| match code.len() {
        // SQLSTATE: disk_full.
        5 => code == "53100",
        // SQLite: READONLY, IOERR, FULL; the bits above eight contain the reason.
        _ => matches!(code.parse().map(|code: i32| code & 0xff), Ok(8 | 10 | 13)),
    })
}

/// A `503` if the database may answer soon, and a `500` if it rejected the statement. The client
/// does not get the cause; the log does.
impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        let problem = match &error {
            // The database answers: the statement is wrong.
            sqlx::Error::Database(refused) if refused.kind() != ErrorKind::Other => {
                Self::internal()
            }
            error if cannot_store(error) => {
                Self::unavailable("the database cannot store anything at the moment")
            }
            // It has answered.
            sqlx::Error::Database(_) => {
                Self::unavailable("the database cannot do that at the moment")
            }
            sqlx::Error::Io(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Self::unavailable("the database does not answer"),
            _ => Self::internal(),
        };
        problem.caused_by("the database failed", error)
    }
}
