//! Bodies: what is wrong with one is answered with a problem document.

use std::collections::BTreeMap;

use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use serde_json::Value;
use url::form_urlencoded;

use super::problem::Problem;

/// What a browser sends a form as.
const FORM: &str = "application/x-www-form-urlencoded";

/// A body of type `application/json`, as it was sent.
#[derive(Debug)]
pub(super) struct JsonBody(Bytes);

impl JsonBody {
    /// What it says.
    pub(super) fn parse(&self) -> Result<Value, Problem> {
        serde_json::from_slice(&self.0).map_err(Problem::Malformed)
    }

    pub(super) fn fingerprint(&self) -> i64 {
        fingerprint(&self.0)
    }
}

/// A number that another body will not have by accident (64-bit FNV-1a, the same for ever). Who
/// makes two bodies collide on purpose deceives nobody but themselves.
fn fingerprint(body: &[u8]) -> i64 {
    let offset = 0xcbf2_9ce4_8422_2325_u64;
    let hash = body.iter().fold(offset, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    hash.cast_signed()
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

impl FormBody {
    pub(super) fn fingerprint(&self) -> i64 {
        fingerprint(&self.0)
    }
}

impl<S: Send + Sync> FromRequest<S> for FormBody {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        body(request, state, FORM).await.map(Self)
    }
}

/// A few named texts, from a form or from JSON.
#[derive(Debug)]
pub(super) struct Fields {
    texts: BTreeMap<String, String>,
    /// True if a person filled in a form.
    pub(super) form: bool,
}

impl Fields {
    pub(super) fn get(&self, name: &str) -> Option<String> {
        self.texts.get(name).cloned()
    }

    /// The members of an object that are texts or numbers; the others count as missing.
    fn from_json(json: Value) -> Self {
        let Value::Object(members) = json else {
            return Self {
                texts: BTreeMap::new(),
                form: false,
            };
        };
        let text = |(name, value)| match value {
            Value::String(text) => Some((name, text)),
            Value::Number(number) => Some((name, number.to_string())),
            _ => None,
        };
        Self {
            texts: members.into_iter().filter_map(text).collect(),
            form: false,
        }
    }
}

impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if is_type(request.headers(), FORM) {
            let FormBody(body) = FormBody::from_request(request, state).await?;
            return Ok(Self {
                texts: form_urlencoded::parse(&body).into_owned().collect(),
                form: true,
            });
        }
        let body = JsonBody::from_request(request, state).await?;
        Ok(Self::from_json(body.parse()?))
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
