//! What a request says beside its body: which trace it belongs to, whether it has come before.

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;

use super::problem::Problem;

/// The longest idempotency key; a UUID has 36 characters.
pub(super) const MAX_KEY: usize = 255;

/// The W3C trace context of a request, if it has one that is well formed (version 00).
#[derive(Debug)]
pub(super) struct Traceparent(pub(super) Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for Traceparent {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let value = parts.headers.get("traceparent");
        let value = value.and_then(|value| value.to_str().ok());
        Ok(Self(
            value.filter(|value| is_trace(value)).map(str::to_owned),
        ))
    }
}

fn is_trace(value: &str) -> bool {
    let parts: Vec<&str> = value.split('-').collect();
    let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    lengths == [2, 32, 16, 2]
        && parts[0] == "00"
        && parts.iter().all(|part| part.bytes().all(hex))
        && parts[1..3]
            .iter()
            .all(|id| id.bytes().any(|byte| byte != b'0'))
}

/// The key by which a client names a request that it may send twice.
///
/// # Errors
///
/// There are several, or it is none that can be kept.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_well_formed_trace_is_passed_on() {
        let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert!(is_trace(trace));
        for broken in [
            "",
            "00",
            "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
        ] {
            assert!(!is_trace(broken), "{broken}");
        }
    }
}
