//! Converts an error of a database to a problem.

use sqlx::error::ErrorKind;

use crate::Problem;

/// A `503` if the database may answer soon, and a `500` if it rejected the statement. The client
/// does not get the cause; the log does.
impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        let problem = match &error {
            // The database answers: the statement is wrong.
            sqlx::Error::Database(refused) if refused.kind() != ErrorKind::Other => {
                Self::internal()
            }
            sqlx::Error::Io(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::Database(_) => Self::unavailable("the database does not answer"),
            _ => Self::internal(),
        };
        problem.caused_by("the database failed", error)
    }
}
