//! Lets fuzzers parse the headers of any request, and the file of credentials. It exists only in
//! tests and with the feature `fuzz`.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderValue, header};

use crate::conditional::{Outcome, Tags, Validators, evaluate};
use crate::credentials::{authorization, parse};
use crate::negotiate;

/// Evaluates the conditions of a request against a representation, and chooses its form.
///
/// # Panics
///
/// Panics if a `304` would hide a change (I4), or if another invariant is violated.
pub fn conditions(headers: &HeaderMap) {
    let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
    let validators = Validators {
        tag: "k3v9x2pq-17".to_owned(),
        last_modified: Some(modified),
    };
    let tags = Tags::of(headers, &header::IF_NONE_MATCH);
    let named = tags.any || tags.tags.iter().any(|tag| *tag == validators.tag);
    let asked = headers.contains_key(header::IF_NONE_MATCH);
    match evaluate(headers, &validators) {
        // If a tag was sent, only tags count.
        Outcome::NotModified if asked => assert!(named, "unmodified by no tag of ours"),
        Outcome::NotModified => {
            let since = headers.get(header::IF_MODIFIED_SINCE);
            let since =
                since.and_then(|since| httpdate::parse_http_date(since.to_str().ok()?).ok());
            let since = since.expect("a date or a tag");
            assert!((modified..=SystemTime::now()).contains(&since));
        }
        Outcome::Proceed => assert!(!(asked && named)),
        Outcome::Failed => assert!(
            headers.contains_key(header::IF_MATCH)
                || headers.contains_key(header::IF_UNMODIFIED_SINCE)
        ),
    }
    let own = HeaderMap::from_iter([(
        header::IF_NONE_MATCH,
        HeaderValue::try_from(validators.etag()).expect("a header value"),
    )]);
    assert_eq!(evaluate(&own, &validators), Outcome::NotModified);
    let offers = ["application/atom+xml", "text/html", "application/json"];
    assert!(negotiate(headers, &offers).is_none_or(|index| index < offers.len()));
}

/// Parses a file of credentials; returns their number, or `None` if it is rejected. Checks that
/// each is accepted in the form in which a client sends it, and that the error contains no secret.
///
/// # Panics
///
/// Panics if a result violates an invariant.
pub fn credentials(text: &str) -> Option<usize> {
    let file = std::path::Path::new("credentials");
    for own in [true, false] {
        let lines = match parse(text, file, own) {
            Ok(lines) => lines,
            Err(error) => {
                let told = error.to_string();
                let mut secrets = text.split_whitespace().filter(|word| word.contains(':'));
                assert!(secrets.all(|secret| secret.len() < 6 || !told.contains(secret)));
                continue;
            }
        };
        assert!(!lines.is_empty());
        for line in &lines {
            let shown = line.authorization();
            let value = HeaderValue::try_from(&shown).expect("it can be shown");
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value)]);
            assert_eq!(
                authorization(&headers),
                Some(shown),
                "it is read as it is shown"
            );
        }
        if !own {
            return Some(lines.len());
        }
    }
    None
}
