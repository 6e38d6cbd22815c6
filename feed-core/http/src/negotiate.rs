//! Content negotiation by `Accept` (RFC 9110, 12.5.1), and the members of other lists in headers.
//!
//! Of equal types, the crate `headers-accept` (0.3) chooses the first of the client, and not that of
//! the server.

use http::{HeaderMap, HeaderName, header};

/// Returns the index of the offer that the client prefers; of equals one that it names, and else
/// the first. `None` if it rejects all. Without `Accept` it accepts anything.
///
/// ```
/// use http::{HeaderMap, header};
/// use feed_http::negotiate;
///
/// let mut headers = HeaderMap::new();
/// assert_eq!(negotiate(&headers, &["application/atom+xml", "text/html"]), Some(0));
/// headers.insert(header::ACCEPT, "text/html,*/*;q=0.8".parse()?);
/// assert_eq!(negotiate(&headers, &["application/atom+xml", "text/html"]), Some(1));
/// headers.insert(header::ACCEPT, "image/png".parse()?);
/// assert_eq!(negotiate(&headers, &["application/atom+xml", "text/html"]), None);
/// # Ok::<(), http::header::InvalidHeaderValue>(())
/// ```
#[must_use]
pub fn negotiate(headers: &HeaderMap, offers: &[&str]) -> Option<usize> {
    // Most clients name an offer exactly, as their first choice.
    let first = headers.get(header::ACCEPT);
    if first.is_some_and(|accept| Some(accept.as_bytes()) == offers.first().map(|o| o.as_bytes())) {
        return Some(0);
    }
    let ranges: Vec<(&str, f32)> = members(headers, &header::ACCEPT)
        .filter_map(range)
        .collect();
    if ranges.is_empty() {
        return Some(0);
    }
    let mut best = None;
    for (index, offer) in offers.iter().enumerate() {
        // Programs name what they can read, and many add `*/*` with the same weight.
        let (quality, is_named) = quality(&ranges, offer);
        let is_better = best.is_none_or(|(_, other, named)| (quality, is_named) > (other, named));
        if quality > 0.0 && is_better {
            best = Some((index, quality, is_named));
        }
    }
    best.map(|(index, ..)| index)
}

/// Returns the members of a list in all fields of that name (RFC 9110, 5.6.1), with the white space
/// around them. A field that is not ASCII is ignored.
pub fn members<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| split(value, ','))
}

/// Parses a media range and its weight, such as `text/html;q=0.8`.
fn range(member: &str) -> Option<(&str, f32)> {
    let mut parts = split(member, ';').map(str::trim);
    let range = parts.next().filter(|range| range.contains('/'))?;
    Some((range, weight(parts)?))
}

/// Splits a value where the separator is not part of a quoted string (RFC 9110, 5.6.4).
pub fn split(value: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    value.split(move |c| {
        let literal = std::mem::replace(&mut escaped, false);
        quoted ^= c == '"' && !literal;
        escaped = c == '\\' && quoted && !literal;
        c == separator && !quoted
    })
}

/// Returns the weight `q` among the parameters of a member (RFC 9110, 12.4.2): 1 if it is missing,
/// `None` if it is malformed.
pub fn weight<'a>(mut parameters: impl Iterator<Item = &'a str>) -> Option<f32> {
    let weight = parameters.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("q").then(|| value.trim())
    });
    let weight = weight.map_or(Some(1.0), |text| text.parse().ok());
    weight.filter(|weight| (0.0..=1.0).contains(weight))
}

/// Returns the weight of the most specific range that covers `offer`, and whether it names it.
fn quality(ranges: &[(&str, f32)], offer: &str) -> (f32, bool) {
    const NAMED: u8 = 3;
    let kind = offer.split('/').next().unwrap_or_default();
    let specificity = |range: &str| {
        if range.eq_ignore_ascii_case(offer) {
            Some(NAMED)
        } else if range == "*/*" {
            Some(1)
        } else {
            let covers = range.strip_suffix("/*")?.eq_ignore_ascii_case(kind);
            covers.then_some(2)
        }
    };
    ranges
        .iter()
        .filter_map(|(range, weight)| Some((specificity(range)?, *weight)))
        .max_by_key(|(specificity, _)| *specificity)
        .map_or((0.0, false), |(specificity, weight)| {
            (weight, specificity == NAMED)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_9110_12_5_1() {
        let cases = [
            ("*/*", Some(0)),
            ("text/*", Some(1)),
            ("application/atom+xml;q=0.5, text/html;q=0.6", Some(1)),
            ("application/atom+xml;q=0, */*", Some(1)),
            ("text/html, application/xhtml+xml, */*;q=0.8", Some(1)),
            ("TEXT/HTML", Some(1)),
            ("text/html;q=0, application/atom+xml;q=0", None),
            ("application/json", None),
            ("garbage", Some(0)),
            ("text/html;q=0, text/*, */*;q=0.1", Some(0)),
            ("text/*;q=0, */*", Some(0)),
            ("application/*;q=0, */*", Some(1)),
            ("application/atom+xml;q=2, text/html;q=0.1", Some(1)),
            ("application/atom+xml;q=-1, text/html;q=0.1", Some(1)),
            (
                "application/atom+xml;a=\"b,text/html;q=1\";q=0, */*;q=0.1",
                Some(1),
            ),
            (
                "application/atom+xml;a=\"\\\",text/html\";q=0, */*;q=0.1",
                Some(1),
            ),
            ("image/png;a=\", text/html, b\"", None),
            // A type that is named wins against a wildcard with the same weight.
            ("text/html, */*", Some(1)),
            ("*/*, text/html", Some(1)),
            ("text/html, application/*", Some(1)),
            ("text/html;q=0.5, */*;q=0.5", Some(1)),
            ("text/html;q=0.5, */*", Some(0)),
            ("text/html, application/atom+xml, */*", Some(0)),
            ("text/*, */*", Some(0)),
        ];
        for (accept, expected) in cases {
            let headers =
                HeaderMap::from_iter([(header::ACCEPT, accept.parse().expect("a header value"))]);
            let offers = ["application/atom+xml", "text/html"];
            assert_eq!(negotiate(&headers, &offers), expected, "{accept}");
        }
    }
}
