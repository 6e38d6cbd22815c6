//! The feed as pages for people, and the descriptions of its routes and events for programs.

mod asyncapi;
mod openapi;
mod page;

pub use asyncapi::{Events, described};
pub use openapi::describe;
pub use page::page;

use axum::Router;
use feed_chassis::ProblemsAsPages;
use feed_chassis::html::Frame;
use feed_core::{Backend, Feed, feed};

/// Returns the routes of `feed`. Clients that get its documents as [pages](fn@page) also get its
/// problems as pages; feed readers and other programs get problem documents.
pub fn router<B, S>(feed: &Feed<B>, frame: Frame<'static>) -> Router<S>
where
    B: Backend,
    S: Clone + Send + Sync + 'static,
{
    let problems = ProblemsAsPages::new(frame).to(feed::prefers_pages);
    feed.router().layer(problems)
}
