//! The problems that only this service has.

use feed_core::http::Problem;

use crate::order::OrderId;

/// There is no invoice for this order, or not yet.
pub(super) fn no_such_invoice(id: OrderId) -> Problem {
    let detail = format!(
        "there is no invoice for an order {id}; if that was placed a moment ago, it is on its way"
    );
    Problem::not_found(detail)
}

/// There is an invoice, and it is not credited.
pub(super) fn not_credited(id: OrderId) -> Problem {
    Problem::not_found(format!(
        "the invoice for order {id} is not credited: there is no credit note"
    ))
}
