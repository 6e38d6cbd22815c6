//! The description of the routes in OpenAPI. A page with a form is described only if a program can use its address.

mod common;
mod master_data;
mod orders;

use feed_chassis::describe_health;
use feed_chassis::openapi::{About, Description};
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
