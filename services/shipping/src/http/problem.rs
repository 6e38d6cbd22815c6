//! The problems that only this service has.

use axum::http::StatusCode;
use feed_core::http::Problem;

use crate::order::OrderId;

/// There is no shipment of this order, or not yet.
pub(super) fn no_such_shipment(id: OrderId) -> Problem {
    let detail = format!(
        "there is no shipment of an order {id}; if that was placed a moment ago, it is on its way"
    );
    Problem::not_found(detail)
}

/// The goods must not leave: the order was cancelled.
pub(super) fn stopped(id: OrderId) -> Problem {
    let title = "The shipment is stopped";
    let detail = format!("order {id} was cancelled: its goods stay here");
    Problem::new(StatusCode::CONFLICT, "shipment-stopped", title, detail)
}

/// The goods cannot leave: the customer was erased, and their address with them.
pub(super) fn no_address(id: OrderId) -> Problem {
    let title = "The shipment has no address";
    let detail = format!(
        "the customer of order {id} was erased, and no address is left: its goods stay here"
    );
    Problem::new(
        StatusCode::CONFLICT,
        "shipment-without-address",
        title,
        detail,
    )
}
