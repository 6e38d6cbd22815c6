//! What can be wrong with a request, in one table.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use feed_core::http::Problem as Wire;
use serde_json::json;

use crate::order::{CustomerId, ItemId, OrderId};
use crate::orders::OrderError;
use crate::rules::FieldError;

/// Why a request is not answered with what it asked for.
#[derive(Debug)]
pub(super) enum Problem {
    /// There is no such order.
    NoSuchOrder(OrderId),
    /// The client takes none of what we offer.
    NotAcceptable(&'static [&'static str]),
    /// The client's condition for the request does not hold.
    PreconditionFailed,
    /// A parameter or header is none that we understand.
    BadRequest(String),
    /// The body is no JSON.
    Malformed(serde_json::Error),
    /// The body came in another type than this one, or in none.
    WrongType(&'static str),
    TooLarge,
    /// The body could not be read to its end.
    Unreadable,
    /// The order breaks rules.
    Invalid(Vec<FieldError>),
    /// The idempotency key belongs to another request, which has placed this order.
    KeyReused(OrderId),
    /// A customer or an item breaks rules.
    Refused(Vec<FieldError>),
    NoSuchCustomer(CustomerId),
    NoSuchItem(ItemId),
    Database(sqlx::Error),
    /// A fault of ours, logged where it happened.
    Internal,
}

impl From<OrderError> for Problem {
    fn from(error: OrderError) -> Self {
        match error {
            OrderError::Invalid(errors) => Self::Invalid(errors),
            OrderError::KeyReused(order) => Self::KeyReused(order),
            OrderError::Database(error) => Self::Database(error),
            OrderError::Interrupted(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "lost a request");
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
            Problem::WrongType(expected) => {
                let detail = format!("send the body as {expected}");
                Wire::new(
                    S::UNSUPPORTED_MEDIA_TYPE,
                    "wrong-type",
                    "The body is of another type",
                    detail,
                )
            }
            Problem::TooLarge => {
                let detail = format!("a body has at most {} bytes", super::MAX_BODY);
                Wire::new(
                    S::PAYLOAD_TOO_LARGE,
                    "too-large",
                    "The body is too large",
                    detail,
                )
            }
            Problem::Unreadable => Wire::bad_request("the body ended early"),
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
            Problem::NoSuchCustomer(id) => Wire::not_found(format!("there is no customer {id}")),
            Problem::NoSuchItem(id) => Wire::not_found(format!("there is no item {id}")),
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
