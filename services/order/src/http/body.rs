//! Bodies: what is wrong with one is answered with a problem document.

use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use serde_json::Value;

use super::problem::Problem;

/// A body of type `application/json`, as it was sent.
#[derive(Debug)]
pub(super) struct JsonBody(Bytes);

impl JsonBody {
    /// What it says.
    pub(super) fn parse(&self) -> Result<Value, Problem> {
        serde_json::from_slice(&self.0).map_err(Problem::Malformed)
    }

    /// A number that another body will not have by accident (64-bit FNV-1a, the same for ever).
    /// Who makes two bodies collide on purpose deceives nobody but themselves.
    pub(super) fn fingerprint(&self) -> i64 {
        let offset = 0xcbf2_9ce4_8422_2325_u64;
        let hash = self.0.iter().fold(offset, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        hash.cast_signed()
    }
}

impl<S: Send + Sync> FromRequest<S> for JsonBody {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        body(request, state, "application/json").await.map(Self)
    }
}

/// The body of a form, as a browser sends it.
#[derive(Debug)]
pub(super) struct FormBody(pub(super) Bytes);

impl<S: Send + Sync> FromRequest<S> for FormBody {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let media_type = "application/x-www-form-urlencoded";
        body(request, state, media_type).await.map(Self)
    }
}

async fn body<S: Send + Sync>(
    request: Request,
    state: &S,
    expected: &'static str,
) -> Result<Bytes, Problem> {
    if !is_type(request.headers(), expected) {
        return Err(Problem::WrongType(expected));
    }
    let read = Bytes::from_request(request, state).await;
    read.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::TooLarge,
        _ => Problem::Unreadable,
    })
}

/// True if the body is of `media_type`, whatever its parameters.
fn is_type(headers: &HeaderMap, media_type: &str) -> bool {
    let value = headers.get(header::CONTENT_TYPE);
    let value = value.and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = value.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case(media_type)
}
