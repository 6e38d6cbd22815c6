//! The public address of a service.

use std::fmt;
use std::str::FromStr;

use url::{Position, Url};

/// The address under which clients reach a service. It may have a path, for a service behind a
/// reverse proxy.
///
/// ```
/// use feed_http::BaseUrl;
///
/// let base: BaseUrl = "https://shop.example/order".parse()?;
/// assert_eq!(base.join("feed").as_str(), "https://shop.example/order/feed");
/// assert_eq!(base.path("order/17"), "/order/order/17");
/// # Ok::<(), feed_http::InvalidBaseUrl>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl(Url);

/// A text that is no valid base URL.
#[derive(Debug, thiserror::Error)]
#[error(
    "a base URL is http: or https:, with a host, without query or fragment, such as https://shop.example/order/"
)]
pub struct InvalidBaseUrl;

impl BaseUrl {
    /// Returns the URL; its path ends with a slash.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.0
    }

    /// Returns the absolute address of `path`, which is relative to the service: `order/17`.
    #[must_use]
    pub fn join(&self, path: &str) -> Url {
        let mut url = self.0.clone();
        let (path, query) = match path.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (path, None),
        };
        url.set_path(&format!("{}{path}", self.0.path()));
        url.set_query(query);
        url
    }

    /// Returns the same without scheme and host, for links within pages: they work under every host
    /// name of the service.
    #[must_use]
    pub fn path(&self, path: &str) -> String {
        self.href(&self.join(path))
    }

    /// Returns the link to `url` for a page of the service: without scheme and host if these are
    /// its own.
    #[must_use]
    pub fn href(&self, url: &Url) -> String {
        // What begins with two slashes would be another host for a browser.
        if url.origin() == self.0.origin() && !url.path().starts_with("//") {
            url[Position::BeforePath..].to_owned()
        } else {
            url.to_string()
        }
    }
}

impl FromStr for BaseUrl {
    type Err = InvalidBaseUrl;

    fn from_str(text: &str) -> Result<Self, InvalidBaseUrl> {
        let mut url = Url::parse(text).map_err(|_| InvalidBaseUrl)?;
        let plain = matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        if !plain {
            return Err(InvalidBaseUrl);
        }
        if !url.path().ends_with('/') {
            let path = format!("{}/", url.path());
            url.set_path(&path);
        }
        Ok(Self(url))
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
