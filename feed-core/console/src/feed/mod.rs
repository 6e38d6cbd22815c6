//! The feed as pages for people, and the descriptions of its routes and events for programs.

mod asyncapi;
mod openapi;
mod page;

pub use asyncapi::{Events, described};
pub use openapi::describe;
pub use page::page;
