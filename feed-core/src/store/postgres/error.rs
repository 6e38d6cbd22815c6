//! Maps PostgreSQL's error codes to [`DatabaseError`].

use crate::database::OptionNames;
use crate::store::DatabaseError;

impl DatabaseError {
    /// Why the PostgreSQL at `server` could not be opened.
    pub(super) fn of_postgres(server: &str, names: OptionNames, error: sqlx::Error) -> Self {
        let server = server.to_owned();
        match error {
            sqlx::Error::PoolTimedOut => Self::Unreachable(server, None),
            sqlx::Error::Io(cause) => Self::Unreachable(server, Some(cause)),
            sqlx::Error::Database(ref cause) => match cause.code().as_deref().unwrap_or_default() {
                "57P03" => Self::NotYet(server, error),
                // 3D000: no such database; 42501: no right to connect; class 28: invalid authorization.
                "3D000" | "42501" => Self::Refused(server, error),
                code if code.starts_with("28") => Self::Refused(server, error),
                code if code.starts_with("53") => Self::TooMany(server, names.connections, error),
                _ => Self::Open(server, error),
            },
            error => Self::Open(server, error),
        }
    }

    pub(super) fn direct(self, names: OptionNames) -> Self {
        Self::Direct(names.direct_url, Box::new(self))
    }
}

/// The SQLSTATE of an error, if it is one of PostgreSQL's.
#[cfg(feature = "consume")]
pub(crate) fn sqlstate(error: &dyn sqlx::error::DatabaseError) -> Option<&str> {
    let error = error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>();
    error.map(sqlx::postgres::PgDatabaseError::code)
}
