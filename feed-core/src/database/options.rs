//! Where a database is, and how many connections it takes.

use std::fmt;
use std::time::Duration;

use super::address::redact_url;

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
    /// The schema of PostgreSQL in which feed-core's tables are; `None`: the first one of the role's own
    /// `search_path`. It comes first in the `search_path` of our sessions and transactions, and the role's own
    /// after it. It is made where it is missing.
    ///
    /// A host that [appends](crate::outbox::append) in a transaction of its own pool needs it in that pool's `search_path`,
    /// before each other schema that has feed-core's tables.
    ///
    /// While only another schema of the `search_path` has them, this one is refused
    /// ([`DatabaseError::Elsewhere`](crate::store::DatabaseError::Elsewhere)): new tables would begin with the first event
    /// again. A second set is made with a `search_path` that does not have the other schema.
    pub schema: Option<String>,
    /// Whether [`Database::open`](super::Database::open) brings feed-core's tables up to date. If not, it changes
    /// nothing, needs no right to, and fails where [migrations](super::Database::migrations) are missing.
    pub migrate: bool,
    /// Whether a server that cannot be written to will do, such as a hot standby of PostgreSQL. If not, such a server
    /// is refused: [`Database::open`](super::Database::open) waits for another one at the same address, and so does each
    /// new connection.
    pub read_only: bool,
    /// How long [`Database::open`](super::Database::open) waits for a server that is away, and may come back
    /// ([`DatabaseError::may_pass`](crate::store::DatabaseError::may_pass)); five seconds by default. From two seconds
    /// on the log says so, at most once a minute.
    pub patience: Duration,
    /// What errors and the log call these options.
    pub names: OptionNames,
}

/// What errors and the log call the options of a database, for the operator of a program: by the names that its
/// settings have. The default is the name of the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OptionNames {
    /// [`DatabaseOptions::direct_url`].
    pub direct_url: &'static str,
    /// [`DatabaseOptions::connections`].
    pub connections: &'static str,
}

impl Default for OptionNames {
    fn default() -> Self {
        Self {
            direct_url: "DatabaseOptions::direct_url",
            connections: "DatabaseOptions::connections",
        }
    }
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
            ..Self::default()
        }
    }

    /// With the address of PostgreSQL itself, where `url` is that of a pooler.
    #[must_use]
    pub fn direct(self, url: impl Into<String>) -> Self {
        Self {
            direct_url: Some(url.into()),
            ..self
        }
    }

    /// With so many connections to PostgreSQL, at most.
    #[must_use]
    pub fn connections(self, connections: u32) -> Self {
        Self {
            connections,
            ..self
        }
    }

    /// With feed-core's tables in this schema of PostgreSQL.
    #[must_use]
    pub fn schema(self, schema: impl Into<String>) -> Self {
        Self {
            schema: Some(schema.into()),
            ..self
        }
    }

    /// Without migrations: the host has run them.
    #[must_use]
    pub fn without_migrations(self) -> Self {
        Self {
            migrate: false,
            ..self
        }
    }

    /// For reading alone, also from a hot standby; without migrations.
    #[must_use]
    pub fn read_only(self) -> Self {
        Self {
            migrate: false,
            read_only: true,
            ..self
        }
    }

    /// With this much time for a server that is away.
    #[must_use]
    pub fn patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Connections for transactions, and for everything else.
    #[cfg(feature = "postgres")]
    pub(crate) fn split(&self) -> (u32, u32) {
        let connections = self.connections.max(Self::MIN_CONNECTIONS);
        (connections / 2, connections - connections / 2)
    }
}

/// For [`Database::with_pool`](super::Database::with_pool): without an address.
impl Default for DatabaseOptions {
    fn default() -> Self {
        Self {
            url: String::new(),
            direct_url: None,
            connections: Self::DEFAULT_CONNECTIONS,
            schema: None,
            migrate: true,
            read_only: false,
            patience: Duration::from_secs(5),
            names: OptionNames::default(),
        }
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
            .field("schema", &self.schema)
            .field("migrate", &self.migrate)
            .field("read_only", &self.read_only)
            .field("patience", &self.patience)
            .finish()
    }
}
