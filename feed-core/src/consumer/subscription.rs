//! Which feed a consumer follows.

use std::time::Duration;

use url::Url;

use super::source::client::FeedClient;
use super::source::credentials::FeedCredentials;
use super::source::proxy::FeedProxy;
use super::source::settings::SourceSettings;
use super::source::wait::WAIT;

/// Which feed is consumed, and how.
#[derive(Debug, Clone)]
pub struct Subscription {
    /// The name of the subscription in the consumer's database: `order`.
    pub name: String,
    /// The address of the feed.
    pub feed_url: Url,
    /// What is shown to the feed, if it asks for credentials.
    pub credentials: Option<FeedCredentials>,
    /// The proxy through which the feed is read; `None`: there is none, whatever the environment says.
    pub proxy: Option<FeedProxy>,
    /// The settings of the HTTP client that are the service's own.
    pub client: Option<FeedClient>,
    /// How long a round may wait at the server for something new, in whole seconds, and at most twenty, which is
    /// the default. Zero: it answers at once, and [`poll_once`](crate::Consumer::poll_once) returns then.
    pub wait: Duration,
    /// The pause after a poll that found nothing and could not wait at the server.
    pub poll_interval: Duration,
    /// The name of this instance; made unique for each start.
    pub instance: String,
    /// What the log says behind the reason of a halt: what to do.
    pub if_halted: &'static str,
}

impl Subscription {
    /// A subscription to the feed at `feed_url`, which asks once a second where it cannot wait at
    /// the server.
    #[must_use]
    pub fn new(name: impl Into<String>, feed_url: Url) -> Self {
        Self {
            name: name.into(),
            feed_url,
            credentials: None,
            proxy: None,
            client: None,
            wait: WAIT,
            poll_interval: Duration::from_secs(1),
            instance: "consumer".to_owned(),
            if_halted: "it goes on when an operator resumes it (Decision::Resume)",
        }
    }

    pub(super) fn source(&self) -> SourceSettings {
        SourceSettings {
            feed_url: self.feed_url.clone(),
            credentials: self.credentials.clone(),
            proxy: self.proxy.clone(),
            client: self.client.clone(),
            wait: self.wait,
        }
    }
}
