//! The description of the routes in OpenAPI.

use feed_chassis::list::{self, Filter};
use feed_chassis::openapi::{About, Answer, Description, Operation, Parameter, Schema};

use super::pages::FILTERS;
use crate::order::OrderId;
use crate::representation::{CreditNoteDocument, InvoiceDocument};

pub(crate) const ABOUT: About = About {
    title: "Invoices",
    description: "An invoice for each order that was placed. The service follows the feed of the \
                  order service; there may be an invoice a moment later than its order.",
    version: env!("CARGO_PKG_VERSION"),
};

/// When an address without parameters refuses a request.
const NO_PARAMETERS: &str = "There is a parameter, and the address takes none";

/// Describes the service's own routes.
pub(crate) fn description() -> Description {
    Description::of(
        "Invoices",
        "What customers have to pay",
        [list(), show(), credit_note()],
    )
}

fn list() -> Operation {
    let list = Operation::get(
        "/",
        "invoices",
        "The invoices, those for the newest orders first",
    );
    let about = "Only that for the order with this number, or the one with this number of its own or of its credit note; or \
                 those with each of these words in the customer's name, in any order and any case";
    let list = list.parameter(list::describe_search(about));
    let list = FILTERS.iter().copied().fold(list, list::describe_filter);
    let order = "The number of an order: its invoice alone";
    let list = list::describe_filter(list, Filter::Number("order", order));
    list::describe::<InvoiceDocument<'_>>(list, "invoices")
}

fn show() -> Operation {
    Operation::get("/{id}", "invoice", "The invoice for an order")
        .parameter(id())
        .answer(
            Answer::new(200, "The invoice")
                .json(Schema::of::<InvoiceDocument<'_>>())
                .html(),
        )
        .problem(400, NO_PARAMETERS)
        .problem(
            404,
            "There is no invoice for such an order; there may be one in a moment",
        )
        .conditional()
}

fn credit_note() -> Operation {
    let about = "The credit note to the invoice for an order that was cancelled";
    Operation::get("/{id}/credit-note", "creditNote", about)
        .parameter(id())
        .answer(
            Answer::new(200, "The credit note")
                .json(Schema::of::<CreditNoteDocument<'_>>())
                .html(),
        )
        .problem(400, NO_PARAMETERS)
        .problem(
            404,
            "There is no invoice for such an order, or it is not credited",
        )
        .conditional()
}

fn id() -> Parameter {
    Parameter::path("id", "The number of the order", Schema::of::<OrderId>())
}
