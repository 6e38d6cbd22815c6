//! What can be wrong with a request, beside what the database and the list say of it.

use axum::http::StatusCode;
use feed_core::http::Problem;

use crate::order::OrderId;

/// There is no shipment of this order; there may be one in a moment.
pub(super) fn no_such_shipment(id: OrderId) -> Problem {
    let detail = format!(
        "there is no shipment of an order {id}; if that was placed a moment ago, it is on its way"
    );
    Problem::not_found(detail)
}

/// The goods are not to leave: the order was cancelled.
pub(super) fn stopped(id: OrderId) -> Problem {
    let title = "The shipment is stopped";
    let detail = format!("order {id} was cancelled: its goods stay here");
    Problem::new(StatusCode::CONFLICT, "shipment-stopped", title, detail)
}
