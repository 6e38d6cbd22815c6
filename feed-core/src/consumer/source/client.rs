//! The service's own settings of the HTTP client.

use std::fmt;
use std::sync::Arc;

use reqwest::ClientBuilder;

/// Settings of the consumer's HTTP client beyond those that a feed needs: a private certificate
/// authority, a client certificate (mTLS), headers for each request.
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
/// A consumer overrides these settings: redirects (it follows them itself, within the origin of the
/// feed), proxies (only [`Subscription::proxy`](crate::Subscription::proxy)), the connect timeout,
/// and `Accept-Encoding`. It sends `Accept`, `If-None-Match`, `If-Modified-Since`, `A-IM`, `Prefer`
/// and [its credentials](crate::Subscription::credentials) itself. Do not let the client decode
/// content (`gzip` and others), and set no timeout: the consumer has one for each request, which
/// depends on the wait that it asks for.
///
/// For an `https:` feed reqwest makes TLS of these settings with the provider of cryptography that the process has
/// (`rustls::crypto::CryptoProvider::install_default`). If it has none, ring's is installed for the process. Without a
/// `FeedClient` the consumer uses the one that is there, or ring's for itself alone.
#[derive(Clone)]
pub struct FeedClient(Arc<Configure>);

type Configure = dyn Fn(ClientBuilder) -> ClientBuilder + Send + Sync;

impl FeedClient {
    /// Creates a client configuration. The consumer calls `configure` for each new client: at the start, and to have new
    /// connections after a failed round.
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
