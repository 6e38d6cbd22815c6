//! What messages call the options of a subscription.

/// What errors and the log call the options of a [`Subscription`](crate::Subscription), for the operator of a
/// program: by the names that its settings have. The default is the name of the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedOptionNames {
    /// [`Subscription::feed_url`](crate::Subscription::feed_url).
    pub feed_url: &'static str,
    /// [`Subscription::credentials`](crate::Subscription::credentials).
    pub credentials: &'static str,
    /// [`Subscription::proxy`](crate::Subscription::proxy).
    pub proxy: &'static str,
}

impl Default for FeedOptionNames {
    fn default() -> Self {
        Self {
            feed_url: "Subscription::feed_url",
            credentials: "Subscription::credentials",
            proxy: "Subscription::proxy",
        }
    }
}
