//! Redacts URLs for logs and pages.

use url::Url;

use crate::consumer::sanitize::sanitize;

/// The parameters whose values are shown: those of our feeds, and that of a page of others. Any other value may be a
/// secret, such as the token of a private feed.
const SHOWN: [&str; 5] = ["type", "subject", "after", "before", "page"];

/// Returns the address of a feed for logs and pages: without its user and password, and without the values in its query
/// that may be secrets.
///
/// ```
/// # use url::Url;
/// use feed_core::consumer::redact_url;
///
/// let url = Url::parse("https://eve:secret@shop.example/feed?type=order.placed&token=secret").unwrap();
/// assert_eq!(redact_url(&url), "https://shop.example/feed?type=order.placed&token=…");
/// ```
#[must_use]
pub fn redact_url(url: &Url) -> String {
    let mut bare = url.clone();
    // Both fail without a host alone.
    let _ = bare.set_username("");
    let _ = bare.set_password(None);
    bare.set_query(None);
    bare.set_fragment(None);
    let mut shown = String::from(bare);
    if let Some(query) = url.query() {
        shown.push('?');
        shown.extend(query.split_inclusive(['&', ';']).map(redact_parameter));
    }
    sanitize(&shown)
}

/// Returns a parameter with the separator behind it, and without its value if that may be a secret. Without a name, it is
/// the value.
fn redact_parameter(parameter: &str) -> String {
    let text = parameter.trim_end_matches(['&', ';']);
    let separator = &parameter[text.len()..];
    match text.split_once('=') {
        _ if text.is_empty() => separator.to_owned(),
        Some((name, _)) if SHOWN.contains(&name) => parameter.to_owned(),
        Some((name, _)) => format!("{name}=…{separator}"),
        None => format!("…{separator}"),
    }
}

/// Returns it also without its whole query, which may contain a secret of a login.
pub(super) fn redact_query(url: &Url) -> String {
    let mut bare = url.clone();
    bare.set_query(None);
    let query = if url.query().is_some() { "?…" } else { "" };
    format!("{}{query}", redact_url(&bare))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_of_an_address_is_shown() {
        for (url, shown) in [
            ("http://feed.example/feed", "http://feed.example/feed"),
            (
                "http://eve:s3cret@feed.example/feed#s3cret",
                "http://feed.example/feed",
            ),
            (
                "http://feed.example/feed?private_token=s3cret",
                "http://feed.example/feed?private_token=…",
            ),
            (
                "http://feed.example/feed?type=order.placed&subject=order/1&after=x.1.y&before=9&page=2",
                "http://feed.example/feed?type=order.placed&subject=order/1&after=x.1.y&before=9&page=2",
            ),
            (
                "http://feed.example/feed?type=a;key=s3cret;;type=b",
                "http://feed.example/feed?type=a;key=…;;type=b",
            ),
            (
                "http://feed.example/feed?a=s3cret&&type=b&Type=s3cret=s3cret&",
                "http://feed.example/feed?a=…&&type=b&Type=…&",
            ),
            (
                "http://feed.example/feed?s3cret",
                "http://feed.example/feed?…",
            ),
            (
                "http://feed.example/feed?s3cret&type=a",
                "http://feed.example/feed?…&type=a",
            ),
            (
                "http://feed.example/feed?=s3cret",
                "http://feed.example/feed?=…",
            ),
            ("http://feed.example/feed?", "http://feed.example/feed?"),
        ] {
            assert_eq!(redact_url(&url.parse().expect("a URL")), shown);
        }
    }

    #[test]
    fn a_target_of_a_redirect_is_shown_without_its_query() {
        for (url, shown) in [
            (
                "http://login.example/?type=s3cret",
                "http://login.example/?…",
            ),
            (
                "http://eve:s3cret@login.example/#s3cret",
                "http://login.example/",
            ),
        ] {
            assert_eq!(redact_query(&url.parse().expect("a URL")), shown);
        }
    }
}
