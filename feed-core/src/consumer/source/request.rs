//! One request on its way to the feed: directly, or through a proxy; and why there is no answer.

use std::error::Error;
use std::time::Duration;

use reqwest::header::{self, HeaderMap};
use reqwest::{Client, ClientBuilder, Response, StatusCode, redirect};
use tracing::error;
use url::Url;

use super::body;
use super::client::FeedClient;
use super::credentials::FeedCredentials;
use super::fetch_error::FetchError;
use super::option_names::FeedOptionNames;
use super::proxy::FeedProxy;
use super::redact::redact_url;
use crate::consumer::subscription::Subscription;
use crate::http::{tls, with_causes};

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

const CANNOT_BE_REACHED: &str = "cannot be reached";

/// The client for a feed.
fn client(
    feed_url: &Url,
    proxy: Option<&FeedProxy>,
    own: Option<&FeedClient>,
) -> Result<Client, Box<dyn Error>> {
    let builder = builder(proxy, own);
    // Without certificates nothing has to be installed for plain HTTP.
    let is_encrypted = feed_url.scheme() == "https" || proxy.is_some_and(FeedProxy::is_https);
    if is_encrypted && own.is_some() {
        // reqwest then makes TLS by itself, of certificates that may be among them.
        tls::install_if_missing();
        return Ok(builder.build()?);
    }
    Ok(tls::configure(builder, is_encrypted)?.build()?)
}

/// The client for a feed on a machine without certificates.
fn trusting_nobody(proxy: Option<&FeedProxy>, own: Option<&FeedClient>) -> Client {
    let builder = tls::configure(builder(proxy, own), false).map(ClientBuilder::build);
    let client = builder.expect("TLS with constant settings");
    client.expect("a client with constant settings")
}

/// What all requests have in common.
fn builder(proxy: Option<&FeedProxy>, own: Option<&FeedClient>) -> ClientBuilder {
    let builder = Client::builder().user_agent(concat!("feed-core/", env!("CARGO_PKG_VERSION")));
    let builder = match own {
        Some(own) => own.configure(builder),
        None => builder,
    };
    let builder = builder
        .default_headers(HeaderMap::from_iter([(
            header::ACCEPT_ENCODING,
            body::GZIP,
        )]))
        // We follow them ourselves: within the origin, and we want to know of those for good.
        .redirect(redirect::Policy::none())
        // Not even where the environment names one.
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT);
    match proxy.map(FeedProxy::to_client) {
        Some(proxy) => builder.proxy(proxy.expect("a URL that was checked")),
        None => builder,
    }
}

/// What sends requests to one feed, as us.
#[derive(Debug, Clone)]
pub(super) struct Requester {
    client: Client,
    /// The service's own settings of that client.
    own: Option<FeedClient>,
    /// Our credentials are for its origin alone.
    feed_url: Url,
    credentials: Option<FeedCredentials>,
    proxy: Option<FeedProxy>,
    pub(super) names: FeedOptionNames,
}

impl Requester {
    pub(super) fn new(subscription: &Subscription) -> Self {
        let Subscription {
            feed_url,
            credentials,
            proxy,
            client: own,
            names,
            ..
        } = subscription.clone();
        let client = client(&feed_url, proxy.as_ref(), own.as_ref()).unwrap_or_else(|error| {
            // The service still answers, and each poll says what is missing.
            error!(
                error = with_causes(&*error),
                "no certificates of authorities on this machine: https feeds cannot be read"
            );
            trusting_nobody(proxy.as_ref(), own.as_ref())
        });
        Self {
            client,
            own,
            feed_url,
            credentials,
            proxy,
            names,
        }
    }

    /// Uses new connections from now on.
    pub(super) fn reconnect(&mut self) {
        // A missing certificate was logged at the start.
        if let Ok(client) = client(&self.feed_url, self.proxy.as_ref(), self.own.as_ref()) {
            self.client = client;
        }
    }

    /// The address of the feed by the subscription.
    pub(super) fn feed_url(&self) -> &Url {
        &self.feed_url
    }

    /// True if an answer from `url` may be a proxy's own.
    pub(super) fn is_proxied(&self, url: &Url) -> bool {
        self.proxy.is_some() && url.scheme() == "http"
    }

    /// The answer to one request, with our credentials if it goes to the feed's own origin. Where
    /// they are refused, they may be others by now.
    pub(super) async fn ask(
        &self,
        url: &Url,
        headers: &HeaderMap,
        begins: Duration,
    ) -> Result<Response, FetchError> {
        let at_home = url.origin() == self.feed_url.origin();
        let credentials = self.credentials.as_ref().filter(|_| at_home);
        if credentials.is_some() || !url.username().is_empty() || url.password().is_some() {
            self.may_show_credentials(url)?;
        }
        let Some(credentials) = credentials else {
            return self.send(url, headers.clone(), begins).await;
        };
        let mut shown = credentials.authorization();
        loop {
            let mut headers = headers.clone();
            headers.insert(header::AUTHORIZATION, shown.clone());
            let response = self.send(url, headers, begins).await?;
            let instead = match is_refused(response.status()) {
                true => credentials.instead_of(&shown),
                false => None,
            };
            match instead {
                Some(instead) => shown = instead,
                None => return Ok(response),
            }
        }
    }

    /// Fails where a proxy would see the feed's credentials without being meant to.
    fn may_show_credentials(&self, url: &Url) -> Result<(), FetchError> {
        match &self.proxy {
            Some(proxy) if proxy.must_not_carry_credentials(url) => {
                Err(self.proxy_error(url, FeedProxy::SEES_CREDENTIALS, None))
            }
            _ => Ok(()),
        }
    }

    async fn send(
        &self,
        url: &Url,
        headers: HeaderMap,
        begins: Duration,
    ) -> Result<Response, FetchError> {
        let request = self.client.get(url.clone()).headers(headers);
        let response = match tokio::time::timeout(begins, request.send()).await {
            Ok(Ok(response)) => response,
            Ok(Err(cause)) => return Err(self.unreachable(url, cause).await),
            Err(_) => {
                return Err(FetchError::Late {
                    url: self.named(url),
                    limit: begins,
                });
            }
        };
        match &self.proxy {
            // Only a proxy answers so.
            Some(_) if response.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                Err(self.refused_by_proxy(url, 407))
            }
            _ => Ok(response),
        }
    }

    /// Why there is no answer: the feed cannot be reached, or the proxy, or the feed through it.
    pub(super) async fn unreachable(&self, url: &Url, cause: reqwest::Error) -> FetchError {
        let cause = cause.without_url();
        let proxy = self.proxy.as_ref().filter(|_| cause.is_connect());
        let told = with_causes(&cause);
        let tunnel = told.split_once("tunnel error: ");
        let wrong = match (proxy, tunnel) {
            (Some(_), Some((_, how))) if how.starts_with("failed to create") => CANNOT_BE_REACHED,
            (Some(proxy), Some(_)) => match proxy.refusal(url).await {
                Some(status) => return self.refused_by_proxy(url, status),
                None => "does not connect us to it",
            },
            (Some(_), None) if url.scheme() == "http" => CANNOT_BE_REACHED,
            (Some(_), None) if cause.is_timeout() => {
                "has no connection to it for us in time: one of the two does not answer"
            }
            // Behind a tunnel that was opened, it is the feed.
            (Some(_), None) | (None, _) => {
                return FetchError::Unreachable {
                    url: self.named(url),
                    cause,
                };
            }
        };
        self.proxy_error(url, wrong, Some(cause))
    }

    /// The proxy itself has answered.
    fn refused_by_proxy(&self, url: &Url, status: u16) -> FetchError {
        let means = match status {
            407 => &format!(
                "it asks for a user and a password, and {} has none or the wrong ones; write \
                 http://USER:PASSWORD@HOST:PORT",
                self.names.proxy
            ),
            500.. => "it cannot reach the feed",
            _ => "it does not let us reach the feed; its operator has to allow that",
        };
        self.proxy_error(url, format!("answered {status}: {means}"), None)
    }

    fn proxy_error(
        &self,
        url: &Url,
        wrong: impl Into<String>,
        cause: Option<reqwest::Error>,
    ) -> FetchError {
        let proxy = self.proxy.as_ref();
        FetchError::Proxy {
            url: redact_url(url),
            proxy: proxy.map(FeedProxy::to_string).unwrap_or_default(),
            setting: self.names.proxy,
            wrong: wrong.into(),
            cause,
        }
    }

    /// What was asked for, as an error names it: with the proxy that it was asked through.
    pub(super) fn named(&self, url: &Url) -> String {
        match &self.proxy {
            Some(proxy) => format!("{} (through the proxy {proxy})", redact_url(url)),
            None => redact_url(url),
        }
    }
}

/// True if the feed asks for other credentials than those that it was shown.
pub(super) fn is_refused(status: StatusCode) -> bool {
    matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A host's own may be another one, and come later.
    #[test]
    fn no_provider_of_cryptography_is_installed_for_the_process() {
        for feed in ["https://feed.example/feed", "http://feed.example/feed"] {
            let feed = feed.parse().expect("a URL");
            Requester::new(&Subscription::new("order", feed));
        }
        let installed = rustls::crypto::CryptoProvider::get_default();
        assert!(installed.is_none(), "{installed:?}");
    }
}
