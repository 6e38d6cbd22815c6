//! The description of the routes in OpenAPI.

use feed_chassis::list::{self, Filter};
use feed_chassis::openapi::{About, Answer, Description, Operation, Parameter, Schema};

use super::pages::FILTERS;
use crate::order::OrderId;
use crate::representation::ShipmentDocument;

pub(crate) const ABOUT: About = About {
    title: "Shipments",
    description: "A shipment for each order that was placed. The service follows the feed of the \
                  order service; there may be a shipment a moment later than its order.",
    version: env!("CARGO_PKG_VERSION"),
};

/// When an address without parameters refuses a request.
const NO_PARAMETERS: &str = "There is a parameter, and the address takes none";

/// Describes the service's own routes.
pub(crate) fn description() -> Description {
    let about = "Goods on their way to customers";
    Description::of("Shipments", about, [list(), show(), dispatch()])
}

fn list() -> Operation {
    let list = Operation::get(
        "/",
        "shipments",
        "The shipments, those of the newest orders first",
    );
    let about = "Only that of the order with this number; or those with each of these words in the customer's name, in \
                 any order and any case";
    let list = list.parameter(list::describe_search(about));
    let list = FILTERS.iter().copied().fold(list, list::describe_filter);
    let order = "The number of an order: its shipment alone";
    let list = list::describe_filter(list, Filter::Number("order", order));
    list::describe::<ShipmentDocument<'_>>(list, "shipments")
}

fn show() -> Operation {
    Operation::get("/{id}", "shipment", "The shipment of an order")
        .parameter(id())
        .answer(
            Answer::new(200, "The shipment")
                .json(Schema::of::<ShipmentDocument<'_>>())
                .html(),
        )
        .problem(400, NO_PARAMETERS)
        .problem(
            404,
            "There is no shipment of such an order; there may be one in a moment",
        )
        .conditional()
}

fn dispatch() -> Operation {
    Operation::post("/{id}/dispatch", "dispatch", "Say that the goods have left")
        .about("A second time changes nothing.")
        .parameter(id())
        .guarded()
        .answer(Answer::new(303, "They have left").header("Location", "The shipment"))
        .problem(400, NO_PARAMETERS)
        .problem(
            403,
            "A page of another site had a browser send this, or the credentials are for reading the feed",
        )
        .problem(404, "There is no shipment of such an order")
        .problem(
            409,
            "The order was cancelled, or the customer was erased with the address: the goods stay here",
        )
}

fn id() -> Parameter {
    Parameter::path("id", "The number of the order", Schema::of::<OrderId>())
}
