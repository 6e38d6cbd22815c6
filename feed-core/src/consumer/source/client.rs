//! An HTTP client with settings of the service's own.

use std::fmt;
use std::sync::Arc;

use reqwest::ClientBuilder;

/// What the HTTP client of a consumer has beyond what it needs to follow a feed: certificates of an
/// authority of one's own, a certificate that it shows (mTLS), headers for each request.
///
/// ```
/// use feed_core::consumer::FeedClient;
///
/// # fn of(pem: &[u8]) -> Result<FeedClient, reqwest::Error> {
/// let authority = reqwest::Certificate::from_pem(pem)?;
/// Ok(FeedClient::new(move |client| client.tls_certs_merge([authority.clone()])))
/// # }
/// ```
///
/// # Limits
///
/// These stay as a consumer needs them, whatever is set: redirects (it follows them itself, within the origin of
/// the feed), proxies ([`Subscription::proxy`](crate::Subscription::proxy) alone), the time to connect, and
/// `Accept-Encoding`. It sends `Accept`, `If-None-Match`, `If-Modified-Since`, `A-IM`, `Prefer` and
/// [its credentials](crate::Subscription::credentials) itself. Let the client decode nothing (`gzip` and others), and
/// set no time limit: the consumer has one for each request, which knows how long it was asked to wait.
///
/// For an `https:` feed reqwest makes TLS of these settings with the provider of cryptography that the process has
/// (`rustls::crypto::CryptoProvider::install_default`). If it has none, ring's is installed for the process. Without a
/// `FeedClient` the consumer uses the one that is there, or ring's for itself alone.
#[derive(Clone)]
pub struct FeedClient(Arc<Configure>);

type Configure = dyn Fn(ClientBuilder) -> ClientBuilder + Send + Sync;

impl FeedClient {
    /// A client that `configure` has made its settings for. It may be called more than once.
    #[must_use]
    pub fn new(configure: impl Fn(ClientBuilder) -> ClientBuilder + Send + Sync + 'static) -> Self {
        Self(Arc::new(configure))
    }

    pub(super) fn configure(&self, builder: ClientBuilder) -> ClientBuilder {
        (self.0)(builder)
    }
}

impl fmt::Debug for FeedClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FeedClient")
    }
}
