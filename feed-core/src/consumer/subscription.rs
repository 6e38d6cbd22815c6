//! The settings of a subscription.

use std::fmt;
use std::time::Duration;

use url::Url;

use super::effect::LONGEST_PAUSE;
use super::source::client::FeedClient;
use super::source::credentials::FeedCredentials;
use super::source::option_names::FeedOptionNames;
use super::source::proxy::FeedProxy;
use super::source::redact::redact_url;
use super::source::wait::WAIT;

/// The shortest poll interval: none at all would be a request after another, without an end.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(10);

/// The feed to consume, and how.
#[derive(Clone)]
pub struct Subscription {
    /// The name of the subscription in the consumer's database: `order`. It is that of one feed and one effect: all
    /// consumers of that name share the events, so each event reaches one of them. A second effect of the same feed
    /// has a name of its own. It is not blank, and has no byte 0.
    pub name: String,
    /// The address of the feed.
    pub feed_url: Url,
    /// The credentials for the feed, if it asks for them.
    pub credentials: Option<FeedCredentials>,
    /// The proxy through which the feed is read; `None`: no proxy, whatever the environment names.
    pub proxy: Option<FeedProxy>,
    /// The service's own settings of the HTTP client.
    pub client: Option<FeedClient>,
    /// How long a round may wait at the server for a new event; the default and the maximum are twenty seconds.
    /// The request names whole seconds: a fraction counts as one more. With zero the server answers at once, and
    /// so does [`poll_once`](crate::Consumer::poll_once).
    pub wait: Duration,
    /// The pause after a poll that found nothing and could not wait at the server; ten milliseconds at least, and a year at
    /// most. It is also the least pause after an error of a server at which no poll has waited yet.
    pub poll_interval: Duration,
    /// The name of this instance; a suffix makes it unique for each start.
    pub instance: String,
    /// The version of the program, which operators see beside the instance; the default is that of feed-core.
    pub version: String,
    /// The instruction that the log adds to the reason of a halt.
    pub if_halted: &'static str,
    /// What errors and the log call these options.
    pub names: FeedOptionNames,
}

impl Subscription {
    /// Creates a subscription to the feed at `feed_url`, which polls once a second where it cannot
    /// wait at the server.
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
            version: env!("CARGO_PKG_VERSION").to_owned(),
            if_halted: "an operator has to resume it (Decision::Resume)",
            names: FeedOptionNames::default(),
        }
    }
}

impl Subscription {
    /// Returns the poll interval within its bounds.
    pub(super) fn interval(&self) -> Duration {
        self.poll_interval.clamp(SHORTEST_INTERVAL, LONGEST_PAUSE)
    }
}

/// Without passwords.
impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("name", &self.name)
            .field("feed_url", &redact_url(&self.feed_url))
            .field("credentials", &self.credentials)
            .field("proxy", &self.proxy)
            .field("client", &self.client)
            .field("wait", &self.wait)
            .field("poll_interval", &self.poll_interval)
            .field("instance", &self.instance)
            .field("version", &self.version)
            .field("if_halted", &self.if_halted)
            .field("names", &self.names)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_poll_interval_has_bounds() {
        let subscription = |poll_interval| Subscription {
            poll_interval,
            ..Subscription::new("order", Url::parse("http://order/feed").expect("a URL"))
        };
        for (set, counts) in [
            (Duration::ZERO, SHORTEST_INTERVAL),
            (Duration::from_millis(20), Duration::from_millis(20)),
            (Duration::MAX, LONGEST_PAUSE),
        ] {
            assert_eq!(subscription(set).interval(), counts);
        }
    }
}
