//! What the headers of a request say: the trace that it belongs to, and its idempotency key.

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;

use super::problem::Problem;

/// The longest idempotency key; a UUID has 36 characters.
pub(super) const MAX_KEY: usize = 255;

/// The W3C trace context of a request, as the client has sent it: the outbox ignores a malformed one.
#[derive(Debug)]
pub(super) struct Traceparent(pub(super) Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for Traceparent {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let value = parts.headers.get("traceparent");
        let value = value.and_then(|value| value.to_str().ok());
        Ok(Self(value.map(str::to_owned)))
    }
}

/// The key by which a client names a request that it may send twice.
///
/// # Errors
///
/// There are several, or it is empty, too long or not ASCII.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut keys = headers.get_all("idempotency-key").iter();
    match (keys.next(), keys.next()) {
        (None, _) => Ok(None),
        (Some(key), None) => key
            .to_str()
            .ok()
            .filter(|key| (1..=MAX_KEY).contains(&key.len()))
            .map(|key| Some(key.to_owned()))
            .ok_or_else(|| {
                Problem::BadRequest(format!(
                    "an Idempotency-Key is 1 to {MAX_KEY} ASCII characters"
                ))
            }),
        (Some(_), Some(_)) => Err(Problem::BadRequest(
            "there are two Idempotency-Keys".to_owned(),
        )),
    }
}
