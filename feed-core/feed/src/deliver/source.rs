//! The attribute `source` of the CloudEvents that a webhook gets: a URI-reference that is not empty (CloudEvents 1.0).

/// Parses the value of `--source`.
///
/// # Errors
///
/// Returns an error for a text that is no URI-reference: a webhook that checks events would reject each of them.
pub(super) fn parse_source(text: &str) -> Result<String, String> {
    match is_uri_reference(text) {
        true => Ok(text.to_owned()),
        false => Err(
            "CloudEvents demand a URI or a reference to one, such as https://shop.example/feed, /feed or urn:shop; write \
             other characters in percent-encoding, such as %20 for a space"
                .to_owned(),
        ),
    }
}

/// Checks a text by RFC 3986, appendix A.
fn is_uri_reference(text: &str) -> bool {
    let (rest, fragment) = text.split_once('#').unwrap_or((text, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let before_path = &rest[..rest.find('/').unwrap_or(rest.len())];
    let rest = match before_path.split_once(':') {
        Some((scheme, _)) if !is_scheme(scheme) => return false,
        Some((scheme, _)) => &rest[scheme.len() + 1..],
        None => rest,
    };
    let path = match rest.strip_prefix("//") {
        Some(rest) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            if !is_authority(authority) {
                return false;
            }
            path
        }
        None => rest,
    };
    !text.is_empty()
        && consists_of(path, "/:@")
        && [query, fragment]
            .iter()
            .all(|part| consists_of(part, "/?:@"))
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}

fn is_authority(text: &str) -> bool {
    let (user, host) = text.rsplit_once('@').unwrap_or(("", text));
    let (host, port) = match host
        .rsplit_once(':')
        .filter(|(_, port)| !port.contains(']'))
    {
        Some((host, port)) => (host, port),
        None => (host, ""),
    };
    let address = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    consists_of(user, ":")
        && port.bytes().all(|byte| byte.is_ascii_digit())
        && address.map_or_else(
            || consists_of(host, ""),
            |address| consists_of(address, ":"),
        )
}

/// Returns true if `text` has only characters that all parts of a URI may have, and `more`.
fn consists_of(text: &str, more: &str) -> bool {
    const UNRESERVED: &str = "-._~";
    const SUB_DELIMITERS: &str = "!$&'()*+,;=";
    let is_allowed = |c: char| {
        c.is_ascii_alphanumeric()
            || [UNRESERVED, SUB_DELIMITERS, more]
                .iter()
                .any(|set| set.contains(c))
    };
    let mut pieces = text.split('%');
    pieces
        .next()
        .is_none_or(|first| first.chars().all(is_allowed))
        && pieces.all(|piece| {
            let digits = piece.as_bytes().get(..2);
            digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
                && piece.chars().all(is_allowed)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_a_uri_reference() {
        for text in [
            "https://shop.example/feed",
            "http://eve@127.0.0.1:8081/feed?a=b/?c#d/?e",
            "http://[2001:db8::1]:80/feed",
            "//shop.example",
            "urn:shop",
            "mailto:shop@example.com",
            "/feed",
            "./a:b",
            "shop",
            "a%20b",
            "#orders",
            "?orders",
            "/a/:@!$&'()*+,;=~",
        ] {
            assert_eq!(parse_source(text).as_deref(), Ok(text));
        }
        for text in [
            "",
            " ",
            "a b",
            " a",
            "a\n",
            "größe",
            "a%2",
            "a%2g",
            "a%é",
            "1a:b",
            ":a",
            "a_b:c",
            "a#b#c",
            "a[b]",
            "a|b",
            "a\\b",
            "<a>",
            "\"a\"",
            "{a}",
            "^",
            "`",
            "http://a b/",
            "http://h:a/",
            "http://[::1/",
            "http://[g|]/",
        ] {
            let said = parse_source(text).expect_err(text);
            assert!(said.contains("CloudEvents"), "{said}");
        }
    }
}
