//! What a request means: which shipment, which page of the list.

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use url::form_urlencoded;

use super::problem::Problem;
use crate::order::OrderId;

/// The order in the path. Anything else than the one spelling of a number is no order.
#[derive(Debug)]
pub(super) struct Named(pub(super) OrderId);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        // Fails where the path is no UTF-8: no order either.
        let path = Path::<String>::from_request_parts(parts, state).await;
        let text = path.map(|Path(text)| text).unwrap_or_default();
        match text.parse() {
            Ok(id) if OrderId(id).to_string() == text => Ok(Self(OrderId(id))),
            _ => Err(Problem::NoSuchShipment(text)),
        }
    }
}

/// The order before which a page of the list begins, if it is not the first page. Other
/// parameters are not ours.
#[derive(Debug)]
pub(super) struct Before(pub(super) Option<OrderId>);

impl<S: Send + Sync> FromRequestParts<S> for Before {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        let mut parameters = form_urlencoded::parse(query.as_bytes());
        let Some((_, value)) = parameters.find(|(name, _)| name == "before") else {
            return Ok(Self(None));
        };
        match value.parse() {
            Ok(id) => Ok(Self(Some(OrderId(id)))),
            Err(_) => Err(Problem::NoPage(value.into_owned())),
        }
    }
}
