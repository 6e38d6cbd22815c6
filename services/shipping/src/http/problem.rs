//! What can be wrong with a request, in one table.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use feed_core::http::Problem as Wire;

use crate::order::OrderId;

/// Why a request is not answered with what it asked for.
#[derive(Debug)]
pub(super) enum Problem {
    /// There is no shipment of this order; there may be one in a moment.
    NoSuchShipment(OrderId),
    /// The goods are not to leave: the order was cancelled.
    Stopped(OrderId),
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
            Problem::NoSuchShipment(id) => {
                let detail = format!(
                    "there is no shipment of an order {id}; if that was placed a moment ago, it is on its way"
                );
                Wire::not_found(detail)
            }
            Problem::Stopped(id) => {
                let title = "The shipment is stopped";
                let detail = format!("order {id} was cancelled: its goods stay here");
                Wire::new(StatusCode::CONFLICT, "shipment-stopped", title, detail)
            }
            Problem::Database(error) => error.into(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        Wire::from(self).into_response()
    }
}
