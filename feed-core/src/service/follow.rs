//! The settings that every service has that follows a feed.

use std::time::Duration;

use url::Url;

use super::{parse_duration, parse_url};
use crate::consumer::{FeedCredentials, Subscription};

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

    /// The pause after a poll that found nothing and could not wait at the feed, such as 500ms
    #[arg(
        long,
        env,
        help_heading = "Feed",
        value_name = "DURATION",
        value_parser = parse_duration,
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
            poll_interval: self.poll_interval,
            ..Subscription::new(name, self.feed_url.clone())
        }
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
