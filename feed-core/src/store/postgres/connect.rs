//! Opens the pools of PostgreSQL, directly or through a pooler. Everything here ends within a limit, and logs what it waits
//! for.

use std::future::ready;
use std::io;
use std::pin::pin;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, Executor, PgPool, Postgres, SqlSafeStr, SqlStr,
};
use tracing::{info, warn};

use super::migrate::run_migrations;
use super::session;
use crate::database::announce::announced;
use crate::database::timeout::ConnectionHealth;
use crate::database::{DatabaseOptions, Kind, OptionNames, has_none_free, redact_url, show_server};
use crate::http::with_causes;
use crate::store::{ACQUIRE_TIMEOUT, DatabaseError, Open, Pools, Writer};

/// The longest time of one attempt to connect at the start, and the same again until the server has answered what a
/// session must be like.
const REACH: Duration = Duration::from_secs(5);

/// The pause before another attempt to connect.
const AGAIN: Duration = Duration::from_millis(200);

/// How long a connection may take to answer a ping.
const ANSWER: Duration = Duration::from_secs(2);

/// How long a connection may take whose refusal is of interest.
const PROBE: Duration = Duration::from_secs(1);

/// A connection that was used within this time is not tested before it is used again: that would be a
/// round trip before each statement.
const TESTED: Duration = Duration::from_secs(1);

/// Why a pool refuses a connection that a standby has accepted.
const IS_STANDBY: &str = "the server is a standby, which cannot be written to";

/// How to make a database of any server with an encoding that has all characters.
const NEW_DATABASE: &str = "create a database with ENCODING 'UTF8' TEMPLATE template0";

/// The largest `max_connections` of PostgreSQL. A pool has a place for each connection from the start.
const MOST: u32 = 262_143;

/// A year: no sum with the time of day overflows.
const LONGEST_PATIENCE: Duration = Duration::from_secs(365 * 24 * 3600);

impl Open for Postgres {
    async fn connect(
        options: &DatabaseOptions,
        health: &ConnectionHealth,
    ) -> Result<Pools<Postgres>, DatabaseError> {
        Kind::Postgres.check(&options.url)?;
        let (transactions, others) = options.split();
        let (transactions, others) = (transactions.min(MOST), others.min(MOST));
        let Some(direct) = &options.direct_url else {
            let server = Server::parse(&options.url, options)?;
            let found = server.look_at_sessions(options.names.direct_url).await?;
            found.warn_of_limit(transactions + others);
            let writer = server.session_pool(transactions, health);
            let reader = server.session_pool(others, health);
            return Ok(Pools {
                of_host: false,
                ours: vec![reader.clone(), writer.clone()],
                shown: options.to_string(),
                reader,
                writer: writer.clone(),
                transactions: writer,
                begin: session::BEGIN.into_sql_str(),
            });
        };
        let names = options.names;
        let direct = Server::parse(direct, options).map_err(|error| error.direct(names))?;
        let look = async || {
            let found = direct.look_at_sessions("it").await;
            found.map_err(|error| error.direct(names))
        };
        let mut found = look().await?;
        found.warn_of_limit(others);
        let pooler = Server::parse(&options.url, options)?;
        let (transactions, begin) = loop {
            let different = match pooler.pooled(transactions, &found, health).await {
                Err(error @ DatabaseError::Different(..)) => error,
                pooled => break pooled?,
            };
            // PostgreSQL has another identity after a restart, and a pooler may take long to answer.
            let again = look().await?;
            if again.identity == found.identity {
                return Err(different);
            }
            found = again;
        };
        let sessions = direct.session_pool(others, health);
        Ok(Pools {
            of_host: false,
            ours: vec![sessions.clone(), transactions.clone()],
            shown: options.to_string(),
            reader: sessions.clone(),
            writer: sessions,
            transactions,
            begin,
        })
    }

    /// Takes the host's pool for everything.
    async fn adopt(
        pool: PgPool,
        options: &DatabaseOptions,
    ) -> Result<Pools<Postgres>, DatabaseError> {
        const LEAST: u32 = DatabaseOptions::MIN_CONNECTIONS;
        if pool.options().get_max_connections() < LEAST {
            let why = format!("set max_connections({LEAST}) or more");
            return Err(DatabaseError::Pool(why));
        }
        let server = Server {
            name: show_server(&pool.connect_options()),
            options: (*pool.connect_options()).clone(),
            schema: options.schema.clone(),
            may_create: options.migrate,
            may_be_standby: options.read_only,
            patience: options.patience,
            names: options.names,
        };
        let [mut one, mut other] = server.acquire_two(&pool).await?;
        let looked = server.answered(async {
            // A transaction that is begun there must not return to the pool of the host, however this ends.
            other.close_on_drop();
            if session::is_pooled(&mut one, &mut other).await? {
                let pooled = DatabaseError::Pooled(server.name.clone(), "the pool");
                return Ok(Err(pooled));
            }
            if !server.may_be_standby && session::is_standby(&mut one).await? {
                return Ok(Err(DatabaseError::Standby(server.name.clone())));
            }
            if let Err(unfit) = server.prepare_database(&mut one).await? {
                return Ok(Err(unfit));
            }
            let unfit = session::unfit(&mut one, options.schema.as_deref()).await?;
            Ok(match unfit.is_empty() {
                true => Ok(()),
                false => Err(DatabaseError::Pool(format!(
                    "its sessions need {} (PgConnectOptions::options)",
                    unfit.join(", ")
                ))),
            })
        });
        looked.await??;
        Ok(Pools {
            of_host: true,
            ours: Vec::new(),
            shown: server.name,
            reader: pool.clone(),
            writer: pool.clone(),
            transactions: pool,
            begin: session::begin_adopted(options.schema.as_deref()),
        })
    }

    async fn check_place(
        pool: &PgPool,
        table: &str,
        schema: Option<&str>,
    ) -> Result<(), DatabaseError> {
        session::check_place(&mut *pool.acquire().await?, table, schema).await
    }

    /// What is in such a transaction are single statements, whose callers hold them for committed: of a `begin` that was
    /// dropped nobody got the transaction. In a session without one, this does nothing, and PostgreSQL logs nothing.
    async fn end_open_transaction(connection: &mut PgConnection) -> sqlx::Result<()> {
        connection.execute("BEGIN; COMMIT").await?;
        Ok(())
    }

    async fn raise_sequences(
        pool: &PgPool,
        schema: Option<&str>,
        ours: impl Fn(&str) -> bool + Send,
    ) -> sqlx::Result<Vec<(String, i64)>> {
        let mut session = pool.acquire().await?;
        let mut raised = Vec::new();
        for (table, column, raise) in session::identities(&mut session, schema).await? {
            if !ours(&table) {
                continue;
            }
            let last = sqlx::query_scalar(AssertSqlSafe(raise));
            let last: Option<i64> = last.fetch_optional(&mut *session).await?;
            raised.extend(last.map(|last| (format!("{table}.{column}"), last)));
        }
        Ok(raised)
    }

    async fn run_migrations(
        pool: &PgPool,
        migrator: &Migrator,
        schema: Option<&str>,
        health: &ConnectionHealth,
    ) -> Result<(), DatabaseError> {
        run_migrations(pool, migrator, schema, health).await
    }

    async fn refusal(pool: &PgPool, names: OptionNames) -> Option<DatabaseError> {
        let options = pool.connect_options();
        let connecting = async { options.connect().await?.close().await };
        match tokio::time::timeout(PROBE, connecting).await {
            Ok(Err(error @ sqlx::Error::Database(_))) => {
                let server = show_server(&options);
                Some(DatabaseError::of_postgres(&server, names, error))
            }
            _ => None,
        }
    }

    async fn identity(connection: &mut PgConnection) -> sqlx::Result<String> {
        Ok(session::identity(connection).await?.0)
    }
}

/// What was found at an address that gives sessions.
struct Found {
    server: String,
    identity: String,
    search_path: String,
    limit: Option<i32>,
    names: OptionNames,
}

impl Found {
    fn warn_of_limit(&self, connections: u32) {
        if let Some(limit) = self.limit
            && i64::from(limit) < i64::from(connections)
        {
            warn!(
                "{} allows {limit} connections (CONNECTION LIMIT of the role or the database), and this \
                 instance takes up to {connections}: raise the limit, or lower {}",
                self.server, self.names.connections
            );
        }
    }
}

/// An address of PostgreSQL.
struct Server {
    /// Without a password.
    name: String,
    options: PgConnectOptions,
    schema: Option<String>,
    /// Whether a schema that is missing is made.
    may_create: bool,
    /// Whether the server need not be written to.
    may_be_standby: bool,
    /// The longest time until a server has accepted a connection.
    patience: Duration,
    names: OptionNames,
}

impl Server {
    fn parse(url: &str, of: &DatabaseOptions) -> Result<Self, DatabaseError> {
        if url.parse::<Kind>()? != Kind::Postgres {
            return Err(DatabaseError::DirectFile(of.names.direct_url));
        }
        if names_several_hosts(url) {
            return Err(DatabaseError::SeveralHosts);
        }
        let options = PgConnectOptions::from_str(url)
            .map_err(DatabaseError::Malformed)?
            // Poolers refuse startup parameters that they do not know.
            .extra_float_digits(None)
            .disable_statement_logging();
        Ok(Self {
            name: redact_url(url),
            options,
            schema: of.schema.clone(),
            may_create: of.migrate,
            may_be_standby: of.read_only,
            patience: of.patience,
            names: of.names,
        })
    }

    /// Two connections of a host's pool.
    async fn acquire_two(
        &self,
        pool: &PgPool,
    ) -> Result<[PoolConnection<Postgres>; 2], DatabaseError> {
        let writer = Writer::new(pool, true);
        let mut acquiring = pin!(async { Ok([writer.acquire().await?, writer.acquire().await?]) });
        match self.answered(acquiring.as_mut()).await {
            Err(_) if has_none_free(pool) => Err(DatabaseError::Pool(
                "two of its connections must be free, and all are in use".to_owned(),
            )),
            acquired => acquired,
        }
    }

    /// Checks the encoding, and creates the schema of our tables, if it is missing and we may.
    async fn prepare_database(
        &self,
        session: &mut PgConnection,
    ) -> sqlx::Result<Result<(), DatabaseError>> {
        let encoding = session::encoding(session).await?;
        if encoding != "UTF8" {
            let name = self.name.clone();
            return Ok(Err(DatabaseError::Encoding(name, encoding, NEW_DATABASE)));
        }
        let Some(schema) = &self.schema else {
            return Ok(Ok(()));
        };
        if session::has_schema(session, schema).await? {
            return Ok(Ok(()));
        }
        let refused = match self.may_create {
            true => session::create_schema(session, schema).await.err(),
            false => None,
        };
        // If another instance has created it meanwhile, ours failed.
        match session::has_schema(session, schema).await? {
            true => Ok(Ok(())),
            false => Ok(Err(DatabaseError::NoSchema(schema.clone(), refused))),
        }
    }

    /// Checks that connections are sessions, and that our settings are in force in them. `setting` is the one
    /// that helps where a pooler gives a session for one transaction only.
    async fn look_at_sessions(&self, setting: &'static str) -> Result<Found, DatabaseError> {
        let mut one = self.reach().await?;
        let mut other = self.reach().await?;
        let found = self.answered(async {
            if session::is_pooled(&mut one, &mut other).await? {
                return Ok(Err(DatabaseError::Pooled(self.name.clone(), setting)));
            }
            if let Err(unfit) = self.prepare_database(&mut one).await? {
                return Ok(Err(unfit));
            }
            session::prepare(&mut one, self.schema.as_deref()).await?;
            let missing = session::not_in_force(&mut one).await?;
            if !missing.is_empty() {
                let missing = missing.join(", ");
                return Ok(Err(DatabaseError::Settings(self.name.clone(), missing)));
            }
            let (identity, search_path) = session::identity(&mut one).await?;
            Ok(Ok(Found {
                server: self.name.clone(),
                identity,
                search_path,
                limit: session::connection_limit(&mut one).await?,
                names: self.names,
            }))
        });
        let found = found.await??;
        // So that the server has connections left when the pools need them.
        let closed = async { tokio::join!(one.close(), other.close()) };
        let _ = tokio::time::timeout(ANSWER, closed).await;
        Ok(found)
    }

    /// A pool for transactions at a pooler that gives each of them another session, and the message that begins
    /// one.
    async fn pooled(
        &self,
        connections: u32,
        sessions: &Found,
        health: &ConnectionHealth,
    ) -> Result<(PgPool, SqlStr), DatabaseError> {
        let mut connection = self.reach().await?;
        let begin = session::begin_pooled(&sessions.search_path, true);
        let looked = self.answered(async {
            let mut tx = connection.begin_with(begin.clone()).await?;
            let (identity, _) = session::identity(&mut tx).await?;
            let keeps_names = session::keeps_names(&mut tx).await?;
            tx.rollback().await?;
            Ok((identity, keeps_names))
        });
        let (identity, keeps_names) = looked.await?;
        let _ = tokio::time::timeout(ANSWER, connection.close()).await;
        if identity != sessions.identity {
            let (pooler, server) = (self.name.clone(), sessions.server.clone());
            return Err(DatabaseError::Different(
                pooler,
                server,
                self.names.direct_url,
            ));
        }
        let pool = pool_of(connections, health);
        if !keeps_names {
            let begin = session::begin_pooled(&sessions.search_path, false);
            return Ok((pool.connect_lazy_with(self.options.clone()), begin));
        }
        info!(
            "{} does not keep prepared statements for its clients (PgBouncer does from 1.21 on, with \
             max_prepared_statements): each statement of a transaction takes one more round trip",
            self.name
        );
        // sqlx then prepares a statement each time it is used.
        let options = self.options.clone().statement_cache_capacity(0);
        Ok((pool.connect_lazy_with(options), begin))
    }

    /// A pool of sessions.
    fn session_pool(&self, connections: u32, health: &ConnectionHealth) -> PgPool {
        let (health, schema) = (health.clone(), self.schema.clone());
        let may_be_standby = self.may_be_standby;
        pool_of(connections, &health)
            .after_connect(move |connection, _| {
                let (health, schema) = (health.clone(), schema.clone());
                Box::pin(async move {
                    let prepared = session::prepare(connection, schema.as_deref());
                    let is_standby = health.within(ANSWER, prepared).await?;
                    let refused = is_standby && !may_be_standby;
                    health.mark_standby(refused);
                    if refused {
                        // The pool closes it and tries again, at the same address.
                        return Err(sqlx::Error::Io(io::Error::other(IS_STANDBY)));
                    }
                    Ok(())
                })
            })
            .connect_lazy_with(self.options.clone())
    }

    /// Connects. Where it may help, tries again until the time is over: a server may be starting, another instance may
    /// be giving its connections back, or the address may lead to a server that has not become the primary yet.
    async fn reach(&self) -> Result<PgConnection, DatabaseError> {
        let (last, accepted) = (Mutex::new(None), AtomicBool::new(false));
        let failure = || last.lock().unwrap_or_else(PoisonError::into_inner);
        let connecting = async {
            loop {
                match self.connect(&accepted).await {
                    Err(error) if error.may_pass() => *failure() = Some(error),
                    done => return done,
                }
                tokio::time::sleep(AGAIN).await;
            }
        };
        let describe = || {
            ready(match &*failure() {
                Some(error) => with_causes(error),
                None if accepted.load(Ordering::Relaxed) => self.unanswered(),
                None => format!("for the database at {}", self.name),
            })
        };
        match announced(self.patience.min(LONGEST_PATIENCE), describe, connecting).await {
            Some(done) => done,
            None if accepted.load(Ordering::Relaxed) => Err(self.silent()),
            None => Err(failure().take().unwrap_or_else(|| self.unreachable())),
        }
    }

    /// Makes one connection, to a server that will do. `accepted` is true while the server has accepted one, and has not
    /// answered yet.
    async fn connect(&self, accepted: &AtomicBool) -> Result<PgConnection, DatabaseError> {
        accepted.store(false, Ordering::Relaxed);
        let connecting = async {
            let mut connection = self.options.connect().await?;
            if self.may_be_standby {
                return Ok(Some(connection));
            }
            accepted.store(true, Ordering::Relaxed);
            let is_standby = session::is_standby(&mut connection).await;
            accepted.store(false, Ordering::Relaxed);
            if is_standby? {
                let _ = connection.close().await;
                return Ok(None);
            }
            Ok(Some(connection))
        };
        match tokio::time::timeout(REACH, connecting).await {
            Ok(Ok(Some(connection))) => Ok(connection),
            Ok(Ok(None)) => Err(DatabaseError::Standby(self.name.clone())),
            // So poolers say that their server is away; later, the same code is for what they do not take.
            Ok(Err(error)) if is_protocol_violation(&error) => {
                Err(DatabaseError::NotYet(self.name.clone(), error))
            }
            Ok(Err(error)) => Err(self.failed(error)),
            Err(_) if accepted.load(Ordering::Relaxed) => Err(self.silent()),
            Err(_) => Err(self.unreachable()),
        }
    }

    fn failed(&self, error: sqlx::Error) -> DatabaseError {
        DatabaseError::of_postgres(&self.name, self.names, error)
    }

    fn silent(&self) -> DatabaseError {
        DatabaseError::Silent(self.name.clone())
    }

    fn unreachable(&self) -> DatabaseError {
        DatabaseError::Unreachable(self.name.clone(), None)
    }

    fn unanswered(&self) -> String {
        let name = &self.name;
        format!("for {name} to answer a statement; it accepted the connection")
    }

    /// The outcome of `statements`, within the limit.
    async fn answered<T>(
        &self,
        statements: impl Future<Output = sqlx::Result<T>>,
    ) -> Result<T, DatabaseError> {
        let describe = || ready(self.unanswered());
        match announced(REACH, describe, statements).await {
            Some(done) => done.map_err(|error| self.failed(error)),
            None => Err(self.silent()),
        }
    }
}

fn is_protocol_violation(error: &sqlx::Error) -> bool {
    let error = error.as_database_error();
    error.is_some_and(|error| error.code().as_deref() == Some("08P01"))
}

/// True if a URL names several hosts, as libpq takes them.
fn names_several_hosts(url: &str) -> bool {
    let (_, rest) = url.split_once("://").unwrap_or_default();
    let (place, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    // An unescaped @ or / in a password is malformed.
    let (_, hosts) = place.rsplit_once('@').unwrap_or(("", place));
    let hosts = hosts.split('/').next().unwrap_or_default();
    let mut parameters = parameters.split('&');
    let several = |parameter: &str| match parameter.split_once('=') {
        Some(("host" | "hostaddr" | "port", value)) => {
            value.contains(',') || value.contains("%2C") || value.contains("%2c")
        }
        _ => false,
    };
    hosts.contains(',') || parameters.any(several)
}

fn pool_of(connections: u32, health: &ConnectionHealth) -> PgPoolOptions {
    let (asked, released) = (health.clone(), health.clone());
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .before_acquire(move |connection, last| {
            let health = asked.clone();
            Box::pin(async move {
                if health.is_suspect(last.age) {
                    return Ok(false);
                }
                if last.idle_for > TESTED {
                    // An error closes it, and another one is taken.
                    health.within(ANSWER, connection.ping()).await?;
                }
                Ok(true)
            })
        })
        .after_release(move |connection, last| {
            let is_suspect = released.is_suspect(last.age);
            Box::pin(async move {
                if is_suspect {
                    return Ok(false);
                }
                // The caller may have gone before the answer to its statement, for which sqlx 0.9.0 waits next, without a
                // limit. `flush` waits for what is due alone, so it costs no round trip.
                let answered = tokio::time::timeout(ANSWER, connection.flush()).await;
                Ok(matches!(answered, Ok(Ok(()))))
            })
        })
}
