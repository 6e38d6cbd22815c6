//! The settings that every service has, under the same names as flags and in the environment.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::time::Duration;

use clap::builder::{BoolishValueParser, NonEmptyStringValueParser};
use url::Url;

use super::command_line::{parse_command_line, try_parse};
use super::html::Frame;
use super::read_once::read_once;
use super::{Credentials, LogFormat};
use feed_http::BaseUrl;

/// The settings of a program that listens, whether it is one service or several. A service has them in its [`Settings`].
#[derive(Debug, Clone, clap::Args)]
pub struct ServerSettings {
    /// The address to listen on
    #[arg(long, env, help_heading = "Network", value_name = "ADDRESS", value_parser = parse_address)]
    pub listen: SocketAddr,

    /// The public base URL, for all links; may have a path behind a proxy [default: that of LISTEN]
    #[arg(long, env, help_heading = "Network", value_name = "URL")]
    pub base_url: Option<BaseUrl>,

    /// Require credentials: a file with one a line, `read NAME:PASSWORD` (the feed alone) or
    /// `operate NAME:PASSWORD` (everything), or a token in place of both; SIGHUP reloads it
    #[arg(long, env, help_heading = "Network", value_name = "FILE", value_parser = read_once(Credentials::from_setting))]
    pub credentials_file: Option<Credentials>,

    /// Listen on an address that other machines reach without requiring credentials: anyone there
    /// can do everything
    #[arg(long, env, help_heading = "Network", value_parser = BoolishValueParser::new())]
    pub allow_anonymous: bool,

    /// A name for this instance, in leases and logs
    #[arg(long, env, help_heading = "Process", value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub instance: Option<String>,

    /// The form of the log on standard error; `RUST_LOG` selects what is logged, such as `debug`
    #[arg(
        long,
        env,
        help_heading = "Process",
        value_name = "FORMAT",
        default_value = "text"
    )]
    pub log_format: LogFormat,
}

/// Flatten it into a service's own [`clap::Parser`].
#[derive(Debug, Clone, clap::Args)]
pub struct Settings {
    /// What several services in one program share.
    #[command(flatten)]
    pub server: ServerSettings,

    /// The start page of all services; every page then links to it
    #[arg(long, env, help_heading = "Links", value_name = "URL", value_parser = parse_url)]
    pub home_url: Option<Url>,

    /// Check whether the service that runs at LISTEN is ready; exit with 0 if it is
    #[arg(long, help_heading = "Process")]
    pub probe: bool,
}

impl Settings {
    /// Returns the public base URL: the configured one, or that of the listening address.
    #[must_use]
    pub fn base_url(&self) -> BaseUrl {
        let server = &self.server;
        server.base_url.clone().unwrap_or_else(|| {
            // A URL has no zone (RFC 3986, 3.2.2).
            let address = SocketAddr::new(server.listen.ip(), server.listen.port());
            let url = format!("http://{address}/");
            url.parse().expect("a socket address makes a base URL")
        })
    }

    /// Returns the frame of the service's pages, with links to the paths in `menu`.
    #[must_use]
    pub fn frame(
        &self,
        service: &'static str,
        menu: &'static [(&'static str, &'static str)],
    ) -> Frame<'static> {
        Frame {
            base: self.base_url(),
            home: self.home_url.clone(),
            home_name: "Home",
            service,
            menu,
            feed: None,
        }
    }

    /// Parses the command line and environment of `C`, with defaults of its own for some flags (by
    /// field name); commands beside the service have the flags in `shared` as well. On an error it
    /// ends the process with a message.
    #[must_use]
    pub fn parse<C: clap::Parser>(
        defaults: &[(&'static str, &'static str)],
        shared: &[&'static str],
    ) -> C {
        parse_command_line(Self::prepare(C::command(), defaults, shared))
    }

    /// Parses these arguments, of which the first is the program.
    ///
    /// # Errors
    ///
    /// Returns an error if they are wrong, or ask for help.
    pub fn try_parse_from<C: clap::Parser, A: Into<OsString>>(
        defaults: &[(&'static str, &'static str)],
        shared: &[&'static str],
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<C, clap::Error> {
        try_parse(Self::prepare(C::command(), defaults, shared), arguments)
    }

    /// Gives some flags of `command` defaults, and its own commands the flags in `shared`: for a program in which
    /// the service is one command of several. [`Settings::parse`] does the same for the whole program.
    #[must_use]
    pub fn prepare(
        command: clap::Command,
        defaults: &[(&'static str, &'static str)],
        shared: &[&'static str],
    ) -> clap::Command {
        let mut command = with_defaults(command, defaults);
        // A command beside the service needs some of them too, before or after its name. A required
        // flag cannot be global, but it has a default wherever there are commands.
        if command.has_subcommands() {
            command = command.mut_args(|argument| {
                let id = argument.get_id().as_str();
                let shared = id == "log_format" || shared.contains(&id);
                let global = shared && !argument.is_required_set();
                argument.global(global)
            });
        }
        command
    }
}

/// Gives some flags of `command` defaults, by field name.
#[must_use]
pub fn with_defaults(
    command: clap::Command,
    defaults: &[(&'static str, &'static str)],
) -> clap::Command {
    command.mut_args(|argument| {
        let mut defaults = defaults.iter();
        match defaults.find(|(flag, _)| argument.get_id() == flag) {
            Some((_, value)) => argument.required(false).default_value(*value),
            None => argument,
        }
    })
}

/// Parses a listening address from the command line.
///
/// # Errors
///
/// Returns an error if the text is no IP address with a port.
pub fn parse_address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "write an IP address and a port, such as 127.0.0.1:8080 or [::1]:8080".into())
}

/// Parses a URL of a web page or a feed from the command line.
///
/// # Errors
///
/// Returns an error if the text is no URL for HTTP.
pub fn parse_url(text: &str) -> Result<Url, String> {
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(url),
        _ => Err("write all of the URL, such as https://shop.example/feed".into()),
    }
}

/// The longest duration: a wait, not an age. A longer one is most often a mistyped unit: `5M` is five months.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);

/// Parses a duration such as `500ms` or `5s` from the command line.
///
/// # Errors
///
/// Returns an error if the text is no duration, or zero, or longer than thirty days.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Err("it must be longer than nothing".to_owned()),
        Ok(duration) if duration > LONGEST => {
            Err("it is too long; 5m is five minutes, and 5M five months".to_owned())
        }
        Ok(duration) => Ok(duration),
        Err(_) => Err("write a number and its unit, such as 500ms, 5s or 2min".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_no_age() {
        let seconds = |text: &str| parse_duration(text).map(|duration| duration.as_secs());
        assert_eq!(seconds("5m"), Ok(300));
        assert_eq!(seconds("30d"), Ok(LONGEST.as_secs()));
        for wrong in [
            "",
            "0s",
            "5",
            "-5s",
            "30d 1s",
            "5M",
            "500000000000y",
            "99999999999999999999s",
        ] {
            seconds(wrong).expect_err(wrong);
        }
    }
}
