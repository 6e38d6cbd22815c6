//! Every setting of the service.

use std::time::Duration;

use feed_core::service::{Settings, parse_duration};
use url::Url;

/// The invoice service: writes an invoice for each order that it reads of in a feed
#[derive(Debug, Clone, clap::Parser)]
#[command(version)]
pub struct Config {
    #[command(flatten)]
    pub settings: Settings,

    /// The feed of the order service; it may be away, also at the start
    #[arg(long, env, value_name = "URL", value_parser = parse_feed_url,
          default_value = "http://127.0.0.1:8081/feed")]
    pub feed_url: Url,

    /// The pause after a poll that found nothing and could not wait at the feed, such as 500ms
    #[arg(long, env, value_name = "DURATION", value_parser = parse_duration, default_value = "1s")]
    pub poll_interval: Duration,
}

impl Config {
    /// What holds where nothing else is said, by the name of the field.
    pub const DEFAULTS: &'static [(&'static str, &'static str)] = &[
        ("listen", "127.0.0.1:8082"),
        ("database_url", "sqlite:data/invoice.db"),
        ("instance", "invoice"),
    ];

    /// The settings from the command line and the environment. Ends the process with a clear
    /// message where they are wrong.
    #[must_use]
    pub fn from_command_line() -> Self {
        Settings::parse(Self::DEFAULTS)
    }
}

fn parse_feed_url(text: &str) -> Result<Url, String> {
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(url),
        Ok(url) => Err(format!(
            "a feed is read by http: or https:, not {}:",
            url.scheme()
        )),
        Err(error) => Err(error.to_string()),
    }
}
