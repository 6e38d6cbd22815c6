//! The settings that every service has, under the same names as flags and in the environment.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use url::Url;

use super::command_line::{parse_command_line, try_parse};
use super::html::Frame;
use super::{BaseUrl, Credentials, LogFormat};
use crate::database::DatabaseOptions;

/// Flatten it into a service's own [`clap::Parser`].
#[derive(Debug, Clone, clap::Args)]
pub struct Settings {
    /// The address to listen on
    #[arg(long, env, help_heading = "Network", value_name = "ADDRESS", value_parser = parse_address)]
    pub listen: SocketAddr,

    /// The public base URL, for all links; may have a path behind a proxy [default: that of LISTEN]
    #[arg(long, env, help_heading = "Network", value_name = "URL")]
    pub base_url: Option<BaseUrl>,

    /// Ask for credentials: a file with one a line, `read NAME:PASSWORD` (the feed alone) or
    /// `operate NAME:PASSWORD` (all), or a token in place of both; SIGHUP has it read again
    #[arg(long, env, help_heading = "Network", value_name = "FILE", value_parser = Credentials::from_setting)]
    pub credentials_file: Option<Credentials>,

    /// Listen on an address that other machines reach without credentials: anyone there can do all
    #[arg(long, env, help_heading = "Network", value_parser = BoolishValueParser::new())]
    pub allow_anonymous: bool,

    /// The service's own database: `sqlite:PATH` or `postgres://USER:PASSWORD@HOST/NAME`
    #[arg(
        long,
        env,
        help_heading = "Database",
        value_name = "URL",
        hide_env_values = true
    )]
    pub database_url: String,

    /// A file that holds that URL, for who keeps secrets in files
    #[arg(
        long,
        env,
        help_heading = "Database",
        value_name = "FILE",
        conflicts_with = "database_url",
        value_parser = read_secret
    )]
    pub database_url_file: Option<String>,

    /// PostgreSQL's own address, if `DATABASE_URL` is that of a pooler in transaction mode: for what needs a
    /// session, such as migrations and listening
    #[arg(
        long,
        env,
        help_heading = "Database",
        value_name = "URL",
        hide_env_values = true
    )]
    pub database_direct_url: Option<String>,

    /// A file that holds that URL
    #[arg(
        long,
        env,
        help_heading = "Database",
        value_name = "FILE",
        conflicts_with = "database_direct_url",
        value_parser = read_secret
    )]
    pub database_direct_url_file: Option<String>,

    /// Connections to PostgreSQL that this instance takes, at most: one half for transactions, one for
    /// everything else
    #[arg(
        long,
        env,
        help_heading = "Database",
        value_name = "COUNT",
        default_value_t = DatabaseOptions::DEFAULT_CONNECTIONS,
        value_parser = parse_connections
    )]
    pub database_connections: u32,

    /// The start page of all services; every page then leads there
    #[arg(long, env, help_heading = "Links", value_name = "URL", value_parser = parse_url)]
    pub home_url: Option<Url>,

    /// A name for this instance, in leases and logs
    #[arg(long, env, help_heading = "Process", value_name = "NAME")]
    pub instance: Option<String>,

    /// The form of the log on standard error; `RUST_LOG` chooses what is logged, such as `debug`
    #[arg(
        long,
        env,
        help_heading = "Process",
        value_name = "FORMAT",
        default_value = "text"
    )]
    pub log_format: LogFormat,

    /// Ask the service that runs at LISTEN whether it can do its work; exit with 0 if it can
    #[arg(long, help_heading = "Process")]
    pub probe: bool,
}

impl Settings {
    /// The URL of the database, from the file that holds it or as it was said.
    #[must_use]
    pub fn database_url(&self) -> &str {
        self.database_url_file
            .as_ref()
            .unwrap_or(&self.database_url)
    }

    /// The database, and how to connect to it.
    #[must_use]
    pub fn database(&self) -> DatabaseOptions {
        let direct = self.database_direct_url_file.as_ref();
        DatabaseOptions {
            url: self.database_url().to_owned(),
            direct_url: direct.or(self.database_direct_url.as_ref()).cloned(),
            connections: self.database_connections,
        }
    }

    /// The public base URL: the configured one, or that of the listening address.
    #[must_use]
    pub fn base_url(&self) -> BaseUrl {
        self.base_url.clone().unwrap_or_else(|| {
            let url = format!("http://{}/", self.listen);
            url.parse().expect("a socket address makes a base URL")
        })
    }

    /// The frame of the service's pages, which leads to the paths in `menu`.
    #[must_use]
    pub fn frame(
        &self,
        service: &'static str,
        menu: &'static [(&'static str, &'static str)],
    ) -> Frame<'static> {
        Frame {
            base: self.base_url(),
            home: self.home_url.clone(),
            service,
            menu,
            feed: None,
        }
    }

    /// Parses the command line and environment of `C`, with defaults of its own for some flags
    /// (by field name). Ends the process with a clear message where they are wrong.
    #[must_use]
    pub fn parse<C: clap::Parser>(defaults: &[(&'static str, &'static str)]) -> C {
        parse_command_line(Self::command::<C>(defaults))
    }

    /// The same from these arguments, of which the first is the program.
    ///
    /// # Errors
    ///
    /// They are wrong, or ask for help.
    pub fn try_parse_from<C: clap::Parser, A: Into<OsString>>(
        defaults: &[(&'static str, &'static str)],
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<C, clap::Error> {
        try_parse(Self::command::<C>(defaults), arguments)
    }

    fn command<C: clap::Parser>(defaults: &[(&'static str, &'static str)]) -> clap::Command {
        let mut command = C::command().mut_args(|argument| {
            let mut defaults = defaults.iter();
            match defaults.find(|(flag, _)| argument.get_id() == flag) {
                Some((_, value)) => argument.required(false).default_value(*value),
                None => argument,
            }
        });
        // A command beside the service needs some of them too, before or behind its name. What is
        // required cannot be global, but it has a default wherever there are commands.
        if command.has_subcommands() {
            command = command.mut_args(|argument| {
                let shared = matches!(
                    argument.get_id().as_str(),
                    "database_url"
                        | "database_url_file"
                        | "database_direct_url"
                        | "database_direct_url_file"
                        | "database_connections"
                        | "feed_url"
                        | "feed_credentials_file"
                        | "feed_proxy"
                        | "feed_proxy_sees_credentials"
                        | "log_format"
                );
                let global = shared && !argument.is_required_set();
                argument.global(global)
            });
        }
        command
    }
}

/// Reads an address to listen on from the command line.
///
/// # Errors
///
/// The text is no IP address with a port.
pub fn parse_address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "write an IP address and a port, such as 127.0.0.1:8080 or [::1]:8080".into())
}

/// Reads a URL of a web page or a feed from the command line.
///
/// # Errors
///
/// The text is no URL, or one that is not fetched by HTTP.
pub fn parse_url(text: &str) -> Result<Url, String> {
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(url),
        _ => Err("write all of the URL, such as https://shop.example/feed".into()),
    }
}

/// Reads a number of connections to a database from the command line.
fn parse_connections(text: &str) -> Result<u32, String> {
    const LEAST: u32 = DatabaseOptions::MIN_CONNECTIONS;
    match text.parse() {
        Ok(count @ LEAST..) => Ok(count),
        _ => Err(format!("write a number, {LEAST} at least")),
    }
}

/// Reads what a file holds, without the line's end that editors leave there.
fn read_secret(path: &str) -> Result<String, String> {
    match std::fs::read_to_string(path) {
        Ok(text) if text.trim().is_empty() => Err("the file is empty".to_owned()),
        Ok(text) => Ok(text.trim().to_owned()),
        Err(error) => Err(format!("cannot read the file: {error}")),
    }
}

/// Reads a duration such as `500ms` or `5s` from the command line.
///
/// # Errors
///
/// The text is no duration, or zero.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Err("it must be longer than nothing".to_owned()),
        Ok(duration) => Ok(duration),
        Err(_) => Err("write a number and its unit, such as 500ms, 5s or 2min".to_owned()),
    }
}
