//! Extracts numbers from paths.

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;

use feed_http::Problem;

/// The number in a path, as an extractor. Each number has one spelling, so that each resource has
/// one address: any other, such as `017`, is `404`. axum's own extractor accepts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Number(pub i64);

impl<S: Send + Sync> FromRequestParts<S> for Number {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        // Fails if the path is not UTF-8, which is no number either.
        let path = Path::<String>::from_request_parts(parts, state).await;
        let text = path.map(|Path(text)| text).unwrap_or_default();
        canonical(&text)
            .map(Self)
            .ok_or_else(|| Problem::not_found(format!("nothing has the number `{text}`")))
    }
}

fn canonical(text: &str) -> Option<i64> {
    text.parse()
        .ok()
        .filter(|number: &i64| number.to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_one_spelling() {
        for number in [0, 17, -5, i64::MAX, i64::MIN] {
            assert_eq!(canonical(&number.to_string()), Some(number));
        }
        for other in [
            "",
            "017",
            "+17",
            "-0",
            " 17",
            "17.0",
            "iPod",
            "9223372036854775808",
        ] {
            assert_eq!(canonical(other), None, "{other}");
        }
    }
}
