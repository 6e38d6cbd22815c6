//! What can be wrong with a request, in one table.

use axum::response::{IntoResponse, Response};
use feed_core::http::Problem as Wire;

use crate::order::OrderId;

/// Why a request is not answered with what it asked for.
#[derive(Debug)]
pub(super) enum Problem {
    /// There is no invoice for this order; there may be one in a moment.
    NoSuchInvoice(OrderId),
    /// There is an invoice, and it stands.
    NotCredited(OrderId),
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
                let detail = format!(
                    "there is no invoice for an order {id}; if that was placed a moment ago, it is on its way"
                );
                Wire::not_found(detail)
            }
            Problem::NotCredited(id) => Wire::not_found(format!(
                "the invoice for order {id} is not credited: there is no credit note"
            )),
            Problem::Database(error) => error.into(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        Wire::from(self).into_response()
    }
}
