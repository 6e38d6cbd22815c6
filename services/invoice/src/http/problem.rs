//! What can be wrong with a request, beside what the database and the list say of it.

use feed_core::http::Problem;

use crate::order::OrderId;

/// There is no invoice for this order; there may be one in a moment.
pub(super) fn no_such_invoice(id: OrderId) -> Problem {
    let detail = format!(
        "there is no invoice for an order {id}; if that was placed a moment ago, it is on its way"
    );
    Problem::not_found(detail)
}

/// There is an invoice, and it stands.
pub(super) fn not_credited(id: OrderId) -> Problem {
    Problem::not_found(format!(
        "the invoice for order {id} is not credited: there is no credit note"
    ))
}
