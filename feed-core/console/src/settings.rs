//! The settings of a service that publishes or consumes: its database, and the feed that it
//! follows.

use std::error::Error;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use feed_chassis::{ServeError, parse_duration, parse_url, read_once};
use feed_core::consumer::{
    FeedCredentials, FeedOptionNames, FeedProxy, Subscription, proxies_in_environment, redact_url,
};
use feed_core::{DatabaseError, DatabaseOptions, OptionNames};
use tracing::info;

use crate::subscription::{Address, Origin, WHAT_TO_DO};
use url::Url;

/// Flags that a service's commands have as well: those of its database and of its feed.
pub const SHARED: &[&str] = &[
    "database_url",
    "database_url_file",
    "database_direct_url",
    "database_direct_url_file",
    "database_connections",
    "database_schema",
    "feed_url",
    "feed_credentials_file",
    "feed_proxy",
    "feed_proxy_sees_credentials",
];

/// Why a service that publishes or consumes cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The proxy would see the feed's credentials, which is not allowed.
    #[error(
        "the proxy {0} (FEED_PROXY) would see the feed's credentials, since http: is not encrypted. Follow the feed \
         by https:, or set FEED_PROXY_SEES_CREDENTIALS=true if you trust the proxy and the way to it"
    )]
    ProxySeesCredentials(FeedProxy),
    /// The database cannot be used.
    #[error("the database cannot be used (DATABASE_URL)")]
    Database(#[source] DatabaseError),
    /// A program that only reads does not migrate the database.
    #[error(
        "the database has not had all migrations of this program: if it is the right one (DATABASE_URL), start the service \
         once that writes to it, which runs them"
    )]
    Older,
    /// The service has no tables for a database of that kind.
    #[error("DATABASE_URL must begin with {0}: for this service")]
    OtherKind(&'static str),
    /// The effect cannot work on this database.
    #[error("{0}")]
    Effect(String, #[source] Box<dyn Error + Send + Sync>),
}

impl From<DatabaseError> for StartError {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::Pending(_) => Self::Older,
            _ => Self::Database(error),
        }
    }
}

impl From<StartError> for ServeError {
    fn from(error: StartError) -> Self {
        match &error {
            StartError::Database(cause) if cause.may_pass() => Self::Away(Box::new(error)),
            _ => Self::Start(Box::new(error)),
        }
    }
}

/// Flatten it into a service's own [`clap::Parser`], beside [`Settings`](feed_chassis::Settings).
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Database")]
pub struct DatabaseSettings {
    /// The service's own database: `sqlite:PATH` or `postgres://USER:PASSWORD@HOST/NAME`
    #[arg(long, env, value_name = "URL", hide_env_values = true)]
    pub database_url: String,

    /// A file with that URL, for services that keep secrets in files
    #[arg(long, env, value_name = "FILE", conflicts_with = "database_url", value_parser = read_once(read_secret))]
    pub database_url_file: Option<String>,

    /// PostgreSQL's own address, if `DATABASE_URL` is that of a pooler in transaction mode: for
    /// what needs a session, such as migrations and listening
    #[arg(long, env, value_name = "URL", hide_env_values = true)]
    pub database_direct_url: Option<String>,

    /// A file with that URL
    #[arg(long, env, value_name = "FILE", conflicts_with = "database_direct_url", value_parser = read_once(read_secret))]
    pub database_direct_url_file: Option<String>,

    /// The most connections to PostgreSQL of this instance: one half for transactions, one for
    /// everything else
    #[arg(long, env, value_name = "COUNT", default_value_t = DatabaseOptions::DEFAULT_CONNECTIONS, value_parser = parse_connections)]
    pub database_connections: u32,

    /// The schema of PostgreSQL for all tables of this program; created if it is missing [default: the first of the
    /// role's own]
    #[arg(long, env, value_name = "NAME")]
    pub database_schema: Option<String>,
}

impl DatabaseSettings {
    /// Creates settings for the database at that URL, with defaults for everything else.
    #[must_use]
    pub fn of(url: String) -> Self {
        Self {
            database_url: url,
            database_url_file: None,
            database_direct_url: None,
            database_direct_url_file: None,
            database_connections: DatabaseOptions::DEFAULT_CONNECTIONS,
            database_schema: None,
        }
    }

    /// Returns the URL of the database, from the file or from the setting.
    #[must_use]
    pub fn url(&self) -> &str {
        self.database_url_file
            .as_ref()
            .unwrap_or(&self.database_url)
    }

    /// Returns the same for a service, which waits for a database that is away: its process answers meanwhile that it
    /// is alive, and not ready.
    #[must_use]
    pub fn options_to_serve(&self) -> DatabaseOptions {
        // Not for ever, only so that the log names the wait once a minute; `run` then starts the service again.
        self.options().patience(Duration::from_secs(3600))
    }

    /// Returns the database and its connection settings, for a command, which gives up after some seconds.
    #[must_use]
    pub fn options(&self) -> DatabaseOptions {
        let direct = self.database_direct_url_file.as_ref();
        DatabaseOptions {
            url: self.url().to_owned(),
            direct_url: direct.or(self.database_direct_url.as_ref()).cloned(),
            connections: self.database_connections,
            schema: self.database_schema.clone(),
            names: OptionNames {
                direct_url: "DATABASE_DIRECT_URL",
                connections: "DATABASE_CONNECTIONS",
            },
            ..DatabaseOptions::default()
        }
    }
}

/// Parses a number of connections to a database from the command line.
fn parse_connections(text: &str) -> Result<u32, String> {
    const LEAST: u32 = DatabaseOptions::MIN_CONNECTIONS;
    match text.parse() {
        Ok(count @ LEAST..) => Ok(count),
        _ => Err(format!("write a number, {LEAST} at least")),
    }
}

/// Reads a file, without the newline that editors add.
fn read_secret(path: &str) -> Result<String, String> {
    match std::fs::read_to_string(path) {
        Ok(text) if text.trim().is_empty() => Err("the file is empty".to_owned()),
        Ok(text) => Ok(text.trim().to_owned()),
        Err(error) => Err(format!("cannot read the file: {error}")),
    }
}

/// The longest `POLL_INTERVAL`. It bounds the lag of a consumer that only polls, and the pause that
/// a feed can ask for.
const LONGEST_POLL_INTERVAL: Duration = Duration::from_secs(3600);

/// Flatten it into a service's own [`clap::Parser`], beside [`Settings`](feed_chassis::Settings).
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Feed")]
pub struct Follow {
    /// The feed to follow; it may be unreachable, also at the start
    #[arg(long, env, value_name = "URL", value_parser = parse_feed_url)]
    pub feed_url: Url,

    /// Credentials for the feed: a file with one line, `NAME:PASSWORD` or a token; read again when
    /// the feed rejects them
    #[arg(long, env, value_name = "FILE", value_parser = read_once(FeedCredentials::from_setting))]
    pub feed_credentials_file: Option<FeedCredentials>,

    /// An HTTP proxy to read the feed through: `http://HOST:PORT` or
    /// `http://USER:PASSWORD@HOST:PORT`. `HTTP_PROXY` and similar variables are ignored
    #[arg(long, env, value_name = "URL", value_parser = FeedProxy::from_setting)]
    pub feed_proxy: Option<FeedProxy>,

    /// Let the proxy see the credentials of an http: feed, which are not encrypted on the way to it
    #[arg(long, env, value_parser = BoolishValueParser::new())]
    pub feed_proxy_sees_credentials: bool,

    /// The pause after a poll that found nothing and could not wait at the feed, such as 500ms; 1h
    /// at most
    #[arg(long, env, value_name = "DURATION", value_parser = parse_poll_interval, default_value = "1s")]
    pub poll_interval: Duration,
}

impl Follow {
    /// Returns the subscription of that name to this feed.
    #[must_use]
    pub fn subscription(&self, name: &str) -> Subscription {
        Subscription {
            credentials: self.feed_credentials_file.clone(),
            proxy: self.proxy(),
            poll_interval: self.poll_interval,
            if_halted: WHAT_TO_DO,
            names: FeedOptionNames {
                feed_url: "FEED_URL",
                credentials: "FEED_CREDENTIALS_FILE",
                proxy: "FEED_PROXY",
            },
            ..Subscription::new(name, self.feed_url.clone())
        }
    }

    fn proxy(&self) -> Option<FeedProxy> {
        let proxy = self.feed_proxy.clone()?;
        Some(proxy.sees_credentials(self.feed_proxy_sees_credentials))
    }

    /// Returns the feed, and the proxy that it is read through, for the first lines of the log.
    /// Logs that a proxy in the environment is ignored.
    ///
    /// # Errors
    ///
    /// Returns an error if the proxy would see the feed's credentials, and is not allowed to.
    pub fn way(&self) -> Result<String, StartError> {
        let feed = &self.feed_url;
        let Some(proxy) = self.proxy() else {
            let ignored = proxies_in_environment(feed).join(", ");
            if !ignored.is_empty() {
                info!(
                    "not followed: {ignored} of the environment; FEED_PROXY sets a proxy for the feed"
                );
            }
            return Ok(redact_url(feed));
        };
        match self.feed_credentials_file {
            Some(_) if proxy.must_not_carry_credentials(feed) => {
                Err(StartError::ProxySeesCredentials(proxy))
            }
            _ => Ok(format!("{} through the proxy {proxy}", redact_url(feed))),
        }
    }
}

/// Parses a pause between polls, such as `500ms`, from the command line.
///
/// # Errors
///
/// Returns an error if the text is no duration, or zero, or longer than an hour.
pub fn parse_poll_interval(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        interval if interval > LONGEST_POLL_INTERVAL => {
            Err("it is 1h at most: nothing new is heard of in between".to_owned())
        }
        interval => Ok(interval),
    }
}

/// The other consumers on the status pages, and where the status here may be shown.
///
/// Flatten it into a service's own [`clap::Parser`], beside [`Settings`](feed_chassis::Settings).
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Status")]
pub struct StatusSettings {
    /// Other consumers that the page /status/all shows: their addresses, with commas between them; one on the same host
    /// may be a path, such as /shipping/
    #[arg(long, env, value_name = "URL", value_delimiter = ',')]
    pub status_of: Vec<Address>,

    /// Origins whose pages may read /status as JSON, by the browser and the credentials of their reader; with commas
    /// between them [default: none but that of this service]
    #[arg(long, env, value_name = "ORIGIN", value_delimiter = ',')]
    pub status_origins: Vec<Origin>,
}

/// Parses the address of a feed from the command line.
///
/// # Errors
///
/// Returns an error if the text is no URL for HTTP, or holds credentials.
pub fn parse_feed_url(text: &str) -> Result<Url, String> {
    match parse_url(text) {
        // It appears on the status page and in logs.
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            Err("a feed's address must not hold credentials".to_owned())
        }
        Ok(url) => Ok(url),
        Err(_) => {
            Err("a feed is read by http: or https:, such as http://127.0.0.1:8081/feed".to_owned())
        }
    }
}
