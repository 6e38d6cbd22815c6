//! What can be wrong with a request, in one table.

use axum::response::{IntoResponse, Response};
use feed_core::Problem as Wire;

/// Why a request is not answered with what it asked for.
#[derive(Debug)]
pub(super) enum Problem {
    /// There is no invoice for an order of this name; there may be one in a moment.
    NoSuchInvoice(String),
    /// The list has no page that begins there.
    NoPage(String),
    /// The client takes none of what we offer.
    NotAcceptable(&'static [&'static str]),
    /// The subscription waits for a person.
    Halted(String),
    Database(sqlx::Error),
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl From<Problem> for Wire {
    fn from(problem: Problem) -> Self {
        match problem {
            Problem::NoSuchInvoice(id) => {
                Wire::not_found(format!("there is no invoice for an order {id}"))
            }
            Problem::NoPage(before) => {
                Wire::bad_request(format!("`before={before}` is no order's number"))
            }
            Problem::NotAcceptable(offers) => Wire::not_acceptable(offers),
            Problem::Halted(reason) => {
                Wire::unavailable(format!("the subscription is halted: {reason}"))
            }
            Problem::Database(error) => Wire::from_database(&error),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        Wire::from(self).into_response()
    }
}
