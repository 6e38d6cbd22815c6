//! The bodies of requests.

use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use feed_chassis::{FORM, is_of_type, read_body};
use rust_decimal::Decimal;
use serde_json::Value;
use url::form_urlencoded;

use super::problem::Problem;

/// The largest body that is read, in bytes. An order of a thousand lines has some 60 KiB, as JSON or as a form.
pub(super) const MAX_BODY: usize = 1024 * 1024;

/// A body of type `application/json`, as it was sent.
#[derive(Debug)]
pub(super) struct JsonBody(Bytes);

impl JsonBody {
    /// Parses it. All that is sent here is an object.
    pub(super) fn parse(&self) -> Result<Value, Problem> {
        let json: Value = serde_json::from_slice(&self.0).map_err(Problem::Malformed)?;
        json.is_object().then_some(json).ok_or(Problem::NoObject)
    }

    pub(super) fn fingerprint(&self) -> i64 {
        fingerprint(&self.0)
    }
}

/// Returns a number that no other body has by accident (64-bit FNV-1a, the same for ever). A client
/// that makes two bodies collide on purpose deceives only itself.
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
        let body = read_body(request, state, "application/json", MAX_BODY).await;
        Ok(Self(body?))
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
        let body = read_body(request, state, FORM, MAX_BODY).await;
        Ok(Self(body?))
    }
}

/// A few named values, from a form or from JSON. A value of an unexpected type counts as missing.
#[derive(Debug)]
pub(super) struct Fields {
    /// An object.
    pub(super) values: Value,
    /// True if it was a form.
    pub(super) form: bool,
}

impl Fields {
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.values.get(name)?.as_str().map(str::to_owned)
    }

    /// Returns the version of the record that a form has shown, which its change may replace. A program says it by
    /// `If-Match`.
    pub(super) fn version(&self) -> Option<String> {
        self.text("version").filter(|_| self.form)
    }

    /// Returns a number with all its digits and without an exponent, which JSON permits, or a text, since a form has no
    /// numbers.
    pub(super) fn number(&self, name: &str) -> Option<String> {
        match self.values.get(name)? {
            Value::Number(number) => {
                let text = number.to_string();
                // `from_scientific` alone would round a mantissa with too many digits.
                let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
                let plain = Decimal::from_str_exact(mantissa)
                    .and_then(|_| Decimal::from_scientific(&text))
                    .map(|number| number.to_string());
                Some(plain.unwrap_or(text))
            }
            value => value.as_str().map(str::to_owned),
        }
    }
}

impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if is_of_type(request.headers(), FORM) {
            let FormBody(body) = FormBody::from_request(request, state).await?;
            return Ok(Self {
                values: form_urlencoded::parse(&body).into_owned().collect(),
                form: true,
            });
        }
        Ok(Self {
            values: JsonBody::from_request(request, state).await?.parse()?,
            form: false,
        })
    }
}
