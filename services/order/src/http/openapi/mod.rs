//! The description of the routes in OpenAPI. A page with a form is described only if a program can use its address.

mod master_data;
mod orders;

use feed_chassis::openapi::{About, Description, Operation};
use feed_chassis::{describe_health, list};
use feed_console::feed;

use crate::representation::OrderDocument;

pub(super) const ABOUT: About = About {
    title: "Orders",
    description: "Takes orders, and publishes their events as a feed. Keeps the customers \
                  who order, and the items they choose from.",
    version: env!("CARGO_PKG_VERSION"),
};

/// Describes all routes of the service.
pub(super) fn description() -> Description {
    orders::description()
        .with(master_data::customers())
        .with(master_data::items())
        .with(feed::describe::<OrderDocument<'_>>())
        .with(describe_health())
}

/// Describes a list that can be searched.
fn searched(operation: Operation) -> Operation {
    operation.parameter(list::describe_search("Only what has this text in it"))
}

/// Describes the refusal of a request that a page of another site had a browser send.
fn same_origin(change: Operation) -> Operation {
    change.problem(403, "A page of another site had a browser send this")
}
