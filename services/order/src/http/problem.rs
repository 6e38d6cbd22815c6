//! The problems of requests, in one table.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use feed_core::http::Problem as Wire;
use feed_core::http::with_causes;
use serde_json::json;

use crate::order::OrderId;
use crate::orders::OrderError;
use crate::rules::FieldError;

/// Why a request fails.
#[derive(Debug)]
pub(super) enum Problem {
    /// There is no such order.
    NoSuchOrder(OrderId),
    /// The client accepts none of these media types.
    NotAcceptable(&'static [&'static str]),
    /// The client's condition for the request does not hold.
    PreconditionFailed,
    /// A parameter or header is malformed.
    BadRequest(String),
    /// The body is not JSON.
    Malformed(serde_json::Error),
    /// The body is JSON, but no object.
    NoObject,
    /// The body is of another media type, too large, or was cut off.
    Body(Wire),
    /// The order breaks rules.
    Invalid(Vec<FieldError>),
    /// The idempotency key belongs to another request, which has placed this order.
    KeyReused(OrderId),
    /// A customer or an item breaks rules.
    Refused(Vec<FieldError>),
    /// There is no such customer or item.
    NoSuchRecord(&'static str, i64),
    Database(sqlx::Error),
    /// An internal error, logged where it happened.
    Internal,
}

impl From<OrderError> for Problem {
    fn from(error: OrderError) -> Self {
        match error {
            OrderError::Invalid(errors) => Self::Invalid(errors),
            OrderError::KeyReused(order) => Self::KeyReused(order),
            OrderError::Database(error) => Self::Database(error),
            OrderError::Interrupted(error) => {
                tracing::error!(error = with_causes(&error), "lost a request");
                Self::Internal
            }
        }
    }
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl From<Wire> for Problem {
    fn from(problem: Wire) -> Self {
        Self::Body(problem)
    }
}

impl From<Problem> for Wire {
    fn from(problem: Problem) -> Self {
        use StatusCode as S;
        match problem {
            Problem::NoSuchOrder(id) => Wire::not_found(format!("there is no order {id}")),
            Problem::NotAcceptable(offers) => Wire::not_acceptable(offers),
            Problem::PreconditionFailed => Wire::precondition_failed(),
            Problem::BadRequest(detail) => Wire::bad_request(detail),
            Problem::Malformed(error) => {
                Wire::bad_request(format!("the body is not JSON: {error}"))
            }
            Problem::NoObject => Wire::new(
                S::UNPROCESSABLE_ENTITY,
                "no-object",
                "The body is no object",
                "the body is JSON, but no object: send `{…}` with the fields",
            ),
            Problem::Body(problem) => problem,
            Problem::Invalid(errors) => {
                let detail = "see `errors` for each field";
                Wire::new(
                    S::UNPROCESSABLE_ENTITY,
                    "invalid-order",
                    "The order is not valid",
                    detail,
                )
                .member("errors", json!(errors))
            }
            Problem::NoSuchRecord(name, id) => Wire::not_found(format!("there is no {name} {id}")),
            Problem::Refused(errors) => Wire::new(
                S::UNPROCESSABLE_ENTITY,
                "invalid",
                "A field is not valid",
                "see `errors` for each field",
            )
            .member("errors", json!(errors)),
            Problem::KeyReused(id) => {
                let detail =
                    format!("this Idempotency-Key has already placed order {id}; use a new one");
                Wire::new(
                    S::UNPROCESSABLE_ENTITY,
                    "key-reused",
                    "The key belongs to another request",
                    detail,
                )
            }
            Problem::Database(error) => error.into(),
            Problem::Internal => Wire::internal(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        Wire::from(self).into_response()
    }
}
