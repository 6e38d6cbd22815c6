//! The addresses of consumers, and the origins whose pages may read a status.

use std::fmt;
use std::str::FromStr;

use feed_core::http::BaseUrl;
use url::{Position, Url};

/// The longest address: a host and a path, with room.
const LONGEST: usize = 300;

/// Returns the address of a consumer's status from its own, or from that of its status.
#[must_use]
pub fn status_of(consumer: &Url) -> Url {
    let mut url = consumer.clone();
    url.set_query(None);
    url.set_fragment(None);
    let path = url.path().trim_end_matches('/');
    let path = match path.ends_with("/status") {
        true => path.to_owned(),
        false => format!("{path}/status"),
    };
    url.set_path(&path);
    url
}

/// The address of a consumer, for a page that asks it: a URL, or a path on the page's own origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address(At);

#[derive(Debug, Clone, PartialEq, Eq)]
enum At {
    Here(String),
    Url(Url),
}

/// A text that is no [`Address`].
#[derive(Debug, thiserror::Error)]
#[error(
    "the address of a consumer is http: or https:, without credentials, such as https://shop.example/invoice/, or a path \
     on the same host, such as /invoice/; {LONGEST} characters at most"
)]
pub struct InvalidAddress;

impl Address {
    /// Returns the address of the status, for a page below `base`.
    pub(super) fn status(&self, base: &BaseUrl) -> Url {
        match &self.0 {
            At::Url(url) => status_of(url),
            At::Here(path) => {
                let mut url = base.url().clone();
                url.set_path(path);
                status_of(&url)
            }
        }
    }
}

impl FromStr for Address {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let text = text.trim();
        if text.len() > LONGEST {
            return Err(InvalidAddress);
        }
        if text.starts_with('/') {
            // `//other.example/` and `/\other.example/` have a host.
            let here = Url::parse("http://here.invalid/").map_err(|_| InvalidAddress)?;
            let url = here.join(text).map_err(|_| InvalidAddress)?;
            return match url.origin() == here.origin() && is_plain(&url) {
                true => Ok(Self(At::Here(url.path().to_owned()))),
                false => Err(InvalidAddress),
            };
        }
        match Url::parse(text) {
            Ok(url) if is_plain(&url) => Ok(Self(At::Url(url))),
            _ => Err(InvalidAddress),
        }
    }
}

/// Returns true if the URL can be asked, and has no credentials: it is shown, and in the address of the page.
fn is_plain(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            At::Here(path) => f.write_str(path),
            At::Url(url) => url.fmt(f),
        }
    }
}

/// An origin whose pages may read the status: scheme, host and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(String);

/// A text that is no [`Origin`].
#[derive(Debug, thiserror::Error)]
#[error(
    "an origin is a scheme, a host and perhaps a port, such as https://shop.example or http://127.0.0.1:8082"
)]
pub struct InvalidOrigin;

impl Origin {
    /// Returns it as a browser writes it.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Origin {
    type Err = InvalidOrigin;

    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        match Url::parse(text.trim()) {
            Ok(url) if is_plain(&url) && matches!(&url[Position::BeforePath..], "" | "/") => {
                Ok(Self(url.origin().ascii_serialization()))
            }
            _ => Err(InvalidOrigin),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consumer_has_its_status_below_it() {
        for (consumer, status) in [
            ("http://127.0.0.1:8082", "http://127.0.0.1:8082/status"),
            (
                "https://shop.example/invoice",
                "https://shop.example/invoice/status",
            ),
            (
                "https://shop.example/invoice/",
                "https://shop.example/invoice/status",
            ),
            (
                "https://shop.example/invoice/status",
                "https://shop.example/invoice/status",
            ),
            (
                "https://shop.example/status/?a#b",
                "https://shop.example/status",
            ),
        ] {
            let consumer = consumer.parse().expect("a URL");
            assert_eq!(status_of(&consumer).as_str(), status);
        }
    }

    #[test]
    fn a_path_is_on_the_origin_of_the_page() {
        let base: BaseUrl = "https://shop.example:9000/invoice/"
            .parse()
            .expect("a base URL");
        for (text, status) in [
            ("/shipping", "https://shop.example:9000/shipping/status"),
            (
                " /../shipping/status ",
                "https://shop.example:9000/shipping/status",
            ),
            ("http://10.0.0.1:8083/", "http://10.0.0.1:8083/status"),
        ] {
            let address: Address = text.parse().expect("an address");
            assert_eq!(address.status(&base).as_str(), status);
        }
    }

    #[test]
    fn an_address_has_no_other_scheme_host_or_credentials() {
        let long = format!("http://shop.example/{}", "a".repeat(LONGEST));
        for text in [
            "",
            "shipping",
            "//evil.example/",
            "/\\evil.example/",
            "/\t/evil.example/",
            "javascript:alert(1)",
            "file:///etc/passwd",
            "data:text/html,x",
            "http://eve:secret@shop.example/",
            "http://eve@shop.example/",
            "http://",
            &long,
        ] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_origin_is_one_and_has_no_path() {
        for (text, origin) in [
            ("https://Shop.Example:443/", "https://shop.example"),
            ("http://127.0.0.1:8082", "http://127.0.0.1:8082"),
        ] {
            assert_eq!(text.parse::<Origin>().expect("an origin").as_str(), origin);
        }
        for text in [
            "*",
            "null",
            "",
            "https://shop.example/invoice/",
            "https://a.example?b",
            "file:///a",
            "https://eve:secret@shop.example",
        ] {
            assert!(text.parse::<Origin>().is_err(), "{text}");
        }
    }
}
