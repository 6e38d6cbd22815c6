//! Extracts numbers from paths.

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;

use feed_http::{Problem, canonical_number};

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
        canonical_number(&text)
            .map(Self)
            .ok_or_else(|| Problem::not_found(format!("nothing has the number `{text}`")))
    }
}
