//! A proxy for requests to a feed. Only a setting names one: the proxy in the environment
//! (`HTTP_PROXY` and others) is for other programs, and would see the feed's credentials.

use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use reqwest::Proxy;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use url::{Host, Url};

use super::redact::redact_url;

/// The timeout of the request that asks a proxy again why it does not connect.
const SAYS_WHY: Duration = Duration::from_secs(3);

/// The length of a status line up to the status: `HTTP/1.1 403`.
const STATUS: usize = 12;

/// A forward proxy for the requests to a feed. It is displayed without user and password.
#[derive(Clone, PartialEq, Eq)]
pub struct FeedProxy {
    url: Url,
    sees_credentials: bool,
}

/// A text that is no valid proxy.
#[derive(Debug, thiserror::Error)]
#[error("write the proxy as http://HOST:PORT or http://USER:PASSWORD@HOST:PORT; https: works too")]
pub struct InvalidProxy;

impl FeedProxy {
    /// Why a proxy is rejected that would see the credentials of a feed.
    pub(crate) const SEES_CREDENTIALS: &str = "would see the feed's credentials, since http: is not encrypted. Follow the feed by https:, or allow \
     it (FeedProxy::sees_credentials) if you trust the proxy and the way to it";

    /// Creates the proxy at `url`: `http:` or `https:`, a host, and nothing behind the port.
    ///
    /// # Errors
    ///
    /// Returns an error for any other URL.
    pub fn new(url: Url) -> Result<Self, InvalidProxy> {
        let usable = matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none();
        match usable {
            true => Ok(Self {
                url,
                sees_credentials: false,
            }),
            false => Err(InvalidProxy),
        }
    }

    /// Parses the value of a setting.
    pub fn from_setting(text: &str) -> Result<Self, InvalidProxy> {
        Self::new(Url::parse(text).map_err(|_| InvalidProxy)?)
    }

    /// Permits the proxy to see the credentials of an `http:` feed, which are not encrypted. Those
    /// of an `https:` feed pass through it encrypted.
    #[must_use]
    pub fn sees_credentials(self, sees_credentials: bool) -> Self {
        Self {
            sees_credentials,
            ..self
        }
    }

    /// Returns whether credentials for `feed` must not be sent through this proxy.
    #[must_use]
    pub fn must_not_carry_credentials(&self, feed: &Url) -> bool {
        feed.scheme() == "http" && !self.sees_credentials
    }

    pub(crate) fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }

    pub(crate) fn to_client(&self) -> reqwest::Result<Proxy> {
        Proxy::all(self.url.clone())
    }

    /// Returns the status with which the proxy refuses to connect to `target`. The HTTP client does
    /// not report it, so the proxy is asked once more; `None` if it does not refuse again.
    pub(crate) async fn refusal(&self, target: &Url) -> Option<u16> {
        if self.is_https() {
            return None;
        }
        let status = tokio::time::timeout(SAYS_WHY, self.connect(target)).await;
        status.ok()?.ok()?.filter(|status| *status >= 300)
    }

    async fn connect(&self, target: &Url) -> std::io::Result<Option<u16>> {
        let port = self.url.port_or_known_default().unwrap_or(80);
        let mut stream = match self.url.host() {
            Some(Host::Domain(name)) => TcpStream::connect((name, port)).await?,
            Some(Host::Ipv4(address)) => TcpStream::connect((address, port)).await?,
            Some(Host::Ipv6(address)) => TcpStream::connect((address, port)).await?,
            None => return Ok(None),
        };
        let host = target.host_str().unwrap_or_default();
        let port = target.port_or_known_default().unwrap_or(443);
        let authorization = match self.authorization() {
            Some(authorization) => format!("Proxy-Authorization: {authorization}\r\n"),
            None => String::new(),
        };
        let request =
            format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n{authorization}\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut line = [0; STATUS];
        stream.read_exact(&mut line).await?;
        let line = std::str::from_utf8(&line).ok();
        Ok(line.and_then(|line| line.split(' ').nth(1)?.parse().ok()))
    }

    /// Returns `Proxy-Authorization` as the HTTP client makes it from the URL.
    fn authorization(&self) -> Option<String> {
        if self.url.username().is_empty() && self.url.password().is_none() {
            return None;
        }
        let user = percent_decode_str(self.url.username());
        let password = percent_decode_str(self.url.password().unwrap_or_default());
        let pair: Vec<u8> = user.chain(*b":").chain(password).collect();
        Some(format!("Basic {}", STANDARD.encode(pair)))
    }
}

impl fmt::Display for FeedProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&redact_url(&self.url))
    }
}

impl fmt::Debug for FeedProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FeedProxy")
            .field("url", &self.to_string())
            .field("sees_credentials", &self.sees_credentials)
            .finish()
    }
}

/// Returns the environment variables that name a proxy for addresses like `feed`.
pub fn in_environment(feed: &Url) -> Vec<String> {
    let own = format!("{}_proxy", feed.scheme());
    let names = [
        own.to_uppercase(),
        own,
        "ALL_PROXY".to_owned(),
        "all_proxy".to_owned(),
    ];
    let is_set = |name: &String| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    names.into_iter().filter(is_set).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_shown_without_its_password() {
        let proxy = FeedProxy::from_setting("http://eve:s3cr%20et@proxy.example:3128");
        let proxy = proxy.expect("a proxy");
        assert_eq!(proxy.to_string(), "http://proxy.example:3128/");
        assert!(!format!("{proxy:?}").contains("s3cr"));
        let encoded = format!("Basic {}", STANDARD.encode("eve:s3cr et"));
        assert_eq!(proxy.authorization(), Some(encoded));
        let open = FeedProxy::from_setting("http://[::1]:3128").expect("a proxy");
        assert_eq!(open.authorization(), None);
        for wrong in [
            "proxy.example:3128",
            "socks5://proxy.example",
            "http://proxy.example/path",
            "http://proxy.example?query",
            "",
        ] {
            assert!(FeedProxy::from_setting(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_an_http_feed_shows_credentials_on_the_way() {
        let [http, https] = ["http://feed.example/", "https://feed.example/"]
            .map(|url| Url::parse(url).expect("a URL"));
        let proxy = FeedProxy::from_setting("http://proxy.example:3128").expect("a proxy");
        assert!(proxy.must_not_carry_credentials(&http));
        assert!(!proxy.must_not_carry_credentials(&https));
        let proxy = proxy.sees_credentials(true);
        assert!(!proxy.must_not_carry_credentials(&http));
    }
}
