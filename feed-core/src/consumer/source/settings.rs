//! The settings for requests to a feed.

use std::time::Duration;

use url::Url;

use super::client::FeedClient;
use super::credentials::FeedCredentials;
use super::proxy::FeedProxy;
use super::wait::WAIT;

/// The settings for requests to one feed.
#[derive(Debug, Clone)]
pub(crate) struct SourceSettings {
    pub(crate) feed_url: Url,
    pub(crate) credentials: Option<FeedCredentials>,
    pub(crate) proxy: Option<FeedProxy>,
    pub(crate) client: Option<FeedClient>,
    /// How long the server may hold an answer back.
    pub(crate) wait: Duration,
}

impl SourceSettings {
    pub(crate) fn new(feed_url: Url) -> Self {
        Self {
            feed_url,
            credentials: None,
            proxy: None,
            client: None,
            wait: WAIT,
        }
    }
}
