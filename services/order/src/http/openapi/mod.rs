//! What the routes are, for programs. The pages with forms are for people: of them only what shares
//! an address with something else is here.

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

/// All that there is at the service's addresses.
pub(super) fn description() -> Description {
    orders::description()
        .with(master_data::customers())
        .with(master_data::items())
        .with(feed::describe::<OrderDocument<'_>>())
        .with(describe_health())
}

/// A list of what can be searched by a text.
fn searched(operation: Operation) -> Operation {
    operation.parameter(list::describe_search("Only what has this text in it"))
}

/// What a browser is refused if another site made it ask.
fn same_origin(change: Operation) -> Operation {
    change.problem(403, "A page of another site had a browser send this")
}
