//! Resolves the links of a document, which may be read from another address than the public one.

use url::Url;

use super::redact::redact_url;

/// A link to another origin, or without a valid target.
#[derive(Debug, thiserror::Error)]
#[error("the link {href:?} does not lead to the feed's own origin")]
pub struct RefusedLink {
    href: String,
    /// The target, if it is a URL.
    pub(crate) target: Option<Url>,
}

/// Resolves `href`, found in a document that calls itself `own` and was read from `read_from`.
///
/// It takes an absolute link relative to the document's public address, and applies that to the
/// address the document was read from: so the configured one may be an internal address while the links are
/// public. A link that then leads to another origin is rejected: a feed must not make the consumer
/// fetch from elsewhere.
pub(crate) fn resolve(
    href: &str,
    bases: &[&str],
    own: Option<&Url>,
    read_from: &Url,
) -> Result<Url, RefusedLink> {
    let refused = |target: Option<Url>| RefusedLink {
        href: match &target {
            Some(target) => redact_url(target),
            None => href.split('?').next().unwrap_or_default().to_owned(),
        },
        target,
    };
    // `xml:base` comes first (RFC 4287, section 2), each relative to the one around it, then the
    // address of the document.
    let mut base = read_from.clone();
    for inner in bases {
        base = base.join(inner).map_err(|_| refused(None))?;
    }
    let target = base.join(href).map_err(|_| refused(None))?;
    let target = match own.and_then(|own| own.make_relative(&target)) {
        Some(relative) if target.origin() != read_from.origin() => {
            read_from.join(&relative).map_err(|_| refused(None))?
        }
        _ => target,
    };
    if target.origin() == read_from.origin() {
        Ok(target)
    } else {
        Err(refused(Some(target)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).expect("a URL")
    }

    #[test]
    fn a_public_link_is_followed_at_the_internal_address() {
        let own = url("https://shop.example/order/feed");
        let read_from = url("http://order:8081/feed");
        let resolve = |href| resolve(href, &[], Some(&own), &read_from).ok();
        let cases = [
            (
                "https://shop.example/order/feed/abc/1",
                Some("http://order:8081/feed/abc/1"),
            ),
            (
                "https://shop.example/order/events/7",
                Some("http://order:8081/events/7"),
            ),
            ("feed/abc/1", Some("http://order:8081/feed/abc/1")),
            ("/events/7", Some("http://order:8081/events/7")),
            ("https://evil.example/order/events/7", None),
            ("http://169.254.169.254/latest", None),
            ("file:///etc/passwd", None),
            ("javascript:alert(1)", None),
            ("http://[", None),
        ];
        for (href, expected) in cases {
            assert_eq!(resolve(href), expected.map(url), "{href}");
        }
    }

    #[test]
    fn xml_base_and_a_missing_self_are_honoured() {
        let read_from = url("http://blog.example/a/feed");
        let at = |href, bases: &[&str]| resolve(href, bases, None, &read_from).ok();
        assert_eq!(at("x", &[]), Some(url("http://blog.example/a/x")));
        assert_eq!(at("x", &["/b/"]), Some(url("http://blog.example/b/x")));
        assert_eq!(
            at("x", &["/b/", "c/"]),
            Some(url("http://blog.example/b/c/x"))
        );
        assert_eq!(at("x", &["http://elsewhere.example/"]), None);
    }
}
