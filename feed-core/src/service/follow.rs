//! The settings that every service has that follows a feed.

use std::time::Duration;

use clap::builder::BoolishValueParser;
use tracing::info;
use url::Url;

use super::{ServeError, parse_duration, parse_url};
use crate::consumer::{FeedCredentials, FeedProxy, Subscription, in_environment};

/// The longest `POLL_INTERVAL`: nothing new is heard of in between, and a feed that wants to be left
/// alone is not left so for longer either.
const LONGEST_POLL_INTERVAL: Duration = Duration::from_secs(3600);

/// Flatten it into a service's own [`clap::Parser`], beside [`Settings`](super::Settings).
#[derive(Debug, Clone, clap::Args)]
pub struct Follow {
    /// The feed to follow; it may be away, also at the start
    #[arg(long, env, help_heading = "Feed", value_name = "URL", value_parser = parse_feed_url)]
    pub feed_url: Url,

    /// Credentials for the feed: a file with one line, `NAME:PASSWORD` or a token; read again when
    /// the feed refuses them
    #[arg(
        long,
        env,
        help_heading = "Feed",
        value_name = "FILE",
        value_parser = FeedCredentials::from_setting
    )]
    pub feed_credentials_file: Option<FeedCredentials>,

    /// An HTTP proxy to read the feed through: `http://HOST:PORT` or `http://USER:PASSWORD@HOST:PORT`. What
    /// `HTTP_PROXY` and others say in the environment is not followed
    #[arg(
        long,
        env,
        help_heading = "Feed",
        value_name = "URL",
        value_parser = FeedProxy::from_setting
    )]
    pub feed_proxy: Option<FeedProxy>,

    /// Let the proxy see the credentials of an http: feed, which are not encrypted on the way to it
    #[arg(long, env, help_heading = "Feed", value_parser = BoolishValueParser::new())]
    pub feed_proxy_sees_credentials: bool,

    /// The pause after a poll that found nothing and could not wait at the feed, such as 500ms; 1h at
    /// most
    #[arg(
        long,
        env,
        help_heading = "Feed",
        value_name = "DURATION",
        value_parser = parse_poll_interval,
        default_value = "1s"
    )]
    pub poll_interval: Duration,
}

impl Follow {
    /// The subscription of that name to this feed.
    #[must_use]
    pub fn subscription(&self, name: &str) -> Subscription {
        Subscription {
            credentials: self.feed_credentials_file.clone(),
            proxy: self.proxy(),
            poll_interval: self.poll_interval,
            ..Subscription::new(name, self.feed_url.clone())
        }
    }
}

impl Follow {
    fn proxy(&self) -> Option<FeedProxy> {
        let proxy = self.feed_proxy.clone()?;
        Some(proxy.sees_credentials(self.feed_proxy_sees_credentials))
    }

    /// The feed, and the proxy that it is read through, for the first lines of the log. Logs that a proxy of
    /// the environment is not followed.
    ///
    /// # Errors
    ///
    /// The proxy would see the feed's credentials, and is not allowed to.
    pub fn way(&self) -> Result<String, ServeError> {
        let feed = &self.feed_url;
        let Some(proxy) = self.proxy() else {
            let ignored = in_environment(feed).join(", ");
            if !ignored.is_empty() {
                info!(
                    "not followed: {ignored} of the environment; FEED_PROXY sets a proxy for the feed"
                );
            }
            return Ok(feed.to_string());
        };
        match self.feed_credentials_file {
            Some(_) if proxy.must_not_carry_credentials(feed) => {
                Err(ServeError::ProxySeesCredentials(proxy))
            }
            _ => Ok(format!("{feed} through the proxy {proxy}")),
        }
    }
}

/// Reads a pause between polls, such as `500ms`, from the command line.
///
/// # Errors
///
/// The text is no duration, or zero, or longer than an hour.
pub fn parse_poll_interval(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        interval if interval > LONGEST_POLL_INTERVAL => {
            Err("it is 1h at most: nothing new is heard of in between".to_owned())
        }
        interval => Ok(interval),
    }
}

fn parse_feed_url(text: &str) -> Result<Url, String> {
    match parse_url(text) {
        // It is shown on the status page and in logs.
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            Err("a feed's address must not hold credentials".to_owned())
        }
        Ok(url) => Ok(url),
        Err(_) => {
            Err("a feed is read by http: or https:, such as http://127.0.0.1:8081/feed".to_owned())
        }
    }
}
