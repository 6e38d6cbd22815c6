//! Where a database is, and how many connections it takes.

use std::fmt;

use super::redact_url;

/// The address of a database and how to use it, for [`Database::open`](super::Database::open). A plain URL
/// converts into it.
#[derive(Clone)]
pub struct DatabaseOptions {
    /// `sqlite:PATH` or `postgres://USER:PASSWORD@HOST/NAME`.
    pub url: String,
    /// The address of PostgreSQL itself, where `url` is that of a pooler that gives each transaction another
    /// session. Transactions then go to `url`, and everything else goes here: listening, migrations, and
    /// statements outside a transaction.
    pub direct_url: Option<String>,
    /// Connections to PostgreSQL, at most; from [`DatabaseOptions::MIN_CONNECTIONS`] on. One half is for
    /// transactions, the other one for everything else. SQLite always has one writer and four readers.
    pub connections: u32,
}

impl DatabaseOptions {
    /// Two for transactions; one to listen, and one for everything else.
    pub const MIN_CONNECTIONS: u32 = 4;

    /// Small: a database serves many instances. More than are needed: one that falls silent as it goes back to
    /// its pool is missing until the system gives it up, after a quarter of an hour.
    pub const DEFAULT_CONNECTIONS: u32 = 14;

    /// The database at `url`, with the default number of connections.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            direct_url: None,
            connections: Self::DEFAULT_CONNECTIONS,
        }
    }

    /// Connections for transactions, and for everything else.
    #[cfg(feature = "postgres")]
    pub(crate) fn split(&self) -> (u32, u32) {
        let connections = self.connections.max(Self::MIN_CONNECTIONS);
        (connections / 2, connections - connections / 2)
    }
}

impl From<&str> for DatabaseOptions {
    fn from(url: &str) -> Self {
        Self::new(url)
    }
}

impl From<&String> for DatabaseOptions {
    fn from(url: &String) -> Self {
        Self::new(url)
    }
}

/// Without passwords.
impl fmt::Display for DatabaseOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&redact_url(&self.url))?;
        match &self.direct_url {
            Some(direct) => write!(f, ", and {} for sessions", redact_url(direct)),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for DatabaseOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabaseOptions")
            .field("url", &redact_url(&self.url))
            .field("direct_url", &self.direct_url.as_deref().map(redact_url))
            .field("connections", &self.connections)
            .finish()
    }
}
